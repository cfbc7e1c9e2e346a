// Goal: readers get pictures soon, and pictures never take more than a small part of the core's time. Method: a desk
// without a core; the test plays both sides under a clock of its own.
#include <catch2/catch.hpp>

#include "master/view/cluster_view.hpp"
#include "master/view/view_desk.hpp"

using namespace muster;
using namespace muster::master;

namespace {

// A reader wants a picture, and goes away.
void want(ViewDesk& desk) { (void)desk.newest(Duration::from_ms(0), Duration::from_ms(1)); }

}  // namespace

TEST_CASE("the dearer a picture was, the later comes the next one, and never too late") {
  ViewDesk desk;
  Instant now = SystemClock{}.now().mono;
  const auto publish = [&](Duration cost) {
    desk.publish(std::make_shared<const ClusterView>(), now);
    desk.took(cost);
  };
  CHECK_FALSE(desk.wanted(now));
  for (const auto& [cost_ms, wait_ms] : {std::pair{0, 100}, std::pair{10, 500}, std::pair{1000, 2000}}) {
    publish(Duration::from_ms(cost_ms));
    CHECK(desk.due() == Instant::never());
    want(desk);
    CHECK(desk.due() == now + Duration::from_ms(wait_ms));
    CHECK_FALSE(desk.wanted(now + Duration::from_ms(wait_ms - 1)));
    CHECK(desk.wanted(now + Duration::from_ms(wait_ms)));
  }
}
