// Threads of the launcher that start ranks which share its memory: the thread that starts one sleeps until it has
// executed, so that a slow file system holds up one thread and not the launcher.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "node/exec/rank_setup.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/ring/wakeup.hpp"

namespace muster::node {

// Owned by the launcher's thread, which makes all calls. Its own threads allocate nothing: the launcher forks.
class SpawnPool {
 public:
  // Waits for starts under way.
  ~SpawnPool();
  SpawnPool() = default;
  SpawnPool(const SpawnPool&) = delete;
  SpawnPool& operator=(const SpawnPool&) = delete;

  // The threads live as long as the pool: a rank dies with the thread that started it.
  [[nodiscard]] Status start();
  // Readable when take_done() has something.
  [[nodiscard]] int fd() const { return wakeup_ ? wakeup_->fd() : -1; }

  void push(std::unique_ptr<RankSetup> setup);
  // What has been started, or failed, since the last call: report is filled when reported, else the child died at once
  // (pid > 0) or there is none (report.errno_value).
  [[nodiscard]] std::vector<std::unique_ptr<RankSetup>> take_done();
  // Pushed and not taken yet.
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
  // The child of a start under way.
  [[nodiscard]] bool is_child(pid_t pid) const;
  // Adds a thread when starts wait and none has got further for a while. Call at least every kPatience while in_flight().
  void help(Instant now);

  static constexpr Duration kPatience = Duration::from_ms(100);

 private:
  void work();
  void add_thread();

  std::optional<Wakeup> wakeup_;  // once started
  std::vector<std::thread> threads_;
  std::vector<RankSetup*> in_flight_;
  std::uint64_t started_seen_{};
  Instant progressed_;

  std::mutex mutex_;  // guards all below
  std::condition_variable wanted_;
  RankSetup* first_{};
  RankSetup* last_{};
  RankSetup* done_{};
  std::uint64_t started_{};
  std::size_t idle_{};
  bool stop_{};
};

}  // namespace muster::node
