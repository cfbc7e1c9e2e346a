// up, down, status, nodes, drain, undrain, frameworks, offers, tasks, config, version.
#include "sched/cli/catalogue.hpp"
#include "sched/cli/settings.hpp"

namespace muster::cli {
namespace {

constexpr const char* kListCodes = "Exit codes: 0 listed, 2 bad option, 3 no cluster, 4 refused, 5 no answer in time.\n";

struct UpDraft {
  std::optional<std::string> nodes;
  std::optional<std::string> fake_nodes;
  std::optional<std::string> fake_duration;
  std::optional<std::string> cpus;
  std::optional<std::string> memory;
  std::optional<std::string> http_port;
  std::vector<std::string> settings;
};

constexpr std::uint64_t kFakeNodesMax = 100'000;

Status read_fakes(const UpDraft& draft, UpCommand& command) {
  if (draft.fake_nodes && draft.nodes) {
    return fail(Errc::invalid_argument, "--fake-nodes and --nodes: a cluster has either simulated nodes or real ones; give one of them");
  }
  if (draft.fake_nodes) {
    auto nodes = parse_count(*draft.fake_nodes, 1, kFakeNodesMax);
    if (!nodes) {
      return fail(nodes.error().code, "--fake-nodes: " + nodes.error().text);
    }
    command.nodes = static_cast<std::uint32_t>(*nodes);
    command.fake = true;
  }
  if (draft.fake_duration) {
    auto duration = parse_duration(*draft.fake_duration);
    if (!duration) {
      return fail(duration.error().code, "--fake-duration: " + duration.error().text);
    }
    if (!draft.fake_nodes) {
      return fail(Errc::invalid_argument, "--fake-duration: is how long tasks run on simulated nodes; give --fake-nodes too");
    }
    if (*duration > Duration::from_seconds(366 * 86'400)) {
      return fail(Errc::out_of_range, "--fake-duration: '" + *draft.fake_duration + "' is more than a year");
    }
    command.fake_duration = Duration::from_ms(duration->ms());
  }
  return {};
}

Result<Command> finish_up(const UpDraft& draft) {
  UpCommand command;
  if (auto fakes = read_fakes(draft, command); !fakes) {
    return tl::unexpected(fakes.error());
  }
  if (draft.nodes) {
    auto nodes = parse_count(*draft.nodes, 1, 256);
    if (!nodes) {
      return fail(nodes.error().code, "--nodes: " + nodes.error().text);
    }
    command.nodes = static_cast<std::uint32_t>(*nodes);
  }
  if (draft.cpus) {
    auto cpus = parse_count(*draft.cpus, 1, 4096);
    if (!cpus) {
      return fail(cpus.error().code, "--cpus: " + cpus.error().text);
    }
    command.cpus_milli = static_cast<MilliCpus>(*cpus * 1000);
  }
  if (draft.memory) {
    auto memory = parse_bytes(*draft.memory);
    if (!memory) {
      return fail(memory.error().code, "--memory: " + memory.error().text);
    }
    if (*memory == 0) {
      return fail(Errc::invalid_argument, "--memory: '" + *draft.memory + "' must be more than zero");
    }
    command.memory_bytes = *memory;
  }
  if (draft.http_port) {
    auto port = parse_count(*draft.http_port, 0, 65'535);
    if (!port) {
      return fail(port.error().code, "--http-port: " + port.error().text);
    }
    command.http_port = static_cast<std::uint16_t>(*port);
  }
  for (const std::string& text : draft.settings) {
    auto setting = parse_setting(text);
    if (!setting) {
      return fail(setting.error().code, "--set: " + setting.error().text);
    }
    if (command.fake && is_node_setting(setting->name)) {
      return fail(Errc::invalid_argument, "--set: " + setting->name + " is a setting of real nodes; simulated ones have only " +
                                              "--cpus, --memory and --fake-duration");
    }
    command.settings.push_back(*std::move(setting));
  }
  return command;
}

void add_up(Catalogue& catalogue) {
  auto draft = std::make_shared<UpDraft>();
  Subcommand& sub = catalogue.add(
      {"up", "Cluster", "start a cluster on this machine",
       "Nodes are called n1, n2, … They may have more cpus than the machine: then bindings wrap round.\n"
       "A second `up` reports the running cluster and starts daemons of it that are missing.\n"
       "--fake-nodes makes a cluster whose nodes f1, f2, … are simulated, to try scheduling at scale: master, gang, protocol and\n"
       "commands are real, but nothing is executed. Every task runs for --fake-duration and ends with exit code 0.\n"
       "Examples:\n  muster up\n  muster up --nodes 2 --cpus 4\n  muster up --set fence=30 --set default-time=1:00:00\n"
       "  muster up --fake-nodes 10000 --cpus 64 --fake-duration 5s\n"
       "Exit codes: 0 it runs, 1 a daemon did not start (its log is named), 2 bad option.\n"},
      true);
  add_text(*sub.app, "-N,--nodes", draft->nodes, "N", "nodes, 1 to 256; default 1");
  add_text(*sub.app, "--fake-nodes", draft->fake_nodes, "N", "simulated nodes instead, 1 to " + std::to_string(kFakeNodesMax));
  add_text(*sub.app, "--fake-duration", draft->fake_duration, "TIME",
           "how long every task runs on simulated nodes, such as 100ms or 5s; default 100ms");
  add_text(*sub.app, "-c,--cpus", draft->cpus, "N",
           "cpus of each node; default: the machine's, divided by the nodes; of simulated nodes 64");
  add_text(*sub.app, "-m,--memory", draft->memory, "SIZE",
           "memory of each node, such as 4G; default: 90 % of the machine's, divided by the nodes; of simulated nodes 4G per cpu");
  add_text(*sub.app, "--http-port", draft->http_port, "PORT",
           "where the master shows JSON on 127.0.0.1; 0: any free port; default 5050, or a free one if that is taken");
  sub.app->add_option("--set", draft->settings, "another setting, as `muster config` lists them; may be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub.finish = [draft]() { return finish_up(*draft); };
}

void add_down(Catalogue& catalogue) {
  auto grace = std::make_shared<std::optional<std::string>>();
  Subcommand& sub = catalogue.add({"down", "Cluster", "end a cluster started by `muster up`, its tasks included",
                                   "Queued jobs stay in the cluster's folder: the next `muster up` goes on with them.\n"
                                   "Exit codes: 0 no process is left, 1 something could not be ended, 3 no cluster.\n"},
                                  false);
  add_text(*sub.app, "--grace", *grace, "TIME", "how long daemons and tasks get before they are killed; default 10s");
  sub.finish = [grace]() -> Result<Command> {
    DownCommand command;
    if (*grace) {
      auto time = parse_timeout(**grace);
      if (!time) {
        return fail(time.error().code, "--grace: " + time.error().text);
      }
      command.grace = *time;
    }
    return command;
  };
}

void add_list(Catalogue& catalogue, const char* name, const char* summary, fb::Subject subject, const char* word) {
  auto command = std::make_shared<ListCommand>();
  command->subject = subject;
  Subcommand& sub = catalogue.add({name, "Cluster", summary,
                                   std::string("Examples:\n  muster ") + name + "\n  muster " + name + " --json\n" +
                                       kListCodes},
                                  true);
  if (word != nullptr) {
    sub.app->add_option("NAME", command->name, std::string("only this ") + word);
  }
  if (subject == fb::Subject::Nodes) {
    sub.app->add_flag("-a,--all", command->all, "a row for each node, also when they are so many that equal ones would share a row");
  }
  sub.finish = [command]() -> Result<Command> { return *command; };
}

void add_drain(Catalogue& catalogue, bool undrain) {
  auto command = std::make_shared<DrainCommand>();
  command->undrain = undrain;
  const std::string name = undrain ? "undrain" : "drain";
  Subcommand& sub = catalogue.add(
      {name, "Cluster", undrain ? "let a node take work again" : "give a node no new work; what runs goes on",
       "Examples:\n  muster " + name + (undrain ? " n1\n" : " n1 --reason 'new fan'\n") +
           "Exit codes: 0 done, 2 bad option, 3 no cluster, 4 unknown node, 5 no answer in time.\n"},
      false);
  sub.app->add_option("NODE", command->nodes, "names of nodes, as `muster nodes` lists them")->required();
  if (!undrain) {
    add_text(*sub.app, "-r,--reason", command->reason, "TEXT", "shown with the node; default 'drained by USER'");
  }
  sub.finish = [command]() -> Result<Command> { return *command; };
}

void add_keygen(Catalogue& catalogue) {
  auto command = std::make_shared<KeygenCommand>();
  Subcommand& sub = catalogue.add(
      {"keygen", "Cluster", "make this host's key pair, for a cluster of several hosts",
       "Writes DIR/muster.key, for its owner alone, and prints the public key. The master's list of keys (DIR/keys.toml) then says\n"
       "what it allows:\n"
       "  [keys]\n  '<public key>' = \"node n1\"       or \"framework\", or \"operator\"\n"
       "Others connect to a daemon of this host by its public key: tcp://HOST:PORT#<public key>\n"
       "Examples:\n  muster keygen --dir /etc/muster\n  muster keygen --dir /etc/muster --show\n"
       "Exit codes: 0 made (or shown), 1 there is one already (or none to show), 2 bad option.\n"},
      false);
  sub.app->add_flag("--show", command->show, "make nothing: print the public key that is there");
  sub.finish = [command]() -> Result<Command> { return *command; };
}

void add_topo(Catalogue& catalogue) {
  auto draft = std::make_shared<TopoCommand>();
  Subcommand& sub = catalogue.add({"topo", "Cluster", "draw a node: packages, NUMA nodes, caches, cores and cpus",
                                   "Each core is a bracket with the numbers of its cpus (hardware threads). Alike nodes share a drawing.\n"
                                   "Examples:\n  muster topo n1\n  muster topo n1 --svg n1.svg\n"
                                   "Exit codes: 0 drawn, 1 no such picture, 3 no cluster, 4 unknown node, 5 no answer in time.\n"},
                                  true);
  sub.app->add_option("NODE", draft->node, "a node; default: all");
  add_text(*sub.app, "--svg", draft->svg, "FILE", "a picture for a browser, instead of text");
  sub.finish = [draft]() -> Result<Command> { return *draft; };
}

}  // namespace

void add_cluster_subcommands(Catalogue& catalogue) {
  add_up(catalogue);
  add_down(catalogue);
  add_list(catalogue, "status", "the cluster in a few lines", fb::Subject::Status, nullptr);
  add_list(catalogue, "nodes", "list nodes, what they have and what is used", fb::Subject::Nodes, "node");
  add_topo(catalogue);
  add_drain(catalogue, false);
  add_drain(catalogue, true);
  add_list(catalogue, "frameworks", "list the schedulers connected to the master", fb::Subject::Frameworks, "framework");
  add_list(catalogue, "offers", "list open offers", fb::Subject::Offers, nullptr);
  add_list(catalogue, "tasks", "list what the master accounts on nodes", fb::Subject::Tasks, nullptr);
  catalogue
      .add({"config", "Cluster", "list the settings of this cluster and their defaults", "Exit codes: 0 listed, 3 no cluster.\n"},
           true)
      .finish = []() -> Result<Command> { return ConfigCommand{}; };
  add_keygen(catalogue);
  catalogue.add({"version", "Cluster", "print the version", "Exit codes: 0.\n"}, true).finish = []() -> Result<Command> {
    return VersionCommand{};
  };
}

}  // namespace muster::cli
