#include "tests/sim/sim_rival.hpp"

#include <algorithm>

#include "tests/sim/cluster.hpp"

namespace muster::sim {

void SimRival::make_core() {
  kept_.clear();
  resolved_.clear();
  asked_.clear();
  client::LinkConfig config;
  config.framework = kRivalFramework;
  config.name = "rival";
  config.role = cluster_.world().prng.percent(50) ? "default" : "rivals";
  config.first_incarnation = Incarnation(++starts_ << 32U);
  config.highest_epoch = highest_epoch_;
  link_ = std::make_unique<client::MasterLink>(config, static_cast<client::Framework&>(*this));
  want();
}

void SimRival::on_crashed_in_flush() { cluster_.on_client_crashed(*this); }

void SimRival::on_timer() { link_->on_timer(cluster_.world().clock()); }

void SimRival::link_up() {
  link_->on_link_up(cluster_.world().clock());
  after_input();
}

void SimRival::link_down() {
  link_->on_link_down(cluster_.world().clock());
  after_input();
}

void SimRival::receive(const Connection& from, const FrameBytes& bytes) {
  const Network::Received received = Network::verify(bytes);
  World& world = cluster_.world();
  world.note("rival gets", from.master, [&] { return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame); });
  world.trace.mix(bytes);
  if (received.frame != nullptr) {
    link_->on_frame(*received.frame, world.clock());
    after_input();
  }
}

void SimRival::collect(std::vector<std::function<void()>>& actions) {
  std::vector<FrameBytes> out;
  link_->flush(cluster_.world().clock(), out);
  for (FrameBytes& bytes : out) {
    actions.push_back([this, frame = std::make_shared<FrameBytes>(std::move(bytes))] {
      const Network::Received sent = Network::verify(*frame);
      if (sent.frame == nullptr) {
        violated("malformed output", "the rival's link sends a frame that does not verify: " + sent.error.text);
      }
      if (const auto* accept = sent.frame->body_as_Accept()) {
        cluster_.truth().on_accept_sent(kRivalFramework, *accept);
      }
      send_to_master(std::move(*frame));
    });
  }
}

void SimRival::want() {
  if (winding_down_) {
    link_->request({});
    return;
  }
  Prng& prng = cluster_.world().prng;
  std::vector<client::Want> wants;
  client::Want small;
  small.shape.cpus_milli = static_cast<MilliCpus>(prng.between(1, 4)) * 500;
  small.shape.memory_bytes = static_cast<Bytes>(prng.between(1, 512)) << 20U;
  if (prng.percent(40)) {
    small.shape.ports = PortSet({{31000, 31003}});
  }
  small.count = static_cast<std::uint32_t>(prng.between(1, 4));
  small.whole_rest = prng.percent(20);
  wants.push_back(std::move(small));
  link_->request(std::move(wants));
}

void SimRival::wind_down() {
  winding_down_ = true;
  if (!up()) {
    return;
  }
  link_->revive();
  link_->request({});
  std::vector<OfferId> ids;
  for (const client::Offer& offer : kept_) {
    ids.push_back(offer.id);
  }
  kept_.clear();
  link_->decline(ids, Duration{});
  after_input();
}

void SimRival::on_registered(Epoch epoch, Now) {
  highest_epoch_ = epoch;
  kept_.clear();
  asked_.clear();
}

std::vector<client::LiveAttempt> SimRival::live_attempts() {
  std::vector<client::LiveAttempt> live;
  for (const auto& [attempt, meant] : live_) {
    live.push_back({attempt, meant.node, meant.boot});
  }
  return live;
}

FrameBytes SimRival::spec() const {
  fb::TaskSpecT spec;
  spec.name = "rival";
  spec.argv = {"/bin/true"};
  spec.ntasks = 1;
  spec.working_directory = "/tmp";
  spec.kill_grace_ms = 500;
  return pack_spec(spec);
}

void SimRival::on_offers(std::span<const client::Offer> offers, Now) {
  Prng& prng = cluster_.world().prng;
  std::vector<client::Offer> taken(offers.begin(), offers.end());
  if (winding_down_ || prng.percent(25)) {
    std::vector<OfferId> ids;
    for (const client::Offer& offer : taken) {
      ids.push_back(offer.id);
      resolved_.push_back(offer.id);
    }
    link_->decline(ids, prng.percent(50) ? Duration{} : prng.between(Duration::from_ms(10), Duration::from_seconds(5)));
    return;
  }
  if (prng.percent(15)) {
    return;  // sleeps on them until their lease ends
  }
  if (prng.percent(15)) {
    for (const client::Offer& offer : taken) {
      link_->hold(std::vector<OfferId>{offer.id}, ClaimId(1), prng.between(Duration::from_seconds(1), Duration::from_seconds(20)));
    }
  }
  const Duration thinks = prng.skewed(Duration::from_us(10), Duration::from_seconds(14));
  kept_.insert(kept_.end(), taken.begin(), taken.end());
  cluster_.world().after(thinks, [this, life = life()] {
    if (up() && this->life() == life && !kept_.empty() && !winding_down_) {
      std::vector<client::Offer> all(kept_.begin(), kept_.end());
      kept_.clear();
      take(std::move(all));
      after_input();
    }
  });
}

