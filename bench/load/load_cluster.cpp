// LoadCluster: its loop, its connections and what it sends of itself. What it answers is in load_answers.cpp.
#include "bench/load/load_cluster.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>

namespace muster::bench {
namespace {

constexpr std::uint32_t kConnectingMax = 256;
constexpr std::size_t kPendingMax = 1U << 20U;  // output of a framework's link: beyond it accepts wait
constexpr Duration kHeartbeat = Duration::from_ms(1000);
constexpr std::size_t kLatenciesMax = 8'000'000;

Instant mono_now() { return SystemClock{}.now().mono; }

}  // namespace

LoadCluster::LoadCluster(const LoadOptions& options)
    : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), frameworks_(options.frameworks) {
  tasks_per_accept_ = options_.packed ? options_.cpus : 1;
  const fb::Amounts shape((options_.packed ? 1ULL : options_.cpus) << 30U, 0, options_.packed ? 1000U : 1000U * options_.cpus,
                          0);
  const std::uint32_t flights = std::bit_ceil(std::max(64U, 4 * options_.window));
  for (std::uint32_t i = 0; i < options_.frameworks; ++i) {
    frameworks_[i].accept = accept_template(i + 1, tasks_per_accept_, shape);
    frameworks_[i].flights.resize(flights);
  }
  now_ = progress_ = mono_now();
}

LoadCluster::~LoadCluster() { ::close(epoll_); }

void LoadCluster::broken(const std::string& what) {
  if (problem_.empty()) {
    problem_ = what;
  }
}

Status LoadCluster::fail_with(const std::string& what) const {
  return fail(Errc::io, what + " (" + std::to_string(open_streams_) + " of " +
                            std::to_string(options_.links + options_.frameworks) + " connections open, " +
                            std::to_string(registered_) + " of " + std::to_string(options_.nodes) + " nodes registered, " +
                            std::to_string(counts_.offers) + " offers, " + std::to_string(counts_.accepts) + " accepts of which " +
                            std::to_string(counts_.accepted) + " answered, " + std::to_string(counts_.launches) + " launches and " +
                            std::to_string(counts_.tasks_checked) + " ends seen)");
}

template <class Done>
Status LoadCluster::turn_until(Done&& done, const std::string& what) {
  progress_ = now_ = mono_now();
  while (!done()) {
    if (auto turned = turn(now_ + Duration::from_ms(100)); !turned) {
      return turned;
    }
    if (now_ > progress_ + options_.stall) {
      return fail_with("nothing has come from the master for " + std::to_string(options_.stall.ms()) + " ms while waiting for " + what);
    }
  }
  return {};
}

Status LoadCluster::connect_all() {
  const std::uint32_t all = options_.links + options_.frameworks;
  const auto begin = [&]() -> Status {
    while (peers_.size() < all && peers_.size() - open_streams_ < kConnectingMax) {
      auto peer = std::make_unique<Peer>();
      peer->place = static_cast<std::uint32_t>(peers_.size());
      peer->framework = peer->place >= options_.links;
      if (!peer->stream.connect(options_.port)) {
        return fail(Errc::io, "connection " + std::to_string(peers_.size()) + ": " + std::strerror(errno) +
                                  "; see ulimit -n, or use fewer --links");
      }
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT;
      event.data.u32 = peer->place;
      peer->wants_write = true;
      if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, peer->stream.fd(), &event) != 0) {
        return fail(Errc::io, std::string("epoll: ") + std::strerror(errno));
      }
      peers_.push_back(std::move(peer));
    }
    return {};
  };
  Status begun;
  auto done = turn_until(
      [&] {
        begun = begin();
        return !begun || open_streams_ == all;
      },
      "connections");
  return begun ? done : begun;
}

Status LoadCluster::register_nodes() {
  update_seq_.assign(std::size_t{options_.nodes} * options_.frameworks, 0);
  const auto incarnation = Incarnation(static_cast<std::uint64_t>(SystemClock{}.now().wall.ns()));
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < options_.links; ++i) {
    const std::uint32_t count = options_.nodes / options_.links + (i < options_.nodes % options_.links ? 1 : 0);
    fb::RegisterT message;
    for (std::uint32_t n = 0; n < count; ++n) {
      auto node = std::make_unique<fb::NodeRegistrationT>();
      node->name = "load" + std::to_string(next++);
      node->boot_id = "simulated";
      node->capacity = std::make_unique<fb::ShapeT>();
      node->capacity->amounts = std::make_unique<fb::Amounts>(std::uint64_t{options_.cpus} << 30U, 0, options_.cpus * 1000, 0);
      node->version = kVersionText;
      message.nodes.push_back(std::move(node));
    }
    Peer& peer = *peers_[i];
    peer.link.open(incarnation);
    send(peer, pack_frame<fb::Register>(peer.link.next_head(Epoch{}), message));
  }
  flush_dirty();
  return turn_until([&] { return registered_ == options_.nodes; }, "registrations");
}

