// The harness itself (see harness.hpp); named *_test.cpp so that the build takes it.
#include "tests/sched/gang/harness.hpp"
#include "wire/schema/offer_flags.hpp"

#include <algorithm>

namespace muster::gang::test {

// ---- MemoryStore

void MemoryStore::commit(const StoreBatch& batch) {
  REQUIRE(batch.number == ++batches);
  for (const StoreOp& op : batch.ops) {
    if (const auto* put = std::get_if<op::PutJob>(&op)) {
      jobs_[put->job.job.value()].job = put->job;
    } else if (const auto* attempt = std::get_if<op::PutAttempt>(&op)) {
      auto& list = jobs_.at(attempt->attempt.job.value()).attempts;
      const auto key = [](const AttemptRecord& a) { return std::pair(a.index, a.try_number); };
      const auto place = std::lower_bound(list.begin(), list.end(), attempt->attempt,
                                          [&](const auto& a, const auto& b) { return key(a) < key(b); });
      if (place != list.end() && key(*place) == key(attempt->attempt)) {
        const bool ended = place->state >= JobState::Completed && !place->requeued;
        INFO("an attempt's end is recorded once");
        REQUIRE_FALSE((ended && place->state != attempt->attempt.state));
        *place = attempt->attempt;
      } else {
        list.insert(place, attempt->attempt);
      }
    } else if (const auto* held = std::get_if<op::SetHeld>(&op)) {
      jobs_.at(held->job.value()).job.held = held->held;
    } else if (const auto* cancelled = std::get_if<op::SetCancelled>(&op)) {
      jobs_.at(cancelled->job.value()).job.cancelled = true;
    } else if (const auto* range = std::get_if<op::EndElements>(&op)) {
      jobs_.at(range->job.value()).ended_elements.push_back(*range);
    } else if (const auto* end = std::get_if<op::EndJob>(&op)) {
      LoadedJob& job = jobs_.at(end->job.value());
      REQUIRE(job.state == JobState::Pending);  // one recorded end
      job.state = end->state;
      job.ended = end->ended;
    }
  }
}

LoadedState MemoryStore::load() const {
  LoadedState state;
  for (const auto& [id, job] : jobs_) {
    state.next_job = id + 1;
    state.jobs.push_back(job);
  }
  return state;
}

const LoadedJob* MemoryStore::job(std::uint64_t id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

// ---- ScriptedMaster

ScriptedMaster::ScriptedMaster(std::vector<Node> nodes) : nodes_(std::move(nodes)) {}

std::vector<FrameBytes> ScriptedMaster::take_output() { return std::exchange(out_, {}); }

Resources ScriptedMaster::free_of(std::uint32_t node) const {
  Resources free = nodes_[node].capacity;
  for (const auto& [id, task] : tasks) {
    if (task.node == node && !is_terminal(task.state) && task.state != TaskState::queued) {
      free -= task.resources;
    }
  }
  for (const auto& [id, offer] : offers_) {
    if (offer.node == node) {
      free -= offer.resources;
    }
  }
  return free;
}

void ScriptedMaster::take(const FrameBytes& bytes) {
  const auto frame = verify_frame(bytes);
  REQUIRE(frame.has_value());
  const fb::Frame& f = **frame;
  if (f.body_type() == fb::Body::Subscribe && f.incarnation() > incarnation_) {
    incarnation_ = f.incarnation();
    sent_ = received_ = 0;
  } else if (f.incarnation() != incarnation_) {
    return;
  }
  REQUIRE(f.sequence() == received_ + 1);
  received_ = f.sequence();
  switch (f.body_type()) {
    case fb::Body::Subscribe: subscribe(*f.body_as_Subscribe()); break;
    case fb::Body::Request: {
      const std::unique_ptr<fb::RequestT> request(f.body_as_Request()->UnPack());
      wants.clear();
      for (const auto& want : request->wants) {
        wants.push_back(*want);
      }
      REQUIRE(wants.size() <= 64);
      break;
    }
    case fb::Body::Accept: accept(*f.body_as_Accept()); break;
    case fb::Body::Decline:
      for (const auto* ref : *f.body_as_Decline()->offers()) {
        declined += offers_.erase(from_fb(*ref));
      }
      break;
    case fb::Body::Hold: held += f.body_as_Hold()->offers()->size(); break;
    case fb::Body::Kill:
      if (!f.body_as_Kill()->only_signal()) {
        for (const auto* ref : *f.body_as_Kill()->attempts()) {
          const AttemptId id = from_fb(ref->attempt());
          kills.push_back(id);
          if (const auto task = tasks.find(id); task != tasks.end() && !is_terminal(task->second.state)) {
            if (task->second.state == TaskState::queued) {
              end_task(id, TaskState::not_started, 0, TaskReason::kill_requested);
            } else {
              end_task(id, TaskState::killed, 143, TaskReason::kill_requested, 15);
            }
          }
        }
      }
      break;
    case fb::Body::Recall:
      for (const auto* ref : *f.body_as_Recall()->attempts()) {
        const AttemptId id = from_fb(ref->attempt());
        recalls.push_back(id);
        if (const auto task = tasks.find(id);
            !deaf_to_recalls && task != tasks.end() && task->second.state == TaskState::queued) {
          end_task(id, TaskState::not_started, 0, TaskReason::recalled);
        }
      }
      break;
    case fb::Body::Acknowledge:
      for (const auto* entry : *f.body_as_Acknowledge()->entries()) {
        std::erase_if(tasks, [&](const auto& item) {
          const Task& task = item.second;
          return task.node == entry->node() && task.seq <= entry->seq() && task.seq != 0 && is_terminal(task.state);
        });
      }
      break;
    case fb::Body::Reconcile: {
      const auto& names = *f.body_as_Reconcile()->node_names();
      for (const auto* live : *f.body_as_Reconcile()->live()) {
        answer_live(*live, names.Get(live->node_name())->str());
      }
      break;
    }
    default: break;
  }
  if (auto_offer) {
    offer();
  }
}

void ScriptedMaster::subscribe(const fb::Subscribe& subscribe) {
  offers_.clear();
  wants.clear();
  fb::SubscribedT done;
  done.framework = subscribe.framework();
  done.settled = true;
  done.lease_ms = 10'000;
  out_.push_back(pack_frame<fb::Subscribed>(head(), done));
  fb::InventoryT inventory;
  inventory.full = true;
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    auto node = std::make_unique<fb::InventoryNodeT>();
    node->node = i;
    node->name = nodes_[i].name;
    node->state = nodes_[i].state;
    node->capacity = std::make_unique<fb::ShapeT>(to_shape_object(nodes_[i].capacity));
    node->endpoint = "ipc:///nowhere/" + nodes_[i].name;
    inventory.nodes.push_back(std::move(node));
  }
  out_.push_back(pack_frame<fb::Inventory>(head(), inventory));
  restated.clear();
  if (subscribe.live() != nullptr) {
    for (const auto* live : *subscribe.live()) {
      answer_live(*live, subscribe.node_names()->Get(live->node_name())->str());
    }
  }
  resend_unacknowledged();
}

void ScriptedMaster::resend_unacknowledged() {
  for (const auto& [id, task] : tasks) {
    if (task.seq != 0 && !restated.contains(id)) {
      update(id, false);
    }
  }
}

void ScriptedMaster::answer_live(const fb::LiveTask& live, const std::string& node) {
  const AttemptId id = from_fb(live.attempt());
  restated.insert(id);
  const auto task = tasks.find(id);
  if (task != tasks.end()) {
    update(id, task->second.seq == 0);
    return;
  }
  const auto place = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.name == node; });
  REQUIRE(place != nodes_.end());
  fb::UpdateT body;
  const bool lost = place->state == fb::NodeState::Lost;
  body.entries.emplace_back(to_fb(id), 0, 0, 0, static_cast<std::uint32_t>(place - nodes_.begin()), 0, 0, 0,
                            static_cast<std::uint8_t>(lost ? TaskState::lost : TaskState::not_started),
                            static_cast<std::uint8_t>(lost ? TaskReason::node_lost : TaskReason::never_seen), 0, 0);
  out_.push_back(pack_frame<fb::Update>(head(), body));
}

