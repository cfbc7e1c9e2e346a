#include "tests/sim/sim_gang.hpp"

#include <utility>

#include "tests/sim/cluster.hpp"

namespace muster::sim {

void SimGang::make_core() {
  gang::GangConfig config;
  config.framework = kGangFramework;
  config.first_incarnation = Incarnation(++starts_ << 32U);
  config.seed = cluster_.world().prng.next();
  config.owner_uid = kClusterUid;
  if (config.seed % 2 == 0) {
    config.line_patience = Duration();  // lines wherever they can be
  }
  store_.on_gang_started();
  core_ = std::make_unique<gang::GangCore>(config, store_.state(), cluster_.world().clock(), defects_);
}

void SimGang::drop_core() {
  core_.reset();
  // The disk may have finished the batch that was out, and nobody was told.
  if (committing_ && cluster_.world().prng.percent(50)) {
    store_.commit(*committing_);
  }
  committing_.reset();
  cluster_.on_gang_gone();
}

void SimGang::lose_power() {
  committing_.reset();
  crash();
}

void SimGang::on_timer() { core_->on_timer(cluster_.world().clock()); }
void SimGang::on_crashed_in_flush() { cluster_.on_client_crashed(*this); }

void SimGang::link_up() {
  core_->on_master_link_up(cluster_.world().clock());
  after_input();
}

void SimGang::link_down() {
  core_->on_master_link_down(cluster_.world().clock());
  after_input();
}

void SimGang::receive(const Connection& from, const FrameBytes& bytes) {
  const Network::Received received = Network::verify(bytes);
  World& world = cluster_.world();
  world.note("gang gets", from.master, [&] { return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame); });
  world.trace.mix(bytes);
  if (received.frame == nullptr) {
    return;  // its shell drops and counts it
  }
  if (const auto* update = received.frame->body_as_Update(); update != nullptr && update->entries() != nullptr) {
    for (const fb::UpdateEntry* entry : *update->entries()) {
      if (entry->seq() != 0 && is_terminal(static_cast<TaskState>(entry->state()))) {
        heard_[{from.master, entry->node()}].push_back({entry->seq(), from_fb(entry->attempt())});
      }
    }
  }
  core_->on_master_frame(*received.frame, world.clock());
  after_input();
}

void SimGang::user_frame(LinkId link, const FrameBytes& bytes) {
  if (!up()) {
    return;
  }
  const Network::Received received = Network::verify(bytes);
  World& world = cluster_.world();
  world.note("gang hears user", link.value(), [&] { return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame); });
  world.trace.mix(bytes);
  if (received.frame == nullptr) {
    core_->on_bad_user_frame(link, received.error, world.clock());
  } else {
    core_->on_user_frame(link, {.local = true, .uid = kClusterUid, .pid = 7}, *received.frame, world.clock());
  }
  after_input();
}

void SimGang::user_lost(LinkId link) {
  if (up()) {
    core_->on_user_lost(link, cluster_.world().clock());
    after_input();
  }
}

void SimGang::collect(std::vector<std::function<void()>>& actions) {
  gang::GangOutputs outputs;
  core_->flush(cluster_.world().clock(), outputs);
  // The store works beside the sockets: either may be first.
  const bool store_first = cluster_.world().prng.percent(50);
  const auto add_store = [&] {
    if (outputs.store) {
      actions.push_back([this, batch = std::make_shared<gang::StoreBatch>(std::move(*outputs.store))] { give_to_store(std::move(*batch)); });
    }
  };
  if (store_first) {
    add_store();
  }
  for (FrameBytes& bytes : outputs.to_master) {
    actions.push_back([this, frame = std::make_shared<FrameBytes>(std::move(bytes))] {
      look_at_sent(*frame);
      send_to_master(std::move(*frame));
    });
  }
  for (gang::UserFrame& out : outputs.to_users) {
    actions.push_back([this, link = out.link, frame = std::make_shared<const FrameBytes>(std::move(out.bytes))] {
      look_at_answer(*frame);
      cluster_.send_to_user(link, frame);
    });
  }
  if (!store_first) {
    add_store();
  }
}

void SimGang::give_to_store(gang::StoreBatch batch) {
  if (committing_) {
    violated("two batches out", "the gang hands out batch " + std::to_string(batch.number) + " before batch " +
                                    std::to_string(committing_->number) + " is committed");
  }
  committing_ = std::make_shared<const gang::StoreBatch>(std::move(batch));
  World& world = cluster_.world();
  const Duration takes = world.prng.percent(3) ? world.prng.between(Duration::from_ms(20), Duration::from_ms(800))
                                               : world.prng.between(Duration::from_us(100), Duration::from_ms(10));
  world.after(takes, [this, batch = committing_] {
    if (committing_ != batch) {
      return;  // the process is gone, and drop_core saw to it
    }
    committing_.reset();
    store_.commit(*batch);
    core_->on_stored(batch->number, cluster_.world().clock());
    after_input();
  });
}

void SimGang::look_at_sent(const FrameBytes& bytes) {
  const Network::Received sent = Network::verify(bytes);
  if (sent.frame == nullptr) {
    violated("malformed output", "the gang sends a frame that does not verify: " + sent.error.text);
  }
  if (const auto* accept = sent.frame->body_as_Accept(); accept != nullptr && accept->launches() != nullptr) {
    for (const fb::LaunchEntry* launch : *accept->launches()) {
      const ElementTry element = element_of(from_fb(launch->attempt()));
      const gang::AttemptRecord* record = store_.attempt(JobId(element.job), element.index, element.try_number);
      if (record == nullptr) {
        violated("accept before commit", "an Accept with " + to_string(TaskKey{kGangFramework, from_fb(launch->attempt())}) +
                                             " leaves, and no such attempt is stored");
      }
      if (is_over(record->state)) {
        violated("accept of an ended attempt", "an Accept leaves with " + to_string(TaskKey{kGangFramework, from_fb(launch->attempt())}) +
                                                   ", whose end is on record");
      }
    }
    cluster_.truth().on_accept_sent(kGangFramework, *accept);
  }
  if (const auto* ack = sent.frame->body_as_Acknowledge(); ack != nullptr && ack->entries() != nullptr && connection) {
    for (const fb::AckEntry* entry : *ack->entries()) {
      for (const Heard& heard : heard_[{connection->master, entry->node()}]) {
        const ElementTry element = element_of(heard.attempt);
        const gang::AttemptRecord* record = store_.attempt(JobId(element.job), element.index, element.try_number);
        const AttemptTruth* attempt = cluster_.truth().find({kGangFramework, heard.attempt});
        const bool alone = attempt != nullptr && !attempt->gang;
        if (heard.seq <= entry->seq() && alone && (record == nullptr || !is_over(record->state))) {
          violated("acknowledged before commit", "the end of " + to_string(TaskKey{kGangFramework, heard.attempt}) +
                                                     " is acknowledged and not on record");
        }
      }
      std::erase_if(heard_[{connection->master, entry->node()}], [&](const Heard& heard) { return heard.seq <= entry->seq(); });
    }
  }
}

void SimGang::look_at_answer(const FrameBytes& bytes) {
  const Network::Received sent = Network::verify(bytes);
  if (sent.frame == nullptr) {
    violated("malformed output", "the gang answers with a frame that does not verify: " + sent.error.text);
  }
  if (const auto* submitted = sent.frame->body_as_Submitted()) {
    if (store_.job(JobId(submitted->job())) == nullptr) {
      violated("acknowledged before commit", "job " + std::to_string(submitted->job()) + " is acknowledged and not stored");
    }
  }
}

}  // namespace muster::sim