Status LoadCluster::subscribe() {
  const auto incarnation = Incarnation(static_cast<std::uint64_t>(SystemClock{}.now().wall.ns()));
  for (std::uint32_t i = 0; i < options_.frameworks; ++i) {
    fb::SubscribeT message;
    message.framework = i + 1;
    message.name = "load" + std::to_string(i + 1);
    message.role = "load";
    message.version = kVersionText;
    Peer& peer = *peers_[options_.links + i];
    peer.link.open(incarnation);
    send(peer, pack_frame<fb::Subscribe>(peer.link.next_head(Epoch{}), message));
  }
  flush_dirty();
  if (auto done = turn_until(
          [&] { return std::all_of(frameworks_.begin(), frameworks_.end(), [](const Framework& f) { return f.subscribed; }); },
          "subscriptions");
      !done) {
    return done;
  }
  for (std::uint32_t i = 0; i < options_.frameworks; ++i) {
    frameworks_[i].want = std::max<std::uint64_t>(64, 2ULL * options_.nodes / options_.frameworks);
    send_request(i);
  }
  flush_dirty();
  return turn_until([&] { return counts_.offers >= options_.nodes; }, "offers of all nodes");
}

void LoadCluster::send_request(std::uint32_t place) {
  Framework& framework = frameworks_[place];
  framework.offers_since_request = 0;
  Peer& peer = *peers_[options_.links + place];
  flatbuffers::FlatBufferBuilder builder;
  const fb::Amounts whole(std::uint64_t{options_.cpus} << 30U, 0, options_.cpus * 1000, 0);
  const auto shape = fb::CreateShape(builder, &whole);
  const auto wanted = fb::CreateWantedShape(builder, shape, static_cast<std::uint32_t>(framework.want));
  const auto wants = builder.CreateVector(&wanted, 1);
  ++counts_.requests;
  send(peer, finish_frame(builder, peer.link.next_head(peer.epoch), fb::CreateRequest(builder, wants)));
}

Status LoadCluster::run(const Pace& pace, Duration how_long) {
  pace_ = pace;
  paced_ = 0;
  now_ = progress_ = pace_began_ = mono_now();
  const Instant end = now_ + how_long;
  pumping_ = true;
  pump();
  while (now_ < end) {
    Instant until = end;
    if (pace_.kind == Pace::Kind::rate) {
      const auto due_ns = static_cast<std::int64_t>(static_cast<double>(paced_ + 1) / pace_.accepts_per_second * 1e9);
      until = std::min(until, pace_began_ + Duration::from_ns(due_ns));
    }
    if (auto turned = turn(until); !turned) {
      return turned;
    }
    if (in_flight_ > 0 && now_ > progress_ + options_.stall) {
      return fail_with("nothing has come from the master for " + std::to_string(options_.stall.ms()) + " ms with " +
                       std::to_string(in_flight_) + " accepts under way");
    }
    if (in_flight_ == 0) {
      progress_ = now_;
    }
    pump();
  }
  pumping_ = false;
  return {};
}

Status LoadCluster::drain() {
  return turn_until(
      [&] {
        return in_flight_ == 0;
      },
      "the last tasks");
}

std::vector<double> LoadCluster::take_latencies() { return std::exchange(latencies_, {}); }

// Sends accepts while offers, the window and the pace allow.
void LoadCluster::pump() {
  if (!pumping_) {
    return;
  }
  std::uint32_t idle = 0;
  while (idle < options_.frameworks && in_flight_ < options_.window) {
    if (pace_.kind == Pace::Kind::one && in_flight_ > 0) {
      break;
    }
    if (pace_.kind == Pace::Kind::rate &&
        static_cast<double>(paced_) >= (now_ - pace_began_).seconds() * pace_.accepts_per_second) {
      break;
    }
    const std::uint32_t place = next_framework_;
    next_framework_ = (next_framework_ + 1) % options_.frameworks;
    const Framework& framework = frameworks_[place];
    const auto& flight = framework.flights[(framework.accepts + 1) & (framework.flights.size() - 1)];
    if (framework.offers.empty() || flight.accept != 0 ||
        peers_[options_.links + place]->stream.pending() > kPendingMax) {
      ++idle;
      continue;
    }
    idle = 0;
    send_accept(place);
  }
  flush_dirty();
}