void ScriptedMaster::accept(const fb::Accept& accept) {
  ++accepts;
  fb::AcceptedT answer;
  answer.accept = accept.accept();
  std::map<std::uint32_t, Resources> have;
  std::vector<AttemptId> out_of_line;
  for (const auto* ref : *accept.offers()) {
    const auto offer = offers_.find(from_fb(*ref));
    if (offer == offers_.end()) {
      answer.code = fb::RefusedCode::OfferGone;
      answer.gone.push_back(*ref);
    } else {
      have[offer->second.node] += offer->second.resources;
    }
  }
  if (refuse_next_ != fb::RefusedCode::None) {
    answer.code = std::exchange(refuse_next_, fb::RefusedCode::None);
    answer.text = "scripted";
  }
  if (answer.code == fb::RefusedCode::None) {
    largest_accept = std::max<std::size_t>(largest_accept, accept.launches()->size());
    for (const auto* launch : *accept.launches()) {
      const AttemptId id = from_fb(launch->attempt());
      INFO("an attempt is launched once: " << to_string(id));
      REQUIRE(++launched[id] == 1);
      Task task;
      task.node = launch->node();
      task.resources = *from_fb(*accept.shapes()->Get(launch->shape()));
      if (launch->after() == 0) {
        REQUIRE(task.resources.fits_in(have[task.node]));
        have[task.node] -= task.resources;
      }
      task.index = launch->index();
      task.gang = launch->gang();
      task.ranks = launch->ranks();
      task.first_rank = launch->first_rank();
      const auto* data = accept.specs()->Get(launch->spec())->data();
      task.spec.assign(data->begin(), data->end());
      const Task& row = tasks.emplace(id, std::move(task)).first->second;
      if (launch->after() != 0) {
        const AttemptId after = from_fb(*accept.predecessors()->Get(launch->after() - 1U));
        if (const auto before = tasks.find(after); before != tasks.end()) {
          REQUIRE(before->second.node == row.node);
          REQUIRE(before->second.resources == row.resources);
        }
        if (!put_in_line(id, after)) {
          out_of_line.push_back(id);
        }
      }
    }
    for (const auto* ref : *accept.offers()) {
      offers_.erase(from_fb(*ref));
    }
  }
  out_.push_back(pack_frame<fb::Accepted>(head(), answer));
  for (const AttemptId& id : out_of_line) {
    update(id, true);
    tasks.erase(id);
  }
  if (answer.code == fb::RefusedCode::None && auto_run) {
    for (const auto* launch : *accept.launches()) {
      const auto task = tasks.find(from_fb(launch->attempt()));
      if (task != tasks.end() && task->second.state == TaskState::launching) {
        run_task(task->first);
      }
    }
  }
}

