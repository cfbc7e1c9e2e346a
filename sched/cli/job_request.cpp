#include "sched/cli/job_request.hpp"

#include <algorithm>
#include <limits>

#include "sched/cli/job_option_table.hpp"
#include "sched/cli/option_values.hpp"
#include "sched/cli/step_request.hpp"
#include "wire/base/check.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

constexpr std::uint64_t kRanksMax = 10'000'000;

Result<Bytes> parse_memory(std::string_view text) {
  auto bytes = parse_bytes(text);
  if (bytes && *bytes == 0) {
    return fail(Errc::invalid_argument, "'" + std::string(text) + "': must be more than zero; leave it out for a share in " +
                                            "proportion to the cpus");
  }
  return bytes;
}

Result<std::uint64_t> parse_limit_ms(std::string_view text) {
  if (text == "0") {
    return 0U;
  }
  return parse_time_limit(text).map([](Duration d) { return static_cast<std::uint64_t>(d.ms()); });
}

Result<std::string> parse_path(std::string_view text) {
  if (text.empty()) {
    return fail(Errc::invalid_argument, "is empty; name a file");
  }
  return std::string(text);
}

Result<bool> parse_open_mode(std::string_view text) {
  if (text == "append" || text == "a") {
    return true;
  }
  if (text == "truncate" || text == "t") {
    return false;
  }
  return fail(Errc::invalid_argument, "'" + std::string(text) + "' is neither append nor truncate");
}

std::string base_name(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos || slash + 1 == path.size() ? path : path.substr(slash + 1);
}

// Ranks and nodes, the way Slurm counts: -N alone means a rank per node, --ntasks-per-node fills the nodes.
Status take_size(const JobOptions& options, fb::JobSpecT& spec) {
  NodeRange nodes;
  if (options.nodes) {
    auto range = parse_node_range(*options.nodes);
    if (!range) {
      return about("--nodes", range.error());
    }
    nodes = *range;
  }
  spec.nodes_min = nodes.min;
  spec.nodes_max = nodes.max;
  if (auto s = take(options.ntasks_per_node, "--ntasks-per-node", count_from(1, 65'535), spec.ntasks_per_node); !s) {
    return s;
  }
  if (options.ntasks) {
    if (auto s = take(options.ntasks, "--ntasks", count_from(1, kRanksMax), spec.ntasks); !s) {
      return s;
    }
  } else {
    const std::uint64_t ranks =
        std::uint64_t{std::max(nodes.min, 1U)} * std::max(spec.ntasks_per_node, 1U);
    if (ranks > kRanksMax) {
      return fail(Errc::out_of_range, "--nodes and --ntasks-per-node ask for " + std::to_string(ranks) +
                                          " tasks; at most " + std::to_string(kRanksMax) + " are taken");
    }
    spec.ntasks = static_cast<std::uint32_t>(ranks);
  }
  if (spec.ntasks < spec.nodes_min) {
    return fail(Errc::invalid_argument, "--nodes " + *options.nodes + " needs at least " +
                                            std::to_string(spec.nodes_min) + " tasks, and --ntasks is " +
                                            std::to_string(spec.ntasks));
  }
  if (spec.ntasks_per_node != 0 && spec.nodes_max != 0 &&
      std::uint64_t{spec.ntasks_per_node} * spec.nodes_max < spec.ntasks) {
    return fail(Errc::invalid_argument,
                "--ntasks " + std::to_string(spec.ntasks) + " does not fit on " + std::to_string(spec.nodes_max) +
                    " nodes with --ntasks-per-node " + std::to_string(spec.ntasks_per_node));
  }
  return {};
}

Status take_resources(const JobOptions& options, fb::JobSpecT& spec) {
  const auto cpus = [](std::string_view text) -> Result<MilliCpus> {
    auto value = parse_cpus(text);
    if (value && *value == 0) {
      return fail(Errc::invalid_argument, "'" + std::string(text) + "' must be more than zero");
    }
    return value;
  };
  Status s;
  if (s = take(options.cpus_per_task, "--cpus-per-task", cpus, spec.cpus_per_task_milli); !s) {
    return s;
  }
  if (options.mem && options.mem_per_cpu) {
    return fail(Errc::invalid_argument, "--mem and --mem-per-cpu exclude each other; give one of them");
  }
  if (s = take(options.mem, "--mem", parse_bytes, spec.memory_per_node_bytes); !s) {
    return s;
  }
  spec.all_memory = options.mem && spec.memory_per_node_bytes == 0;
  if (s = take(options.mem_per_cpu, "--mem-per-cpu", parse_memory, spec.memory_per_cpu_bytes); !s) {
    return s;
  }
  if (s = take(options.tmp, "--tmp", parse_memory, spec.disk_per_node_bytes); !s) {
    return s;
  }
  if (s = take_devices(options, spec); !s) {
    return s;
  }
  if (s = take(options.time, "--time", parse_limit_ms, spec.time_limit_ms); !s) {
    return s;
  }
  return take(options.kill_grace, "--kill-grace", parse_pause_ms, spec.kill_grace_ms);
}

bool is_variable_name(std::string_view text) {
  return !text.empty() && (text[0] < '0' || text[0] > '9') && std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

// Replaces NAME's entry, or appends one.
void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  const std::string prefix = name + "=";
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& entry) { return entry.starts_with(prefix); });
  if (found == environment.end()) {
    environment.push_back(prefix + value);
  } else {
    *found = prefix + value;
  }
}

