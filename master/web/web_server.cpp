#include "master/web/web_server.hpp"

#include <httplib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <thread>

#include "master/web/pages.hpp"

namespace muster::master {
namespace {

constexpr Duration kAgeMax = Duration::from_ms(200);
constexpr Duration kWaitMax = Duration::from_ms(1000);
constexpr int kNiceness = 10;
constexpr const char* kJson = "application/json";
constexpr const char* kPaths =
    "{\"paths\":[\"/state\",\"/nodes\",\"/frameworks\",\"/offers\",\"/tasks\",\"/health\"],"
    "\"lists_take\":\"?after=N&limit=N\"}\n";

// "after" and "limit" of a request; false when one is no number.
bool number_of(const httplib::Request& request, const char* name, std::uint64_t& number) {
  if (!request.has_param(name)) {
    return true;
  }
  const std::string text = request.get_param_value(name);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

// The server's threads are httplib's; `thread` accepts.
struct WebServer::Impl {
  explicit Impl(ViewDesk& d) : desk(d) {}
  ~Impl() {
    server.stop();
    if (thread.joinable()) {
      thread.join();
    }
  }

  using ListPage = std::string (*)(const ClusterView&, Duration, const PageRequest&);
  void serve_list(const char* path, ListPage page);
  void serve_all();

  ViewDesk& desk;
  httplib::Server server;
  std::thread thread;
  std::uint16_t port{};
};

void WebServer::Impl::serve_list(const char* path, ListPage page) {
  server.Get(path, [this, page](const httplib::Request& request, httplib::Response& response) {
    PageRequest wanted;
    if (!number_of(request, "after", wanted.after) || !number_of(request, "limit", wanted.limit) ||
        wanted.limit == 0 || wanted.limit > PageRequest::kLimitMax) {
      response.status = 400;
      response.set_content(error_page("after must be a number, and limit one from 1 to " +
                                      std::to_string(PageRequest::kLimitMax)),
                           kJson);
      return;
    }
    const auto seen = desk.newest(kAgeMax, kWaitMax);
    if (seen.view == nullptr) {
      response.status = 503;
      response.set_content(error_page("the master has no state to show yet: try again"), kJson);
      return;
    }
    response.set_content(page(*seen.view, seen.age, wanted), kJson);
  });
}

void WebServer::Impl::serve_all() {
  server.Get("/", [](const httplib::Request&, httplib::Response& response) { response.set_content(kPaths, kJson); });
  server.Get("/health", [this](const httplib::Request&, httplib::Response& response) {
    const auto seen = desk.newest(kAgeMax, kWaitMax);
    bool healthy = false;
    std::string text = health_page(seen.view.get(), seen.age, healthy);
    response.status = healthy ? 200 : 503;
    response.set_content(std::move(text), kJson);
  });
  serve_list("/state", [](const ClusterView& view, Duration age, const PageRequest&) { return state_page(view, age); });
  serve_list("/nodes", nodes_page);
  serve_list("/frameworks", frameworks_page);
  serve_list("/offers", offers_page);
  serve_list("/tasks", tasks_page);
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.body.empty()) {
      response.set_content(error_page(response.status == 404 ? "nothing at " + request.path + "; see /"
                                                             : "status " + std::to_string(response.status)),
                           kJson);
    }
  });
  server.set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
    response.status = 500;
    response.set_content(error_page("internal error"), kJson);
  });
}

WebServer::WebServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WebServer::~WebServer() = default;

Result<std::unique_ptr<WebServer>> WebServer::start(ViewDesk& desk, const WebOptions& options) {
  auto impl = std::make_unique<Impl>(desk);
  httplib::Server& server = impl->server;
  server.new_task_queue = [threads = options.threads] { return new httplib::ThreadPool(threads); };
  server.set_read_timeout(options.timeout_seconds);
  server.set_write_timeout(options.timeout_seconds);
  server.set_keep_alive_timeout(options.timeout_seconds);
  server.set_payload_max_length(64U << 10U);
  // Not httplib's default: with SO_REUSEPORT a second master would share a busy port instead of seeing it.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  impl->serve_all();
  int port = options.port;
  if (port == 0 || !server.bind_to_port("127.0.0.1", port)) {
    port = server.bind_to_any_port("127.0.0.1");
  }
  if (port <= 0) {
    return fail(Errc::io, "http: no port of 127.0.0.1 can be listened on; --http off does without");
  }
  impl->port = static_cast<std::uint16_t>(port);
  impl->thread = std::thread([raw = impl.get()] {
    // Pages wait for messages, never messages for pages: niceness is a thread's own, and its children's.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
    raw->server.listen_after_bind();
  });
  // stop() does nothing before the loop has begun.
  while (!server.is_running()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::unique_ptr<WebServer>(new WebServer(std::move(impl)));
}

std::uint16_t WebServer::port() const { return impl_->port; }

}  // namespace muster::master
