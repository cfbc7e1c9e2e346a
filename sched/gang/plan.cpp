// Offers → launches. One pass tries the pending jobs in the policy's order and puts elements into the rooms that the
// open offers make; what shares a node goes into one Accept, because an offer is resolved once.
#include <algorithm>

#include "sched/gang/impl.hpp"
#include "wire/base/check.hpp"

namespace muster::gang {
namespace {

constexpr std::size_t kLaunchesPerAccept = 4096;
constexpr std::size_t kSpecBytesPerAccept = 4U << 20U;
constexpr std::size_t kStartsPerPass = 8192;  // users and the master are heard between passes
constexpr Duration kDeclineFilter = Duration::from_ms(1000);

}  // namespace

// One planning pass. Lives within plan().
class GangCore::Impl::Pass {
 public:
  Pass(Impl& gang, Now now) : g_(gang), now_(now) {
    for (const auto& [node, offers] : g_.pool.nodes()) {
      const auto index = static_cast<std::uint32_t>(rooms_.size());
      const client::NodeInfo* info = g_.link.node(node);
      rooms_.push_back({node, offers.total, g_.usable(node), info == nullptr ? Resources{} : info->capacity});
      leader_.push_back(index);
    }
    tallies_.resize(rooms_.size());
  }

  void run() {
    std::vector<GangShape> hopeless;  // shapes that did not fit in this pass
    std::uint32_t tried = 0;
    // Jobs leave the pending set while they are started: take the keys first.
    std::vector<JobId> order;
    const std::uint32_t most = g_.policy->tried_per_pass();
    for (auto it = g_.queue.pending().begin(); it != g_.queue.pending().end() && tried < most; ++it, ++tried) {
      order.push_back(it->job);
    }
    for (const JobId id : order) {
      Job& job = *g_.queue.find(id);
      if (job.startable() == 0 || job.not_before > now_.mono || !job.never_fits.empty()) {
        continue;
      }
      if (std::find(hopeless.begin(), hopeless.end(), job.shape) != hopeless.end()) {
        continue;
      }
      if (!any_room()) {
        first_waiting_ = first_waiting_ == nullptr ? &job : first_waiting_;
        break;  // nothing is left to give
      }
      restrict_to(job);
      const std::uint32_t started = start_elements(job);
      if (first_waiting_ != nullptr && first_waiting_ != &job) {
        first_waiting_->overtaken += started;
      }
      if (is_full()) {
        g_.plan_due = true;
        break;
      }
      if (job.startable() > 0 && g_.live_total < g_.config.running_max) {
        hopeless.push_back(job.shape);
        if (first_waiting_ == nullptr) {
          first_waiting_ = &job;
        }
      }
      if (hopeless.size() >= 64) {
        break;
      }
    }
    waiting_ = std::move(hopeless);
    if (!is_full()) {
      take_back();
    }
    send();
    if (!is_full()) {
      follow(order);
    }
  }

  [[nodiscard]] const Job* first_waiting() const { return first_waiting_; }
  [[nodiscard]] std::span<const GangShape> waiting() const { return waiting_; }
  // It has started as much as a pass may: what is left over may be of use to the next.
  [[nodiscard]] bool is_full() const { return placements_.size() >= kStartsPerPass; }

 private:
  struct Placement {
    Job* job{};
    std::uint32_t ordinal{};
    std::uint32_t try_number{};
    std::vector<Piece> pieces;
  };
  using SpecKey = std::tuple<JobId, std::uint32_t, std::vector<std::uint32_t>>;
  struct Tally {
    std::size_t launches{};
    std::size_t bytes{};
    std::set<SpecKey> specs;
  };

  [[nodiscard]] Resources need_in(const Room& room, const Job& job, const Piece& piece) const {
    return job.shape.need_on(room.whole, piece.ranks, g_.memory_per_cpu);
  }
  // Those behind it take exactly what it has, on whichever node.
  [[nodiscard]] static bool may_have_followers(const Job& job) { return !job.allocation && !job.shape.takes_whole(); }

  [[nodiscard]] bool any_room() const {
    return std::any_of(rooms_.begin(), rooms_.end(), [](const Room& room) { return room.left.cpus_milli > 0; });
  }

  // Nodes reserved for another job are out of reach for those behind it.
  void restrict_to(const Job& job) {
    if (!g_.reservation) {
      return;
    }
    const bool its_own = g_.reservation->job == job.id;
    for (Room& room : rooms_) {
      if (g_.reservation->needs.contains(room.node)) {
        room.usable = g_.usable(room.node) && (its_own || !behind_reserved_) && !full_.contains(room.node);
      }
    }
    behind_reserved_ = behind_reserved_ || its_own;
  }

