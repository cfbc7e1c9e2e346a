// Goal: a link delivers each frame once and in order, and says when one is missing. Method: a table of arrivals and
// verdicts; then a random channel that drops, repeats and reorders, against a model.
#include <catch2/catch.hpp>

#include <random>

#include "wire/schema/link_state.hpp"

using namespace muster;

namespace {

using Verdict = LinkState::Verdict;

Verdict take(LinkState& link, std::uint64_t incarnation, std::uint64_t sequence, std::uint64_t received = 0) {
  const auto bytes = pack_frame<fb::Heartbeat>({Epoch(1), Incarnation(incarnation), sequence, received}, {});
  return link.take(*fb::GetFrame(bytes.data()));
}

}  // namespace

TEST_CASE("a link judges every arrival") {
  LinkState link;
  CHECK(take(link, 5, 1) == Verdict::other_incarnation);
  link.open(Incarnation(5));
  const struct {
    std::uint64_t incarnation;
    std::uint64_t sequence;
    Verdict verdict;
  } arrivals[] = {
      {5, 2, Verdict::gap},       {5, 1, Verdict::deliver},   {5, 1, Verdict::duplicate}, {4, 2, Verdict::other_incarnation},
      {6, 2, Verdict::other_incarnation}, {5, 2, Verdict::deliver}, {5, 4, Verdict::gap}, {5, 3, Verdict::deliver},
      {5, 0, Verdict::duplicate}, {5, 2, Verdict::duplicate}, {5, ~0ULL, Verdict::gap},   {5, 4, Verdict::deliver},
  };
  for (const auto& a : arrivals) {
    CHECK(take(link, a.incarnation, a.sequence) == a.verdict);
  }
  CHECK(link.received() == 4);
  link.close();
  CHECK(take(link, 5, 5) == Verdict::other_incarnation);
  link.open(Incarnation(9));
  CHECK(take(link, 5, 5) == Verdict::other_incarnation);
  CHECK(take(link, 9, 1) == Verdict::deliver);
}

TEST_CASE("a link counts what is unconfirmed, and believes no confirmation of what was never sent") {
  LinkState link;
  link.open(Incarnation(1));
  CHECK(link.next_head(Epoch(2)).sequence == 1);
  CHECK(link.next_head(Epoch(2)).sequence == 2);
  CHECK(link.in_flight() == 2);
  CHECK(take(link, 1, 1, 99) == Verdict::deliver);
  CHECK(link.in_flight() == 2);
  CHECK(take(link, 1, 2, 1) == Verdict::deliver);
  CHECK(link.in_flight() == 1);
  CHECK(take(link, 1, 3, 2) == Verdict::deliver);
  CHECK(link.in_flight() == 0);
  CHECK(take(link, 1, 4, 1) == Verdict::deliver);
  CHECK(link.in_flight() == 0);
  const FrameHead head = link.next_head(Epoch(2));
  CHECK(head.received == 4);
  CHECK(head.incarnation == Incarnation(1));
  link.open(Incarnation(2));
  CHECK(link.next_head(Epoch(2)).sequence == 1);
  CHECK(link.in_flight() == 1);
}

TEST_CASE("what a link delivers over a bad channel is a prefix of what was sent") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    LinkState link;
    link.open(Incarnation(1));
    std::vector<std::uint64_t> channel;
    for (std::uint64_t s = 1; s <= 30; ++s) {
      for (std::uint64_t copies = random() % 8 == 0 ? 0 : 1 + random() % 2; copies > 0; --copies) {
        channel.push_back(s);
      }
    }
    for (std::size_t i = 1; i < channel.size(); ++i) {
      if (random() % 10 == 0) {
        std::swap(channel[i], channel[i - 1]);
      }
    }
    std::uint64_t expected = 1;
    for (const std::uint64_t s : channel) {
      const Verdict verdict = take(link, 1, s);
      const Verdict model = s < expected ? Verdict::duplicate : s == expected ? Verdict::deliver : Verdict::gap;
      CHECK(verdict == model);
      if (verdict == Verdict::deliver) {
        ++expected;
      }
    }
    CHECK(link.received() == expected - 1);
  }
}
