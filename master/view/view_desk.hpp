// ViewDesk: where the core leaves its pictures and readers take them. The core's side belongs to the core's
// thread; newest() may be called by any other. No lock, and the core never waits for a reader.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "wire/base/time.hpp"
#include "wire/ring/published.hpp"

namespace muster::master {

struct ClusterView;

class ViewDesk {
 public:
  // How often a new picture is taken at most, while somebody reads.
  static constexpr Duration kIntervalMin = Duration::from_ms(100);
  // And how much of the core's time pictures take at most: one part in so many, unless readers would wait too long.
  static constexpr std::int64_t kPartOfTime = 50;
  static constexpr Duration kIntervalMax = Duration::from_seconds(2);

  // What a reader gets: `view` is null while there is none.
  struct Seen {
    std::shared_ptr<const ClusterView> view;
    Duration age;
  };

  // `wake` makes the core look at its desk; called by readers.
  explicit ViewDesk(std::function<void()> wake = {}) : wake_(std::move(wake)) {}

  // A picture not older than `age_max` if the core gives one within `wait_max`, else the newest there is.
  [[nodiscard]] Seen newest(Duration age_max, Duration wait_max);

  // The core: is a new picture wanted, and the last one old enough?
  [[nodiscard]] bool wanted(Instant now) const {
    return wanted_.load(std::memory_order_acquire) && now >= last_ + interval_;
  }
  // When wanted() may become true by time alone.
  [[nodiscard]] Instant due() const {
    return wanted_.load(std::memory_order_acquire) ? last_ + interval_ : Instant::never();
  }
  void publish(std::shared_ptr<const ClusterView> view, Instant now);
  // How long taking and publishing the last picture took; the next ones come the later for it.
  void took(Duration cost) { interval_ = std::clamp(cost * kPartOfTime, kIntervalMin, kIntervalMax); }

 private:
  struct Picture {
    std::shared_ptr<const ClusterView> view;
    Instant taken;
  };

  std::function<void()> wake_;
  std::atomic<bool> wanted_{false};
  Published<Picture> published_;
  // The core's own.
  Instant last_{};
  Duration interval_{kIntervalMin};
};

}  // namespace muster::master
