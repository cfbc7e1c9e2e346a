// Goal: the pages tell what the view holds, page by page, and no client can hold the core up. Method: a view made by hand
// behind a real server on a free port; raw sockets as clients, slow ones too.
#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "master/view/cluster_view.hpp"
#include "master/web/announcement.hpp"
#include "master/web/pages.hpp"
#include "master/web/web_server.hpp"

using namespace muster;
using namespace muster::master;
using Json = nlohmann::json;

namespace {

Instant now() { return SystemClock{}.now().mono; }

Resources resources(MilliCpus cpus_milli, Bytes memory_bytes) {
  Resources r;
  r.cpus_milli = cpus_milli;
  r.memory_bytes = memory_bytes;
  return r;
}

constexpr std::uint32_t kNodes = 600;

std::shared_ptr<const ClusterView> make_view(std::uint64_t serial) {
  auto view = std::make_shared<ClusterView>();
  view->epoch = Epoch(7);
  view->settled = true;
  view->time = SystemClock{}.now();
  view->uptime = Duration::from_ms(1234);
  view->version = "1.2.3";
  view->serial = serial;
  view->nodes.resize_chunks(3);
  for (std::uint32_t c = 0; c < 3; ++c) {
    std::vector<NodeView> rows;
    for (std::uint32_t i = c * 200; i < (c + 1) * 200; ++i) {
      NodeView n;
      n.index = NodeIndex(i);
      n.name = "n" + std::to_string(i);
      n.reachable = true;
      n.capacity = resources(4000, 4096ULL << 20U);
      n.capacity.ports = PortSet({{31000, 31009}});
      n.capacity.set_count("licence", 2);
      n.used = resources(3000, 3072ULL << 20U);
      n.free = resources(1000, 1024ULL << 20U);
      rows.push_back(std::move(n));
    }
    view->nodes.replace_chunk(c, std::move(rows));
  }
  FrameworkView f;
  f.id = FrameworkId(~0ULL);
  f.name = "gang \xff\"quoted\"";
  f.role = "default";
  f.weight = 2.5;
  view->frameworks.resize_chunks(1);
  view->frameworks.replace_chunk(0, {f});
  OfferView o;
  o.id = {3, 4};
  o.node_name = "n1";
  o.resources = resources(1000, 1024ULL << 20U);
  o.lease_end = view->time.mono + Duration::from_seconds(100);
  view->offers.resize_chunks(1);
  view->offers.replace_chunk(0, {o});
  TaskView t;
  t.attempt = {1, 2};
  t.state = TaskState::finished;
  t.exit_code = 3;
  t.cpus = "0-1";
  view->tasks.resize_chunks(1);
  view->tasks.replace_chunk(0, {t});
  view->capacity.cpus_milli = 4000 * kNodes;
  view->used.cpus_milli = 3000 * kNodes;
  view->probe.refused[3] = 5;
  return view;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

struct Answer {
  int status{};
  std::string type;
  Json body;
};

Answer get(std::uint16_t port, const std::string& target) {
  const int fd = connect_to(port);
  const std::string request = "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  REQUIRE(::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
  std::string text;
  char buffer[65536];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(fd);
  Answer out;
  const auto body = text.find("\r\n\r\n");
  REQUIRE(body != std::string::npos);
  out.status = std::stoi(text.substr(9, 3));
  out.type = text.find("application/json") != std::string::npos ? "json" : "";
  out.body = Json::parse(text.substr(body + 4));
  return out;
}

// A core that gives a picture whenever one is wanted.
class FakeCore {
 public:
  FakeCore() : desk([] {}) {
    thread_ = std::thread([this] {
      std::uint64_t serial = 0;
      while (!stop_) {
        if (!stalled && desk.wanted(now())) {
          desk.publish(make_view(++serial), now());
        }
        std::this_thread::yield();
      }
    });
  }
  ~FakeCore() {
    stop_ = true;
    thread_.join();
  }
  ViewDesk desk;
  std::atomic<bool> stalled{false};

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("the pages show what the view holds") {
  FakeCore core;
  const auto server = WebServer::start(core.desk, {.port = 0});
  REQUIRE(server);
  const std::uint16_t port = (*server)->port();

  auto state = get(port, "/state");
  CHECK(state.status == 200);
  CHECK(state.type == "json");
  CHECK(state.body["epoch"] == 7);
  CHECK(state.body["settled"] == true);
  CHECK(state.body["uptime_ms"] == 1234);
  CHECK(state.body["nodes_total"] == kNodes);
  CHECK(state.body["capacity"]["cpus"] == 4.0 * kNodes);
  CHECK(state.body["free"]["cpus_milli"] == 1000 * kNodes);
  CHECK(state.body["counters"]["refused"] == 5);
  CHECK(state.body["age_ms"].get<int>() < 1000);

  auto nodes = get(port, "/nodes?limit=2");
  REQUIRE(nodes.body["nodes"].size() == 2);
  const Json& n1 = nodes.body["nodes"][1];
  CHECK(n1["name"] == "n1");
  CHECK(n1["state"] == "up");
  CHECK(n1["capacity"]["cpus"] == 4.0);
  CHECK(n1["capacity"]["memory_bytes"] == 4096ULL << 20U);
  CHECK(n1["capacity"]["ports"] == "31000-31009");
  CHECK(n1["capacity"]["counts"]["licence"] == 2);
  CHECK(n1["free"]["cpus_milli"] == 1000);

  auto frameworks = get(port, "/frameworks");
  CHECK(frameworks.body["frameworks"][0]["id"] == "18446744073709551615");
  CHECK(frameworks.body["frameworks"][0]["weight"] == 2.5);
  CHECK(frameworks.body["frameworks"][0]["name"].get<std::string>().find("\"quoted\"") != std::string::npos);

  auto offers = get(port, "/offers");
  CHECK(offers.body["offers"][0]["id"] == to_string(OfferId{3, 4}));
  CHECK(offers.body["offers"][0]["lease_left_ms"].get<int>() > 90'000);

  auto tasks = get(port, "/tasks");
  CHECK(tasks.body["tasks"][0]["state"] == "finished");
  CHECK(tasks.body["tasks"][0]["exit_code"] == 3);
  CHECK(tasks.body["tasks"][0]["attempt"] == to_string(AttemptId{1, 2}));

  auto health = get(port, "/health");
  CHECK(health.status == 200);
  CHECK(health.body["healthy"] == true);
  CHECK(get(port, "/").body["paths"].size() == 6);
}

TEST_CASE("lists come in pages that leave nothing out and repeat nothing") {
  FakeCore core;
  const auto server = WebServer::start(core.desk, {.port = 0});
  REQUIRE(server);
  for (const int limit : {1000, 250, 70}) {
    std::uint64_t after = 0;
    std::uint64_t seen = 0;
    for (;;) {
      const auto page =
          get((*server)->port(), "/nodes?after=" + std::to_string(after) + "&limit=" + std::to_string(limit)).body;
      CHECK(page["total"] == kNodes);
      for (const Json& node : page["nodes"]) {
        CHECK(node["index"] == seen);
        ++seen;
      }
      after = page["next_after"];
      if (page["more"] == false) {
        break;
      }
    }
    CHECK(seen == kNodes);
  }
  const auto beyond = get((*server)->port(), "/nodes?after=5000").body;
  CHECK(beyond["nodes"].empty());
  CHECK(beyond["more"] == false);
}

TEST_CASE("bad requests are answered in json") {
  FakeCore core;
  const auto server = WebServer::start(core.desk, {.port = 0});
  REQUIRE(server);
  const std::uint16_t port = (*server)->port();
  auto missing = get(port, "/nothing");
  CHECK(missing.status == 404);
  CHECK(missing.type == "json");
  CHECK_THAT(missing.body["error"].get<std::string>(), Catch::Contains("/nothing"));
  for (const char* target : {"/nodes?limit=0", "/nodes?limit=10001", "/nodes?after=x", "/nodes?limit=-1", "/tasks?after="}) {
    const auto bad = get(port, target);
    CHECK(bad.status == 400);
    CHECK_THAT(bad.body["error"].get<std::string>(), Catch::Contains("limit"));
  }
}

TEST_CASE("a busy port is left to its holder and another is chosen") {
  FakeCore core;
  const auto first = WebServer::start(core.desk, {.port = 0});
  REQUIRE(first);
  const auto second = WebServer::start(core.desk, {.port = (*first)->port()});
  REQUIRE(second);
  CHECK((*second)->port() != (*first)->port());
  CHECK(get((*second)->port(), "/state").status == 200);
}

TEST_CASE("clients that stall neither stop others nor the core") {
  FakeCore core;
  const auto server = WebServer::start(core.desk, {.port = 0, .threads = 4, .timeout_seconds = 2});
  REQUIRE(server);
  std::vector<int> stalled;
  for (int i = 0; i < 3; ++i) {
    stalled.push_back(connect_to((*server)->port()));
    const std::string half = "GET /nodes?limit=10000 HTTP/1.1\r\n";
    REQUIRE(::write(stalled.back(), half.data(), half.size()) > 0);
  }
  const auto state = get((*server)->port(), "/state");
  CHECK(state.status == 200);
  const auto later = get((*server)->port(), "/state");
  CHECK(later.body["serial"].get<int>() >= state.body["serial"].get<int>());
  for (const int fd : stalled) {
    ::close(fd);
  }
}

TEST_CASE("a stalled core shows in the pages' age, and without any view they say so") {
  {
    ViewDesk desk;
    const auto server = WebServer::start(desk, {.port = 0});
    REQUIRE(server);
    CHECK(get((*server)->port(), "/health").status == 503);
    CHECK(get((*server)->port(), "/nodes").status == 503);
  }
  FakeCore core;
  (void)core.desk.newest(Duration::from_ms(200), Duration::from_seconds(5));
  core.stalled = true;
  const auto server = WebServer::start(core.desk, {.port = 0});
  REQUIRE(server);
  const auto begin = now();
  const auto state = get((*server)->port(), "/state");
  CHECK(state.status == 200);
  CHECK((now() - begin).ms() < 4000);
  bool healthy = true;
  CHECK_THAT(health_page(core.desk.newest({}, {}).view.get(), Duration::from_seconds(60), healthy),
             Catch::Contains("\"error\""));
  CHECK_FALSE(healthy);
}

TEST_CASE("a master announces itself in json") {
  Announcement a;
  a.pid = 12;
  a.start_ticks = 34;
  a.epoch = Epoch(5);
  a.endpoints = {"ipc:///a \"b\"/master.ipc", "tcp://127.0.0.1:5051"};
  a.http_port = 5050;
  a.version = "1";
  auto json = Json::parse(to_json(a));
  CHECK(json["pid"] == 12);
  CHECK(json["epoch"] == 5);
  CHECK(json["endpoints"][0] == a.endpoints[0]);
  CHECK(json["http"] == "http://127.0.0.1:5050");
  a.http_port = 0;
  CHECK(Json::parse(to_json(a))["http"].is_null());
}
