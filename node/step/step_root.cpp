// StepCore at the root: steps begin.
#include <algorithm>

#include "node/core/file_pattern.hpp"
#include "node/step/impl.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kStepsMax = 10'000;  // that have not ended

}  // namespace

Result<StepLayout> StepCore::Impl::lay_out_step(const fb::StepSpecT& spec, bool only_free) const {
  LayoutAsk ask;
  for (std::uint32_t member = 0; member < plan.members(); ++member) {
    const std::uint32_t cpus = plan.cpus_on(member);
    const std::uint32_t free = only_free && !spec.overlap ? cpus - std::min(cpus, busy_cpus[member]) : cpus;
    ask.members.push_back({plan.node_of(member), cpus, free, plan.ranks_on(member)});
  }
  ask.ntasks = spec.ntasks;
  ask.nodes_min = spec.nodes_min;
  ask.nodes_max = spec.nodes_max;
  ask.node_list = spec.node_list;
  ask.ntasks_per_node = spec.ntasks_per_node;
  // Shares of a cpu are the job's affair: its ranks lie as they were placed.
  ask.cpus_per_task = plan.spec.cpus_per_rank_milli % 1000 == 0 ? spec.cpus_per_task : 0;
  ask.distribution = spec.distribution;
  ask.overlap = spec.overlap;
  return lay_out(ask);
}

void StepCore::Impl::begin_job(Now now) {
  if (ending) {
    return;
  }
  if (plan.spec.kind == fb::TaskKind::Run && plan.spec.step) {
    add_step(own_step(), LinkId{}, 0, false, now);
  } else if (plan.spec.kind == fb::TaskKind::Batch) {
    begin_batch(now);
  }
}

fb::StepSpecT StepCore::Impl::own_step() const {
  fb::StepSpecT spec = *plan.spec.step;
  if (spec.argv.empty()) {
    spec.argv = plan.spec.argv;
  }
  if (spec.ntasks == 0) {
    spec.ntasks = plan.spec.ntasks;
  }
  if (spec.stdin_path.empty()) {
    spec.stdin_path = plan.spec.stdin_path;
  }
  spec.append_output = plan.spec.append_output || plan.spec.try_number > 1;
  return inherit(spec, plan);
}

// Files that several nodes may write to are emptied before any rank starts.
void StepCore::Impl::truncate_shared(const fb::StepSpecT& spec) {
  if (spec.append_output) {
    return;
  }
  PatternValues values{.job = JobId(plan.spec.job),
                       .is_array = plan.spec.is_array,
                       .index = plan.facts.index,
                       .job_name = plan.spec.name,
                       .user = plan.spec.user,
                       .node_name = plan.facts.node,
                       .node_rank = here()};
  for (const std::string& pattern : {spec.stdout_path, spec.stderr_path}) {
    if (!pattern.empty() && !is_of_one_node(pattern)) {
      out.emplace_back(step_out::Truncate{absolute_path(expand_pattern(pattern, values), spec.working_directory)});
    }
  }
}

// The script is a process of its own on the first node. It takes no cpus from its steps.
void StepCore::Impl::begin_batch(Now now) {
  fb::StepSpecT spec;
  spec.name = "batch";
  spec.argv = plan.spec.argv;
  spec.ntasks = 1;
  spec.cpu_bind = "none";
  spec.mpi = "none";
  spec.overlap = true;
  spec.stdin_path = plan.spec.stdin_path.empty() ? "/dev/null" : plan.spec.stdin_path;
  spec.stdout_path = plan.spec.stdout_path;
  spec.stderr_path = plan.spec.stderr_path;
  spec.append_output = plan.spec.append_output || plan.spec.try_number > 1;
  spec.kill_wait_ms = plan.spec.kill_grace_ms;
  spec.working_directory = plan.spec.working_directory;
  Step& step = steps[kBatchStep];
  step.number = kBatchStep;
  step.spec = std::move(spec);
  step.layout.ntasks = 1;
  step.layout.parts = {{0, {0}}};
  try_start(step, now);
}

std::uint32_t StepCore::Impl::add_step(fb::StepSpecT spec, LinkId requester, std::uint64_t request, bool attached, Now now) {
  const std::uint32_t number = steps_begun++;
  Step& step = steps[number];
  step.number = number;
  step.spec = inherit(spec, plan);
  step.requester = requester;
  step.request = request;
  step.follows_requester = attached;
  if (attached) {
    attach(step, requester);
  }
  try_start(step, now);
  return number;
}

void StepCore::Impl::take_start(LinkId link, const fb::StartStep& start, Now now) {
  const auto no = [&](fb::RefusedCode code, const std::string& subject, const std::string& sentence) {
    refuse(link, start.request(), code, subject, sentence);
  };
  if (ending) {
    no(fb::RefusedCode::Conflict, "job " + plan.job_name_text(), "job " + plan.job_name_text() + " is ending; it starts no more steps");
    return;
  }
  if (joined.size() < plan.members()) {
    no(fb::RefusedCode::Busy, "job " + plan.job_name_text(), "not all nodes of job " + plan.job_name_text() + " are there yet; try again");
    return;
  }
  if (steps.size() >= kStepsMax) {
    no(fb::RefusedCode::Busy, "steps", std::to_string(kStepsMax) + " steps run or wait in job " + plan.job_name_text() + "; try again later");
    return;
  }
  fb::StepSpecT spec;
  start.spec()->UnPackTo(&spec);
  if (spec.argv.empty() || spec.argv.front().empty()) {
    no(fb::RefusedCode::BadRequest, "command", "the step names no command to run");
    return;
  }
  if (auto possible = lay_out_step(inherit(spec, plan), false); !possible) {
    no(fb::RefusedCode::NeverFits, "step", possible.error().text);
    return;
  }
  add_step(std::move(spec), link, start.request(), start.attach(), now);
}