// False, with its end in the row, when there is nobody to follow.
bool ScriptedMaster::put_in_line(const AttemptId& id, const AttemptId& after) {
  Task& task = tasks.at(id);
  const auto before = tasks.find(after);
  if (before == tasks.end() || is_terminal(before->second.state)) {
    task.state = TaskState::not_started;
    task.reason = TaskReason::predecessor_ended;
    return false;
  }
  for (const auto& [other, row] : tasks) {
    INFO("two attempts follow " << to_string(after));
    REQUIRE((row.state != TaskState::queued || row.after != after));
  }
  task.state = TaskState::queued;
  task.after = after;
  ++queued;
  return true;
}

void ScriptedMaster::move_up(const AttemptId& ended, const AttemptId& after, bool was_queued) {
  for (auto& [id, row] : tasks) {
    if (row.state == TaskState::queued && row.after == ended) {
      row.after = was_queued ? after : AttemptId{};
      if (!was_queued) {
        row.state = TaskState::launching;
        if (auto_run) {
          run_task(id);
        }
      }
      return;
    }
  }
}

void ScriptedMaster::update(const AttemptId& id, bool masters_word) {
  const Task& task = tasks.at(id);
  fb::UpdateT body;
  auto detail = std::make_unique<fb::UpdateDetailT>();
  detail->cpus = "0-" + std::to_string(task.ranks - 1);
  detail->text = task.text;
  detail->report = task.report;
  body.details.push_back(std::move(detail));
  body.entries.emplace_back(to_fb(id), masters_word ? 0 : task.seq, task.state == TaskState::launching ? 0 : 1'000'000'000,
                            is_terminal(task.state) ? 2'000'000'000 : 0, task.node, task.exit_code, 0, 1,
                            static_cast<std::uint8_t>(task.state), static_cast<std::uint8_t>(task.reason),
                            static_cast<std::uint8_t>(task.signal), 0);
  out_.push_back(pack_frame<fb::Update>(head(), body));
}

