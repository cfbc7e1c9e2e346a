// StepCore at the root: how steps and the job end. What happened first gives the reason and the exit code; what we ended because of
// it counts no more.
#include <algorithm>
#include <array>

#include "node/step/impl.hpp"
#include "wire/model/task_state.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kRowsMax = 1'000;
enum RankFlag : std::uint16_t { kNotFinalized = 1, kAborted = 2, kNeverConnected = 4 };

constexpr std::array<std::string_view, 32> kSignalNames{
    "",        "SIGHUP",  "SIGINT",  "SIGQUIT", "SIGILL",    "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",  "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",   "SIGPIPE", "SIGALRM", "SIGTERM",
    "",        "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",   "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",  "SIGPWR",  "SIGSYS"};

}  // namespace

std::string end_text(std::int32_t exit_code, std::int32_t signal) {
  if (signal == 0) {
    return "exit code " + std::to_string(exit_code);
  }
  std::string text = "signal " + std::to_string(signal);
  if (signal > 0 && static_cast<std::size_t>(signal) < kSignalNames.size() && !kSignalNames[static_cast<std::size_t>(signal)].empty()) {
    text += " (" + std::string(kSignalNames[static_cast<std::size_t>(signal)]) + ")";
  }
  return text;
}

void StepCore::Impl::take_ranks_ended(const fb::StepRanksEnded& ended, Now now) {
  Step* step = find_step(ended.step());
  if (step == nullptr || ended.ends() == nullptr || ended.member() >= plan.members()) {
    return;
  }
  step->memory_peak_bytes = std::max(step->memory_peak_bytes, ended.memory_peak_bytes());
  for (const fb::RankEnded* end : *ended.ends()) {
    ++step->ranks_ended;
    step->cpu_time_us += end->cpu_time_us();
    judge_rank(*step, ended.member(), *end, now);
  }
  if (step->unspawned.empty() && step->ranks_ended >= step->ranks_started) {
    end_step(*step, now);
  }
}

void StepCore::Impl::judge_rank(Step& step, std::uint32_t member, const fb::RankEnded& end, Now now) {
  const bool bad = end.exit_code() != 0 || end.signal() != 0;
  const bool connected = (end.flags() & kNeverConnected) == 0;
  step.any_connected |= connected;
  if (step.stopping) {
    return;  // our doing
  }
  const bool worst = std::pair(end.signal() != 0, end.exit_code()) > std::pair(step.worst_signal != 0, step.worst_code);
  if (worst) {
    step.worst_code = end.exit_code();
    step.worst_signal = end.signal();
  }
  const std::string who = step.number == kBatchStep ? std::string("the script")
                                                    : "rank " + std::to_string(end.rank()) +
                                                          (plan.members() > 1 ? " on node " + plan.node_of(member) : "");
  if (connected && (end.flags() & kNotFinalized) != 0 && !bad) {
    fail_step(step, 1, 0, who + " ended without MPI_Finalize; the other ranks would wait for it for ever", fb::StepState::Failed, now);
    return;
  }
  if (bad) {
    const std::string why = who + ": " + end_text(end.exit_code(), end.signal());
    if (connected || step.spec.kill_on_bad_exit) {
      fail_step(step, end.exit_code(), end.signal(), why, fb::StepState::Failed, now);
      return;
    }
    if (worst && step.number != kBatchStep) {
      step.text = why;
    }
  }
  if (step.spec.wait_ms != 0 && step.others_until == Instant::never()) {
    step.others_until = now.mono + Duration::from_ms(step.spec.wait_ms);
  }
}

void StepCore::Impl::take_abort(const fb::StepAbort& abort, Now now) {
  if (abort.step() == kNoStep) {
    end_job(abort.exit_code(), 0, std::string(text_of(abort.text())), now);
    return;
  }
  if (Step* step = find_step(abort.step())) {
    fail_step(*step, abort.exit_code(), 0, std::string(text_of(abort.text())), fb::StepState::Failed, now);
  }
}

