// How attempts end. Every effect is on record before the update that caused it is acknowledged.
#include <algorithm>

#include "sched/gang/impl.hpp"
#include "wire/base/check.hpp"

namespace muster::gang {
namespace {

constexpr Duration kBackOffFirst = Duration::from_ms(100);
constexpr Duration kBackOffMax = Duration::from_seconds(5);
constexpr Duration kLinesClosed = Duration::from_ms(200);  // after the master has taken an attempt out of a line

}  // namespace

std::optional<GangCore::Impl::Place> GangCore::Impl::find_live(const AttemptId& attempt) {
  Job* job = queue.find(JobId(attempt.hi >> 16U));
  if (job == nullptr) {
    return std::nullopt;
  }
  const auto ordinal = job->elements.indexes().ordinal_of(static_cast<std::uint32_t>(attempt.lo));
  if (!ordinal) {
    return std::nullopt;
  }
  const auto live = job->live.find(*ordinal);
  const auto member = static_cast<std::uint32_t>(attempt.lo >> 32U);
  if (live == job->live.end() || live->second.record.try_number != (attempt.hi & 0xffffU) ||
      member >= live->second.members.size()) {
    return std::nullopt;
  }
  return Place{job, *ordinal, &live->second, member};
}

void GangCore::Impl::on_update(std::span<const client::TaskUpdate> updates, Now now) {
  for (const client::TaskUpdate& update : updates) {
    on_task_update(update, now);
    if (update.seq != 0) {
      if (defect(&GangDefects::acknowledge_before_commit)) {
        link.acknowledge(update.node, update.seq);
      } else {
        defer(OutAck{update.node, update.seq});
      }
    }
  }
}

void GangCore::Impl::on_task_update(const client::TaskUpdate& update, Now now) {
  const auto place = find_live(update.attempt);
  if (!place || is_terminal(place->live->members[place->member].state)) {
    if (!is_terminal(update.state)) {
      // It has ended as far as anybody was told: nothing of it may run.
      link.kill(update.attempt, update.node, {});
    }
    return;
  }
  Member& member = place->live->members[place->member];
  if (!is_terminal(update.state)) {
    if (place->live->members.size() == 1) {
      set_queued(*place->job, *place->live, update.state == TaskState::queued);
      if (update.state == TaskState::queued && place->job->record.held) {
        send_recall({update.attempt});
      }
    }
    if (update.state == TaskState::running && member.state != TaskState::running) {
      on_member_running(*place, update, now);
    }
    // Restated to a new life of the link, maybe with a kill that was lost on the way.
    const bool wanted_dead = place->live->record.cancelled || (place->live->failing && update.state == TaskState::running);
    if (wanted_dead && member.killed_in_life != life) {
      send_kill({update.attempt, false, 0});
    }
    return;
  }
  MemberEnd end;
  end.member = place->member;
  end.state = update.state;
  end.reason = update.reason;
  end.exit_code = update.exit_code;
  end.signal = update.signal;
  end.text = update.text;
  take_report(*place, update, end);
  end_member(*place, end, &update, now);
}

void GangCore::Impl::on_member_running(const Place& place, const client::TaskUpdate& update, Now now) {
  LiveTry& live = *place.live;
  Job& job = *place.job;
  live.members[place.member].state = TaskState::running;
  ++live.running;
  live.cpus[place.member] = update.cpus;
  if (live.record.started.ns() == 0) {
    live.record.started = update.started.ns() != 0 ? update.started : now.wall;
    if (job.first_started.ns() == 0 || live.record.started < job.first_started) {
      job.first_started = live.record.started;
    }
  }
  job.failed_starts = 0;
  if (!job.is_array()) {
    put_live(job, place.ordinal);  // for people who ask after a restart; an array's elements are too many
  }
  touch(job);
}

// `update` is null when the master never took the attempt.
void GangCore::Impl::end_member(const Place& place, const MemberEnd& end, const client::TaskUpdate* update, Now now) {
  LiveTry& live = *place.live;
  Job& job = *place.job;
  Member& member = live.members[place.member];
  if (update != nullptr) {
    if (live.record.started.ns() == 0 && update->started.ns() != 0 && !proves_not_started(end.state)) {
      live.record.started = update->started;
    }
    live.record.ended = std::max(live.record.ended, update->ended);
    live.record.cpu_time_us += update->cpu_time_us;
    live.record.memory_peak_bytes = std::max(live.record.memory_peak_bytes, update->memory_peak_bytes);
    if (!update->cpus.empty()) {
      live.cpus[place.member] = update->cpus;
    }
  }
  member.state = end.state;
  live.ends.push_back(end);
  if (live.ends.size() == live.members.size() || defect(&GangDefects::end_on_first_member)) {
    end_attempt(job, place.ordinal, now);
    return;
  }
  if (is_trouble(end, job.allocation) && !live.failing) {
    live.failing = true;
  }
  put_live(job, place.ordinal);
  touch(job);
  if (live.failing) {
    kill_members(job, place.ordinal, true);
  }
}

void GangCore::Impl::end_attempt(Job& job, std::uint32_t ordinal, Now now) {
  auto node = job.live.extract(ordinal);
  LiveTry& live = node.mapped();
  AttemptRecord& record = live.record;
  if (live.members.size() == 1) {
    set_queued(job, live, false);
    leave_line(pack_attempt(job.id, record.try_number, 0, record.index));
  }
  const TaskReason reason = live.ends.front().reason;
  const bool by_line = reason == TaskReason::recalled || reason == TaskReason::predecessor_ended;
  if (reason == TaskReason::recalled && live.members.front().recalled_in_life == 0) {
    lines_closed_until = now.mono + kLinesClosed;
  }
  const Verdict verdict = judge({.ends = live.ends,
                                 .nodes = record.nodes,
                                 .cancelled = record.cancelled || job.record.cancelled,
                                 .requeue = job.spec().requeue(),
                                 .our_reason = live.our_reason,
                                 .allocation = job.allocation});
  const bool tries_left = record.try_number < kTriesMax;
  record.state = verdict.state;
  record.reason = verdict.reason;
  record.exit_code = verdict.exit_code;
  record.signal = verdict.signal;
  record.ends.clear();
  record.requeued = verdict.again && tries_left;
  if (verdict.again && !tries_left) {
    record.state = JobState::Failed;
    record.reason = "given up after " + std::to_string(record.try_number) + " tries: " + verdict.reason;
  }
  if (record.ended.ns() == 0) {
    record.ended = now.wall;
  }
  for (const std::string& cpus : live.cpus) {
    record.cpus += (record.cpus.empty() ? "" : ";") + cpus;
  }
  put_attempt(record);
  --live_total;
  if (record.requeued) {
    const bool same_id = defect(&GangDefects::reuse_attempt_id);
    job.elements.retry(ordinal, same_id ? record.try_number : record.try_number + 1);
    if (verdict.never_ran) {
      ++job.never_ran[ordinal];
    }
    if (verdict.never_ran && !by_line) {
      back_off(job, verdict.reason, now);
    }
  } else {
    const EndRecord end = end_record_of(job, record);
    job.elements.end(ordinal, end);
    end_element(job, ordinal, record);
    job.failed_starts = 0;
  }
  queue.refresh(job);
  touch(job);
  plan_due = wants_due = true;
  finish_job_if_done(job, now);
}

// What the job remembers of an element's end. Also when it is read back from the store.
void GangCore::Impl::end_element(Job& job, std::uint32_t ordinal, const AttemptRecord& record) {
  job.last_ended = std::max(job.last_ended, record.ended);
  if (record.started.ns() != 0 && (job.first_started.ns() == 0 || record.started < job.first_started)) {
    job.first_started = record.started;
  }
  if (std::pair(record.exit_code, record.signal) > std::pair(job.worst_exit, job.worst_signal)) {
    job.worst_exit = record.exit_code;
    job.worst_signal = record.signal;
  }
  if (record.state != JobState::Completed && job.first_failure.empty()) {
    job.first_failure = (job.is_array() ? "element " + std::to_string(record.index) + ": " : "") + record.reason;
  }
  if (job.details.size() < Job::kDetailsKept) {
    job.details.emplace(ordinal, record);
    keep_report(job, ordinal);
  }
}

void GangCore::Impl::finish_job_if_done(Job& job, Now now) {
  if (job.done || job.elements.pending() > 0 || job.elements.running() > 0) {
    return;
  }
  if (job.last_ended.ns() == 0) {
    job.last_ended = now.wall;
  }
  job.final_state = state_of(job);
  job.done = true;
  put(op::EndJob{job.id, job.final_state, job.last_ended});
  touch(job);
  if (config.done_jobs_kept == 0) {
    answer_watchers(now);  // it drops out of memory at once
  }
  drop_script(job);
  queue.retire(job, config.done_jobs_kept);
}

void GangCore::Impl::kill_members(Job& job, std::uint32_t ordinal, bool only_running) {
  const LiveTry& live = job.live.at(ordinal);
  for (std::uint32_t m = 0; m < live.members.size(); ++m) {
    const Member& member = live.members[m];
    if (!is_terminal(member.state) && (!only_running || member.state == TaskState::running) &&
        member.killed_in_life != life) {
      defer(OutKill{pack_attempt(job.id, live.record.try_number, m, live.record.index), false, 0});
    }
  }
}

void GangCore::Impl::fail_late_gangs(Now now) {
  while (!starts_due.empty() && starts_due.begin()->first <= now.mono) {
    const auto place = find_live(starts_due.begin()->second);
    starts_due.erase(starts_due.begin());
    if (!place || place->live->failing || place->live->running >= place->live->members.size()) {
      continue;
    }
    LiveTry& live = *place->live;
    live.failing = true;
    live.our_reason = "not all nodes of the gang started within " + std::to_string(config.go_silence.ms() / 1000) + " s";
    live.record.reason = live.our_reason;
    put_attempt(live.record);
    kill_members(*place->job, place->ordinal, false);
    touch(*place->job);
  }
}

// The first failed start is tried again at once; repeated ones wait longer and longer.
void GangCore::Impl::back_off(Job& job, const std::string& why, Now now) {
  if (job.failed_starts > 0 && job.failed_at == now.mono) {
    return;  // many attempts of one Accept fail as one
  }
  ++job.failed_starts;
  job.failed_at = now.mono;
  job.last_failed_start = why;
  if (job.failed_starts < 2) {
    return;
  }
  Duration wait = kBackOffFirst;
  for (std::uint32_t i = 2; i < job.failed_starts && wait < kBackOffMax; ++i) {
    wait = wait * 2;
  }
  job.not_before = now.mono + std::min(wait, kBackOffMax);
  retries_due.emplace(job.not_before, job.id);
}

}  // namespace muster::gang