void ScriptedMaster::run_task(const AttemptId& id) {
  Task& task = tasks.at(id);
  task.state = TaskState::running;
  task.seq = ++node_seq_[task.node];
  update(id, false);
}

void ScriptedMaster::end_task(const AttemptId& id, TaskState state, int exit_code, TaskReason reason, int signal) {
  Task& task = tasks.at(id);
  REQUIRE_FALSE(is_terminal(task.state));
  const bool was_queued = task.state == TaskState::queued;
  task.state = state;
  task.exit_code = exit_code;
  task.reason = reason;
  task.signal = signal;
  task.seq = ++node_seq_[task.node];
  update(id, false);
  move_up(id, task.after, was_queued);
  if (auto_offer) {
    offer();
  }
}

void ScriptedMaster::offer() {
  if (wants.empty() || incarnation_ == 0) {
    return;
  }
  flatbuffers::FlatBufferBuilder builder;
  ShapeTable shapes;
  std::vector<fb::OfferEntry> entries;
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    Resources free = free_of(n);
    const auto shape_of_want = [](const fb::WantedShapeT& want) {
      Resources shape;
      shape.cpus_milli = want.shape->amounts->cpus_milli();
      shape.memory_bytes = want.shape->amounts->memory_bytes();
      return shape;
    };
    const auto want = std::find_if(wants.begin(), wants.end(), [&](const fb::WantedShapeT& w) {
      return shape_of_want(w).fits_in(free) &&
             (w.nodes.empty() || std::find(w.nodes.begin(), w.nodes.end(), n) != w.nodes.end());
    });
    if (want == wants.end() || nodes_[n].state != fb::NodeState::Up) {
      continue;
    }
    // What is offered is wanted no more, unless the want stands.
    const std::uint16_t flags = want->standing ? kStandingOffer : 0;
    if (!want->standing) {
      const auto pieces = std::min<std::uint64_t>(want->count, shape_of_want(*want).multiples_in(free));
      want->count -= static_cast<std::uint32_t>(pieces);
      if (want->count == 0) {
        wants.erase(want);
      }
    }
    const OfferId id{next_offer_++, 1};
    entries.emplace_back(id.slot, id.generation, n, 10'000, shapes.place_of(free), flags, 0);
    offers_.emplace(id, OpenOffer{n, std::move(free)});
  }
  if (entries.empty()) {
    return;
  }
  const auto list = builder.CreateVectorOfStructs(entries);
  const auto shape_list = shapes.build(builder);
  out_.push_back(finish_frame(builder, head(), fb::CreateOffers(builder, list, shape_list)));
}

void ScriptedMaster::rescind_all() {
  fb::RescindT body;
  body.reason = fb::RescindReason::LeaseEnded;
  for (const auto& [id, offer] : offers_) {
    body.offers.push_back(to_fb(id));
  }
  offers_.clear();
  out_.push_back(pack_frame<fb::Rescind>(head(), body));
}

void ScriptedMaster::new_epoch() {
  ++epoch;
  incarnation_ = 0;
  offers_.clear();
  wants.clear();
  out_.clear();
}

// ---- Cluster

GangConfig Cluster::default_config() {
  GangConfig config;
  config.framework = FrameworkId(7);
  config.seed = 42;
  config.owner_uid = 1000;
  config.standing_pieces = 0;
  config.next_in_line = false;  // but where it is what a case is about
  return config;
}

