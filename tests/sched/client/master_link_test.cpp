// MasterLink against scripted frames: lives, epochs, gaps, silence, and what is remembered.
#include "sched/client/master_link.hpp"

#include <catch2/catch.hpp>

#include "wire/schema/shapes.hpp"

using namespace muster;
using namespace muster::client;

namespace {

struct Recorder : Framework {
  void on_registered(Epoch, Now) override { ++registered; }
  void on_disconnected(Now) override { ++disconnected; }
  void on_offers(std::span<const Offer> o, Now) override { offers.insert(offers.end(), o.begin(), o.end()); }
  void on_update(std::span<const TaskUpdate> u, Now) override { updates.insert(updates.end(), u.begin(), u.end()); }
  void on_accepted(const AcceptAnswer& a, Now) override { answers.push_back(a); }
  void on_rescinded(std::span<const OfferId> ids, fb::RescindReason, Now) override { rescinded += ids.size(); }
  std::vector<LiveAttempt> live_attempts() override { return live; }
  int registered{};
  int disconnected{};
  std::size_t rescinded{};
  std::vector<Offer> offers;
  std::vector<TaskUpdate> updates;
  std::vector<AcceptAnswer> answers;
  std::vector<LiveAttempt> live;
};

struct Fixture {
  Fixture(bool auto_acknowledge = false) : link(config(auto_acknowledge), framework) { link.on_link_up(now); }
  static LinkConfig config(bool auto_acknowledge) {
    LinkConfig c;
    c.framework = FrameworkId(3);
    c.name = "test";
    c.first_incarnation = Incarnation(100);
    c.auto_acknowledge = auto_acknowledge;
    return c;
  }
  std::vector<FrameBytes> flush() {
    std::vector<FrameBytes> out;
    link.flush(now, out);
    return out;
  }
  static const fb::Frame& frame(const FrameBytes& bytes) { return **verify_frame(bytes); }
  FrameHead head() { return {Epoch(epoch), Incarnation(incarnation), ++sent, 0}; }
  void give(const FrameBytes& bytes) { link.on_frame(frame(bytes), now); }
  void open() {
    const auto out = flush();
    REQUIRE(out.size() >= 1);
    REQUIRE(frame(out[0]).body_type() == fb::Body::Subscribe);
    REQUIRE(frame(out[0]).sequence() == 1);
    incarnation = frame(out[0]).incarnation();
    sent = 0;
    give(pack_frame<fb::Subscribed>(head(), fb::SubscribedT{}));
    REQUIRE(link.connected());
  }
  void later(Duration d) {
    now.mono = now.mono + d;
    link.on_timer(now);
  }
  void give_offer() {
    flatbuffers::FlatBufferBuilder builder;
    ShapeTable shapes;
    const std::vector<fb::OfferEntry> entries{{4, 2, 1, 5000, shapes.place_of(*parse_resources("cpus=2;mem=1G")), 0, 0}};
    const auto list = builder.CreateVectorOfStructs(entries);
    const auto shape_list = shapes.build(builder);
    give(finish_frame(builder, head(), fb::CreateOffers(builder, list, shape_list)));
  }
  void give_update(std::uint64_t seq, TaskState state) {
    fb::UpdateT body;
    body.entries.emplace_back(fb::AttemptId(1, 2), seq, 0, 0, 1, 0, 0, 0, static_cast<std::uint8_t>(state), 0, 0, 0);
    give(pack_frame<fb::Update>(head(), body));
  }