Status take_exclusive(const JobOptions& options, fb::JobSpecT& spec) {
  if (options.exclusive && !options.exclusive->empty() && *options.exclusive != "user" && *options.exclusive != "mcs") {
    return fail(Errc::invalid_argument, "--exclusive: '" + *options.exclusive + "' is unknown; write --exclusive alone");
  }
  spec.exclusive = options.exclusive.has_value();
  return {};
}

// What is kept with the job for people.
void take_words(const JobOptions& options, fb::JobSpecT& spec) {
  spec.comment = options.comment.value_or("");
  spec.partition = options.partition.value_or("");
  spec.account = options.account.value_or("");
  spec.qos = options.qos.value_or("");
  spec.reservation = options.reservation.value_or("");
  spec.mail_type = options.mail_type.value_or("");
  spec.mail_user = options.mail_user.value_or("");
}

// Scripts look for the directory they were submitted from, which --chdir is not. An outer job's does not count.
void note_submit_directory(const Surroundings& here, fb::JobSpecT& spec) {
  std::erase_if(spec.environment, [](const std::string& entry) { return entry.starts_with("MUSTER_SUBMIT_DIR="); });
  if (spec.working_directory != here.working_directory) {
    spec.environment.push_back("MUSTER_SUBMIT_DIR=" + here.working_directory);
  }
}

// What its steps are told, and whether it is an allocation at all.
Status take_step(const JobOptions& options, const Surroundings& here, fb::TaskKind kind, JobRequest& request) {
  const bool files = kind == fb::TaskKind::Ranks && asks_for_step(options);
  fb::JobSpecT& spec = request.spec;
  spec.kind = files ? fb::TaskKind::Run : kind;
  if (spec.kind == fb::TaskKind::Ranks) {
    return {};
  }
  auto step = spec.kind == fb::TaskKind::Run ? make_step(options, here, request.warnings)
                                             : make_inherited_step(options, request.warnings);
  if (!step) {
    return tl::unexpected(step.error());
  }
  if (spec.kind == fb::TaskKind::Run) {
    step->environment.clear();  // the job's
  }
  if (spec.kind == fb::TaskKind::Run) {
    spec.stdin_path.clear();  // the step says it
  }
  if (options.ntasks && step->stdin_rank >= static_cast<std::int64_t>(spec.ntasks)) {
    return fail(Errc::invalid_argument, "--input: there is no rank " + std::to_string(step->stdin_rank) + " among " +
                                            std::to_string(spec.ntasks) + "; they count from 0. A file of that name: ./" +
                                            std::to_string(step->stdin_rank));
  }
  if (files && step->stdin_path.empty()) {
    step->stdin_path = "/dev/null";  // nobody will come to send any
  }
  if (files && step->stdout_path.empty()) {
    step->stdout_path = spec.array.empty() ? "muster-%j.out" : "muster-%A_%a.out";
  }
  spec.step = std::make_unique<fb::StepSpecT>(std::move(*step));
  return {};
}

}  // namespace

Result<std::uint64_t> parse_pause_ms(std::string_view text) {
  if (text == "0") {
    return 0U;
  }
  return parse_timeout(text).map([](Duration d) { return static_cast<std::uint64_t>(d.ms()); });
}

Status take_files(const JobOptions& options, const Surroundings& here, fb::JobSpecT& spec) {
  Status s;
  spec.working_directory = here.working_directory;
  if (s = take(options.chdir, "--chdir", parse_path, spec.working_directory); !s) {
    return s;
  }
  if (!spec.working_directory.starts_with('/')) {
    spec.working_directory = here.working_directory + "/" + spec.working_directory;
  }
  if (s = take(options.input, "--input", parse_path, spec.stdin_path); !s) {
    return s;
  }
  if (s = take(options.output, "--output", parse_path, spec.stdout_path); !s) {
    return s;
  }
  if (s = take(options.error, "--error", parse_path, spec.stderr_path); !s) {
    return s;
  }
  return take(options.open_mode, "--open-mode", parse_open_mode, spec.append_output);
}

