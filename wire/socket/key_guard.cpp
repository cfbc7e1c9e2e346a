#include "wire/socket/key_guard.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "wire/socket/zmq_error.hpp"

namespace muster {
namespace {

constexpr Duration kRefusedAnswer = Duration::from_ms(1000);
constexpr std::size_t kDelayedMax = 1024;   // refusals beyond are answered at once
constexpr Duration kSayEvery = Duration::from_seconds(60);
constexpr std::size_t kNamedMax = 8;        // kinds of refusal told one by one
constexpr std::size_t kKeyBytes = 32;
// Places of a request's parts behind the asker's id and the empty part.
enum Part : std::size_t { kAsker, kEmpty, kVersion, kRequest, kDomain, kAddress, kIdentity, kMechanism, kKey, kParts };

Instant mono_now() { return SystemClock{}.now().mono; }

std::string_view text_of(const zmq::message_t& part) { return {part.data<char>(), part.size()}; }

// libzmq writes IPv4 peers as IPv6 ones.
std::string address_of(const zmq::message_t& part) {
  std::string_view text = text_of(part);
  constexpr std::string_view kMapped = "::ffff:";
  if (text.starts_with(kMapped)) {
    text.remove_prefix(kMapped.size());
  }
  return std::string(text);
}

// All parts of the next message; none when there is no message.
std::vector<zmq::message_t> receive_parts(zmq::socket_t& socket) {
  std::vector<zmq::message_t> parts;
  for (bool more = true; more;) {
    zmq::message_t part;
    if (!uninterrupted([&] { return socket.recv(part, zmq::recv_flags::dontwait); })) {
      break;
    }
    more = part.more();
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

KeyGuard::KeyGuard(zmq::context_t& context, Wakeup wakeup, zmq::socket_t zap)
    : context_(context), wakeup_(std::move(wakeup)), zap_(std::move(zap)) {}

Result<std::unique_ptr<KeyGuard>> KeyGuard::start(zmq::context_t& context) {
  auto wakeup = Wakeup::open();
  if (!wakeup) {
    return tl::unexpected(wakeup.error());
  }
  try {
    zmq::socket_t zap(context, zmq::socket_type::router);
    zap.set(zmq::sockopt::linger, 0);
    zap.bind("inproc://zeromq.zap.01");  // the name RFC 27 gives
    std::unique_ptr<KeyGuard> guard(new KeyGuard(context, *std::move(wakeup), std::move(zap)));
    guard->thread_ = std::thread([raw = guard.get()] { raw->run(); });
    return guard;
  } catch (const zmq::error_t& error) {
    return fail_zmq("check the keys of peers", error);
  } catch (const std::system_error& error) {
    return fail(Errc::exhausted, std::string("no thread to check the keys of peers: ") + error.what());
  }
}

KeyGuard::~KeyGuard() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wakeup_.notify();
    thread_.join();
  }
}

void KeyGuard::admit(const std::string& domain, std::shared_ptr<const AllowedKeys> allowed, RefusedSink sink,
                     const std::string& monitor) {
  {
    const std::lock_guard lock(mutex_);
    Ward& ward = wards_[domain];
    ward.allowed = std::move(allowed);
    ward.sink = std::move(sink);
    to_watch_.emplace_back(domain, monitor);
  }
  wakeup_.notify();
}

void KeyGuard::leave(const std::string& domain) {
  const std::lock_guard lock(mutex_);
  wards_.erase(domain);
}

void KeyGuard::watch_new() {
  std::vector<std::pair<std::string, std::string>> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(to_watch_);
  }
  for (auto& [domain, endpoint] : fresh) {
    try {
      zmq::socket_t monitor(context_, zmq::socket_type::pair);
      monitor.set(zmq::sockopt::linger, 0);
      monitor.connect(endpoint);
      watched_.push_back({std::move(domain), std::move(monitor)});
    } catch (const zmq::error_t&) {
      // The router has gone already.
    }
  }
}

void KeyGuard::note(Ward& ward, const std::string& what) {
  if (ward.refused.size() < kNamedMax || ward.refused.contains(what)) {
    ++ward.refused[what];
  } else {
    ++ward.refused["others"];
  }
}

void KeyGuard::send(std::vector<zmq::message_t> parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto flags = i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
    (void)uninterrupted([&] { return zap_.send(parts[i], flags | zmq::send_flags::dontwait); });
  }
}

