#include "master/view/view_desk.hpp"

#include <thread>

namespace muster::master {

ViewDesk::Seen ViewDesk::newest(Duration age_max, Duration wait_max) {
  const SystemClock clock;
  const Instant begin = clock.now().mono;
  for (bool asked = false;; asked = true) {
    Seen seen;
    {
      const auto reading = published_.read();
      if (reading) {
        seen.view = reading->view;
        seen.age = clock.now().mono - reading->taken;
      }
    }
    if ((seen.view != nullptr && seen.age <= age_max) || clock.now().mono - begin >= wait_max) {
      return seen;
    }
    if (!asked) {
      wanted_.store(true, std::memory_order_release);
      if (wake_) {
        wake_();
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void ViewDesk::publish(std::shared_ptr<const ClusterView> view, Instant now) {
  wanted_.store(false, std::memory_order_release);
  last_ = now;
  published_.publish(std::make_unique<Picture>(Picture{std::move(view), now}));
}

}  // namespace muster::master
