// Goal: links carry frames both ways, say who the peer is, never block and survive what peers do.
// Method: real sockets over ipc in a fresh folder and over tcp on free ports; raw libzmq or plain sockets play
// the badly behaved peers. Waits poll with a deadline.
#include <catch2/catch.hpp>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "tests/wire/temp_dir.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/request_client.hpp"

using namespace muster;
using muster::test::TempDir;

namespace {

Instant in_ms(std::int64_t ms) { return SystemClock{}.now().mono + Duration::from_ms(ms); }
Instant now() { return SystemClock{}.now().mono; }

FrameBytes heartbeat(std::uint64_t sequence) {
  return pack_frame<fb::Heartbeat>({Epoch(1), Incarnation(2), sequence, 0}, fb::HeartbeatT{});
}

Endpoint endpoint(const std::string& text) { return *parse_endpoint(text); }

// Until `done` or 20 s.
template <class Done>
bool eventually(Done done) {
  const Instant deadline = in_ms(20'000);
  while (!done()) {
    if (now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

bool receive(Router& router, Incoming& in) {
  return eventually([&] { return *router.receive(in, now()); });
}
bool receive(Dealer& dealer, FrameBytes& bytes) {
  return eventually([&] { return *dealer.receive(bytes); });
}
bool send(Dealer& dealer, const FrameBytes& bytes) {
  return eventually([&] { return *dealer.send(bytes) == SendOutcome::sent; });
}

}  // namespace

TEST_CASE("frames go both ways over ipc and tcp, aligned and verified") {
  TempDir dir;
  Context context;
  const Endpoint wanted[] = {endpoint("ipc://" + (dir / "r.ipc")), endpoint("tcp://127.0.0.1:0")};
  auto router = Router::bind(context, wanted);
  REQUIRE(router);
  REQUIRE(router->endpoints().size() == 2);
  REQUIRE(router->endpoints()[1].port != 0);
  std::vector<LinkId> links;
  for (const Endpoint& place : router->endpoints()) {
    auto dealer = Dealer::connect(context, place);
    REQUIRE(dealer);
    REQUIRE(send(*dealer, heartbeat(7)));
    Incoming in;
    REQUIRE(receive(*router, in));
    CHECK_FALSE(in.several_parts);
    FrameBytes bytes;
    in.message.copy_to(bytes);
    REQUIRE(verify_frame(bytes));
    CHECK((*verify_frame(bytes))->sequence() == 7);
    if (place.kind == Endpoint::Kind::ipc) {
      CHECK(in.peer.local);
      CHECK(in.peer.uid == ::getuid());
      CHECK(in.peer.gid == ::getgid());
      CHECK(in.peer.pid == static_cast<std::uint32_t>(::getpid()));
    } else {
      CHECK_FALSE(in.peer.local);
    }
    links.push_back(in.link);
    CHECK(*router->send(in.link, heartbeat(8)) == SendOutcome::sent);
    REQUIRE(receive(*dealer, bytes));
    CHECK((*verify_frame(bytes))->sequence() == 8);
  }
  CHECK(links[0] != links[1]);
}

TEST_CASE("a peer that reconnects is a new link, and the old one is reported lost") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  auto router = Router::bind(context, place);
  REQUIRE(router);
  Incoming in;
  LinkId first;
  {
    auto dealer = Dealer::connect(context, place[0]);
    REQUIRE(send(*dealer, heartbeat(1)));
    REQUIRE(receive(*router, in));
    first = in.link;
  }
  auto dealer = Dealer::connect(context, place[0]);
  REQUIRE(send(*dealer, heartbeat(1)));
  REQUIRE(receive(*router, in));
  CHECK(in.link != first);
  CHECK(eventually([&] { return *router->send(first, heartbeat(2)) == SendOutcome::link_lost; }));
  CHECK(*router->send(first, heartbeat(2)) == SendOutcome::link_lost);
  CHECK(*router->send(LinkId(999), heartbeat(2)) == SendOutcome::link_lost);
  CHECK(router->links() == 1);
}

TEST_CASE("links that stay silent are forgotten, and speak again as new ones") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  auto router = Router::bind(context, place);
  auto dealer = Dealer::connect(context, place[0]);
  REQUIRE(send(*dealer, heartbeat(1)));
  Incoming in;
  REQUIRE(receive(*router, in));
  const LinkId first = in.link;
  std::vector<LinkId> lost;
  router->forget_silent(now() - Duration::from_seconds(60), lost);
  CHECK(lost.empty());
  router->forget_silent(now() + Duration::from_seconds(1), lost);
  REQUIRE(lost == std::vector{first});
  CHECK(router->links() == 0);
  REQUIRE(send(*dealer, heartbeat(2)));
  REQUIRE(receive(*router, in));
  CHECK(in.link > first);
}

TEST_CASE("a dealer sees its connection come, go and come again") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  auto dealer = Dealer::connect(context, place[0]);
  REQUIRE(dealer);
  CHECK_FALSE(dealer->is_up());
  CHECK(*dealer->send(heartbeat(1)) == SendOutcome::would_block);
  const auto change = [&] {
    std::optional<LinkChange> out;
    eventually([&] { return (out = dealer->next_change()).has_value(); });
    return out;
  };
  {
    auto router = Router::bind(context, place);
    REQUIRE(router);
    CHECK(change() == LinkChange::up);
    CHECK(dealer->is_up());
  }
  CHECK(change() == LinkChange::down);
  auto router = Router::bind(context, place);
  REQUIRE(router);
  CHECK(change() == LinkChange::up);
  REQUIRE(send(*dealer, heartbeat(1)));
  Incoming in;
  CHECK(receive(*router, in));
}

TEST_CASE("a frame above the limit ends its connection and never arrives") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  RouterOptions options;
  options.socket.frame_bytes_max = 1000;
  auto router = Router::bind(context, place, options);
  auto dealer = Dealer::connect(context, place[0]);
  REQUIRE(send(*dealer, FrameBytes(1000)));
  Incoming in;
  REQUIRE(receive(*router, in));
  CHECK(in.message.bytes().size() == 1000);
  CHECK(eventually([&] { return dealer->next_change() == LinkChange::up; }));
  REQUIRE(send(*dealer, FrameBytes(1001)));
  CHECK(eventually([&] { return dealer->next_change() == LinkChange::down; }));
  CHECK_FALSE(*router->receive(in, now()));
  CHECK(eventually([&] { return dealer->next_change() == LinkChange::up; }));
  REQUIRE(send(*dealer, heartbeat(1)));
  REQUIRE(receive(*router, in));
  CHECK(in.message.bytes().size() == heartbeat(1).size());
}

