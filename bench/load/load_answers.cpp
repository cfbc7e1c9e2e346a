// LoadCluster: what nodes and frameworks answer to the master's frames.
#include <algorithm>

#include "bench/load/load_cluster.hpp"

namespace muster::bench {

void LoadCluster::take(Peer& peer, std::span<const std::uint8_t> bytes) {
  ++counts_.frames_out;
  counts_.bytes_out += bytes.size();
  sample_size(bytes.size());
  // Read where it lies, unaligned and unverified: this end is not what is measured.
  const fb::Frame& frame = *fb::GetFrame(bytes.data());
  if (frame.body_type() == fb::Body::Refused) {
    const fb::Refused* refused = frame.body_as_Refused();
    broken("the master refused a frame: " + std::string(to_string(refused->code())) + ": " +
           std::string(text_of(refused->subject())) + ": " + std::string(text_of(refused->text())));
    return;
  }
  if (peer.link.take(frame) != LinkState::Verdict::deliver) {
    broken("the master's frames on a link are out of order");
    return;
  }
  peer.epoch = Epoch(frame.epoch());
  if (frame.body_type() != fb::Body::Heartbeat) {
    progress_ = now_;
    take_from_master(peer, frame);
  }
}

void LoadCluster::take_from_master(Peer& peer, const fb::Frame& frame) {
  switch (frame.body_type()) {
    case fb::Body::Launch:
      on_launch(peer, *frame.body_as_Launch());
      return;
    case fb::Body::Registered:
      on_registered(*frame.body_as_Registered());
      return;
    case fb::Body::Acknowledge:
      counts_.acknowledged += frame.body_as_Acknowledge()->entries()->size();
      return;
    default:
      break;
  }
  if (!peer.framework) {
    broken(std::string("a node got an unexpected ") + fb::EnumNameBody(frame.body_type()));
    return;
  }
  Framework& framework = frameworks_[peer.place - options_.links];
  switch (frame.body_type()) {
    case fb::Body::Offers:
      on_offers(framework, *frame.body_as_Offers());
      if (framework.offers_since_request >= framework.want / 2) {
        send_request(peer.place - options_.links);
      }
      return;
    case fb::Body::Update:
      on_update(peer, framework, *frame.body_as_Update());
      return;
    case fb::Body::Accepted: {
      const fb::Accepted* answer = frame.body_as_Accepted();
      ++counts_.accepted;
      if (answer->code() != fb::RefusedCode::None) {
        broken("an accept was refused: " + std::string(to_string(answer->code())) + ": " +
               std::string(text_of(answer->subject())) + ": " + std::string(text_of(answer->text())));
      }
      return;
    }
    case fb::Body::Rescind:
      on_rescind(framework, *frame.body_as_Rescind());
      return;
    case fb::Body::Subscribed:
      framework.subscribed = true;
      return;
    case fb::Body::Inventory:
    case fb::Body::NodeLost:  // of somebody else's
      return;
    default:
      broken(std::string("a framework got an unexpected ") + fb::EnumNameBody(frame.body_type()));
  }
}

void LoadCluster::on_registered(const fb::Registered& message) {
  registered_ += message.nodes()->size();
  for (const fb::RegisteredNode* node : *message.nodes()) {
    if (node->node() >= options_.nodes) {
      broken("the master knows other nodes than ours: index " + std::to_string(node->node()));
    }
  }
}

const FrameTemplate& LoadCluster::sized(std::vector<std::unique_ptr<FrameTemplate>>& cache, std::uint32_t records,
                                        bool update) {
  if (records >= cache.size()) {
    cache.resize(records + 1);
  }
  auto& form = cache[records];
  if (!form) {
    const std::uint32_t owners = options_.updates_per_frame_max > options_.cpus ? options_.frameworks : 1;
    form = std::make_unique<FrameTemplate>(update ? update_template(records, owners) : acknowledge_template(records));
  }
  return *form;
}

// A node runs its tasks in no time: all that came in one frame have ended when it answers (or run for good, with hold).
void LoadCluster::on_launch(Peer& peer, const fb::Launch& message) {
  const auto& launches = *message.launches();
  const std::int64_t now_ns = SystemClock{}.now().mono.ns();
  const std::uint32_t count = launches.size();
  const bool joined = options_.updates_per_frame_max > options_.cpus;
  ++counts_.launch_frames;
  counts_.launches += count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const fb::LaunchEntry& launch = *launches.Get(i);
    const std::uint64_t lo = launch.attempt().lo();
    if (lo % options_.cpus == 0) {
      const auto place = static_cast<std::uint32_t>(message.frameworks()->Get(launch.framework()) - 1);
      const Framework& framework = frameworks_[place];
      latencies_.push_back(static_cast<double>(
          now_ns - framework.flights[(lo / options_.cpus) & (framework.flights.size() - 1)].sent_ns));
    }
  }
  std::uint32_t first = 0;
  while (first < count) {
    const std::uint32_t limit = options_.packed ? options_.updates_per_frame_max : 1;
    std::uint32_t last = first + 1;
    while (last < count && last - first < limit &&
           (joined || (launches.Get(last)->node() == launches.Get(first)->node() &&
                       launches.Get(last)->framework() == launches.Get(first)->framework()))) {
      ++last;
    }
    const FrameTemplate& form = sized(updates_, last - first, true);
    std::uint8_t* frame = send(peer, form);
    if (!joined) {
      put(frame + form.owners, message.frameworks()->Get(launches.Get(first)->framework()));
    }
    std::uint8_t* record = frame + form.records;
    for (std::uint32_t i = first; i < last; ++i, record += kUpdateBytes) {
      const fb::LaunchEntry& launch = *launches.Get(i);
      const std::uint64_t owner = message.frameworks()->Get(launch.framework());
      const std::uint64_t lo = launch.attempt().lo();
      put(record, launch.attempt().hi());
      put(record + 8, lo);
      put(record + 16, ++update_seq_[std::size_t{launch.node()} * options_.frameworks + owner - 1]);
      put(record + 24, now_ns);
      put(record + 40, launch.node());
      if (options_.hold) {
        put(record + 52, std::uint8_t{2});  // TaskState::running
      } else {
        put(record + 32, now_ns);
        put(record + 44, exit_code_of(lo));
        put(record + 52, std::uint8_t{10});  // TaskState::finished
      }
      put(record + 48, static_cast<std::uint16_t>(joined ? owner - 1 : 0));
    }
    first = last;
  }
}

