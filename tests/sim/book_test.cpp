// Goal: the book's example comes out to the unit however its turns interleave, and its books never drift.
// Method: 10,000 plays on one master and one node, with declines, leases that end, holds and overlapping ports
// drawn from the seed; after every step the books are compared with what the play says.
#include <catch2/catch.hpp>

#include "tests/sim/book.hpp"

using namespace muster;

TEST_CASE("the book's example, 10,000 times, without drift") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    sim::BookStage stage(seed);
    int played = 0;
    try {
      for (; played < 1000; ++played) {
        stage.play();
      }
    } catch (const sim::Violation& violation) {
      FAIL("seed " << seed << ", play " << played << ": " << violation.invariant << ": " << violation.text);
    }
    CHECK(played == 1000);
  }
}
