#include "node/pmi/pmix_server.hpp"

#include <pmix_server.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <utility>

#include "node/pmi/memory_place.hpp"
#include "node/pmi/pmix_infos.hpp"
#include "node/pmi/pmix_library.hpp"
#include "node/pmi/step_layout.hpp"

namespace muster::node {
namespace {

struct Variable {
  const char* name{};
  const char* value{};
};
// What libpmix reads from our environment.
constexpr Variable kLibraryEnvironment[] = {
    {"PMIX_MCA_gds", "hash"},  // the shared-memory stores print lock errors when a root's server meets a user's ranks
    {"PMIX_MCA_psec", "native"},
};
// While it starts. Most of that time it would explore the machine, with all of hwloc's plugins (OpenCL, X displays, PCI
// names), for questions that no rank of ours asks it: Open MPI's ranks look for themselves.
constexpr Variable kStartEnvironment[] = {{"HWLOC_SYNTHETIC", "pu:1"}, {"HWLOC_PLUGINS_PATH", "/dev/null"}};
// Open MPI's ranks: without it each of them becomes a job of size 1 and reports success.
constexpr const char* kNotByOrte = "OMPI_MCA_schizo=^orte";
// What mpirun tells them too. They wait for messages by looking again and again: without a yield in between, four ranks
// on two cpus need 40 times as long. A user's own mpi_yield_when_idle stands above it.
constexpr const char* kCrowded = "OMPI_MCA_mpi_oversubscribe=1";

// Only the step daemon's thread changes these.
bool library_open = false;
bool server_lives = false;

bool succeeded(pmix_status_t status) { return status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED; }

pmix_proc_t process_of(const std::string& space, std::uint32_t rank) {
  pmix_proc_t process{};
  PMIX_LOAD_PROCID(&process, space.c_str(), rank);
  return process;
}

// libpmix's thread; `data` is a ModexAnswer.
struct ModexAnswer { std::uint64_t question{}; };
void on_modex_served(pmix_status_t status, char* blob, std::size_t bytes, void* data) {
  const std::unique_ptr<ModexAnswer> answer(static_cast<ModexAnswer*>(data));
  pmix_library().events.push(pmi_event::ModexServed{
      answer->question, status, blob == nullptr ? std::string() : std::string(blob, bytes)});
}

// What every rank of the step may ask of libpmix without asking us.
Result<PmixInfos> describe(const PmiStep& step) {
  std::string nodes;
  std::string ranks;
  std::vector<std::uint32_t> numbers(step.nodes.size());  // of the nodes: libpmix's maps hold none without ranks
  std::uint32_t count = 0;
  for (std::size_t node = 0; node < step.nodes.size(); ++node) {
    numbers[node] = count;
    if (!step.ranks[node].empty()) {
      nodes += (count == 0 ? "" : ",") + step.nodes[node];
      ranks += (count == 0 ? "" : ";") + comma_separated(step.ranks[node]);
      ++count;
    }
  }
  char* node_map = nullptr;
  char* process_map = nullptr;
  if (const auto status = PMIx_generate_regex(nodes.c_str(), &node_map); !succeeded(status)) {
    return fail_pmix("PMIx_generate_regex", status);
  }
  if (const auto status = PMIx_generate_ppn(ranks.c_str(), &process_map); !succeeded(status)) {
    std::free(node_map);
    return fail_pmix("PMIx_generate_ppn", status);
  }
  const auto count_here = static_cast<std::uint32_t>(step.ranks[step.here].size());
  PmixInfos infos;
  infos.add_regex(PMIX_NODE_MAP, node_map);
  infos.add_regex(PMIX_PROC_MAP, process_map);
  std::free(node_map);
  std::free(process_map);
  infos.add(PMIX_JOBID, step.name);
  infos.add(PMIX_JOB_SIZE, step.ntasks);
  infos.add(PMIX_UNIV_SIZE, step.ntasks);
  infos.add(PMIX_MAX_PROCS, step.ntasks);
  infos.add(PMIX_JOB_NUM_APPS, std::uint32_t{1});
  infos.add(PMIX_APP_SIZE, step.ntasks);
  infos.add(PMIX_NUM_NODES, count);
  infos.add(PMIX_LOCAL_PEERS, comma_separated(step.ranks[step.here]));
  infos.add(PMIX_LOCAL_SIZE, count_here);
  infos.add(PMIX_NODE_SIZE, count_here);
  infos.add(PMIX_NODEID, numbers[step.here]);
  infos.add(PMIX_APPNUM, std::uint32_t{0});
  infos.add(PMIX_TMPDIR, step.directory);
  infos.add(PMIX_NSDIR, step.directory);
  infos.add(PMIX_TDIR_RMCLEAN, true);
  if (count_here > 0) {
    infos.add_rank(PMIX_LOCALLDR, step.ranks[step.here].front());
  }
  for (std::uint32_t node = 0; node < step.nodes.size(); ++node) {
    for (std::size_t place = 0; place < step.ranks[node].size(); ++place) {
      const std::uint32_t rank = step.ranks[node][place];
      PmixInfos process;
      process.add_rank(PMIX_RANK, rank);
      process.add_rank(PMIX_GLOBAL_RANK, rank);
      process.add_rank(PMIX_APP_RANK, rank);
      process.add(PMIX_APPNUM, std::uint32_t{0});
      process.add(PMIX_LOCAL_RANK, static_cast<std::uint16_t>(place));
      process.add(PMIX_NODE_RANK, static_cast<std::uint16_t>(place));
      process.add(PMIX_HOSTNAME, step.nodes[node]);
      process.add(PMIX_NODEID, numbers[node]);
      infos.add_array(PMIX_PROC_INFO_ARRAY, std::move(process));
    }
  }
  return infos;
}

// Owned by the step daemon's thread.
class PmixServer final : public PmiServer {
 public:
  ~PmixServer() override {
    while (!steps_.empty()) {
      end_step(steps_.begin()->first);
    }
    (void)pmix_library().events.take();
    server_lives = false;
  }

