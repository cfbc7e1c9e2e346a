// StoreWriter: the thread that commits batches, so that the gang goes on while the disk works. Owned by the shell's
// thread, which makes all calls; its own thread only runs SqliteStore::commit.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "sched/gang/store_sqlite.hpp"
#include "wire/ring/wakeup.hpp"

namespace muster::gang {

class StoreWriter {
 public:
  // `store` must outlive it, and is its own from the first begin() on, but for commit() while nothing is under way.
  explicit StoreWriter(SqliteStore& store, Wakeup wakeup);
  // Waits for the batch under way.
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // REQUIRES: nothing is under way.
  void begin(StoreBatch batch);
  // Between begin() and the take() that has its end.
  [[nodiscard]] bool is_busy() const { return busy_; }
  [[nodiscard]] int fd() const { return wakeup_.fd(); }  // readable when take() has something
  struct Done {
    std::uint64_t number{};
    Status status;
  };
  [[nodiscard]] std::optional<Done> take();
  // Waits for the batch under way.
  [[nodiscard]] std::optional<Done> finish();

 private:
  void work();

  SqliteStore& store_;
  Wakeup wakeup_;
  bool busy_{};

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::optional<StoreBatch> batch_;
  std::optional<Done> done_;
  bool stop_{};
  std::thread thread_;  // last: it looks at all of the above
};

}  // namespace muster::gang