void LoadCluster::send_accept(std::uint32_t place) {
  Framework& framework = frameworks_[place];
  const OpenOffer offer = framework.offers.front();
  framework.offers.pop_front();
  const std::uint64_t number = ++framework.accepts;
  framework.flights[number & (framework.flights.size() - 1)] = {number, 0, offer.node, mono_now().ns()};
  const FrameTemplate& form = framework.accept;
  std::uint8_t* frame = send(*peers_[options_.links + place], form);
  put(frame + form.number, number);
  put(frame + form.offers, offer.ref.slot());
  put(frame + form.offers + 4, offer.ref.generation());
  std::uint8_t* record = frame + form.records;
  for (std::uint32_t i = 0; i < tasks_per_accept_; ++i, record += kLaunchBytes) {
    put(record + 8, number * options_.cpus + i);
    put(record + 16, offer.node);
  }
  ++counts_.accepts;
  ++in_flight_;
  ++paced_;
}

std::uint8_t* LoadCluster::send(Peer& peer, const FrameTemplate& form) {
  std::uint8_t* frame = peer.stream.append(form.bytes.size());
  std::memcpy(frame, form.bytes.data(), form.bytes.size());
  form.head(frame, peer.link.next_head(peer.epoch));
  sent(peer, form.bytes.size());
  return frame;
}

void LoadCluster::send(Peer& peer, const FrameBytes& frame) {
  std::memcpy(peer.stream.append(frame.size()), frame.data(), frame.size());
  sent(peer, frame.size());
}

void LoadCluster::sent(Peer& peer, std::size_t bytes) {
  ++counts_.frames_in;
  counts_.bytes_in += bytes;
  sample_size(bytes);
  peer.last_sent = now_;
  if (!peer.dirty) {
    peer.dirty = true;
    dirty_.push_back(peer.place);
  }
}

void LoadCluster::sample_size(std::size_t bytes) {
  if ((size_turn_++ & 63U) == 0) {
    if (sizes_.size() < 65'536) {
      sizes_.push_back(static_cast<std::uint32_t>(bytes));
    } else {
      sizes_[(size_turn_ >> 6U) & 65'535U] = static_cast<std::uint32_t>(bytes);
    }
  }
}

void LoadCluster::flush_dirty() {
  for (const std::uint32_t place : dirty_) {
    Peer& peer = *peers_[place];
    peer.dirty = false;
    if (!peer.stream.flush()) {
      broken(std::string("a connection to the master broke: ") + std::strerror(errno));
    }
    watch(peer, peer.stream.pending() > 0);
  }
  dirty_.clear();
}

void LoadCluster::watch(Peer& peer, bool write) {
  if (peer.wants_write == write) {
    return;
  }
  peer.wants_write = write;
  epoll_event event{};
  event.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u32 = peer.place;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.stream.fd(), &event);
}

void LoadCluster::heartbeats() {
  for (const auto& peer : peers_) {
    if (peer->link.is_open() && now_ > peer->last_sent + kHeartbeat) {
      flatbuffers::FlatBufferBuilder builder(128);
      send(*peer, finish_frame(builder, peer->link.next_head(peer->epoch), fb::CreateHeartbeat(builder, 0.0F)));
    }
  }
}

// One wait and everything it brings.
Status LoadCluster::turn(Instant until) {
  std::array<epoll_event, 256> events{};
  const std::int64_t wait_ns = std::max<std::int64_t>(0, std::min(until - now_, Duration::from_ms(100)).ns());
  const timespec timeout{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
  const int got = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
  now_ = mono_now();
  for (int i = 0; i < got; ++i) {
    Peer& peer = *peers_[events[static_cast<std::size_t>(i)].data.u32];
    const auto what = events[static_cast<std::size_t>(i)].events;
    if ((what & EPOLLOUT) != 0 && !peer.dirty) {
      peer.dirty = true;
      dirty_.push_back(peer.place);
    }
    if ((what & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) {
      continue;
    }
    const bool was_open = peer.stream.is_open();
    const auto read = peer.stream.read(buffer_, [&](std::span<const std::uint8_t> bytes) { take(peer, bytes); });
    if (read == ZmtpStream::Read::closed || read == ZmtpStream::Read::broken) {
      broken(std::string("the master closed a connection of ") + (peer.framework ? "a framework" : "nodes"));
    }
    open_streams_ += !was_open && peer.stream.is_open() ? 1 : 0;
    if (!was_open) {
      progress_ = now_;
    }
  }
  if (now_ >= heartbeat_at_) {
    heartbeats();
    heartbeat_at_ = now_ + kHeartbeat / 4;
  }
  flush_dirty();
  if (latencies_.size() > kLatenciesMax) {
    latencies_.resize(kLatenciesMax / 2);
  }
  return problem_.empty() ? Status{} : fail_with(problem_);
}

}  // namespace muster::bench