  [[nodiscard]] PmiKind kind() const override { return PmiKind::pmix; }
  [[nodiscard]] int fd() const override { return pmix_library().events.fd(); }
  [[nodiscard]] std::vector<PmiEvent> take_events() override { return pmix_library().events.take(); }

  [[nodiscard]] Status begin_step(const PmiStep& step) override {
    if (const Status sound = check_layout(step); !sound) {
      return sound;
    }
    PmixLibrary& library = pmix_library();
    {
      const std::lock_guard<std::mutex> guard(library.lock);
      if (steps_.contains(step.step) || library.spaces.contains(step.name)) {
        return fail(Errc::already_exists, "step " + std::to_string(step.step) + " '" + step.name + "' has begun already");
      }
      library.spaces[step.name] = {step.step, step.ntasks, {}};
    }
    const auto& here = step.ranks[step.here];
    Step& place = steps_[step.step];
    place = {step.name, step.uid, step.gid, {here.begin(), here.end()}, {}, step.crowded};
    auto memory = make_memory_place(step.name, step.directory);
    if (!memory) {
      end_step(step.step);
      return tl::unexpected<Error>(memory.error());
    }
    place.memory = std::move(*memory);
    Result<PmixInfos> infos = describe(step);
    pmix_status_t status = PMIX_SUCCESS;
    if (infos) {
      status = PMIx_server_register_nspace(step.name.c_str(), static_cast<int>(here.size()), infos->data(), infos->size(),
                                           nullptr, nullptr);
    }
    if (!infos || !succeeded(status)) {
      end_step(step.step);
      return infos ? fail_pmix("PMIx_server_register_nspace", status) : tl::unexpected<Error>(infos.error());
    }
    return {};
  }

  [[nodiscard]] Result<PmiRank> prepare_rank(std::uint32_t step, std::uint32_t rank) override {
    const auto found = steps_.find(step);
    if (found == steps_.end() || !found->second.ranks.contains(rank)) {
      return fail(Errc::not_found,
                  "rank " + std::to_string(rank) + " of step " + std::to_string(step) + " is not on this node");
    }
    const Step& place = found->second;
    const pmix_proc_t process = process_of(place.name, rank);
    if (const auto status = PMIx_server_register_client(&process, place.uid, place.gid, nullptr, nullptr, nullptr);
        !succeeded(status)) {
      return fail_pmix("PMIx_server_register_client", status);
    }
    char** variables = nullptr;
    const auto status = PMIx_server_setup_fork(&process, &variables);
    PmiRank prepared;
    for (char** variable = variables; variable != nullptr && *variable != nullptr; ++variable) {
      prepared.environment.emplace_back(*variable);
      std::free(*variable);
    }
    std::free(variables);
    if (!succeeded(status)) {
      return fail_pmix("PMIx_server_setup_fork", status);
    }
    prepared.environment.emplace_back(kNotByOrte);
    if (place.crowded) {
      prepared.environment.emplace_back(kCrowded);
    }
    prepared.environment.insert(prepared.environment.end(), place.memory.environment.begin(),
                                place.memory.environment.end());
    return prepared;
  }

  void on_rank_started(std::uint32_t, std::uint32_t) override {}
  void on_rank_ended(std::uint32_t, std::uint32_t) override {}  // libpmix has noticed: the connection has gone