void KeyGuard::answer_one() {
  std::vector<zmq::message_t> asked = receive_parts(zap_);
  if (asked.size() <= kMechanism || text_of(asked[kVersion]) != "1.0") {
    return;  // libzmq asks; nobody else knows the name
  }
  bool welcome = asked[kDomain].size() == 0;  // a router without a list: libzmq asks all the same
  PublicKey key;
  if (!welcome && asked.size() >= kParts && text_of(asked[kMechanism]) == "CURVE" && asked[kKey].size() == kKeyBytes) {
    char text[kKeyCharacters + 1];
    ::zmq_z85_encode(text, asked[kKey].data<std::uint8_t>(), kKeyBytes);
    std::copy_n(text, kKeyCharacters, key.z85.begin());
    const std::lock_guard lock(mutex_);
    const auto ward = wards_.find(std::string(text_of(asked[kDomain])));
    if (ward != wards_.end()) {
      welcome = ward->second.allowed->contains(key);
      if (!welcome) {
        note(ward->second, "key " + key.text() + " from " + address_of(asked[kAddress]) +
                               ", which is not in the list of keys");
      }
    }
  }
  std::vector<zmq::message_t> reply;
  reply.push_back(std::move(asked[kAsker]));
  reply.emplace_back();
  reply.push_back(std::move(asked[kVersion]));
  reply.push_back(std::move(asked[kRequest]));
  reply.emplace_back(std::string(welcome ? "200" : "400"));
  reply.emplace_back(std::string(welcome ? "OK" : "unknown key"));
  reply.emplace_back(welcome ? key.text() : std::string());
  reply.emplace_back();
  if (welcome || delayed_.size() >= kDelayedMax) {
    send(std::move(reply));
  } else {
    delayed_.push_back({mono_now() + kRefusedAnswer, std::move(reply)});
  }
}

bool KeyGuard::read_monitor(Watched& watched) {
  for (;;) {
    const auto parts = receive_parts(watched.monitor);
    if (parts.empty()) {
      return true;
    }
    std::uint16_t event = 0;
    if (parts[0].size() < sizeof event) {
      continue;
    }
    std::memcpy(&event, parts[0].data(), sizeof event);
    if (event == ZMQ_EVENT_MONITOR_STOPPED) {
      return false;
    }
    const std::lock_guard lock(mutex_);
    const auto ward = wards_.find(watched.domain);
    if (ward != wards_.end() && event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
      note(ward->second, "somebody without a key, or who holds another key for ours");
    }
  }
}

Instant KeyGuard::say(Instant now) {
  Instant next = Instant::never();
  const std::lock_guard lock(mutex_);
  for (auto& [domain, ward] : wards_) {
    if (ward.refused.empty()) {
      continue;
    }
    if (now - ward.said < kSayEvery) {
      next = std::min(next, ward.said + kSayEvery);
      continue;
    }
    std::string text;
    for (const auto& [what, times] : ward.refused) {
      text += (text.empty() ? "refused " : "; ") + what + (times > 1 ? " (" + std::to_string(times) + " times)" : "");
    }
    ward.refused.clear();
    ward.said = now;
    if (ward.sink) {
      ward.sink(text);
    }
  }
  return next;
}

void KeyGuard::run() {
  try {
    std::vector<zmq::pollitem_t> items;
    for (;;) {
      wakeup_.drain();
      {
        const std::lock_guard lock(mutex_);
        if (stop_) {
          break;
        }
      }
      watch_new();
      const Instant now = mono_now();
      Instant wake = say(now);
      while (!delayed_.empty() && delayed_.front().due <= now) {
        send(std::move(delayed_.front().parts));
        delayed_.erase(delayed_.begin());
      }
      if (!delayed_.empty()) {
        wake = std::min(wake, delayed_.front().due);
      }
      items.assign({{nullptr, wakeup_.fd(), ZMQ_POLLIN, 0}, {zap_.handle(), 0, ZMQ_POLLIN, 0}});
      for (Watched& watched : watched_) {
        items.push_back({watched.monitor.handle(), 0, ZMQ_POLLIN, 0});
      }
      const auto wait = wake == Instant::never() ? std::chrono::milliseconds(-1)
                                                 : std::chrono::milliseconds(std::max<std::int64_t>(0, (wake - now).ms()) + 1);
      (void)uninterrupted([&] { return zmq::poll(items, wait); });
      if ((items[1].revents & ZMQ_POLLIN) != 0) {
        answer_one();
      }
      for (std::size_t i = watched_.size(); i-- > 0;) {
        if ((items[i + 2].revents & ZMQ_POLLIN) != 0 && !read_monitor(watched_[i])) {
          watched_.erase(watched_.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
    }
  } catch (const zmq::error_t&) {
    // The context ends.
  }
  watched_.clear();
  zap_.close();
}

}  // namespace muster