  std::uint32_t start_elements(Job& job) {
    std::uint32_t started = 0;
    std::uint32_t hint = 0;
    while (job.startable() > 0 && g_.live_total < g_.config.running_max && !is_full()) {
      const auto next = job.elements.peek();
      auto pieces = match(job.shape, g_.memory_per_cpu, rooms_, hint);
      if (!pieces) {
        break;
      }
      if (!take_budget(job, next->try_number, *pieces)) {
        continue;  // those rooms are full for this pass; others may do
      }
      hint = pieces->front().room;
      start(job, *next, std::move(*pieces));
      ++started;
    }
    if (started > 0) {
      job.overtaken = 0;
      g_.queue.refresh(job);
      g_.touch(job);
    }
    return started;
  }

  [[nodiscard]] std::uint32_t leader_of(std::uint32_t room) {
    while (leader_[room] != room) {
      room = leader_[room] = leader_[leader_[room]];
    }
    return room;
  }

  // Joins the rooms' groups if the result stays within what one Accept may carry.
  bool take_budget(const Job& job, std::uint32_t try_number, const std::vector<Piece>& pieces) {
    SpecKey key{job.id, try_number, {}};
    std::set<std::uint32_t> leaders;
    for (const Piece& piece : pieces) {
      std::get<2>(key).push_back(piece.room);
      leaders.insert(leader_of(piece.room));
    }
    std::size_t launches = pieces.size();
    std::size_t bytes = 0;
    bool known = false;
    for (const std::uint32_t leader : leaders) {
      launches += tallies_[leader].launches;
      bytes += tallies_[leader].bytes;
      known = known || tallies_[leader].specs.contains(key);
    }
    const std::size_t spec_bytes = known ? 0 : job.record.spec.size() + 512 + pieces.size() * 32;
    const bool alone = launches == pieces.size();  // a gang may be larger than a frame's share by itself
    if (!alone && (launches > kLaunchesPerAccept || bytes + spec_bytes > kSpecBytesPerAccept)) {
      for (const Piece& piece : pieces) {
        if (tallies_[leader_of(piece.room)].launches > 0) {
          rooms_[piece.room].usable = false;
          full_.insert(rooms_[piece.room].node);
        }
      }
      g_.plan_due = true;
      return false;
    }
    const std::uint32_t first = *leaders.begin();
    for (const std::uint32_t leader : leaders) {
      if (leader != first) {
        leader_[leader] = first;
        tallies_[first].specs.merge(tallies_[leader].specs);
        tallies_[leader] = {};
      }
    }
    tallies_[first].launches = launches;
    tallies_[first].bytes = bytes + spec_bytes;
    tallies_[first].specs.insert(std::move(key));
    return true;
  }

  void start(Job& job, const ArrayState::Startable& element, std::vector<Piece> pieces) {
    job.elements.start(element.ordinal);
    LiveTry& live = job.live[element.ordinal];
    live.record.job = job.id;
    live.record.index = job.elements.indexes().index_of(element.ordinal);
    live.record.try_number = element.try_number;
    live.record.state = JobState::Running;
    live.record.launched = now_.wall;
    live.members.resize(pieces.size());
    live.cpus.resize(pieces.size());
    for (const Piece& piece : pieces) {
      rooms_[piece.room].left -= need_in(rooms_[piece.room], job, piece);
      const client::NodeInfo& node = *g_.link.node(rooms_[piece.room].node);
      live.record.nodes.push_back(node.name);
      live.record.boots.push_back(node.boot);
      live.record.ranks.push_back(piece.ranks);
    }
    ++g_.live_total;
    g_.put_attempt(live.record);
    if (pieces.size() == 1 && may_have_followers(job)) {
      g_.lines.open(pack_attempt(job.id, element.try_number, 0, live.record.index),
                    line_kind(job.uid, job.shape.need(pieces.front().ranks, g_.memory_per_cpu)), live.record.nodes.front());
    }
    placements_.push_back({&job, element.ordinal, element.try_number, std::move(pieces)});
  }

