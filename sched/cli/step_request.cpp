#include "sched/cli/step_request.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "sched/cli/option_values.hpp"
#include "wire/base/check.hpp"
#include "wire/base/units.hpp"
#include "wire/model/node_list.hpp"

namespace muster::cli {
namespace {

tl::unexpected<Error> unknown_value(std::string_view option, std::string_view value, std::string_view forms) {
  return fail(Errc::invalid_argument, std::string(option) + ": '" + std::string(value) + "' is unknown; there are " + std::string(forms));
}

// Drops "quiet," and "verbose," before a binding; the latter is remembered.
std::string_view without_loudness(std::string_view text, bool& verbose) {
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view word : {"quiet,", "q,", "verbose,", "v,"}) {
      if (text.starts_with(word)) {
        verbose = verbose || word[0] == 'v';
        text.remove_prefix(word.size());
        more = true;
      }
    }
  }
  return text;
}

Result<std::string> cpu_bind_of(std::string_view written, bool& verbose) {
  const std::string_view text = without_loudness(written, verbose);
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kWords{{
      {"core", "core"}, {"cores", "core"}, {"socket", "socket"}, {"sockets", "socket"}, {"numa", "numa"}, {"ldom", "numa"},
      {"ldoms", "numa"}, {"rank", "rank"}, {"thread", "rank"}, {"threads", "rank"}, {"none", "none"}, {"no", "none"},
      {"rank_ldom", "numa"}}};
  for (const auto& [word, kind] : kWords) {
    if (text == word) {
      return std::string(kind);
    }
  }
  for (const std::string_view map : {"map:", "map_cpu:"}) {
    const std::string_view list = text.starts_with(map) ? text.substr(map.size()) : "";
    if (!list.empty() && list.find_first_not_of("0123456789,") == std::string_view::npos && list.front() != ',' && list.back() != ',') {
      return "map:" + std::string(list);
    }
  }
  return unknown_value("--cpu-bind", written, "core, socket, numa, rank, none and map:0,2,4");
}

Result<std::string> mem_bind_of(std::string_view written) {
  bool verbose = false;
  const std::string_view text = without_loudness(written, verbose);
  if (text == "local" || text == "none") {
    return std::string(text);
  }
  if (text == "no") {
    return std::string("none");
  }
  return unknown_value("--mem-bind", written, "local and none");
}