// The first call decides what the step is said to have ended of.
void StepCore::Impl::fail_step(Step& step, std::int32_t code, std::int32_t signal, const std::string& why, fb::StepState as,
                               Now now) {
  if (step.stopping) {
    return;
  }
  step.first_code = code;
  step.first_signal = signal;
  step.text = why;
  step.ended_as = as;
  stop_step(step, signal != 0 && as == fb::StepState::Cancelled ? signal : 15, now);
}

void StepCore::Impl::stop_step(Step& step, int signal, Now now) {
  step.stopping = true;
  step.kill_at = now.mono + Duration::from_ms(step.spec.kill_wait_ms);
  if (step.state == fb::StepState::Pending) {
    return;
  }
  fb::SignalStepT order;
  order.step = step.number;
  order.signal = static_cast<std::uint8_t>(signal);
  flood<fb::SignalStep>(order, now);
}

fb::StepRowT StepCore::Impl::row_of(const Step& step) const {
  fb::StepRowT row;
  row.step = step.number;
  row.name = step.spec.name;
  row.state = step.state;
  row.ntasks = step.layout.ntasks;
  row.nodes = static_cast<std::uint32_t>(step.layout.parts.size());
  row.cpus = step.cpus;
  row.exit_code = step.worst_code;
  row.signal = static_cast<std::uint8_t>(step.worst_signal);
  row.started_ns = step.started.ns();
  row.cpu_time_us = step.cpu_time_us;
  row.memory_peak_bytes = step.memory_peak_bytes;
  row.text = step.text;
  return row;
}

void StepCore::Impl::end_step(Step& step, Now now) {
  const bool asked_for_mpi = step.spec.mpi == "pmix" || step.spec.mpi == "pmi1";
  if (!step.stopping && asked_for_mpi && !step.any_connected && step.layout.ntasks > 1) {
    const std::string hint = "Is it built for another MPI? Open MPI takes pmix, MPICH pmi1";
    if (step.worst_code == 0 && step.worst_signal == 0) {
      step.worst_code = 1;
      step.text = "--mpi=" + step.spec.mpi + " was asked for, and none of the " + std::to_string(step.layout.ntasks) +
                  " ranks spoke it: each was a program by itself. " + hint;
    } else {
      step.text += "; none of the " + std::to_string(step.layout.ntasks) + " ranks had spoken what --mpi=" + step.spec.mpi +
                   " asks for. " + hint;
    }
  }
  if (step.stopping) {
    step.worst_code = step.first_code;
    step.worst_signal = step.first_signal;
  }
  step.state = step.stopping ? step.ended_as
               : step.worst_code == 0 && step.worst_signal == 0 ? fb::StepState::Completed : fb::StepState::Failed;
  fb::StepRowT row = row_of(step);
  row.ended_ns = now.wall.ns();
  rows.push_back(std::move(row));
  if (rows.size() > kRowsMax) {
    rows.pop_front();
  }
  fb::StepEndedT ended;
  ended.step = step.number;
  ended.state = step.state;
  ended.exit_code = step.worst_code;
  ended.signal = static_cast<std::uint8_t>(step.worst_signal);
  ended.text = step.text;
  const FrameBytes frame = pack<fb::StepEnded>(ended);
  std::set<LinkId> told = step.attached;
  if (step.requester != LinkId{}) {
    told.insert(step.requester);
  }
  for (const LinkId link : told) {
    tell_ended(link, frame);
  }
  if (!step.spec.overlap && !step.layout.parts.empty()) {
    for (const auto& part : step.layout.parts) {
      const std::uint32_t cpus = std::min(plan.cpus_on(part.member),
                                          static_cast<std::uint32_t>(part.ranks.size()) * step.spec.cpus_per_task);
      busy_cpus[part.member] -= std::min(busy_cpus[part.member], cpus);
    }
  }
  const bool was_job = step.number == kBatchStep || (plan.spec.kind == fb::TaskKind::Run && step.number == 0);
  const std::int32_t code = step.worst_code;
  const std::int32_t signal = step.worst_signal;
  const std::string why = step.text;
  if (was_job && !step.unread.empty() && !step.was_attached) {
    leave_by = now.mono + times.attach;  // somebody may be on the way to read
    step.unspawned.clear();
  } else {
    steps.erase(step.number);
  }
  if (was_job) {
    end_job(code, signal, why, now);
  } else {
    start_waiting(now);
    leave_if_done(now);
  }
}