  // Rooms are left: what waits in line behind others may start there.
  void take_back() {
    for (const JobId id : g_.queued_jobs) {
      Job& job = *g_.queue.find(id);
      if (!g_.may_move(job, now_)) {
        continue;
      }
      std::uint64_t pieces = 0;
      const Resources need = job.shape.need(job.shape.ntasks, g_.memory_per_cpu);
      for (const Room& room : rooms_) {
        if (room.usable && (!g_.reservation || !g_.reservation->needs.contains(room.node))) {
          pieces += need.multiples_in(room.left);
        }
      }
      if (pieces > 0) {
        g_.recall_queued(job, pieces);
        waiting_.push_back(job.shape);
      }
    }
  }

  // The first job that waits goes on behind what runs, if that leaves slots of its shape only, and nobody else waits for
  // slots to come free.
  void follow(const std::vector<JobId>& order) {
    const auto waits = [&](JobId id) {
      const Job& job = *g_.queue.find(id);
      return job.startable() > 0 && job.not_before <= now_.mono && job.never_fits.empty();
    };
    const auto first = std::find_if(order.begin(), order.end(), waits);
    if (!g_.config.next_in_line || first == order.end() || g_.reservation || now_.mono < g_.lines_closed_until) {
      return;
    }
    Job& job = *g_.queue.find(*first);
    if (!may_have_followers(job) || job.shape.nodes_max != 1 || job.throttle() < job.elements.size() || job.asked_at > now_.mono - g_.config.line_patience) {
      return;
    }
    const Resources need = job.shape.need(job.shape.ntasks, g_.memory_per_cpu);
    if (std::any_of(rooms_.begin(), rooms_.end(), [&](const Room& room) { return room.usable && need.fits_in(room.left); })) {
      return;  // more than one Accept holds: the next pass goes on
    }
    const LineKind kind = line_kind(job.uid, need);
    AcceptGroup group;
    for (std::size_t queued = 0; queued < Lines::kQueuedMax; ++queued) {
      for (const Lines::Tail& tail : g_.lines.tails(kind, queued)) {
        const client::NodeInfo* node = g_.link.node(tail.node);
        if (node == nullptr || !g_.usable(node->index)) {
          continue;
        }
        if (job.startable() == 0 || g_.live_total >= g_.config.running_max ||
            group.launches.size() >= kLaunchesPerAccept || group.bytes >= kSpecBytesPerAccept) {
          break;
        }
        start_behind(job, need, tail, *node, group);
      }
    }
    if (group.launches.empty()) {
      return;
    }
    g_.queue.refresh(job);
    g_.touch(job);
    OutAccept out;
    out.request.launches = std::move(group.launches);
    out.request.specs = std::move(group.specs);
    g_.defer(std::move(out));
  }

  void start_behind(Job& job, const Resources& need, const Lines::Tail& tail, const client::NodeInfo& node,
                    AcceptGroup& group) {
    const ArrayState::Startable element = *job.elements.peek();
    job.elements.start(element.ordinal);
    LiveTry& live = job.live[element.ordinal];
    live.record.job = job.id;
    live.record.index = job.elements.indexes().index_of(element.ordinal);
    live.record.try_number = element.try_number;
    live.record.state = JobState::Running;
    live.record.launched = now_.wall;
    live.record.nodes = {node.name};
    live.record.boots = {node.boot};
    live.record.ranks = {job.shape.ntasks};
    live.members.resize(1);
    live.cpus.resize(1);
    ++g_.live_total;
    g_.put_attempt(live.record);
    const AttemptId attempt = pack_attempt(job.id, element.try_number, 0, live.record.index);
    g_.lines.append(tail.attempt, attempt);
    g_.set_queued(job, live, true);
    group.launches.push_back({.attempt = attempt,
                              .node = node.index,
                              .index = live.record.index,
                              .ranks = job.shape.ntasks,
                              .spec = spec_of(job, element.ordinal, live, group),
                              .resources = need,
                              .after = tail.attempt});
  }

  [[nodiscard]] std::uint16_t spec_of(const Job& job, std::uint32_t ordinal, const LiveTry& live, AcceptGroup& group) {
    const std::uint32_t try_number = job.try_of_user(ordinal, live.record.try_number);
    const auto [spec, fresh] =
        group.spec_places.emplace(std::tuple(job.id, try_number, live.record.nodes,
                                             job.allocation ? live.record.ranks : std::vector<std::uint32_t>{}),
                                  static_cast<std::uint16_t>(group.specs.size()));
    if (fresh) {
      std::vector<std::string> endpoints;
      for (std::size_t m = 0; job.allocation && m < live.record.nodes.size(); ++m) {
        const client::NodeInfo* node = g_.link.node(live.record.nodes[m]);
        endpoints.push_back(node == nullptr ? std::string() : node->endpoint);
      }
      group.specs.push_back(task_spec_bytes({.job = job.record,
                                             .try_number = try_number,
                                             .nodes = live.record.nodes,
                                             .endpoints = std::move(endpoints),
                                             .ranks = live.record.ranks,
                                             .cluster = g_.config.name,
                                             .default_time_limit = g_.config.default_time_limit}));
      group.bytes += group.specs.back().size();
    }
    return spec->second;
  }