Result<std::string> distribution_of(const std::string& written) {
  const auto colon = written.find(':');
  std::string nodes = written.substr(0, colon);
  std::string sockets = colon == std::string::npos ? "" : written.substr(colon + 1);
  sockets = sockets.substr(0, sockets.find_first_of(":,"));
  if (const auto comma = nodes.find(','); comma != std::string::npos) {
    nodes.resize(comma);  // ",NoPack"
  }
  const bool plane = nodes.starts_with("plane=") && parse_count(nodes.substr(6), 1, 65'535);
  const bool known = nodes == "block" || nodes == "cyclic" || nodes == "*" || plane;
  const bool sockets_known = sockets.empty() || sockets == "block" || sockets == "cyclic" || sockets == "fcyclic" || sockets == "*";
  if (!known || !sockets_known) {
    return unknown_value("--distribution", written, "block, cyclic and plane=4, and after a colon block and cyclic");
  }
  nodes = nodes == "*" ? "block" : nodes;
  return sockets.ends_with("cyclic") ? nodes + ":cyclic" : nodes;
}

Result<std::string> mpi_of(std::string_view text) {
  if (text.starts_with("pmix")) {
    return std::string("pmix");
  }
  if (text == "pmi1" || text == "none") {
    return std::string(text);
  }
  if (text == "pmi2") {
    return fail(Errc::unsupported, "--mpi: pmi2 is not offered; MPICH speaks pmi1 too: write --mpi=pmi1");
  }
  return unknown_value("--mpi", text, "pmix, pmi1 and none");
}

Status take_hint(const JobOptions& options, fb::StepSpecT& step, std::vector<std::string>& warnings) {
  if (options.hint) {
    if (*options.hint == "nomultithread" || *options.hint == "compute_bound") {
      step.threads_per_core = 1;
    } else if (*options.hint == "memory_bound") {
      warnings.emplace_back("--hint=memory_bound has no effect: say --cpu-bind and --distribution");
    } else if (*options.hint != "multithread") {
      return unknown_value("--hint", *options.hint, "nomultithread and multithread");
    }
  }
  return take(options.threads_per_core, "--threads-per-core", count_from(1, 1024), step.threads_per_core);
}

Status take_bindings(const JobOptions& options, fb::StepSpecT& step, std::vector<std::string>& warnings) {
  bool verbose = false;
  Status s;
  if (s = take(options.distribution, "", distribution_of, step.distribution); !s) {
    return s;
  }
  if (options.ntasks_per_socket) {
    std::uint32_t per_socket = 0;
    if (s = take(options.ntasks_per_socket, "--ntasks-per-socket", count_from(1, 65'535), per_socket); !s) {
      return s;
    }
    step.distribution = step.distribution.empty() ? "block:cyclic"
                        : step.distribution.ends_with(":cyclic") ? step.distribution : step.distribution + ":cyclic";
  }
  if (s = take(options.cpu_bind, "", [&](const std::string& text) { return cpu_bind_of(text, verbose); }, step.cpu_bind); !s) {
    return s;
  }
  if (s = take(options.mem_bind, "", mem_bind_of, step.mem_bind); !s) {
    return s;
  }
  step.report_bindings = options.report_bindings || verbose;
  return take_hint(options, step, warnings);
}

Status take_ending(const JobOptions& options, fb::StepSpecT& step) {
  if (options.kill_on_bad_exit) {
    const std::string& text = *options.kill_on_bad_exit;
    if (!text.empty() && text != "0" && text != "1") {
      return fail(Errc::invalid_argument, "--kill-on-bad-exit: '" + text + "' is neither 0 nor 1");
    }
    step.kill_on_bad_exit = text != "0";
  }
  if (Status s = take(options.kill_wait, "--kill-wait", parse_pause_ms, step.kill_wait_ms); !s) {
    return s;
  }
  return take(options.wait_after_first, "--wait", parse_pause_ms, step.wait_ms);
}

// "gpu:2", "gpu:a100:2", "gpu" → how many gpus. Other devices are not counted yet.
Result<std::uint64_t> gpus_in(const std::string& gres) {
  std::uint64_t gpus = 0;
  for (const std::string& part : split(gres, ',')) {
    std::string text = part;
    if (text.starts_with("gres:")) {
      text.erase(0, 5);
    }
    const std::vector<std::string> words = split(text.substr(0, text.find('(')), ':');
    if (words.front() != "gpu" || words.size() > 3) {
      return fail(Errc::unsupported, "--gres: '" + part + "' is not a device that muster counts; write gpu:2");
    }
    const auto count = words.size() == 1 ? Result<std::uint64_t>(1U) : parse_count(words.back(), 0, 1024);
    if (!count) {
      if (words.size() == 2) {
        gpus += 1;  // a type only: gpu:a100
        continue;
      }
      return fail(count.error().code, "--gres: '" + part + "': " + count.error().text);
    }
    gpus += *count;
  }
  return gpus;
}

Result<std::uint32_t> divided(std::uint64_t devices, std::uint64_t tasks, const std::string& asked, const char* where) {
  if (devices % tasks != 0) {
    return fail(Errc::unsupported, asked + " can't be shared out: there are " + std::to_string(tasks) + " tasks " + where +
                                       ", and each gets whole gpus of its own; say --gpus-per-task");
  }
  return static_cast<std::uint32_t>(devices / tasks);
}

}  // namespace

Status take_devices(const JobOptions& options, fb::JobSpecT& spec) {
  if (Status s = take(options.gpus_per_task, "--gpus-per-task", count_from(0, 1024), spec.gpus_per_task); !s) {
    return s;
  }
  const std::uint64_t nodes = std::max(spec.nodes_min, 1U);
  const std::uint64_t tasks_per_node = spec.ntasks_per_node != 0 ? std::min(spec.ntasks_per_node, spec.ntasks) : (spec.ntasks + nodes - 1) / nodes;
  const auto give = [&](Result<std::uint32_t> per_task) -> Status {
    if (!per_task) {
      return tl::unexpected(per_task.error());
    }
    spec.gpus_per_task = std::max(spec.gpus_per_task, *per_task);
    return {};
  };
  if (options.gres && *options.gres != "none" && !options.gres->empty()) {
    const auto gpus = gpus_in(*options.gres);
    if (!gpus) {
      return tl::unexpected(gpus.error());
    }
    if (Status s = give(divided(*gpus, tasks_per_node, "--gres=" + *options.gres, "per node")); !s) {
      return s;
    }
  }
  if (options.gpus_per_node) {
    const auto gpus = gpus_in("gpu:" + *options.gpus_per_node);
    if (!gpus) {
      return fail(gpus.error().code, "--gpus-per-node: '" + *options.gpus_per_node + "' is not a number of gpus");
    }
    if (Status s = give(divided(*gpus, tasks_per_node, "--gpus-per-node=" + *options.gpus_per_node, "per node")); !s) {
      return s;
    }
  }
  if (options.gpus) {
    const auto gpus = gpus_in("gpu:" + *options.gpus);
    if (!gpus) {
      return fail(gpus.error().code, "--gpus: '" + *options.gpus + "' is not a number of gpus");
    }
    return give(divided(*gpus, spec.ntasks, "--gpus=" + *options.gpus, "in all"));
  }
  return {};
}

Result<fb::StepSpecT> make_inherited_step(const JobOptions& options, std::vector<std::string>& warnings) {
  fb::StepSpecT step;
  if (options.cpus_per_task) {
    const auto cpus = parse_cpus(*options.cpus_per_task);
    if (!cpus) {
      return about("--cpus-per-task", cpus.error());
    }
    step.cpus_per_task = (*cpus + 999) / 1000;
  }
  if (Status s = take_bindings(options, step, warnings); !s) {
    return tl::unexpected(s.error());
  }
  if (Status s = take(options.mpi, "", mpi_of, step.mpi); !s) {
    return tl::unexpected(s.error());
  }
  if (Status s = take_ending(options, step); !s) {
    return tl::unexpected(s.error());
  }
  return step;
}

Result<fb::StepSpecT> make_step(const JobOptions& options, const Surroundings& here, std::vector<std::string>& warnings) {
  check(!options.command.empty(), "a step needs a command");
  auto inherited = make_inherited_step(options, warnings);
  if (!inherited) {
    return inherited;
  }
  fb::StepSpecT step = std::move(*inherited);
  step.name = options.name.value_or("");
  step.argv = options.command;
  fb::JobSpecT job;  // the same forms, read in one place
  if (Status s = take_step_sizes(options, step); !s) {
    return tl::unexpected(s.error());
  }
  if (Status s = take_files(options, here, job); !s) {
    return tl::unexpected(s.error());
  }
  step.working_directory = job.working_directory;
  step.stdout_path = options.output && *options.output == "all" ? "" : options.output && *options.output == "none" ? "/dev/null" : job.stdout_path;
  step.stderr_path = options.error && *options.error == "none" ? "/dev/null" : job.stderr_path;
  step.append_output = job.append_output;
  if (options.input && *options.input != "all") {
    const auto rank = parse_count(*options.input, 0, 0x7fff'ffff);
    if (*options.input == "none") {
      step.stdin_rank = -2;
    } else if (rank) {
      step.stdin_rank = static_cast<std::int32_t>(*rank);
    } else {
      step.stdin_path = job.stdin_path;
    }
  }
  if (options.nodelist) {
    auto names = parse_node_list(*options.nodelist);
    if (!names) {
      return about("--nodelist", names.error());
    }
    step.node_list = std::move(*names);
  }
  auto environment = select_environment(options.environment.value_or("ALL"), here, warnings);
  if (!environment) {
    return tl::unexpected(environment.error());
  }
  step.environment = std::move(*environment);
  step.pty = options.pty;
  if (step.pty) {
    step.stdin_rank = 0;
  }
  step.overlap = options.overlap;
  return step;
}

bool asks_for_step(const JobOptions& options) {
  return options.distribution || options.cpu_bind || options.mem_bind || options.hint || options.threads_per_core ||
         options.ntasks_per_socket || options.mpi || options.kill_on_bad_exit || options.kill_wait ||
         options.wait_after_first || options.report_bindings || options.overlap || options.pty || options.nodelist;
}

}  // namespace muster::cli