  Now now{Instant::from_ns(1'000'000'000), WallTime::from_ns(1)};
  Recorder framework;
  MasterLink link;
  std::uint64_t epoch{5};
  std::uint64_t incarnation{};
  std::uint64_t sent{};
};

}  // namespace

TEST_CASE("a link opens with Subscribe and restates requests and live attempts", "[client]") {
  Fixture f;
  f.framework.live = {{AttemptId{9, 1}, "n1"}, {AttemptId{9, 2}, "n2"}, {AttemptId{9, 3}, "n1", 8}};
  f.link.request({{*parse_resources("cpus=1"), 7, false, {}}});
  const auto out = f.flush();
  REQUIRE(out.size() == 1);
  const auto* subscribe = Fixture::frame(out[0]).body_as_Subscribe();
  REQUIRE(subscribe != nullptr);
  CHECK(subscribe->framework() == 3);
  CHECK(subscribe->wants()->Get(0)->count() == 7);
  CHECK(subscribe->live()->size() == 3);
  CHECK(subscribe->node_names()->size() == 2);
  CHECK(subscribe->live()->Get(2)->node_name() == 0);
  CHECK(subscribe->live()->Get(2)->boot() == 8);
}

TEST_CASE("an unanswered Subscribe opens a new life with a larger incarnation", "[client]") {
  Fixture f;
  const auto first = f.flush();
  f.later(Duration::from_ms(1000));
  const auto second = f.flush();
  REQUIRE(second.size() == 1);
  CHECK(Fixture::frame(second[0]).incarnation() > Fixture::frame(first[0]).incarnation());
  CHECK(Fixture::frame(second[0]).sequence() == 1);
}

TEST_CASE("offers, updates and answers reach the framework in order, repeats do not", "[client]") {
  Fixture f(true);
  f.open();
  f.give_offer();
  REQUIRE(f.framework.offers.size() == 1);
  CHECK(f.framework.offers[0].id == OfferId{4, 2});
  CHECK(f.framework.offers[0].resources == *parse_resources("cpus=2;mem=1G"));
  CHECK(f.framework.offers[0].lease_end == f.now.mono + Duration::from_ms(5000));
  f.give_update(17, TaskState::running);
  --f.sent;
  f.give_update(17, TaskState::running);  // the same sequence again
  CHECK(f.framework.updates.size() == 1);
  const auto out = f.flush();
  REQUIRE(out.size() == 1);
  const auto* ack = Fixture::frame(out[0]).body_as_Acknowledge();
  REQUIRE(ack != nullptr);
  CHECK(ack->entries()->Get(0)->seq() == 17);
  CHECK(Fixture::frame(out[0]).received() == 3);
}

TEST_CASE("a gap ends the life, the next one begins after 50 ms", "[client]") {
  Fixture f;
  f.open();
  ++f.sent;
  f.give_update(1, TaskState::running);
  CHECK_FALSE(f.link.connected());
  CHECK(f.framework.disconnected == 1);
  CHECK(f.framework.updates.empty());
  CHECK(f.flush().empty());
  CHECK(f.link.accept({}) != 0);  // dropped: the link is closed
  f.later(Duration::from_ms(50));
  const auto out = f.flush();
  REQUIRE(out.size() == 1);
  CHECK(Fixture::frame(out[0]).body_type() == fb::Body::Subscribe);
}

TEST_CASE("link refusals open the next life", "[client]") {
  Fixture f;
  f.open();
  const auto code = GENERATE(fb::RefusedCode::Gap, fb::RefusedCode::NotRegistered, fb::RefusedCode::StaleIncarnation);
  f.give(refused_frame({Epoch(f.epoch), Incarnation(f.incarnation), 0, 0}, Refusal{code, 0, 1, "", ""}));
  CHECK_FALSE(f.link.connected());
  f.later(Duration::from_ms(50));
  CHECK(f.flush().size() == 1);
}

TEST_CASE("frames of a lower epoch are dropped and answered, a higher one counts from Subscribed only", "[client]") {
  Fixture f;
  f.open();
  f.epoch = 4;
  f.give_update(1, TaskState::running);
  CHECK(f.framework.updates.empty());
  auto out = f.flush();
  REQUIRE(out.size() == 1);
  REQUIRE(Fixture::frame(out[0]).body_as_Refused() != nullptr);
  CHECK(Fixture::frame(out[0]).body_as_Refused()->code() == fb::RefusedCode::StaleEpoch);
  CHECK(Fixture::frame(out[0]).epoch() == 5);
  f.epoch = 6;
  --f.sent;
  f.give_update(1, TaskState::running);
  CHECK(f.framework.updates.empty());
  CHECK(f.link.epoch() == Epoch(5));
  f.later(Duration::from_seconds(3));  // silence
  f.open();
  CHECK(f.link.epoch() == Epoch(6));
  CHECK(f.framework.registered == 2);
}

TEST_CASE("a refusal is never answered with a refusal", "[client]") {
  Fixture f;
  f.open();
  f.epoch = 4;
  f.give(refused_frame({Epoch(4), Incarnation(f.incarnation), 0, 0}, Refusal{fb::RefusedCode::StaleEpoch, 0, 1, "", ""}));
  CHECK(f.flush().empty());
}

TEST_CASE("an idle link sends a heartbeat a second, and many received frames are confirmed sooner", "[client]") {
  Fixture f;
  f.open();
  CHECK(f.flush().empty());
  CHECK(f.link.next_timer() == f.now.mono + Duration::from_seconds(1));
  f.later(Duration::from_seconds(1));
  auto out = f.flush();
  REQUIRE(out.size() == 1);
  CHECK(Fixture::frame(out[0]).body_type() == fb::Body::Heartbeat);
  for (int i = 0; i < 64; ++i) {
    f.give_update(0, TaskState::running);
  }
  out = f.flush();
  REQUIRE(out.size() == 1);
  CHECK(Fixture::frame(out[0]).received() == 65);
}

TEST_CASE("an accept carries its launches with their shapes and specs", "[client]") {
  Fixture f;
  f.open();
  AcceptRequest request;
  request.offers = {{4, 2}};
  fb::TaskSpecT spec;
  spec.argv = {"/bin/true"};
  request.specs = {pack_spec(spec)};
  for (std::uint32_t i = 0; i < 3; ++i) {
    request.launches.push_back({.attempt = {1, i}, .node = NodeIndex(1), .index = i, .resources = *parse_resources("cpus=0.5")});
  }
  const auto number = f.link.accept(request);
  const auto out = f.flush();
  REQUIRE(out.size() == 1);
  const auto* accept = Fixture::frame(out[0]).body_as_Accept();
  REQUIRE(accept != nullptr);
  CHECK(accept->accept() == number);
  CHECK(accept->launches()->size() == 3);
  CHECK(accept->shapes()->size() == 1);
  FrameBytes storage;
  REQUIRE(verify_spec(*accept->specs()->Get(0), storage).has_value());
  fb::AcceptedT answer;
  answer.accept = number;
  answer.code = fb::RefusedCode::OfferGone;
  answer.gone = {fb::OfferRef(4, 2)};
  f.give(pack_frame<fb::Accepted>(f.head(), answer));
  REQUIRE(f.framework.answers.size() == 1);
  CHECK(f.framework.answers[0].gone == std::vector<OfferId>{{4, 2}});
}