  void answer_exchange(std::uint32_t step, bool ok, const std::string& data) override {
    const auto found = steps_.find(step);
    if (found == steps_.end()) {
      return;
    }
    PmixLibrary& library = pmix_library();
    PmixReply reply;
    {
      const std::lock_guard<std::mutex> guard(library.lock);
      auto& rounds = library.spaces[found->second.name].rounds;
      if (rounds.empty()) {
        return;
      }
      reply = rounds.front().reply;
      rounds.pop_front();
      if (!rounds.empty()) {
        library.events.push(pmi_event::Exchange{step, rounds.front().blob});
      }
    }
    reply.give(ok ? PMIX_SUCCESS : PMIX_ERR_LOST_CONNECTION, ok ? data : std::string());
  }

  void answer_modex(std::uint64_t question, int status, const std::string& data) override {
    PmixLibrary& library = pmix_library();
    PmixReply reply;
    {
      const std::lock_guard<std::mutex> guard(library.lock);
      const auto found = library.questions.find(question);
      if (found == library.questions.end()) {
        return;
      }
      reply = found->second.reply;
      library.questions.erase(found);
    }
    reply.give(status, data);
  }

  void serve_modex(std::uint32_t step, std::uint32_t rank, std::uint64_t question) override {
    const auto found = steps_.find(step);
    if (found == steps_.end() || !found->second.ranks.contains(rank)) {
      pmix_library().events.push(pmi_event::ModexServed{question, PMIX_ERR_NOT_FOUND, {}});
      return;
    }
    const pmix_proc_t process = process_of(found->second.name, rank);
    auto answer = std::make_unique<ModexAnswer>(ModexAnswer{question});
    const auto status = PMIx_server_dmodex_request(&process, on_modex_served, answer.get());
    if (succeeded(status)) {
      (void)answer.release();
    } else {
      pmix_library().events.push(pmi_event::ModexServed{question, status, {}});
    }
  }

  void end_step(std::uint32_t step) override {
    const auto found = steps_.find(step);
    if (found == steps_.end()) {
      return;
    }
    std::vector<PmixReply> waiting;
    PmixLibrary& library = pmix_library();
    {
      const std::lock_guard<std::mutex> guard(library.lock);
      for (const auto& round : library.spaces[found->second.name].rounds) {
        waiting.push_back(round.reply);
      }
      for (auto it = library.questions.begin(); it != library.questions.end();) {
        if (it->second.space == found->second.name) {
          waiting.push_back(it->second.reply);
          it = library.questions.erase(it);
        } else {
          ++it;
        }
      }
      library.spaces.erase(found->second.name);
    }
    for (const PmixReply& reply : waiting) {
      reply.give(PMIX_ERR_LOST_CONNECTION, {});
    }
    PMIx_server_deregister_nspace(found->second.name.c_str(), nullptr, nullptr);
    remove_memory_place(found->second.memory);
    steps_.erase(found);
  }

 private:
  struct Step {
    std::string name;
    std::uint32_t uid{};
    std::uint32_t gid{};
    std::set<std::uint32_t> ranks;  // of this node
    MemoryPlace memory;
    bool crowded{};
  };
  std::map<std::uint32_t, Step> steps_;
};

}  // namespace

Status warm_pmix(const PmixOptions& options) {
  if (library_open) {
    return {};
  }
  if (const Status ready = pmix_library().events.ready(); !ready) {
    return ready;
  }
  sweep_memory_places();
  for (const auto& [name, value] : kLibraryEnvironment) {
    ::setenv(name, value, 1);
  }
  PmixInfos infos;
  infos.add(PMIX_SERVER_TMPDIR, options.directory);
  infos.add(PMIX_SYSTEM_TMPDIR, options.directory);
  infos.add(PMIX_HOSTNAME, options.node);
  infos.add(PMIX_SERVER_NSPACE, "muster.stepd." + options.node);
  infos.add_rank(PMIX_SERVER_RANK, 0);
  // libpmix's threads must not take the daemon's signals.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pmix_server_module_t module = pmix_callbacks();
  std::vector<std::pair<const char*, std::optional<std::string>>> restored;
  for (const auto& [name, value] : kStartEnvironment) {
    const char* old = ::getenv(name);
    restored.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
    ::setenv(name, value, 1);
  }
  const pmix_status_t status = PMIx_server_init(&module, infos.data(), infos.size());
  for (const auto& [name, old] : restored) {
    old ? ::setenv(name, old->c_str(), 1) : ::unsetenv(name);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!succeeded(status)) {
    return fail_pmix("PMIx_server_init in " + options.directory, status);
  }
  library_open = true;
  return {};
}

Result<std::unique_ptr<PmiServer>> make_pmix_server(const PmixOptions& options) {
  if (server_lives) {
    return fail(Errc::conflict, "this process has a PMIx server already: libpmix allows one");
  }
  if (const Status warm = warm_pmix(options); !warm) {
    return tl::unexpected<Error>(warm.error());
  }
  server_lives = true;
  return std::unique_ptr<PmiServer>(std::make_unique<PmixServer>());
}

void finish_pmix() {
  if (std::exchange(library_open, false)) {
    PMIx_server_finalize();
  }
}

}  // namespace muster::node
