// A duty: a do_work() that drains a bounded batch and returns how much it did, run in a loop by one thread
// until it is told to stop. Idle, it spins a little (adaptively: only while spinning has paid), then parks.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/ring/parker.hpp"

namespace muster {

// What a duty is made of. All are called by the duty's thread.
struct DutyHooks {
  std::function<std::size_t()> do_work;   // one bounded batch; how much it did
  std::function<bool()> has_work;         // cheap: is there input? Asked again just before sleeping
  std::function<Instant()> next_timer;    // do_work is called then at the latest
  // Sleeps until something happens. Unset: on the parker alone. Set it when sockets are waited for too; the
  // parker's descriptor must be among what it waits for.
  std::function<void(Instant)> wait{};
};

struct DutyOptions {
  std::string name;             // of the thread; at most 15 characters show
  std::uint32_t spins_max = 0;  // empty rounds before sleeping; 0 on small machines, where spinning steals
  int cpu = -1;                 // pinned there; -1 = anywhere
};

// Runs the loop in the calling thread until `stop`; whoever sets it calls parker.wake() afterwards.
void run_duty(const DutyHooks& hooks, const DutyOptions& options, Parker& parker, const std::atomic<bool>& stop);

// Owns the thread of a duty. Ends it when destroyed.
class DutyThread {
 public:
  DutyThread(DutyHooks hooks, DutyOptions options, Parker& parker);
  ~DutyThread();
  DutyThread(const DutyThread&) = delete;
  DutyThread& operator=(const DutyThread&) = delete;
  void stop();  // and joins

 private:
  Parker& parker_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace muster
