#include "bench/load/disturber.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include "bench/load/talker.hpp"

namespace muster::bench {
namespace {

constexpr int kPagesPaused = 8;
constexpr int kSmallWindowBytes = 4096;
constexpr std::uint32_t kOffersTaken = 64;
constexpr std::size_t kMessageBytes = 4096;

using Steady = std::chrono::steady_clock;

// Calls step() `per_second` times a second, in bursts of a millisecond, until `stop`.
template <class Step, class Between>
void at_rate(const std::atomic<bool>& stop, double per_second, Step&& step, Between&& between) {
  const auto begun = Steady::now();
  std::uint64_t done = 0;
  while (!stop.load()) {
    const double elapsed = std::chrono::duration<double>(Steady::now() - begun).count();
    for (const auto due = static_cast<std::uint64_t>(elapsed * per_second); done < due; ++done) {
      step();
    }
    between();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// A connection to the pages; -1: errno.
int open_page(std::uint16_t port, bool small_window) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (small_window) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSmallWindowBytes, sizeof kSmallWindowBytes);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

bool ask_page(int fd, const std::string& path, bool keep) {
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: " + (keep ? "keep-alive" : "close") +
                              "\r\n\r\n";
  return ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
}

}  // namespace

std::string_view to_string(Disturbance kind) {
  switch (kind) {
    case Disturbance::web: return "web";
    case Disturbance::poll: return "poll";
    case Disturbance::queries: return "queries";
    case Disturbance::framework: return "framework";
    case Disturbance::node: return "node";
  }
  return "";
}

std::string read_page(std::uint16_t http_port, const std::string& path) {
  const int fd = open_page(http_port, false);
  if (fd < 0) {
    return "";
  }
  std::string out;
  if (ask_page(fd, path, false)) {
    char buffer[16'384];
    for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
      out.append(buffer, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  const auto body = out.find("\r\n\r\n");
  return body == std::string::npos ? "" : out.substr(body + 4);
}

Disturber::Disturber(const DisturberOptions& options) : options_(options) {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "disturber");
    work();
  });
}

Disturber::~Disturber() {
  stop_ = true;
  thread_.join();
}

void Disturber::fail(const std::string& what) {
  if (!failed_.load()) {
    problem_ = std::string(to_string(options_.kind)) + ": " + what;
    failed_ = true;
  }
}

void Disturber::work() {
  switch (options_.kind) {
    case Disturbance::web: return pause_pages();
    case Disturbance::poll: return poll_pages();
    case Disturbance::queries: return flood_queries();
    case Disturbance::framework: return deaf_framework();
    case Disturbance::node: return deaf_node();
  }
}

// A client that the master gives up comes again.
void Disturber::pause_pages() {
  std::vector<int> open(kPagesPaused, -1);
  while (!stop_.load()) {
    for (int& fd : open) {
      pollfd item{fd, POLLRDHUP, 0};
      if (fd >= 0 && ::poll(&item, 1, 0) > 0 && (item.revents & (POLLHUP | POLLERR)) != 0) {
        ::close(fd);
        fd = -1;
      }
      if (fd < 0) {
        fd = open_page(options_.http_port, true);
        if (fd < 0 || !ask_page(fd, sent_.load() % 2 == 0 ? "/nodes?limit=10000" : "/offers?limit=10000", true)) {
          fail("no page can be asked for: " + std::string(std::strerror(errno)));
          return;
        }
        ++sent_;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (const int fd : open) {
    ::close(fd);
  }
}

void Disturber::poll_pages() {
  while (!stop_.load()) {
    ++sent_;
    if (read_page(options_.http_port, "/state").empty()) {
      fail("the state page can't be read");
      return;
    }
    ++answered_;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void Disturber::flood_queries() {
  Talker talker(options_.port);
  if (!talker.is_open()) {
    fail(talker.problem());
    return;
  }
  flatbuffers::FlatBufferBuilder builder;
  std::uint64_t request = 0;
  at_rate(
      stop_, 10'000,
      [&] {
        talker.send(finish_frame(builder, {}, fb::CreateOperatorQuery(builder, ++request, 1000, fb::Subject::Status)));
        ++sent_;
      },
      [&] {
        talker.flush();
        talker.read([&](const fb::Frame& frame) { ++(frame.body_type() == fb::Body::OperatorReply ? answered_ : refused_); });
      });
}

void Disturber::deaf_framework() {
  Talker talker(options_.port);
  if (!talker.is_open()) {
    fail(talker.problem());
    return;
  }
  const std::uint64_t id = 1'000'000 + options_.number;
  if (!talker.subscribe(id, "deaf" + std::to_string(id))) {
    fail(talker.problem());
    return;
  }
  flatbuffers::FlatBufferBuilder builder;
  talker.request(1000, kOffersTaken, {});
  const fb::OfferRef gone(0xffff'fff0U, 0xffff'fff0U);
  at_rate(
      stop_, 1000,
      [&] {
        // More than the kernel takes is given up: the master is not read either then.
        if (talker.pending() < (1U << 20U)) {
          const auto offers = builder.CreateVectorOfStructs(&gone, 1);
          talker.send_in_life(builder, fb::CreateAccept(builder, ++sent_, offers));
        }
      },
      [&] { talker.flush(); });
}

void Disturber::deaf_node() {
  Talker node(options_.port);
  Talker framework(options_.port);
  if (!node.is_open() || !framework.is_open()) {
    fail(node.problem() + framework.problem());
    return;
  }
  const std::uint64_t id = 2'000'000 + options_.number;
  const auto place = node.enroll("deaf" + std::to_string(id));
  if (!place || !framework.subscribe(id, "to-deaf" + std::to_string(id))) {
    fail(node.problem() + framework.problem());
    return;
  }
  framework.request(1000, 1, {*place});
  std::optional<fb::OfferRef> offer;
  framework.read_until([&](const fb::Frame& frame) {
    if (frame.body_type() == fb::Body::Offers) {
      const fb::OfferEntry* entry = frame.body_as_Offers()->offers()->Get(0);
      offer.emplace(entry->slot(), entry->generation());
    }
    return offer.has_value();
  });
  if (!offer) {
    fail("the node that reads nothing was not offered");
    return;
  }
  framework.launch(id, *offer, *place);
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<std::uint8_t> data(kMessageBytes, 0x2a);
  const fb::AttemptId attempt(attempt_hi(id), 0);
  auto beat = Steady::now();
  at_rate(
      stop_, 1000,
      [&] {
        framework.send_in_life(builder, fb::CreateMessage(builder, id, &attempt, *place, builder.CreateVector(data)));
        ++sent_;
      },
      [&] {
        framework.flush();
        framework.read([&](const fb::Frame& frame) {
          if (frame.body_type() == fb::Body::Refused) {
            ++refused_;
          }
        });
        if (Steady::now() > beat) {
          beat += std::chrono::milliseconds(500);
          node.send_in_life(builder, fb::CreateHeartbeat(builder, 0.0F));
          node.flush();
        }
      });
}

}  // namespace muster::bench
