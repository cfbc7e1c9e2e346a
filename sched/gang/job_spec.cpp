#include "sched/gang/job_spec.hpp"

#include <algorithm>

#include "wire/base/units.hpp"

namespace muster::gang {
namespace {

using Code = fb::RefusedCode;

[[nodiscard]] std::size_t size_of(const flatbuffers::String* s) { return s == nullptr ? 0 : s->size(); }

template <class V>
[[nodiscard]] std::size_t count_of(const V* v) {
  return v == nullptr ? 0 : v->size();
}

[[nodiscard]] std::size_t bytes_of(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* list) {
  std::size_t bytes = 0;
  if (list != nullptr) {
    for (const auto* s : *list) {
      bytes += s->size() + 8;
    }
  }
  return bytes;
}

[[nodiscard]] Complaint bad(std::string subject, std::string text) {
  return {Code::BadRequest, std::move(subject), std::move(text)};
}
[[nodiscard]] Complaint not_yet(const std::string& subject) {
  return {Code::Unsupported, subject, subject + " is not supported yet: leave it out"};
}

using Words = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;

[[nodiscard]] bool has_zero(const flatbuffers::String* text) {
  return text_of(text).find('\0') != std::string_view::npos;
}

[[nodiscard]] std::optional<Complaint> find_words_fault(const Words* argv, const Words* environment) {
  if (argv != nullptr && std::any_of(argv->begin(), argv->end(), has_zero)) {
    return bad("command", "an argument holds a zero byte");
  }
  if (environment != nullptr) {
    for (const auto* entry : *environment) {
      const std::string_view text = text_of(entry);
      const auto equals = text.find('=');
      if (equals == std::string_view::npos || equals == 0 || has_zero(entry)) {
        return bad("--export", "environment: '" + std::string(text.substr(0, 64)) + "' is not NAME=value");
      }
    }
  }
  return std::nullopt;
}

[[nodiscard]] std::size_t bytes_of(const fb::StepSpec& step) {
  std::size_t bytes = bytes_of(step.argv()) + bytes_of(step.environment()) + bytes_of(step.node_list()) + bytes_of(step.gres());
  for (const auto* text : {step.name(), step.working_directory(), step.distribution(), step.cpu_bind(), step.mem_bind(),
                           step.mpi(), step.stdin_path(), step.stdout_path(), step.stderr_path()}) {
    bytes += size_of(text);
  }
  return bytes;
}

// What a node or a step daemon could only stumble over.
[[nodiscard]] std::optional<Complaint> find_step_fault(const fb::StepSpec& step, const SpecLimits& limits) {
  if (auto fault = find_words_fault(step.argv(), step.environment())) {
    return fault;
  }
  for (const auto* text : {step.name(), step.working_directory(), step.distribution(), step.cpu_bind(), step.mem_bind(),
                           step.mpi(), step.stdin_path(), step.stdout_path(), step.stderr_path()}) {
    if (has_zero(text)) {
      return bad("step", "a name, path or option of the step holds a zero byte");
    }
  }
  if (step.ntasks() > limits.ntasks_max) {
    return bad("--ntasks", "--ntasks: " + std::to_string(step.ntasks()) + " of a step is more than " +
                               std::to_string(limits.ntasks_max));
  }
  if (step.nodes_max() != 0 && step.nodes_max() < step.nodes_min()) {
    return bad("--nodes", "--nodes: at most " + std::to_string(step.nodes_max()) + " is less than at least " +
                              std::to_string(step.nodes_min()));
  }
  if (const std::string_view mpi = text_of(step.mpi()); !mpi.empty() && mpi != "pmix" && mpi != "pmi1" && mpi != "none") {
    return bad("--mpi", "--mpi: '" + std::string(mpi) + "' is not pmix, pmi1 or none");
  }
  if (step.stdin_rank() < -2) {
    return bad("--input", "--input: rank " + std::to_string(step.stdin_rank()) + " is none");
  }
  if (const std::string_view directory = text_of(step.working_directory()); !directory.empty() && directory.front() != '/') {
    return bad("--chdir", "working directory '" + std::string(directory) + "' is not absolute");
  }
  return std::nullopt;
}

[[nodiscard]] bool names_command(const Words* argv) { return count_of(argv) != 0 && argv->Get(0)->size() != 0; }

// What runs, by kind.
[[nodiscard]] std::optional<Complaint> find_kind_fault(const fb::JobSpec& spec, const SpecLimits& limits) {
  const std::size_t script_bytes = count_of(spec.script());
  switch (spec.kind()) {
    case fb::TaskKind::Ranks:
      if (!names_command(spec.argv())) {
        return bad("command", "no command: write it after the options, as in 'muster submit -n 4 -- ./app'");
      }
      break;
    case fb::TaskKind::Run:
      if (spec.step() == nullptr || !names_command(spec.step()->argv())) {
        return bad("command", "no command: write it after the options, as in 'muster run -n 4 -- ./app'");
      }
      break;
    case fb::TaskKind::Batch:
      if (script_bytes == 0) {
        return bad("script", "the batch script is empty");
      }
      if (script_bytes > limits.script_bytes_max) {
        return Complaint{Code::TooLarge, "script", "the batch script takes " + format_bytes_short(script_bytes) +
                                                      "; at most " + format_bytes_short(limits.script_bytes_max) +
                                                      " are taken: let it call another file"};
      }
      break;
    case fb::TaskKind::Allocation: break;
    default:
      return Complaint{Code::Unsupported, "job", "jobs of kind " + std::to_string(static_cast<int>(spec.kind())) +
                                                    " are of a later version"};
  }
  if (spec.kind() != fb::TaskKind::Batch && script_bytes != 0) {
    return bad("script", "a script is for batch jobs only");
  }
  return std::nullopt;
}

[[nodiscard]] std::optional<Complaint> find_command_fault(const fb::JobSpec& spec, const SpecLimits& limits) {
  if (auto fault = find_kind_fault(spec, limits)) {
    return fault;
  }
  if (auto fault = find_words_fault(spec.argv(), spec.environment())) {
    return fault;
  }
  if (auto fault = spec.step() == nullptr ? std::nullopt : find_step_fault(*spec.step(), limits)) {
    return fault;
  }
  const std::size_t bytes = bytes_of(spec.argv()) + bytes_of(spec.environment()) + size_of(spec.name()) +
                            size_of(spec.working_directory()) + size_of(spec.stdout_path()) +
                            size_of(spec.stderr_path()) + size_of(spec.stdin_path()) + size_of(spec.comment()) +
                            size_of(spec.submit_host()) + size_of(spec.partition()) + size_of(spec.account()) +
                            size_of(spec.qos()) + size_of(spec.mail_type()) + size_of(spec.mail_user()) +
                            (spec.step() == nullptr ? 0 : bytes_of(*spec.step()));
  if (bytes > limits.bytes_max) {
    return Complaint{Code::TooLarge, "job", "command, environment and paths take " + format_bytes_short(bytes) +
                                               "; at most " + format_bytes_short(limits.bytes_max) +
                                               " are taken: try --export=NONE"};
  }
  const std::string_view directory = text_of(spec.working_directory());
  if (!directory.empty() && directory.front() != '/') {
    return bad("--chdir", "working directory '" + std::string(directory) + "' is not absolute");
  }
  return std::nullopt;
}

[[nodiscard]] std::optional<Complaint> find_size_fault(const fb::JobSpec& spec, const SpecLimits& limits) {
  if (spec.ntasks() == 0 || spec.ntasks() > limits.ntasks_max) {
    return bad("--ntasks", "--ntasks: " + std::to_string(spec.ntasks()) + " is not within 1 and " +
                               std::to_string(limits.ntasks_max));
  }
  if (spec.cpus_per_task_milli() == 0) {
    return bad("--cpus-per-task", "--cpus-per-task: must be more than 0");
  }
  if (spec.nodes_min() > spec.ntasks()) {
    return bad("--nodes", "--nodes: " + std::to_string(spec.nodes_min()) + " nodes for " +
                              std::to_string(spec.ntasks()) + " ranks; each node must get one: raise --ntasks");
  }
  if (spec.nodes_max() != 0 && spec.nodes_max() < spec.nodes_min()) {
    return bad("--nodes", "--nodes: at most " + std::to_string(spec.nodes_max()) + " is less than at least " +
                              std::to_string(spec.nodes_min()));
  }
  if (spec.nodes_max() != 0 && spec.ntasks_per_node() != 0 &&
      std::uint64_t{spec.nodes_max()} * spec.ntasks_per_node() < spec.ntasks()) {
    return bad("--ntasks-per-node", "--ntasks-per-node: " + std::to_string(spec.nodes_max()) + " nodes with " +
                                        std::to_string(spec.ntasks_per_node()) + " ranks each can't hold " +
                                        std::to_string(spec.ntasks()));
  }
  if ((spec.memory_per_node_bytes() != 0 || spec.all_memory()) && spec.memory_per_cpu_bytes() != 0) {
    return bad("--mem", "--mem and --mem-per-cpu: give one of them");
  }
  return std::nullopt;
}

[[nodiscard]] std::optional<Complaint> find_array_fault(const fb::JobSpec& spec, const SpecLimits& limits) {
  if (spec.array() == nullptr) {
    return spec.array_throttle() == 0 ? std::nullopt
                                      : std::optional(bad("--array", "--array: a throttle without an array"));
  }
  std::uint64_t elements = 0;
  std::int64_t last = -1;
  for (const fb::IndexRange* range : *spec.array()) {
    const std::string text = std::to_string(range->first()) + "-" + std::to_string(range->last());
    if (range->step() == 0 || range->first() > range->last() || range->last() > 0x7fff'ffffU) {
      return bad("--array", "--array: range " + text + " is empty, or its step is 0");
    }
    if (static_cast<std::int64_t>(range->first()) <= last) {
      return bad("--array", "--array: ranges must ascend without overlap; " + text + " does not");
    }
    last = range->last();
    elements += (range->last() - range->first()) / range->step() + 1U;
  }
  if (elements == 0 || elements > limits.array_elements_max) {
    return bad("--array", "--array: " + std::to_string(elements) + " elements; 1 to " +
                              std::to_string(limits.array_elements_max) + " are taken");
  }
  return std::nullopt;
}

}  // namespace

std::optional<Complaint> find_fault(const fb::JobSpec& spec, const SpecLimits& limits) {
  if (auto fault = find_command_fault(spec, limits)) {
    return fault;
  }
  if (auto fault = find_size_fault(spec, limits)) {
    return fault;
  }
  if (auto fault = find_array_fault(spec, limits)) {
    return fault;
  }
  // Nothing a user writes is ignored silently.
  if (spec.priority() != 0) return not_yet("--priority");
  if (size_of(spec.dependency()) != 0) return not_yet("--dependency");
  if (count_of(spec.node_list()) != 0) return not_yet("--nodelist");
  if (count_of(spec.exclude_nodes()) != 0) return not_yet("--exclude");
  if (count_of(spec.gres()) != 0) return not_yet("--gres");
  if (spec.private_tmp()) return not_yet("--private-tmp");
  return std::nullopt;
}

ArrayIndexes indexes_of(const fb::JobSpec& spec) {
  if (spec.array() == nullptr) {
    return {};
  }
  std::vector<ArrayIndexes::Range> ranges;
  for (const fb::IndexRange* range : *spec.array()) {
    ranges.push_back({range->first(), range->last(), range->step()});
  }
  return ArrayIndexes(std::move(ranges));
}

namespace {

// What step daemons want to know beyond the rest.
void add_allocation(const TaskSpecInput& input, const fb::JobSpec& spec, fb::TaskSpecT& task) {
  task.kind = spec.kind();
  if (spec.step() != nullptr) {
    task.step.reset(spec.step()->UnPack());
  }
  if (spec.script() != nullptr) {
    task.script.assign(spec.script()->begin(), spec.script()->end());
  }
  task.endpoints = input.endpoints;
  task.ranks_by_member = input.ranks;
  task.ntasks_per_node = spec.ntasks_per_node();
  task.memory_per_node_bytes = spec.memory_per_node_bytes();
  task.memory_per_cpu_bytes = spec.memory_per_cpu_bytes();
  task.submit_host = text_of(spec.submit_host());
  task.partition = text_of(spec.partition());
  task.account = text_of(spec.account());
  task.qos = text_of(spec.qos());
  task.cluster = input.cluster;
  task.private_tmp = spec.private_tmp();
  task.exclusive = spec.exclusive();
}

}  // namespace

FrameBytes task_spec_bytes(const TaskSpecInput& input) {
  const fb::JobSpec& spec = spec_in(input.job.spec);
  fb::TaskSpecT task;
  task.job = input.job.job.value();
  task.name = text_of(spec.name());
  if (spec.argv() != nullptr) {
    for (const auto* arg : *spec.argv()) {
      task.argv.emplace_back(text_of(arg));
    }
  }
  if (spec.environment() != nullptr) {
    for (const auto* entry : *spec.environment()) {
      task.environment.emplace_back(text_of(entry));
    }
  }
  task.working_directory = text_of(spec.working_directory());
  task.user = text_of(spec.user());
  task.uid = spec.uid();
  task.gid = spec.gid();
  task.ntasks = spec.ntasks();
  task.cpus_per_rank_milli = spec.cpus_per_task_milli();
  task.nodes = input.nodes;
  task.stdin_path = text_of(spec.stdin_path());
  task.is_array = spec.array() != nullptr;
  task.stdout_path = text_of(spec.stdout_path());
  if (task.stdout_path.empty() && spec.kind() != fb::TaskKind::Allocation) {
    task.stdout_path = task.is_array ? "muster-%A_%a.out" : "muster-%j.out";
  }
  task.stderr_path = text_of(spec.stderr_path());
  task.append_output = spec.append_output();
  task.try_number = input.try_number;
  task.time_limit_ms = spec.time_limit_ms() != 0 ? spec.time_limit_ms()
                                                 : static_cast<std::uint64_t>(input.default_time_limit.ms());
  task.kill_grace_ms = spec.kill_grace_ms();
  if (task.is_array) {
    const ArrayIndexes indexes = indexes_of(spec);
    task.array_min = indexes.min();
    task.array_max = indexes.max();
    task.array_count = indexes.size();
  }
  task.requeueable = spec.requeue();
  task.token_hi = input.job.token_hi;
  task.token_lo = input.job.token_lo;
  task.enforce_memory = spec.memory_per_node_bytes() != 0 || spec.memory_per_cpu_bytes() != 0;
  if (spec.kind() != fb::TaskKind::Ranks) {
    add_allocation(input, spec, task);
  }
  return pack_spec(task);
}

FrameBytes pack_job_spec(const fb::JobSpecT& spec) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::JobSpec::Pack(builder, &spec));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

bool verifies_as_job_spec(const FrameBytes& bytes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), 16, 200'000);
  return bytes.size() >= sizeof(flatbuffers::uoffset_t) && verifier.VerifyBuffer<fb::JobSpec>(nullptr);
}

}  // namespace muster::gang
