// StepCore on every member: the ranks of this node.
#include <algorithm>

#include "node/core/file_pattern.hpp"
#include "node/core/spawn_plan.hpp"
#include "node/step/impl.hpp"
#include "node/step/rank_binding.hpp"
#include "node/step/step_environment.hpp"

namespace muster::node {
namespace {

constexpr std::uint64_t kInputWaitingMax = 8U << 20U;  // bytes that a rank may leave unread before more are dropped

std::vector<PmiKind> pmi_of(const fb::StepSpecT& spec, std::uint32_t ntasks) {
  if (spec.mpi == "pmix") {
    return {PmiKind::pmix};
  }
  if (spec.mpi == "pmi1") {
    return {PmiKind::pmi1};
  }
  if (spec.mpi == "none" || ntasks < 2) {
    return {};
  }
  return {PmiKind::pmix, PmiKind::pmi1};
}

}  // namespace

bool is_of_one_node(const std::string& pattern) {
  return names_rank(pattern) || pattern.find("%n") != std::string::npos || pattern.find("%N") != std::string::npos;
}

void StepCore::Impl::take_spawn(const fb::SpawnStep& spawn, Now now) {
  fb::StepLayoutT packed;
  spawn.layout()->UnPackTo(&packed);
  auto layout = read_layout(packed);
  if (!layout || layout->part_of(here()) == nullptr || locals.contains(spawn.step())) {
    return;  // not of this node
  }
  Local& local = locals[spawn.step()];
  spawn.spec()->UnPackTo(&local.spec);
  local.layout = *std::move(layout);
  local.collect_output = spawn.collect_output();
  local.pmi = pmi_of(local.spec, local.layout.ntasks);
  const auto* part = local.layout.part_of(here());
  local.place = static_cast<std::uint32_t>(part - local.layout.parts.data());
  for (const std::uint32_t rank : part->ranks) {
    local.ranks[rank] = {};
  }
  local.unanswered = static_cast<std::uint32_t>(local.ranks.size());
  start_ranks(spawn.step(), local, now);
}

void StepCore::Impl::start_ranks(std::uint32_t number, Local& local, Now now) {
  const bool batch = number == kBatchStep;
  const auto* part = local.layout.part_of(here());
  const auto count = static_cast<std::uint32_t>(part->ranks.size());
  // The cpus that fewest steps use, in their order.
  const std::uint32_t total = static_cast<std::uint32_t>(plan.facts.cpus.size());
  const std::uint32_t wanted = batch || local.spec.overlap ? total : std::min(total, count * local.spec.cpus_per_task);
  std::vector<std::uint32_t> places(total);
  for (std::uint32_t i = 0; i < total; ++i) {
    places[i] = i;
  }
  std::stable_sort(places.begin(), places.end(), [&](auto a, auto b) { return cpu_users[a] < cpu_users[b]; });
  places.resize(wanted);
  std::sort(places.begin(), places.end());
  std::vector<std::uint32_t> cpus;
  for (const std::uint32_t place : places) {
    cpus.push_back(plan.facts.cpus[place]);
    if (!batch && !local.spec.overlap) {
      ++cpu_users[place];
    }
  }
  if (!batch && !local.spec.overlap) {
    local.cpus = places;
  }
  const bool fractions = plan.spec.cpus_per_rank_milli % 1000 != 0;
  auto binding = bind_ranks({.pus = plan.topology.pus,
                             .cpus = cpus,
                             .ranks = count,
                             .cpus_per_task = local.spec.cpus_per_task,
                             .threads_per_core = local.spec.threads_per_core,
                             .cpu_bind = fractions && local.spec.cpu_bind.empty() ? std::string_view("none") : local.spec.cpu_bind,
                             .over_packages = deals_over_packages(local.spec.distribution),
                             .node = plan.facts.node});
  const auto give_up = [&](const std::string& why) {
    local.error = why;
    local.error_code = 1;
    local.unanswered = 0;
    rank_answered(number, local, now);
  };
  if (!binding) {
    give_up(binding.error().text);
    return;
  }
  const StepFacts facts{plan.spec, plan.facts, local.spec, number, local.layout};
  const EnvironmentLines user = overlay(without_task_variables(plan.spec.environment), local.spec.environment);
  EnvironmentLines lines = overlay(user, job_environment(plan.spec, plan.facts));
  if (!batch) {
    lines = overlay(std::move(lines), step_environment(facts));
  }
  if (is_root()) {
    std::string where;
    for (const std::string& endpoint : endpoints) {
      where += (where.empty() ? "" : " ") + endpoint;
    }
    lines.push_back("MUSTER_STEP_SOCKET=" + where);
    lines.push_back("MUSTER_STEP_TOKEN=" + format_token(plan.spec.token_hi, plan.spec.token_lo));
    lines.push_back("MUSTER_STEP_JOB=" + std::to_string(plan.spec.job));
  }
  auto shared = std::make_shared<const std::vector<std::string>>(std::move(lines));
  if (!local.pmi.empty()) {
    out.emplace_back(step_out::PmiBegin{pmi_step(number, local), local.pmi});
  }
  PatternValues values{.job = JobId(plan.spec.job),
                       .is_array = plan.spec.is_array,
                       .index = plan.facts.index,
                       .job_name = plan.spec.name,
                       .user = plan.spec.user,
                       .node_name = plan.facts.node,
                       .node_rank = here()};
  for (std::uint32_t i = 0; i < count; ++i) {
    values.rank = part->ranks[i];
    const auto file = [&](const std::string& pattern) {
      return pattern.empty() ? std::string() : absolute_path(expand_pattern(pattern, values), local.spec.working_directory);
    };
    step_out::StartRank start;
    start.step = number;
    start.rank = values.rank;
    start.argv = local.spec.argv;
    start.environment = shared;
    if (!batch) {
      start.rank_environment = rank_environment(facts, i, binding->ranks[i], user);
    }
    start.working_directory = local.spec.working_directory;
    if (batch) {
      start.script = &plan.spec.script;
    }
    for (const std::uint32_t cpu : binding->ranks[i].cpus) {
      const auto at = std::find(plan.facts.cpus.begin(), plan.facts.cpus.end(), cpu);
      const auto place = static_cast<std::size_t>(at - plan.facts.cpus.begin());
      if (place < plan.facts.os_cpus.size()) {
        start.os_cpus.push_back(plan.facts.os_cpus[place]);
      }
    }
    start.local_memory = local.spec.mem_bind == "local";
    start.stdin_path = file(local.spec.stdin_path);
    start.stdout_path = file(local.spec.stdout_path);
    start.stderr_path = file(local.spec.stderr_path);
    if (start.stderr_path == start.stdout_path) {
      start.stderr_path.clear();
    }
    start.truncate_output = !local.spec.append_output && (batch || is_of_one_node(local.spec.stdout_path));
    start.truncate_error = !local.spec.append_output && (batch || is_of_one_node(local.spec.stderr_path));
    start.stdout_pipe = start.stdout_path.empty() && local.collect_output;
    start.stderr_pipe = start.stdout_pipe && start.stderr_path.empty();
    start.stdin_pipe = start.stdin_path.empty() &&
                       (local.spec.stdin_rank == -1 || local.spec.stdin_rank == static_cast<std::int32_t>(values.rank));
    start.pty = local.spec.pty && values.rank == 0;
    start.rows = local.spec.rows;
    start.columns = local.spec.columns;
    start.pmi = local.pmi;
    out.emplace_back(std::move(start));
  }
  if (local.spec.report_bindings) {
    local.bindings = draw_bindings(plan.topology.pus, plan.facts.cpus, plan.facts.node, part->ranks, *binding);
    if (!binding->note.empty() && !local.bindings.empty()) {
      local.bindings.back() += "\n" + binding->note;
    }
  }
}

void StepCore::on_rank_started(Process rank, Now now) {
  Impl& i = *impl_;
  const auto found = i.locals.find(rank.step);
  if (found == i.locals.end() || !found->second.ranks.contains(rank.rank)) {
    return;
  }
  Impl::Local& local = found->second;
  local.ranks[rank.rank].started = true;
  ++local.alive;
  --local.unanswered;
  i.rank_answered(rank.step, local, now);
}

void StepCore::on_rank_not_started(Process rank, std::int32_t code, const std::string& why, Now now) {
  Impl& i = *impl_;
  const auto found = i.locals.find(rank.step);
  if (found == i.locals.end() || !found->second.ranks.contains(rank.rank)) {
    return;
  }
  Impl::Local& local = found->second;
  local.ranks[rank.rank].ended = true;
  if (local.error.empty()) {
    local.error = why;
    local.error_code = code;
  }
  --local.unanswered;
  i.rank_answered(rank.step, local, now);
}

// All ranks here have started, or failed to: the root is told once.
void StepCore::Impl::rank_answered(std::uint32_t number, Local& local, Now now) {
  if (local.unanswered != 0 || local.reported) {
    return;
  }
  local.reported = true;
  fb::StepSpawnedT spawned;
  spawned.step = number;
  spawned.member = here();
  for (const auto& [rank, state] : local.ranks) {
    spawned.started += state.started ? 1 : 0;
  }
  spawned.error = local.error;
  spawned.error_code = local.error_code;
  spawned.bindings = local.bindings;
  if (!local.bindings.empty()) {
    for (const auto& [rank, state] : local.ranks) {
      spawned.binding_ranks.push_back(rank);
    }
  }
  if (spawned.started != 0 && !local.error.empty()) {
    signal_local(number, 9);
  }
  const bool nothing_runs = spawned.started == 0;
  send_root<fb::StepSpawned>(spawned, now);
  if (nothing_runs) {
    end_local(number, now);
  }
}

void StepCore::Impl::signal_local(std::uint32_t step, int signal) {
  if (locals.contains(step)) {
    out.emplace_back(step_out::SignalRanks{step, signal});
  }
}

void StepCore::Impl::feed(const fb::StepInput& input) {
  const auto found = locals.find(input.step());
  if (found == locals.end()) {
    return;
  }
  Local& local = found->second;
  const std::size_t size = input.data() == nullptr ? 0 : input.data()->size();
  for (auto& [rank, state] : local.ranks) {
    if (state.ended || (input.rank() != -1 && input.rank() != static_cast<std::int32_t>(rank)) ||
        state.input_waiting + size > kInputWaitingMax) {
      continue;
    }
    state.input_waiting += size;
    out.emplace_back(step_out::FeedRank{
        input.step(), rank, size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(input.data()->data()), size),
        input.end()});
  }
}

