// Goal: a real core behind real sockets answers everybody, on one thread or on several, and survives what peers send.
// Method: the composition the daemon runs, with clients over ipc and tcp in this process. Run under TSan too.
#include <catch2/catch.hpp>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "master/gateway/duties.hpp"
#include "master/view/cluster_view.hpp"
#include "tests/wire/schema/frames.hpp"
#include "tests/wire/temp_dir.hpp"
#include "wire/socket/request_client.hpp"

using namespace muster;
using namespace muster::master;
using muster::test::TempDir;

namespace {

Instant in_ms(std::int64_t ms) { return SystemClock{}.now().mono + Duration::from_ms(ms); }

FrameBytes query(std::uint64_t request) {
  fb::OperatorQueryT q;
  q.request = request;
  q.deadline_ms = 5000;
  q.subject = fb::Subject::Status;
  return pack_frame<fb::OperatorQuery>({}, q);
}

// The master's duties on a thread of their own, over ipc and tcp.
class Served {
 public:
  explicit Served(Threads threads, GatewayOptions gateway = {}) {
    const Endpoint endpoints[] = {*ipc_endpoint(dir_ / "m.ipc"), *parse_endpoint("tcp://127.0.0.1:0")};
    DutiesOptions options;
    options.threads = threads;
    options.gateway = gateway;
    auto opened = Duties::open(context, endpoints, options);
    REQUIRE(opened);
    duties = *std::move(opened);
    thread_ = std::thread([this] {
      MasterConfig config;
      MasterCore core(config, Epoch(3), SystemClock{}.now());
      const int fds[] = {stop_fd_};
      stopped_by = duties->run(core, fds).value_or(99);
    });
  }
  ~Served() { stop(); }
  void stop() {
    if (thread_.joinable()) {
      const std::uint64_t one = 1;
      (void)!::write(stop_fd_, &one, sizeof one);
      thread_.join();
      ::close(stop_fd_);
    }
  }

 private:
  TempDir dir_;
  int stop_fd_{::eventfd(0, EFD_CLOEXEC)};
  std::thread thread_;

 public:
  Context context;
  std::unique_ptr<Duties> duties;
  std::size_t stopped_by{98};
};

}  // namespace

TEST_CASE("operators are answered over every endpoint, shared and dedicated") {
  for (const Threads threads : {Threads::shared, Threads::dedicated}) {
    Served served(threads);
    REQUIRE(served.duties->endpoints().size() == 2);
    CHECK(served.duties->gateways().size() == (threads == Threads::shared ? 1U : 2U));
    for (const Endpoint& endpoint : served.duties->endpoints()) {
      auto client = RequestClient::connect(served.context, endpoint);
      REQUIRE(client);
      for (std::uint64_t request = 1; request <= 50; ++request) {
        const auto answer = client->call(query(request), request, in_ms(10'000));
        REQUIRE(answer);
        const auto* reply = fb::GetFrame(answer->data())->body_as_OperatorReply();
        REQUIRE(reply != nullptr);
        CHECK(reply->request() == request);
        CHECK(reply->epoch() == 3);
      }
    }
    served.stop();
    CHECK(served.stopped_by == 0);
  }
}

TEST_CASE("what is no frame is refused, and its sender is served all the same") {
  for (const Threads threads : {Threads::shared, Threads::dedicated}) {
    Served served(threads);
    auto client = RequestClient::connect(served.context, served.duties->endpoints()[0]);
    REQUIRE(client);
    for (FrameBytes bad : {FrameBytes{}, FrameBytes(100), FrameBytes(1'000'000)}) {
      const auto answer = client->call(bad, 0, in_ms(10'000));
      REQUIRE(answer);
      const auto* refused = fb::GetFrame(answer->data())->body_as_Refused();
      REQUIRE(refused != nullptr);
      CHECK(refused->code() == fb::RefusedCode::Malformed);
    }
    CHECK(client->call(query(5), 5, in_ms(10'000)));
  }
}

TEST_CASE("a peer of another user is refused") {
  GatewayOptions options;
  options.owner_uid = ::geteuid() + 1;
  if (::geteuid() == 0) {
    options.owner_uid.reset();  // root may always: nothing to see here
  }
  Served served(Threads::shared, options);
  auto client = RequestClient::connect(served.context, served.duties->endpoints()[0]);
  const auto answer = client->call(query(5), 5, in_ms(10'000));
  REQUIRE(answer);
  const auto* refused = fb::GetFrame(answer->data())->body_as_Refused();
  CHECK((refused != nullptr) == (::geteuid() != 0));
}

TEST_CASE("readers get a fresh view on demand, and the core takes none for nobody") {
  for (const Threads threads : {Threads::shared, Threads::dedicated}) {
    Served served(threads);
    std::uint64_t last = 0;
    for (int i = 0; i < 3; ++i) {
      const auto fresh = served.duties->desk().newest(Duration::from_ms(500), Duration::from_seconds(10));
      REQUIRE(fresh.view != nullptr);
      CHECK(fresh.view->epoch == Epoch(3));
      CHECK(fresh.view->serial >= last);
      last = fresh.view->serial;
    }
    CHECK(last <= 3);
  }
}

TEST_CASE("mutated frames by the thousand leave the master answering") {
  Served served(Threads::dedicated);
  auto client = RequestClient::connect(served.context, served.duties->endpoints()[1]);
  REQUIRE(client);
  std::uint64_t state = 99;
  for (int round = 0; round < 150; ++round) {
    for (FrameBytes bytes : test::sample_frames()) {
      for (int i = 0; i < 3; ++i) {
        state = mix64(state + 0x9e3779b97f4a7c15ULL);
        bytes[state % bytes.size()] = static_cast<std::uint8_t>(state >> 40U);
      }
      REQUIRE(client->send(bytes, in_ms(10'000)));
    }
  }
  auto other = RequestClient::connect(served.context, served.duties->endpoints()[0]);
  CHECK(other->call(query(7), 7, in_ms(20'000)));
}
