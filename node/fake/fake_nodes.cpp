// FakeNodes: inputs, timers and how tasks end.
#include "node/fake/fake_nodes.hpp"

#include <algorithm>

#include "node/exec/crc32c.hpp"
#include "node/fake/impl.hpp"
#include "wire/base/check.hpp"

namespace muster::node {
namespace {

constexpr std::uint8_t kTerm = 15;

}  // namespace

FakeNodes::Impl::Impl(const FakeConfig& given, const FakeMemory& remembered, Now now)
    : config(given),
      memory(remembered),
      boot(std::max(1U, crc32c(given.boot_id))),
      index(given.nodes, kNoPlace),
      group_of(given.nodes),
      book(given.nodes, given.cpus, given.memory_bytes),
      outbox(given.nodes) {
  check(config.links >= 1 && config.links <= config.nodes, "fake nodes: from one link to one per node");
  // Larger than those of every earlier FakeNodes of these names, without keeping them: the clock has moved on.
  const Incarnation first(static_cast<std::uint64_t>(std::max<std::int64_t>(0, now.wall.ns() / 1'000'000)));
  outbox.start_from(first);
  FakePlace next = 0;
  for (std::uint32_t i = 0; i < config.links; ++i) {
    const std::uint32_t count = config.nodes / config.links + (i < config.nodes % config.links ? 1 : 0);
    groups.push_back({.link = FakeLink({.register_retry = config.register_retry,
                                        .heartbeat = config.heartbeat,
                                        .master_silence = config.master_silence,
                                        .fence = config.fence,
                                        .prepare_silence = config.prepare_silence},
                                       memory.highest_epoch, first, now),
                      .begin = next,
                      .end = next + count,
                      .lanes_due = {},
                      .prepared_due = {}});
    std::fill(group_of.begin() + next, group_of.begin() + next + count, i);
    next += count;
  }
}

FakeNodes::FakeNodes(const FakeConfig& config, const FakeMemory& memory, Now now)
    : impl_(std::make_unique<Impl>(config, memory, now)) {}
FakeNodes::~FakeNodes() = default;

// ---- inputs

void FakeNodes::on_link_up(std::uint32_t link, Now now) {
  Impl::Group& group = impl_->groups[link];
  group.link.transport(true, now);
  impl_->open_life(group, now);
}

void FakeNodes::on_link_down(std::uint32_t link, Now now) { impl_->groups[link].link.transport(false, now); }

void FakeNodes::on_frame(std::uint32_t link, const fb::Frame& frame, Now now) {
  Impl::Group& group = impl_->groups[link];
  switch (group.link.take(frame, now)) {
    case FakeLink::Took::nothing: return;
    case FakeLink::Took::registered: impl_->take_registered(group, *frame.body_as_Registered()); return;
    case FakeLink::Took::message: impl_->take_message(group, frame, now); return;
  }
}

void FakeNodes::on_bad_frame(std::uint32_t link, const FrameError& error, Now now) {
  impl_->groups[link].link.take_bad(error, now);
}

void FakeNodes::on_leaving(Now now) {
  impl_->leaving = true;
  for (Impl::Group& group : impl_->groups) {
    impl_->end_queued(group, TaskReason::drained, now);
    impl_->each_task(group, [&](FakeTask& task) { impl_->end_for(task, TaskReason::drained, kTerm, now); });
  }
}

void FakeNodes::on_timer(Now now) { impl_->run_timers(now); }

Instant FakeNodes::next_timer() const {
  Instant next = Instant::never();
  for (const Impl::Group& group : impl_->groups) {
    next = std::min({next, group.link.next_timer(), group.gather_until});
    if (!group.fence_done && (group.queued > 0 || group.requeueable > 0)) {
      next = std::min(next, group.link.last_contact() + group.link.terms().fence);
    }
  }
  return impl_->due.empty() ? next : std::min(next, impl_->due.top().at);
}

void FakeNodes::flush(Now now, FakeOutputs& out) { impl_->flush(now, out); }

FrameBytes FakeNodes::answer_user(const fb::Frame& frame) const {
  if (frame.body_type() == fb::Body::Heartbeat || frame.body_type() == fb::Body::Refused) {
    return {};
  }
  Refusal refusal;
  refusal.code = fb::RefusedCode::Unsupported;
  const auto about = [&](const auto& question) {
    refusal.request = question.request();
    refusal.subject = "job " + std::to_string(question.job());
    refusal.text = "node " + std::string(text_of(question.node())) + " is simulated: it executes nothing, so " + refusal.subject +
                   " has no output there; for real processes start a cluster with `muster up --nodes`";
  };
  if (const auto* read = frame.body_as_ReadLog()) {
    about(*read);
  } else if (const auto* find = frame.body_as_FindStepd()) {
    about(*find);
  } else {
    refusal.subject = fb::EnumNameBody(frame.body_type());
    refusal.text = "the nodes of this cluster are simulated: nothing runs on them, and nobody can talk to it";
  }
  return refused_frame({}, refusal);
}

FakeMemory FakeNodes::memory() const { return impl_->memory; }

FakeCounts FakeNodes::counts() const {
  FakeCounts counts = impl_->counts;
  counts.unacknowledged = impl_->outbox.pending();
  for (const Impl::Group& group : impl_->groups) {
    counts.registered += group.link.is_up() ? group.end - group.begin : 0;
    counts.queued += group.queued;
  }
  return counts;
}

std::string FakeNodes::status_text() const {
  const FakeCounts counts = this->counts();
  std::string text = std::to_string(counts.registered) + " of " + std::to_string(impl_->config.nodes) +
                     " nodes registered, epoch " + std::to_string(impl_->memory.highest_epoch.value()) + ", " +
                     std::to_string(counts.live) + " tasks (" + std::to_string(counts.queued) + " queued), " +
                     std::to_string(counts.launched) + " launched and " + std::to_string(counts.ended) + " ended so far, " +
                     std::to_string(counts.unacknowledged) + " updates unacknowledged";
  for (const Impl::Group& group : impl_->groups) {
    if (!group.link.refused_text().empty()) {
      return text + "; last refusal: " + group.link.refused_text();
    }
  }
  return text;
}

Status FakeNodes::audit() const {
  if (auto books = impl_->book.audit(); !books) {
    return books;
  }
  std::uint64_t live = 0;
  for (const Impl::Group& group : impl_->groups) {
    std::uint32_t queued = 0;
    std::uint32_t requeueable = 0;
    impl_->each_task(group, [&](const FakeTask& task) {
      live += task.live() ? 1 : 0;
      queued += task.state == TaskState::queued ? 1 : 0;
      requeueable += task.live() && task.requeueable ? 1 : 0;
    });
    if (queued != group.queued || requeueable != group.requeueable) {
      return fail(Errc::conflict, "a link's counts differ from its tasks");
    }
  }
  return live == impl_->counts.live ? Status{} : fail(Errc::conflict, "the count of live tasks differs from the tasks");
}

// ---- timers

// The next life. Its Register leaves with the next flush.
void FakeNodes::Impl::open_life(Group& group, Now now) {
  end_queued(group, TaskReason::recalled, now);  // a line lives no longer than the life it was formed in
  group.link.open(now);
  outbox.start_from(group.link.incarnation());
  group.register_due = true;
  group.gather_until = Instant::never();
  group.lanes_due.clear();
  group.prepared_due.clear();  // the registration names the prepared ones
}

void FakeNodes::Impl::run_timers(Now now) {
  for (Group& group : groups) {
    if (group.link.wants_life(now)) {
      open_life(group, now);
    }
    const bool cut_off = now.mono - group.link.last_contact() >= group.link.terms().fence;
    if (cut_off && !group.fence_done && (group.queued > 0 || group.requeueable > 0)) {
      fence(group, now);
    }
    group.fence_done = cut_off;
  }
  while (!due.empty() && due.top().at <= now.mono) {
    const Due next = due.top();
    due.pop();
    FakeTask* task = book.at(next.task);
    if (task == nullptr || task->deadline != next.at) {
      continue;
    }
    const bool limited = task->time_limit_ms != 0 &&
                         Duration::from_ms(static_cast<std::int64_t>(task->time_limit_ms)) < config.duration;
    if (task->state == TaskState::prepared) {
      finish(*task, {TaskState::not_started, TaskReason::prepare_silence}, now);
    } else if (task->state == TaskState::running && limited) {
      finish(*task, {TaskState::timed_out, TaskReason::time_limit, kTerm}, now);
    } else if (task->state == TaskState::running) {
      finish(*task, {TaskState::finished, TaskReason::none}, now);
    }
  }
}

void FakeNodes::Impl::set_deadline(FakeTask& task, Instant at) {
  task.deadline = at;
  if (at != Instant::never()) {
    due.push({at, book.row_of(task)});
  }
}

// ---- ends

void FakeNodes::Impl::news(FakeTask& task) {
  std::uint32_t fresh = kNoPlace;
  task.seq = outbox.put(task, fresh);
  if (fresh != kNoPlace) {
    group(task).lanes_due.push_back(fresh);
  }
}

void FakeNodes::Impl::finish(FakeTask& task, const End& end, Now now) {
  const bool was_queued = task.state == TaskState::queued;
  book.discharge(task);
  task.state = end.state;
  task.reason = end.reason;
  task.signal = end.signal;
  task.exit_code = end.signal == 0 ? 0 : 128 + end.signal;
  task.ended = now.wall;
  task.deadline = Instant::never();
  --counts.live;
  ++counts.ended;
  Group& of = group(task);
  of.queued -= was_queued ? 1 : 0;
  of.requeueable -= task.requeueable ? 1 : 0;
  news(task);
  leave_line(task, was_queued, now);
}

void FakeNodes::Impl::end_for(FakeTask& task, TaskReason reason, std::uint8_t signal, Now now) {
  if (task.state == TaskState::running) {
    finish(task, {TaskState::killed, reason, signal}, now);
  } else if (task.live()) {
    finish(task, {TaskState::not_started, reason}, now);
  }
}

// What followed it moves up, or starts when it held the place of all of them.
void FakeNodes::Impl::leave_line(FakeTask& task, bool was_queued, Now now) {
  task.ended_in_line = was_queued;
  const AttemptId following = std::exchange(task.successor, AttemptId{});
  FakeTask* next = following == AttemptId{} ? nullptr : book.find({task.key.framework, following});
  if (!was_queued) {
    if (next != nullptr && next->state == TaskState::queued) {
      --group(*next).queued;
      next->after = AttemptId{};
      begin(*next, task.cpus, now);
    }
    return;
  }
  if (FakeTask* before = book.find({task.key.framework, task.after});
      before != nullptr && before->successor == task.key.attempt) {
    before->successor = next != nullptr ? following : AttemptId{};
  }
  if (next != nullptr) {
    next->after = task.after;
  }
}

void FakeNodes::Impl::end_queued(Group& of, TaskReason reason, Now now) {
  if (of.queued == 0) {
    return;
  }
  each_task(of, [&](FakeTask& task) {
    if (task.state == TaskState::queued) {
      finish(task, {TaskState::not_started, reason}, now);
    }
  });
}

// Cut off from every master: what may be started elsewhere must end here.
void FakeNodes::Impl::fence(Group& of, Now now) {
  end_queued(of, TaskReason::fenced, now);
  each_task(of, [&](FakeTask& task) {
    if (task.requeueable) {
      end_for(task, TaskReason::fenced, kTerm, now);
    }
  });
}

}  // namespace muster::node