void SimRival::take(std::vector<client::Offer> offers) {
  Prng& prng = cluster_.world().prng;
  client::AcceptRequest request;
  request.specs.push_back(spec());
  const bool as_gang = offers.size() > 1 && prng.percent(40);
  std::uint32_t member = 0;
  std::map<NodeIndex, bool> used_nodes;
  for (const client::Offer& offer : offers) {
    request.offers.push_back(offer.id);
    if (as_gang && used_nodes[offer.node]) {
      continue;
    }
    used_nodes[offer.node] = true;
    client::LaunchTask task;
    task.attempt = fresh_attempt();
    task.node = offer.node;
    task.resources = offer.resources;
    task.resources.cpus_milli = std::max<MilliCpus>(offer.resources.cpus_milli / 2, 100);
    if (task.resources.cpus_milli > 1000) {
      task.resources.cpus_milli -= task.resources.cpus_milli % 500;
    }
    task.gang = as_gang ? 7 : 0;
    task.member = as_gang ? member++ : 0;
    request.launches.push_back(task);
  }
  // What must be refused whole: beyond the offer, overlapping ports, a stale offer, one attempt twice.
  const std::uint64_t mischief = prng.below(12);
  client::LaunchTask extra = request.launches.front();
  extra.gang = 0;
  extra.member = 0;
  if (mischief == 0) {
    extra.attempt = fresh_attempt();
    extra.resources = offers.front().resources;
    extra.resources.memory_bytes += 1;
    request.launches.push_back(extra);
  } else if (mischief == 1 && !offers.front().resources.ports.empty()) {
    extra.attempt = fresh_attempt();
    extra.resources = Resources{};
    extra.resources.cpus_milli = 100;
    extra.resources.ports = offers.front().resources.ports.take(1);
    request.launches.front().resources.ports = extra.resources.ports;
    request.launches.push_back(extra);
  } else if (mischief == 2 && !resolved_.empty()) {
    request.offers.push_back(resolved_[prng.below(resolved_.size())]);
  } else if (mischief == 3) {
    extra.resources = Resources{};
    extra.resources.cpus_milli = 100;
    request.launches.push_back(extra);
  }
  if (!link_->connected()) {
    return;
  }
  std::vector<AttemptId> attempts;
  for (const client::LaunchTask& launch : request.launches) {
    const client::NodeInfo* node = link_->node(launch.node);
    live_[launch.attempt] = node != nullptr ? MeantFor{node->name, node->boot} : MeantFor{"?", 0};
    attempts.push_back(launch.attempt);
  }
  asked_[link_->accept(request)] = attempts;
  for (const OfferId& id : request.offers) {
    resolved_.push_back(id);
    if (resolved_.size() > 50) {
      resolved_.pop_front();
    }
  }
}

void SimRival::on_rescinded(std::span<const OfferId> offers, fb::RescindReason, Now) {
  for (const OfferId& id : offers) {
    resolved_.push_back(id);
    std::erase_if(kept_, [&](const client::Offer& offer) { return offer.id == id; });
  }
}

void SimRival::on_accepted(const client::AcceptAnswer& answer, Now) {
  const auto it = asked_.find(answer.accept);
  if (it == asked_.end()) {
    return;
  }
  if (answer.code != fb::RefusedCode::None) {
    for (const AttemptId& attempt : it->second) {
      live_.erase(attempt);
    }
  }
  asked_.erase(it);
  if (cluster_.world().prng.percent(30)) {
    want();
  }
}

void SimRival::on_update(std::span<const client::TaskUpdate> updates, Now) {
  Prng& prng = cluster_.world().prng;
  for (const client::TaskUpdate& update : updates) {
    if (is_terminal(update.state)) {
      live_.erase(update.attempt);
    } else if (winding_down_ || prng.percent(10)) {
      link_->kill(update.attempt, update.node, {.grace = Duration::from_ms(500)});
    }
    if (update.seq != 0) {
      link_->acknowledge(update.node, update.seq);
    }
  }
}

std::string SimRival::live_text() const {
  std::string text;
  for (const auto& [attempt, meant] : live_) {
    text += (text.empty() ? "" : ", ") + muster::to_string(attempt) + " on " + meant.node;
  }
  return text;
}

}  // namespace muster::sim