void StepCore::Impl::end_job(std::int32_t code, std::int32_t signal, const std::string& why, Now now) {
  if (!ending) {
    ending = true;
    exit_code = code;
    exit_signal = signal;
    text = why;
  }
  std::vector<std::uint32_t> open;
  for (auto& [number, step] : steps) {
    if (!step.over()) {
      open.push_back(number);
    }
  }
  for (const std::uint32_t number : open) {
    Step* step = find_step(number);
    if (step == nullptr) {
      continue;
    }
    fail_step(*step, 128 + 15, 15, why.empty() ? "the job has ended" : why, fb::StepState::Cancelled, now);
    if (step->state == fb::StepState::Pending) {
      end_step(*step, now);
    }
  }
  leave_if_done(now);
}

void StepCore::Impl::step_timers(Now now) {
  std::vector<std::uint32_t> numbers;
  for (const auto& [number, step] : steps) {
    numbers.push_back(number);
  }
  for (const std::uint32_t number : numbers) {
    Step* step = find_step(number);
    if (step == nullptr || step->over()) {
      continue;
    }
    if (now.mono >= step->limit_at) {
      step->limit_at = Instant::never();
      fail_step(*step, 128 + 15, 15, "the step's time limit has passed", fb::StepState::Timeout, now);
    }
    if (now.mono >= step->others_until) {
      step->others_until = Instant::never();
      fail_step(*step, step->worst_code == 0 ? 1 : step->worst_code, step->worst_signal,
                "the first rank ended, and others did not within --wait", fb::StepState::Failed, now);
    }
    if (now.mono >= step->kill_at) {
      step->kill_at = now.mono + Duration::from_seconds(1);  // until they are gone
      fb::SignalStepT order;
      order.step = step->number;
      order.signal = 9;
      flood<fb::SignalStep>(order, now);
      if (ending && child_heard.size() < children_of(here(), plan.members()).size() && !locals.contains(number)) {
        end_step(*step, now);  // who can't answer any more is not waited for: its node ends what is its
      }
    }
  }
}

FrameBytes StepCore::Impl::report() const {
  fb::StepReportT report;
  report.text = text;
  report.exit_code = exit_code;
  report.signal = static_cast<std::uint8_t>(exit_signal);
  report.cancelled = cancelled;
  for (const fb::StepRowT& row : rows) {
    report.steps.push_back(std::make_unique<fb::StepRowT>(row));
  }
  report.steps_total = steps_begun;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::StepReport::Pack(builder, &report));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

// Nothing runs here any more, and whoever reads has what there is.
void StepCore::Impl::leave_if_done(Now now) {
  if (!ending || finished || !locals.empty()) {
    return;
  }
  const bool steps_open = std::any_of(steps.begin(), steps.end(), [](const auto& s) { return !s.second.over(); });
  if (is_root() && steps_open) {
    return;
  }
  if (is_root() && !told_children) {
    told_children = true;
    fb::FinishJobT finish;
    finish.exit_code = exit_code;
    finish.text = text;
    pass_down(pack<fb::FinishJob>(finish));
  }
  if (is_root() && readers_wait() && now.mono < leave_by) {
    return;
  }
  ended_at = std::min(ended_at, now.mono);
  Instant wait_until = Instant::from_ns(0);
  for (const auto& [link, who] : links) {
    if (who.owes != 0) {
      wait_until = std::max(wait_until, ended_at + (who.role == fb::StepRole::User ? times.read_out : times.confirm));
    }
  }
  if (now.mono < wait_until) {
    return;  // looked at again with the next heartbeat
  }
  finished = true;
  out.emplace_back(step_out::Finish{exit_code, report()});
}

}  // namespace muster::node