void LoadCluster::on_offers(Framework& framework, const fb::Offers& message) {
  counts_.offers += message.offers()->size();
  framework.offers_since_request += message.offers()->size();
  for (const fb::OfferEntry* offer : *message.offers()) {
    framework.offers.push_back({fb::OfferRef(offer->slot(), offer->generation()), offer->node()});
  }
}

void LoadCluster::on_rescind(Framework& framework, const fb::Rescind& message) {
  for (const fb::OfferRef* ref : *message.offers()) {
    const auto found = std::find_if(framework.offers.begin(), framework.offers.end(), [&](const OpenOffer& open) {
      return open.ref.slot() == ref->slot() && open.ref.generation() == ref->generation();
    });
    if (found != framework.offers.end()) {
      framework.offers.erase(found);
    }
  }
}

// Its id is one that is under way, it has not ended before, and it ended as its node said.
bool LoadCluster::check_task(std::uint32_t place, Framework& framework, const fb::UpdateEntry& entry) {
  const std::uint64_t lo = entry.attempt().lo();
  const std::uint64_t accept = lo / options_.cpus;
  Flight& flight = framework.flights[accept & (framework.flights.size() - 1)];
  const std::uint64_t bit = 1ULL << (lo % options_.cpus);
  const bool right = entry.attempt().hi() == attempt_hi(place + 1) && flight.accept == accept &&
                     flight.node == entry.node() && (flight.done & bit) == 0 &&
                     (options_.hold ? entry.state() == 2
                                    : entry.state() == 10 && entry.exit_code() == exit_code_of(lo));
  if (!right) {
    broken("task " + to_string(from_fb(entry.attempt())) + " of framework " + std::to_string(place + 1) + " on node " +
           std::to_string(entry.node()) + " is not under way, has ended before, or ended as another: state " +
           std::to_string(entry.state()) + ", exit code " + std::to_string(entry.exit_code()));
    return false;
  }
  flight.done |= bit;
  ++counts_.tasks_checked;
  const std::uint64_t all = tasks_per_accept_ == 64 ? ~0ULL : (1ULL << tasks_per_accept_) - 1;
  if (flight.done == all) {
    flight = {};
    ++counts_.nodes_done;
    --in_flight_;
  }
  return true;
}

void LoadCluster::on_update(Peer& peer, Framework& framework, const fb::Update& message) {
  const auto& entries = *message.entries();
  counts_.updates += entries.size();
  ++counts_.update_frames;
  acks_.clear();
  for (const fb::UpdateEntry* entry : entries) {
    if (!check_task(peer.place - options_.links, framework, *entry)) {
      return;
    }
    if (acks_.empty() || acks_.back().node() != entry->node()) {
      acks_.emplace_back(entry->seq(), entry->node(), std::uint16_t{0}, std::uint16_t{0});
    } else {
      acks_.back() = fb::AckEntry(entry->seq(), entry->node(), 0, 0);
    }
  }
  const FrameTemplate& form = sized(acknowledges_, static_cast<std::uint32_t>(acks_.size()), false);
  std::memcpy(send(peer, form) + form.records, acks_.data(), acks_.size() * kAckBytes);
}

}  // namespace muster::bench
