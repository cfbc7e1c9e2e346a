// Parker: one thread sleeps, others wake it; no wake-up is lost and waking a thread that is awake costs one
// atomic operation. The sleeper's own thread calls park(), all others wake().
//
// Why nothing is lost: both sides do a read-modify-write of `sleeping_`, and those are in one order. If the waker's
// comes second, it sees the sleeper and writes the eventfd. If it comes first, the sleeper's synchronises with it and
// `ready` sees what the waker had done before wake().
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/ring/atomics.hpp"
#include "wire/ring/wakeup.hpp"

namespace muster {

template <class Atomics, class Wakeup>
class BasicParker {
 public:
  explicit BasicParker(Wakeup wakeup) : wakeup_(std::move(wakeup)) {}

  // Any thread, after its work is visible (a ring's commit, an atomic store).
  void wake() {
    if (sleeping_.exchange(false, std::memory_order_seq_cst)) {
      wakeup_.notify();
    }
  }

  // Sleeps by `wait` (poll() on fd() and whatever else) unless `ready()` says that there is work.
  template <class Ready, class Wait>
  void park(Ready&& ready, Wait&& wait) {
    sleeping_.exchange(true, std::memory_order_seq_cst);
    if (ready()) {
      sleeping_.store(false, std::memory_order_release);
      return;
    }
    wait();
    sleeping_.exchange(false, std::memory_order_seq_cst);
    // Always: a waker may notify late, after the sleep it meant; then the next sleep is short, once.
    wakeup_.drain();
  }

 protected:
  typename Atomics::template Atomic<bool> sleeping_{false};
  Wakeup wakeup_;
};

// The product's: it wakes by an eventfd. The sleeper's own thread parks, any thread wakes.
class Parker : public BasicParker<StdAtomics, Wakeup> {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Parker>> open();

  // park() with a plain wait on the descriptor until `deadline`.
  template <class Ready>
  void park_until(Instant deadline, Ready&& ready) {
    park(ready, [&] { wait_readable(wakeup_.fd(), deadline); });
  }
  // Readable when somebody has called wake() on the sleeper.
  [[nodiscard]] int fd() const { return wakeup_.fd(); }

 private:
  explicit Parker(Wakeup wakeup) : BasicParker(std::move(wakeup)) {}
  static void wait_readable(int fd, Instant deadline);
};

}  // namespace muster
