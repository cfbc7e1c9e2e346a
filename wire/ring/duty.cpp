#include "wire/ring/duty.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>

namespace muster {

void run_duty(const DutyHooks& hooks, const DutyOptions& options, Parker& parker, const std::atomic<bool>& stop) {
  // Doubles when spinning found work, halves when it did not.
  std::uint32_t spins = options.spins_max;
  std::uint32_t idle = 0;
  while (!stop.load(std::memory_order_acquire)) {
    if (hooks.do_work() > 0) {
      if (idle > 0) {
        spins = std::min(options.spins_max, spins * 2 + 1);
      }
      idle = 0;
      continue;
    }
    if (++idle <= spins) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
      continue;
    }
    spins /= 2;
    idle = 0;
    const Instant timer = hooks.next_timer ? hooks.next_timer() : Instant::never();
    const auto ready = [&] { return stop.load(std::memory_order_acquire) || hooks.has_work(); };
    if (hooks.wait) {
      parker.park(ready, [&] { hooks.wait(timer); });
    } else {
      parker.park_until(timer, ready);
    }
  }
}

DutyThread::DutyThread(DutyHooks hooks, DutyOptions options, Parker& parker) : parker_(parker) {
  thread_ = std::thread([this, hooks = std::move(hooks), options = std::move(options)] {
    pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
    if (options.cpu >= 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<std::size_t>(options.cpu), &set);
      pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // best effort
    }
    run_duty(hooks, options, parker_, stop_);
  });
}

DutyThread::~DutyThread() { stop(); }

void DutyThread::stop() {
  stop_.store(true, std::memory_order_release);
  parker_.wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace muster