Status take_step_sizes(const JobOptions& options, fb::StepSpecT& step) {
  NodeRange nodes;
  Status s;
  if (s = take(options.nodes, "--nodes", parse_node_range, nodes); !s) {
    return s;
  }
  step.nodes_min = nodes.min;
  step.nodes_max = nodes.max;
  if (s = take(options.ntasks, "--ntasks", count_from(1, kRanksMax), step.ntasks); !s) {
    return s;
  }
  if (s = take(options.ntasks_per_node, "--ntasks-per-node", count_from(1, 65'535), step.ntasks_per_node); !s) {
    return s;
  }
  if (s = take(options.gpus_per_task, "--gpus-per-task", count_from(0, 1024), step.gpus_per_task); !s) {
    return s;
  }
  if (options.gres && *options.gres != "none") {
    step.gres = split(*options.gres, ',');
  }
  return take(options.time, "--time", parse_limit_ms, step.time_limit_ms);
}

Result<std::vector<std::string>> select_environment(std::string_view choice, const Surroundings& here,
                                                    std::vector<std::string>& warnings) {
  std::vector<std::string> chosen;
  const std::vector<std::string> parts = split(choice, ',');
  const bool all = std::find(parts.begin(), parts.end(), "ALL") != parts.end();
  const bool none = std::find(parts.begin(), parts.end(), "NONE") != parts.end();
  if (none && parts.size() > 1) {
    return fail(Errc::invalid_argument, "--export: '" + std::string(choice) + "': NONE stands alone");
  }
  if (all) {
    chosen = here.environment;
  } else {
    // A program needs these to find itself and others.
    chosen = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + here.home, "USER=" + here.user, "LOGNAME=" + here.user,
              "SHELL=" + here.shell};
  }
  for (const std::string& part : parts) {
    if (part == "ALL" || part == "NONE") {
      continue;
    }
    const auto equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (!is_variable_name(name)) {
      return fail(Errc::invalid_argument,
                  "--export: '" + part + "' is not a variable; write ALL, NONE, NAME or NAME=value, with commas between");
    }
    if (equals != std::string::npos) {
      set_variable(chosen, name, part.substr(equals + 1));
      continue;
    }
    const std::string prefix = name + "=";
    const auto found = std::find_if(here.environment.begin(), here.environment.end(),
                                    [&](const std::string& entry) { return entry.starts_with(prefix); });
    if (found == here.environment.end()) {
      warnings.push_back("--export: " + name + " is not set here, so the job will not see it");
    } else {
      set_variable(chosen, name, found->substr(prefix.size()));
    }
  }
  return chosen;
}

Result<JobRequest> make_job_request(const JobOptions& options, const Surroundings& here, fb::TaskKind kind) {
  check(!options.command.empty() || kind == fb::TaskKind::Allocation, "a job needs a command");
  JobRequest request;
  fb::JobSpecT& spec = request.spec;
  spec.argv = options.command;
  spec.name = options.name.value_or(options.command.empty() ? "allocation" : base_name(options.command.front()));
  spec.user = here.user;
  spec.uid = here.uid;
  spec.gid = here.gid;
  spec.submit_host = here.host;
  spec.requeue = options.requeue && !options.no_requeue;
  spec.held = options.hold;
  spec.private_tmp = options.private_tmp;
  take_words(options, spec);
  request.warnings = option_warnings(options);
  if (spec.name.empty() || spec.name.size() > 256) {
    return fail(Errc::invalid_argument, "--job-name: must have 1 to 256 characters");
  }
  for (const auto& part : {take_size, take_resources, take_exclusive}) {
    if (auto s = part(options, spec); !s) {
      return tl::unexpected(s.error());
    }
  }
  if (auto s = take_files(options, here, spec); !s) {
    return tl::unexpected(s.error());
  }
  if (options.array) {
    auto array = parse_array(*options.array);
    if (!array) {
      return about("--array", array.error());
    }
    spec.array = std::move(array->ranges);
    spec.array_throttle = array->throttle;
  }
  auto environment = select_environment(options.environment.value_or("ALL"), here, request.warnings);
  if (!environment) {
    return tl::unexpected(environment.error());
  }
  spec.environment = std::move(*environment);
  note_submit_directory(here, spec);
  if (auto s = take_step(options, here, kind, request); !s) {
    return tl::unexpected(s.error());
  }
  return request;
}

std::string first_directive(std::string_view content) {
  while (!content.empty()) {
    const auto end = content.find('\n');
    const std::string_view line = content.substr(0, end);
    for (std::string_view mark : {"#SBATCH", "#MUSTER", "#PBS", "#BSUB"}) {
      if (line.starts_with(mark) &&
          (line.size() == mark.size() || line[mark.size()] == ' ' || line[mark.size()] == '\t')) {
        return std::string(line.substr(0, 120));
      }
    }
    const auto text_at = line.find_first_not_of(" \t\r");
    if (text_at != std::string_view::npos && line[text_at] != '#') {
      return "";
    }
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
  }
  return "";
}

std::string interpreter_of(std::string_view content) {
  if (!content.starts_with("#!")) {
    return "sh";
  }
  std::string_view line = content.substr(2, content.find_first_of("\r\n") - 2);
  const auto from = line.find_first_not_of(" \t");
  if (from == std::string_view::npos) {
    return "sh";
  }
  line = line.substr(from);
  return std::string(line.substr(0, line.find_last_not_of(" \t") + 1));
}

}  // namespace muster::cli
