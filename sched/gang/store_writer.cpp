#include "sched/gang/store_writer.hpp"

#include <utility>

#include "wire/base/check.hpp"

namespace muster::gang {

StoreWriter::StoreWriter(SqliteStore& store, Wakeup wakeup)
    : store_(store), wakeup_(std::move(wakeup)), thread_([this] { work(); }) {}

StoreWriter::~StoreWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StoreWriter::begin(StoreBatch batch) {
  check(!busy_, "gang: one batch is written at a time");
  busy_ = true;
  {
    const std::lock_guard lock(mutex_);
    batch_ = std::move(batch);
  }
  changed_.notify_all();
}

std::optional<StoreWriter::Done> StoreWriter::take() {
  wakeup_.drain();
  const std::lock_guard lock(mutex_);
  auto done = std::exchange(done_, std::nullopt);
  busy_ = busy_ && !done;
  return done;
}

std::optional<StoreWriter::Done> StoreWriter::finish() {
  if (busy_) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_.has_value(); });
  }
  return take();
}

void StoreWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || batch_; });
    if (!batch_) {
      return;
    }
    const StoreBatch batch = *std::exchange(batch_, std::nullopt);
    lock.unlock();
    Status status = store_.commit(batch);
    lock.lock();
    done_ = Done{batch.number, std::move(status)};
    changed_.notify_all();
    wakeup_.notify();
  }
}

}  // namespace muster::gang
