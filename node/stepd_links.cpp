// StepdShell: the agent, the parent in the tree, and queues for who does not keep up.
#include <algorithm>

#include "node/step/step_tree.hpp"
#include "node/stepd_shell.hpp"
#include "node/stepd_tags.hpp"
#include "wire/daemon/log.hpp"

namespace muster::node {

void StepdShell::send_to(LinkId link, FrameBytes frame, bool bulk) {
  const auto queue = queues_.find(link);
  if (queue == queues_.end()) {
    const auto sent = router_->send(link, std::span<const std::uint8_t>(frame));
    if (!sent || *sent != SendOutcome::would_block) {
      return;
    }
    queues_[link] = std::make_unique<StepdQueue>(plan_.facts.directory);
    blocked_ = true;
    queues_[link]->push(std::move(frame), bulk);
    return;
  }
  queue->second->push(std::move(frame), bulk);
}

void StepdShell::send_up(FrameBytes frame) {
  const auto body = fb::GetFrame(frame.data())->body_type();
  up_.push(std::move(frame), body == fb::Body::StepOutput);
  drain();
}

void StepdShell::drain() {
  blocked_ = false;
  while (parent_ && parent_->is_up()) {
    FrameBytes* frame = up_.front();
    if (frame == nullptr) {
      break;
    }
    const auto sent = parent_->send(*frame);
    if (!sent || *sent == SendOutcome::would_block) {
      blocked_ = true;
      break;
    }
    up_.pop();
  }
  for (auto at = queues_.begin(); at != queues_.end();) {
    bool lost = false;
    while (FrameBytes* frame = at->second->front()) {
      const auto sent = router_->send(at->first, std::span<const std::uint8_t>(*frame));
      if (sent && *sent == SendOutcome::would_block) {
        blocked_ = true;
        break;
      }
      lost = !sent || *sent == SendOutcome::link_lost;
      if (lost) {
        break;
      }
      at->second->pop();
    }
    if (const std::uint64_t dropped = at->second->empty() && !lost ? at->second->take_dropped_bytes() : 0; dropped != 0) {
      fb::StepOutputT gap;
      gap.stream = fb::StepStream::Err;
      gap.lost_bytes = dropped;
      static_cast<void>(router_->send(at->first, pack_frame<fb::StepOutput>({}, gap)));
    }
    const bool done = lost || at->second->empty();
    if (lost) {
      local_users_.erase(at->first);
      core_->on_link_lost(at->first, now());
    }
    at = done ? queues_.erase(at) : std::next(at);
  }
}

// Its own agent hears where we are, again and again: it may have been restarted.
void StepdShell::tend_agent() {
  if (now().mono - agent_told_ < kAgentTold) {
    return;
  }
  agent_told_ = now().mono;
  if (!agent_) {
    const auto place = parse_endpoint(plan_.facts.agent_endpoint);
    if (!place) {
      log::error("agent: " + place.error().text);
      return;
    }
    auto dealer = Dealer::connect(context_, *place);
    if (!dealer) {
      log::error("agent: " + dealer.error().text);
      return;
    }
    agent_ = *std::move(dealer);
    poller_.add(*agent_, kAgent);
  }
  fb::StepdHelloT hello;
  hello.framework = plan_.facts.framework;
  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(plan_.attempt));
  hello.token_hi = plan_.spec.token_hi;
  hello.token_lo = plan_.spec.token_lo;
  hello.job = plan_.spec.job;
  hello.index = plan_.facts.index;
  hello.endpoints = endpoints_;
  const auto sent = agent_->send(pack_frame<fb::StepdHello>({}, hello));
  if (sent && *sent == SendOutcome::would_block) {
    agent_told_ = now().mono - kAgentTold + Duration::from_ms(5);  // not connected yet
  }
}

// The parent's agent says where the parent is; then we speak to it directly.
void StepdShell::tend_parent() {
  if (plan_.facts.member == 0 || parent_answers_ || now().mono - parent_asked_ < parent_patience_) {
    return;
  }
  parent_patience_ = std::clamp(parent_patience_ * 3 / 2, kParentAskedMin, kParentAskedMax);
  if (parent_) {
    if (parent_->is_up()) {
      say_hello();
    }
    return;
  }
  parent_asked_ = now().mono;
  const std::uint32_t parent = parent_of(plan_.facts.member);
  if (!parent_agent_) {
    if (parent >= plan_.spec.endpoints.size()) {
      return;
    }
    const auto place = parse_endpoint(plan_.spec.endpoints[parent]);
    if (!place) {
      log::error("agent of node " + plan_.node_of(parent) + ": " + place.error().text);
      return;
    }
    auto dealer = Dealer::connect(context_, *place);
    if (!dealer) {
      log::error("agent of node " + plan_.node_of(parent) + ": " + dealer.error().text);
      return;
    }
    parent_agent_ = *std::move(dealer);
    poller_.add(*parent_agent_, kParentAgent);
  }
  fb::FindStepdT find;
  find.request = 1;
  find.deadline_ms = 1000;
  find.token_hi = plan_.spec.token_hi;
  find.token_lo = plan_.spec.token_lo;
  find.job = plan_.spec.job;
  find.index = plan_.facts.index;
  find.node = plan_.node_of(parent);
  static_cast<void>(parent_agent_->send(pack_frame<fb::FindStepd>({}, find)));
}

void StepdShell::read_agent() {
  if (agent_) {
    while (agent_->next_change()) {
    }
    for (auto got = agent_->receive(buffer_); got && *got; got = agent_->receive(buffer_)) {
    }
  }
  if (!parent_agent_) {
    return;
  }
  while (parent_agent_->next_change()) {
  }
  for (auto got = parent_agent_->receive(buffer_); got && *got; got = parent_agent_->receive(buffer_)) {
    const auto frame = verify_frame(buffer_);
    const auto* place = frame ? (*frame)->body_as_StepdPlace() : nullptr;
    if (place == nullptr || place->endpoints() == nullptr || parent_) {
      continue;  // not there yet: asked again
    }
    for (const auto* text : *place->endpoints()) {
      const bool local = text_of(text).starts_with("ipc:");
      const bool same_host = plan_.facts.listen.empty();
      if (local != same_host) {
        continue;
      }
      const auto endpoint = parse_endpoint(text_of(text));
      auto dealer = endpoint ? Dealer::connect(context_, *endpoint) : tl::unexpected(endpoint.error());
      if (dealer) {
        parent_ = *std::move(dealer);
        poller_.add(*parent_, kParent);
        break;
      }
    }
  }
  if (parent_) {
    poller_.remove(kParentAgent);
    parent_agent_.reset();
  }
}

void StepdShell::say_hello() {
  parent_asked_ = now().mono;
  fb::StepHelloT hello;
  hello.role = fb::StepRole::Member;
  hello.member = plan_.facts.member;
  hello.job = plan_.spec.job;
  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(plan_.attempt));
  hello.token_hi = plan_.spec.token_hi;
  hello.token_lo = plan_.spec.token_lo;
  static_cast<void>(parent_->send(pack_frame<fb::StepHello>({}, hello)));
}

void StepdShell::read_parent() {
  while (const auto change = parent_->next_change()) {
    if (*change == LinkChange::up) {
      say_hello();
    } else {
      parent_answers_ = false;
    }
  }
  for (auto got = parent_->receive(buffer_); got && *got; got = parent_->receive(buffer_)) {
    if (const auto frame = verify_frame(buffer_)) {
      parent_answers_ = true;
      core_->on_parent_frame(**frame, now());
    }
  }
}

}  // namespace muster::node