Cluster::Cluster(std::vector<ScriptedMaster::Node> nodes, GangConfig c) : config(std::move(c)), master(std::move(nodes)) {
  now_ = {Instant::from_ns(1'000'000'000), WallTime::from_ns(1'700'000'000'000'000'000)};
  start();
}

void Cluster::start() {
  config.first_incarnation = Incarnation(incarnation << 32U);
  ++incarnation;
  core = std::make_unique<GangCore>(config, store.load(), now_, defects);
  core->on_master_link_up(now_);
}

void Cluster::crash() {
  core.reset();
  waiting.reset();
  store.batches = 0;
  (void)master.take_output();
  start();
}

bool Cluster::step() {
  bool moved = false;
  if (waiting && !hold_commits) {
    store.commit(*waiting);
    const std::uint64_t number = waiting->number;
    waiting.reset();
    core->on_stored(number, now_);
    moved = true;
  }
  for (const FrameBytes& bytes : master.take_output()) {
    core->on_master_frame(**verify_frame(bytes), now_);
    moved = true;
  }
  GangOutputs out;
  core->flush(now_, out);
  if (out.store) {
    REQUIRE_FALSE(waiting.has_value());
    waiting = std::move(out.store);
    moved = true;
  }
  for (FrameBytes& frame : out.to_master) {
    master.take(frame);
    moved = true;
  }
  last_to_master = std::move(out.to_master);
  for (UserFrame& frame : out.to_users) {
    answers.push_back(std::move(frame.bytes));
    moved = true;
  }
  const Status audit = core->audit();
  INFO((audit ? std::string() : audit.error().text));
  REQUIRE(audit.has_value());
  if (++steps == crash_after) {
    if (!lose_commit_in_flight && waiting) {
      store.commit(*waiting);  // the disk had it, the core never heard
    }
    crash();
    return true;
  }
  return moved;
}

void Cluster::pump(int rounds) {
  for (int i = 0; i < rounds && step(); ++i) {
  }
}

void Cluster::advance(Duration d) {
  const Instant until = now_.mono + d;
  while (now_.mono < until) {
    const Instant next = std::min(std::max(core->next_timer(), now_.mono + Duration::from_ms(1)), until);
    now_.wall = WallTime::from_ns(now_.wall.ns() + (next - now_.mono).ns());
    now_.mono = next;
    core->on_timer(now_);
    pump();
  }
}

std::uint64_t Cluster::submit(const fb::JobSpecT& job, std::uint64_t key, std::uint32_t uid) {
  const fb::Frame* frame = ask(submit_frame(job, 1, key), uid);
  REQUIRE(frame != nullptr);
  if (const auto* refused = frame->body_as_Refused()) {
    FAIL("refused: " << text_of(refused->text()));
  }
  return frame->body_as_Submitted()->job();
}

const fb::Frame* Cluster::ask(const FrameBytes& frame, std::uint32_t uid) {
  answers.clear();
  core->on_user_frame(LinkId(5), Peer{true, uid, 1}, **verify_frame(frame), now_);
  pump();
  return answers.empty() ? nullptr : *verify_frame(answers.back());
}

fb::JobRowT Cluster::row(std::uint64_t job, bool details) {
  fb::QueryJobsT query;
  query.request = 9;
  query.jobs = {job};
  query.details = details;
  query.elements_limit = 10'000;
  const fb::Frame* frame = ask(pack_frame<fb::QueryJobs>(FrameHead{}, query));
  REQUIRE(frame != nullptr);
  const std::unique_ptr<fb::JobListT> list(frame->body_as_JobList()->UnPack());
  REQUIRE(list->jobs.size() == 1);
  return *list->jobs.front();
}

fb::JobSpecT spec(std::uint32_t ntasks) {
  fb::JobSpecT spec;
  spec.name = "job";
  spec.argv = {"/bin/true"};
  spec.user = "someone";
  spec.working_directory = "/";
  spec.ntasks = ntasks;
  return spec;
}

std::vector<ScriptedMaster::Node> two_nodes() {
  return {{"n1", *parse_resources("cpus=4;mem=4G"), fb::NodeState::Up},
          {"n2", *parse_resources("cpus=4;mem=4G"), fb::NodeState::Up}};
}

FrameBytes submit_frame(const fb::JobSpecT& job, std::uint64_t request, std::uint64_t key) {
  fb::SubmitT submit;
  submit.request = request;
  submit.deadline_ms = 10'000;
  submit.key_hi = submit.key_lo = key;
  submit.spec = std::make_unique<fb::JobSpecT>(job);
  return pack_frame<fb::Submit>(FrameHead{}, submit);
}

FrameBytes cancel_frame(std::uint64_t job, std::uint32_t first, std::uint32_t last, int signal) {
  fb::CancelT cancel;
  cancel.request = 2;
  auto range = std::make_unique<fb::JobRangeT>();
  range->job = job;
  range->first = first;
  range->last = last;
  cancel.jobs.push_back(std::move(range));
  cancel.signal = static_cast<std::uint8_t>(signal);
  return pack_frame<fb::Cancel>(FrameHead{}, cancel);
}

void set_array(fb::JobSpecT& spec, std::uint32_t first, std::uint32_t last, std::uint32_t throttle) {
  spec.array = {fb::IndexRange(first, last, 1)};
  spec.array_throttle = throttle;
}

}  // namespace muster::gang::test
