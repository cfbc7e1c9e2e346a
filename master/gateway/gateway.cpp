#include "master/gateway/gateway.hpp"

#include "wire/base/check.hpp"

namespace muster::master {
namespace {

constexpr Duration kSweep = Duration::from_seconds(10);

void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::open(Context& context, std::span<const Endpoint> endpoints,
                                               const GatewayOptions& options, Parker& core, Parker& own) {
  RouterOptions router_options;
  router_options.socket.frame_bytes_max = options.limits.frame_bytes_max;
  router_options.first_link = options.first_link;
  router_options.link_stride = options.link_stride;
  router_options.socket.keys = options.keys;
  router_options.on_refused = options.on_refused;
  if (!options.keys.empty()) {
    std::vector<PublicKey> allowed;
    for (const auto& [key, rights] : options.key_rights) {
      allowed.push_back(key);
    }
    router_options.allowed = std::make_shared<AllowedKeys>(std::move(allowed));
  }
  auto router = Router::bind(context, endpoints, router_options);
  if (!router) {
    return tl::unexpected(router.error());
  }
  return std::unique_ptr<Gateway>(new Gateway(*std::move(router), options, core, own));
}

Gateway::Gateway(Router router, const GatewayOptions& options, Parker& core, Parker& own)
    : router_(std::move(router)),
      options_(options),
      core_(core),
      own_(own),
      inbox_(options.inbox_bytes),
      outbox_(options.outbox_frames),
      spent_(options.outbox_frames) {}

std::size_t Gateway::do_work(Instant now) {
  const std::size_t received = receive(now);
  const std::size_t sent = send();
  std::size_t lost = 0;
  if (now >= next_sweep_) {
    const std::size_t before = lost_.size();
    router_.forget_silent(now - options_.forget_links_after, lost_);
    lost = lost_.size() - before;
    count(probe_.links_lost, lost);
    next_sweep_ = now + kSweep;
  }
  deliver_lost();
  if (received + lost > 0) {
    core_.wake();
  }
  return received + sent;
}

std::size_t Gateway::receive(Instant now) {
  std::size_t done = 0;
  while (done < options_.batch_frames_max) {
    if (!holding_) {
      const auto got = router_.receive(held_, now);
      check(got.has_value(), "gateway: the router's socket is broken");
      if (!*got) {
        looked_ns_.store(now.ns(), std::memory_order_release);
        break;
      }
      holding_ = true;
    }
    if (!room_.try_or_ask([this] { return deliver(); })) {
      count(probe_.inbox_full);
      looked_ns_.store(now.ns(), std::memory_order_release);
      break;
    }
    holding_ = false;
    ++done;
  }
  return done;
}

tl::expected<Peer, FrameError> Gateway::judge(const PeerIdentity& who) const {
  Peer peer{who.local, who.uid, who.pid};
  if (!who.local) {
    if (options_.keys.empty()) {
      peer.rights = options_.all_users ? kMayQuery : kMayAll;
      return peer;
    }
    const auto known = options_.key_rights.find(who.key);
    if (known == options_.key_rights.end()) {
      return tl::unexpected(FrameError{fb::RefusedCode::Unauthenticated, "no key vouches for you"});
    }
    peer.rights = known->second.rights;
    peer.key = known->second.place;
    return peer;
  }
  if (!options_.owner_uid || who.uid == *options_.owner_uid || who.uid == 0) {
    return peer;
  }
  if (!options_.all_users) {
    return tl::unexpected(FrameError{fb::RefusedCode::NotAllowed, "this master serves user " + std::to_string(*options_.owner_uid) +
                                                                      " only; you are " + std::to_string(who.uid)});
  }
  const bool operates = std::find(options_.operators.begin(), options_.operators.end(), who.uid) != options_.operators.end();
  peer.rights = operates ? kMayQuery | kMayOperate : kMayQuery;
  return peer;
}

bool Gateway::deliver() {
  const auto judged = judge(held_.peer);
  const Peer peer = judged.value_or(Peer{held_.peer.local, held_.peer.uid, held_.peer.pid, 0});
  const auto bytes = held_.message.bytes();
  bool taken = false;
  if (!judged) {
    taken = inbox_.put_bad(held_.link, peer, judged.error());
    count(probe_.strangers, taken ? 1 : 0);
  } else if (held_.several_parts) {
    taken = inbox_.put_bad(held_.link, peer, {fb::RefusedCode::Malformed, "a message of several parts is no frame"});
  } else {
    taken = inbox_.put_message(held_.link, peer, bytes, options_.limits);
  }
  if (taken) {
    count(probe_.frames_in);
    count(probe_.bytes_in, bytes.size());
  }
  return taken;
}

std::size_t Gateway::send() {
  std::size_t done = 0;
  while (done < options_.batch_frames_max) {
    OutFrame* const out = outbox_.front();
    if (out == nullptr) {
      break;
    }
    const bool known = router_.knows(out->link);
    const std::size_t size = out->bytes.size();
    const auto outcome = router_.send(out->link, std::move(out->bytes));
    check(outcome.has_value(), "gateway: the router's socket is broken");
    if (*outcome == SendOutcome::sent) {
      count(probe_.frames_out);
      count(probe_.bytes_out, size);
    } else {
      // Links are gapless: a frame that can't leave ends the link's life. Told once per link.
      router_.forget(out->link);
      if (known) {
        lost_.push_back(out->link);
        count(probe_.links_lost);
      }
    }
    if (!spent_.push(out->bytes)) {
      out->bytes = FrameBytes();
    }
    outbox_.pop();
    ++done;
  }
  if (done > 0) {
    core_.wake();  // there is room in the outbox
  }
  return done;
}

void Gateway::deliver_lost() {
  std::size_t told = 0;
  while (told < lost_.size() && inbox_.put_lost(lost_[told])) {
    ++told;
  }
  if (told > 0) {
    lost_.erase(lost_.begin(), lost_.begin() + static_cast<std::ptrdiff_t>(told));
    core_.wake();
  }
}

}  // namespace muster::master