  // One Accept per group of rooms.
  void send() {
    std::map<std::uint32_t, AcceptGroup> groups;
    for (const Placement& placement : placements_) {
      add(placement, groups[leader_of(placement.pieces.front().room)]);
    }
    for (std::uint32_t room = 0; room < rooms_.size(); ++room) {
      if (const auto group = groups.find(leader_of(room)); group != groups.end()) {
        group->second.rooms.push_back(room);
      }
    }
    for (auto& [leader, group] : groups) {
      OutAccept out;
      out.request.launches = std::move(group.launches);
      out.request.specs = std::move(group.specs);
      for (const std::uint32_t room : group.rooms) {
        for (client::Offer& offer : g_.pool.take(rooms_[room].node)) {
          out.request.offers.push_back(offer.id);
          out.offers.push_back(std::move(offer));
        }
      }
      if (g_.defect(&GangDefects::accept_before_commit)) {
        g_.send_accept(out, now_);
      } else {
        g_.defer(std::move(out));
      }
    }
  }

  void add(const Placement& placement, AcceptGroup& group) {
    const Job& job = *placement.job;
    const LiveTry& live = job.live.at(placement.ordinal);
    const std::uint16_t spec = spec_of(job, placement.ordinal, live, group);
    const std::uint32_t gang = placement.pieces.size() > 1 ? ++group.gangs : 0;
    std::uint32_t first_rank = 0;
    for (std::uint32_t m = 0; m < placement.pieces.size(); ++m) {
      const Piece& piece = placement.pieces[m];
      group.launches.push_back(
          {.attempt = pack_attempt(job.id, placement.try_number, m, live.record.index),
           .node = rooms_[piece.room].node,
           .index = live.record.index,
           .first_rank = first_rank,
           .ranks = piece.ranks,
           .gang = gang,
           .member = m,
           .spec = spec,
           .resources = need_in(rooms_[piece.room], job, piece),
           .after = {}});
      first_rank += piece.ranks;
    }
  }

  Impl& g_;
  Now now_;
  std::vector<Room> rooms_;
  std::vector<std::uint32_t> leader_;    // union of rooms that share an Accept
  std::vector<Tally> tallies_;           // by leader
  std::vector<Placement> placements_;
  std::set<NodeIndex> full_;
  std::vector<GangShape> waiting_;
  Job* first_waiting_{};
  bool behind_reserved_{};
};

bool GangCore::Impl::usable(NodeIndex node) const {
  const client::NodeInfo* info = link.node(node);
  return info != nullptr && info->state == fb::NodeState::Up;
}

void GangCore::Impl::plan(Now now) {
  if (!link.connected() || !inventory_known) {
    return;
  }
  pool.expire(now.mono);
  Pass pass(*this, now);
  pass.run();
  if (!pass.is_full()) {
    update_reservation(pass.first_waiting(), now);
    decline_leftovers(pass.waiting(), now);
  }
  wants_due = true;
}

// Offers that no waiting job can use even one rank of go back at once, but for standing ones.
void GangCore::Impl::decline_leftovers(std::span<const GangShape> waiting, Now now) {
  std::vector<OfferId> ids;
  for (const auto& [node, open] : pool.nodes()) {
    if (reservation && reservation->needs.contains(node)) {
      continue;
    }
    const bool of_use = usable(node) && std::any_of(waiting.begin(), waiting.end(), [&](const GangShape& shape) {
      const client::NodeInfo* info = link.node(node);
      return shape.ranks_in(open.total, memory_per_cpu, info == nullptr ? open.total : info->capacity) > 0;
    });
    if (!of_use) {
      for (const client::Offer& offer : open.offers) {
        if (!offer.standing) {
          ids.push_back(offer.id);
        }
      }
    }
  }
  if (ids.empty()) {
    return;
  }
  for (const OfferId& id : ids) {
    pool.remove(id);
  }
  // While something waits, what it could not use must not come back in a circle.
  link.decline(ids, waiting.empty() ? Duration{} : kDeclineFilter);
  filters_set = filters_set || !waiting.empty();
  wants_certain = false;
  (void)now;
}

}  // namespace muster::gang