TEST_CASE("a peer that does not read fills its own queue only") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  RouterOptions options;
  options.socket.send_frames_max = 8;
  auto router = Router::bind(context, place, options);
  SocketOptions small;
  small.receive_frames_max = 8;
  auto stalled = Dealer::connect(context, place[0], small);
  auto reader = Dealer::connect(context, place[0], small);
  Incoming in;
  REQUIRE(send(*stalled, heartbeat(1)));
  REQUIRE(receive(*router, in));
  const LinkId stalled_link = in.link;
  REQUIRE(send(*reader, heartbeat(1)));
  REQUIRE(receive(*router, in));
  const FrameBytes big(200'000);
  CHECK(eventually([&] { return *router->send(stalled_link, big) == SendOutcome::would_block; }));
  CHECK(*router->send(in.link, heartbeat(2)) == SendOutcome::sent);
  FrameBytes bytes;
  CHECK(receive(*reader, bytes));
}

TEST_CASE("a poller wakes for frames, descriptors and deadlines") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  auto router = Router::bind(context, place);
  auto dealer = Dealer::connect(context, place[0]);
  const int event_fd = ::eventfd(0, EFD_NONBLOCK);
  Poller poller;
  poller.add(*router, 1);
  poller.add(*dealer, 2);
  poller.add_fd(event_fd, 3);

  // The dealer's connection coming up is readable on its tag.
  bool seen = false;
  CHECK(eventually([&] {
    const auto polled = poller.wait(in_ms(100));
    for (const auto& event : *polled) {
      seen |= event.tag == 2 && event.readable;
    }
    return seen;
  }));
  while (dealer->next_change()) {
  }
  const Instant before = now();
  CHECK(poller.wait(in_ms(30))->empty());
  CHECK((now() - before).ms() >= 30);

  REQUIRE(send(*dealer, heartbeat(1)));
  auto events = poller.wait(in_ms(5000));
  REQUIRE(events->size() == 1);
  CHECK(events->front().tag == 1);
  CHECK(events->front().readable);
  Incoming in;
  REQUIRE(receive(*router, in));

  const std::uint64_t one = 1;
  REQUIRE(::write(event_fd, &one, sizeof one) == sizeof one);
  events = poller.wait(Instant::never());
  REQUIRE(events->size() == 1);
  CHECK(events->front().tag == 3);

  poller.remove(3);
  poller.watch_write(2, true);
  events = poller.wait(in_ms(5000));
  REQUIRE(events->size() == 1);
  CHECK(events->front().tag == 2);
  CHECK(events->front().writable);
  ::close(event_fd);
}

TEST_CASE("a busy port is refused with the way out") {
  Context context;
  const Endpoint any[] = {endpoint("tcp://127.0.0.1:0")};
  auto router = Router::bind(context, any);
  REQUIRE(router);
  const auto second = Router::bind(context, router->endpoints());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::already_exists);
  CHECK_THAT(second.error().text, Catch::Contains(std::to_string(router->endpoints()[0].port)) &&
                                      Catch::Contains("choose another port"));
}

TEST_CASE("a request is answered, unreachable or timed out, and always over by its deadline") {
  TempDir dir;
  Context context;
  const Endpoint place[] = {endpoint("ipc://" + (dir / "r.ipc"))};
  fb::OperatorQueryT query;
  query.request = 42;
  const FrameBytes question = pack_frame<fb::OperatorQuery>({}, query);
  auto client = RequestClient::connect(context, place[0]);
  REQUIRE(client);
  Instant before = now();
  auto answer = client->call(question, 42, in_ms(100));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::unreachable);
  CHECK_THAT(answer.error().text, Catch::Contains("r.ipc"));
  CHECK((now() - before).ms() < 3000);

  auto router = Router::bind(context, place);
  Incoming in;
  before = now();
  answer = client->call(question, 42, in_ms(2000));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::timed_out);
  REQUIRE(receive(*router, in));

  // An answer to an older question is passed over.
  std::thread server([&] {
    if (receive(*router, in)) {
      fb::OperatorDoneT done;
      done.request = 41;
      (void)router->send(in.link, pack_frame<fb::OperatorDone>({}, done));
      done.request = 42;
      done.text = "yes";
      (void)router->send(in.link, pack_frame<fb::OperatorDone>({}, done));
    }
  });
  answer = client->call(question, 42, in_ms(5000));
  server.join();
  REQUIRE(answer);
  CHECK(text_of(fb::GetFrame(answer->data())->body_as_OperatorDone()->text()) == "yes");

  std::thread broken([&] {
    if (receive(*router, in)) {
      router = Router::bind(context, std::span<const Endpoint>{});
    }
  });
  answer = client->call(question, 42, in_ms(5000));
  broken.join();
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::timed_out);
}
