// StepCore: users who start, watch and feed steps. Output goes where somebody reads it; before anybody has come it waits in memory.
#include <algorithm>

#include "node/step/impl.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kUnreadMax = 64U << 20U;

}  // namespace

StepCore::Impl::Step* StepCore::Impl::find_step(std::uint32_t number) {
  const auto found = steps.find(number);
  return found == steps.end() ? nullptr : &found->second;
}

bool StepCore::Impl::readers_wait() const {
  return std::any_of(steps.begin(), steps.end(), [](const auto& s) { return s.second.over(); });
}

// Behind the output.
void StepCore::Impl::tell_ended(LinkId link, FrameBytes frame) {
  if (const auto known = links.find(link); known != links.end()) {
    ++known->second.owes;
    send(link, std::move(frame), true);
  }
}

void StepCore::Impl::attach(Step& step, LinkId link) {
  step.attached.insert(link);
  step.was_attached = true;
  for (FrameBytes& frame : step.unread) {
    send(link, std::move(frame), true);
  }
  step.unread.clear();
  step.unread_bytes = 0;
}

void StepCore::Impl::take_attach(LinkId link, const fb::AttachStep& ask, Now now) {
  if (!ask.newest() && ask.step() == kNoStep) {
    holder = link;  // the allocation lasts as long as it does
    fb::StepStartedT held;
    held.request = ask.request();
    held.step = kNoStep;
    send(link, pack<fb::StepStarted>(held));
    return;
  }
  Step* step = nullptr;
  if (!ask.newest()) {
    step = find_step(ask.step());
  } else {
    for (auto& [number, candidate] : steps) {
      if (number != kBatchStep) {
        step = &candidate;
      }
    }
    if (step == nullptr) {
      step = find_step(kBatchStep);
    }
  }
  if (step == nullptr && plan.spec.kind == fb::TaskKind::Run && !ending && rows.empty()) {
    refuse(link, ask.request(), fb::RefusedCode::Busy, "job " + plan.job_name_text(), "the job's ranks are not started yet; try again");
    return;
  }
  if (step == nullptr) {
    refuse(link, ask.request(), fb::RefusedCode::UnknownJob, "job " + plan.job_name_text(),
           ask.newest() ? "no step of job " + plan.job_name_text() + " runs"
                        : "step " + std::to_string(ask.step()) + " of job " + plan.job_name_text() + " does not run");
    return;
  }
  fb::StepStartedT started;
  started.request = ask.request();
  started.step = step->number;
  started.ntasks = step->layout.ntasks;
  started.nodes = static_cast<std::uint32_t>(step->layout.parts.size());
  started.bindings = step->bindings;
  send(link, pack<fb::StepStarted>(started));
  // The job's own step belongs to the first who comes for it: `run` submits, then attaches.
  if (step->requester == LinkId{} && !step->was_attached && plan.spec.kind == fb::TaskKind::Run && step->number == 0) {
    step->requester = link;
    step->follows_requester = plan.spec.step && plan.spec.step->stdout_path.empty();
  }
  attach(*step, link);
  if (step->over()) {
    fb::StepEndedT ended;
    ended.step = step->number;
    ended.state = step->state;
    ended.exit_code = step->worst_code;
    ended.signal = static_cast<std::uint8_t>(step->worst_signal);
    ended.text = step->text;
    tell_ended(link, pack<fb::StepEnded>(ended));
    steps.erase(step->number);
    leave_if_done(now);
  }
}

void StepCore::Impl::detach(LinkId link, Now now) {
  if (link == holder) {
    holder = LinkId{};
    end_job(128 + 1, 1, "the command that held the allocation has gone", now);
  }
  std::vector<std::uint32_t> orphans;
  for (auto& [number, step] : steps) {
    step.attached.erase(link);
    if (step.requester == link) {
      step.requester = LinkId{};
      if (step.follows_requester && !step.over()) {
        orphans.push_back(number);
      }
    }
  }
  for (const std::uint32_t number : orphans) {
    if (Step* step = find_step(number)) {
      fail_step(*step, 128 + 1, 1, "the command that started it has gone", fb::StepState::Cancelled, now);
      if (step->state == fb::StepState::Pending) {
        end_step(*step, now);
      }
    }
  }
}

void StepCore::Impl::take_output(const fb::Frame& frame, Now /*now*/) {
  const auto& output = *frame.body_as_StepOutput();
  if (Step* step = find_step(output.step())) {
    show(*step, output);
  }
}

void StepCore::Impl::show(Step& step, const fb::StepOutput& output) {
  fb::StepOutputT copy;
  output.UnPackTo(&copy);
  FrameBytes frame = pack<fb::StepOutput>(copy);
  if (step.attached.empty()) {
    // Nobody ever came: kept. Everybody has gone: dropped.
    if (!step.was_attached && step.unread_bytes + frame.size() <= kUnreadMax && output.stream() != fb::StepStream::In) {
      step.unread_bytes += frame.size();
      step.unread.push_back(std::move(frame));
    }
    return;
  }
  for (const LinkId link : step.attached) {
    if (output.stream() != fb::StepStream::In || link == step.requester) {
      send(link, frame, true);
    }
  }
}

void StepCore::Impl::take_input(const fb::StepInput& input, Now now) {
  Step* step = find_step(input.step());
  if (step == nullptr || step->over()) {
    return;
  }
  fb::StepInputT copy;
  input.UnPackTo(&copy);
  copy.rank = step->spec.stdin_rank;
  flood<fb::StepInput>(copy, now);
}

void StepCore::Impl::query_steps(LinkId link, const fb::QuerySteps& query) {
  fb::StepListT list;
  list.request = query.request();
  for (const fb::StepRowT& row : rows) {
    list.steps.push_back(std::make_unique<fb::StepRowT>(row));
  }
  for (const auto& [number, step] : steps) {
    if (!step.over()) {
      list.steps.push_back(std::make_unique<fb::StepRowT>(row_of(step)));
    }
  }
  list.more = steps_begun > list.steps.size();
  send(link, pack<fb::StepList>(list));
}

}  // namespace muster::node