// A step that has to wait for the cpus of others stays pending.
void StepCore::Impl::try_start(Step& step, Now now) {
  if (step.layout.parts.empty()) {
    auto layout = lay_out_step(step.spec, true);
    if (!layout && lay_out_step(step.spec, false)) {
      return;
    }
    if (!layout) {
      fail_step(step, 1, 0, layout.error().text, fb::StepState::Failed, now);
      end_step(step, now);
      return;
    }
    step.layout = *std::move(layout);
  }
  step.state = fb::StepState::Starting;
  step.started = now.wall;
  if (step.spec.time_limit_ms != 0) {
    step.limit_at = now.mono + Duration::from_ms(static_cast<std::int64_t>(step.spec.time_limit_ms));
  }
  for (const auto& part : step.layout.parts) {
    step.unspawned.insert(part.member);
    for (const std::uint32_t rank : part.ranks) {
      step.member_of[rank] = part.member;
    }
    if (step.number != kBatchStep) {
      const std::uint32_t cpus = std::min(plan.cpus_on(part.member),
                                          static_cast<std::uint32_t>(part.ranks.size()) * step.spec.cpus_per_task);
      step.cpus += cpus;
      if (!step.spec.overlap) {
        busy_cpus[part.member] += cpus;
      }
    }
  }
  step.bindings.resize(step.spec.report_bindings ? step.layout.ntasks : 0);
  if (step.number != kBatchStep && !(plan.spec.kind == fb::TaskKind::Run && step.number == 0)) {
    truncate_shared(step.spec);  // the job's own were emptied when its nodes came together
  }
  fb::SpawnStepT spawn;
  spawn.step = step.number;
  spawn.spec = std::make_unique<fb::StepSpecT>(step.spec);
  spawn.layout = std::make_unique<fb::StepLayoutT>(pack_layout(step.layout));
  spawn.collect_output = true;
  flood<fb::SpawnStep>(spawn, now);
}

void StepCore::Impl::start_waiting(Now now) {
  std::vector<std::uint32_t> waiting;
  for (const auto& [number, step] : steps) {
    if (step.state == fb::StepState::Pending) {
      waiting.push_back(number);
    }
  }
  for (const std::uint32_t number : waiting) {
    const auto found = steps.find(number);
    if (found == steps.end() || ending) {
      continue;
    }
    try_start(found->second, now);
    const auto again = steps.find(number);
    if (again != steps.end() && again->second.state == fb::StepState::Pending) {
      return;  // in their order
    }
  }
}

void StepCore::Impl::take_spawned(const fb::StepSpawned& spawned, Now now) {
  if (spawned.step() == kNoStep) {
    if (spawned.member() < plan.members()) {
      member_joined(spawned.member(), now);
    }
    return;
  }
  Step* step = find_step(spawned.step());
  if (step == nullptr || step->unspawned.erase(spawned.member()) == 0) {
    return;
  }
  step->ranks_started += spawned.started();
  if (spawned.bindings() != nullptr && spawned.binding_ranks() != nullptr) {
    for (flatbuffers::uoffset_t i = 0; i < spawned.bindings()->size() && i < spawned.binding_ranks()->size(); ++i) {
      if (spawned.binding_ranks()->Get(i) < step->bindings.size()) {
        step->bindings[spawned.binding_ranks()->Get(i)] = text_of(spawned.bindings()->Get(i));
      }
    }
  }
  if (text_of(spawned.error()) != "") {
    fail_step(*step, spawned.error_code(), 0, "node " + plan.node_of(spawned.member()) + ": " + std::string(text_of(spawned.error())),
              fb::StepState::Failed, now);
  }
  if (!step->unspawned.empty()) {
    return;
  }
  if (step->state == fb::StepState::Starting) {
    step->state = fb::StepState::Running;
  }
  fb::StepStartedT started;
  started.request = step->request;
  started.step = step->number;
  started.ntasks = step->layout.ntasks;
  started.nodes = static_cast<std::uint32_t>(step->layout.parts.size());
  started.bindings = step->bindings;
  const FrameBytes frame = pack<fb::StepStarted>(started);
  if (step->requester != LinkId{} && step->request != 0) {
    send(step->requester, frame);
  }
  for (const LinkId link : step->attached) {
    if (link != step->requester) {
      send(link, frame);
    }
  }
  if (step->ranks_ended == step->ranks_started) {
    end_step(*step, now);
  }
}

void StepCore::Impl::take_signal(LinkId link, const fb::SignalStep& signal, Now now) {
  Step* step = find_step(signal.step());
  if (step == nullptr) {
    refuse(link, signal.request(), fb::RefusedCode::UnknownJob, "step " + std::to_string(signal.step()),
           "step " + std::to_string(signal.step()) + " does not run");
    return;
  }
  const int number = signal.signal() == 0 || signal.signal() > 64 ? 15 : signal.signal();
  fb::DoneT done;
  done.request = signal.request();
  done.count = 1;
  send(link, pack<fb::Done>(done));
  if (!signal.end()) {
    fb::SignalStepT order;
    order.step = step->number;
    order.signal = static_cast<std::uint8_t>(number);
    flood<fb::SignalStep>(order, now);
    return;
  }
  const std::string why(text_of(signal.text()));
  fail_step(*step, 128 + number, number, why.empty() ? "cancelled by its user" : why, fb::StepState::Cancelled, now);
  if (step->state == fb::StepState::Pending) {
    end_step(*step, now);
  }
}

}  // namespace muster::node
