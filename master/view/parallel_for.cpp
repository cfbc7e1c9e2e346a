#include "master/view/parallel_for.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include <memory>

namespace muster::master {

ParallelFor parallel_for_on(unsigned threads) {
  if (threads <= 1) {
    return [](std::size_t count, const std::function<void(std::size_t)>& part) {
      for (std::size_t i = 0; i < count; ++i) {
        part(i);
      }
    };
  }
  struct Arena {
    explicit Arena(unsigned n)
        : allowed(tbb::global_control::max_allowed_parallelism, n), arena(static_cast<int>(n)) {}
    tbb::global_control allowed;  // as many even where there are fewer cpus
    tbb::task_arena arena;
  };
  return [arena = std::make_shared<Arena>(threads)](std::size_t count, const std::function<void(std::size_t)>& part) {
    arena->arena.execute(
        [&] { tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) { part(i); }, tbb::static_partitioner{}); });
  };
}

}  // namespace muster::master