void StepCore::on_input_taken(Process rank, std::uint64_t bytes) {
  Impl& i = *impl_;
  const auto found = i.locals.find(rank.step);
  if (found == i.locals.end() || !found->second.ranks.contains(rank.rank)) {
    return;
  }
  auto& waiting = found->second.ranks[rank.rank].input_waiting;
  waiting -= std::min(waiting, bytes);
  // Credit for whoever sends it: one rank's word is enough.
  const bool speaks = found->second.spec.stdin_rank == static_cast<std::int32_t>(rank.rank) ||
                      (found->second.spec.stdin_rank == -1 && rank.rank == 0);
  if (speaks) {
    fb::StepOutputT credit;
    credit.step = rank.step;
    credit.rank = rank.rank;
    credit.stream = fb::StepStream::In;
    credit.lost_bytes = bytes;
    i.send_root<fb::StepOutput>(credit, Now{});
  }
}

void StepCore::on_rank_output(Process rank, fb::StepStream stream, std::string data, bool end) {
  fb::StepOutputT output;
  output.step = rank.step;
  output.rank = rank.rank;
  output.stream = stream;
  output.data.assign(data.begin(), data.end());
  output.end = end;
  impl_->send_root<fb::StepOutput>(output, Now{});
}

void StepCore::on_rank_ended(Process rank, const End& end, Now now) {
  Impl& i = *impl_;
  const auto found = i.locals.find(rank.step);
  if (found == i.locals.end()) {
    return;
  }
  Impl::Local& local = found->second;
  const auto state = local.ranks.find(rank.rank);
  if (state == local.ranks.end() || state->second.ended) {
    return;
  }
  state->second.ended = true;
  --local.alive;
  local.memory_peak_bytes = std::max(local.memory_peak_bytes, end.memory_peak_bytes);
  fb::StepRanksEndedT ended;
  ended.step = rank.step;
  ended.member = i.here();
  ended.memory_peak_bytes = local.memory_peak_bytes;
  std::uint16_t flags = 0;
  if (!state->second.connected) {
    flags |= 4U;
  } else if (!state->second.finalized) {
    flags |= 1U;
  }
  if (state->second.aborted) {
    flags |= 2U;
  }
  ended.ends.emplace_back(rank.rank, end.exit_code, static_cast<std::uint16_t>(end.signal), flags, 0, end.cpu_time_us);
  const std::uint32_t number = rank.step;
  const bool last = local.alive == 0 && local.unanswered == 0;
  i.send_root<fb::StepRanksEnded>(ended, now);
  if (last) {
    i.end_local(number, now);
  }
}

void StepCore::Impl::end_local(std::uint32_t number, Now now) {
  const auto found = locals.find(number);
  if (found == locals.end()) {
    return;
  }
  for (const std::uint32_t place : found->second.cpus) {
    --cpu_users[place];
  }
  if (!found->second.pmi.empty()) {
    out.emplace_back(step_out::PmiEnd{number});
  }
  locals.erase(found);
  out.emplace_back(step_out::SignalRanks{number, 9});  // whatever its ranks left behind
  leave_if_done(now);
}

}  // namespace muster::node
