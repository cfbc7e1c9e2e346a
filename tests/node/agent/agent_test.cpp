// The agent as a process, with a real launcher and real tasks, against a small master that speaks the protocol.
// Waits are polls with a deadline; every process is ended by its pid.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "wire/daemon/process_identity.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/link_state.hpp"
#include "wire/schema/shapes.hpp"
#include "wire/socket/request_client.hpp"
#include "wire/socket/router.hpp"

using namespace muster;

namespace {

constexpr FrameworkId kFramework{7};
const AttemptId kA{1, 1};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Seen {
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::string cpus;
  std::string text;
};

// A folder, a small master in it and one agent.
class Cluster {
 public:
  Cluster() {
    char name[] = "/tmp/mnXXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    dir = name;
    auto endpoint = ipc_endpoint(dir + "/master.ipc");
    REQUIRE(endpoint);
    auto bound = Router::bind(context_, std::vector<Endpoint>{*endpoint});
    REQUIRE(bound);
    router_.emplace(*std::move(bound));
  }
  ~Cluster() {
    const auto launcher = identity_of(launcher_pid());  // it takes its pid out of the file before it has gone
    if (agent > 0) {
      ::kill(agent, SIGCONT);
      ::kill(agent, SIGTERM);
      static_cast<void>(wait_agent());
    }
    if (launcher && is_alive(*launcher)) {
      ::kill(launcher->pid, SIGTERM);
      static_cast<void>(wait_for([&] { return !is_alive(*launcher); }));
    }
    std::filesystem::remove_all(dir);
  }

  pid_t spawn_agent(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{std::string(MUSTER_BINARY_DIR) + "/node/muster-node", "--dir", dir, "--name", "n1",
                                   "--cpus", "4", "--memory", "4G", "--log", dir + "/n1.log"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, (dir + "/err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid = 0;
    REQUIRE(::posix_spawn(&pid, argv[0], &files, nullptr, argv.data(), ::environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    return pid;
  }
  void start() {
    const auto before = registrations;
    agent = spawn_agent(options);
    REQUIRE(wait_for([&] { return registrations > before; }));
  }
  int wait_agent() {
    int status = 0;
    ::waitpid(agent, &status, 0);
    agent = 0;
    return status;
  }
  void kill_agent() {
    ::kill(agent, SIGKILL);
    static_cast<void>(wait_agent());
  }
  [[nodiscard]] pid_t launcher_pid() const {
    return static_cast<pid_t>(std::atoi(content_of(dir + "/nodes/n1/launcher.pid").c_str()));
  }

  // Serves the master's side until `done`, at most 20 s.
  bool wait_for(const std::function<bool()>& done) {
    const SystemClock clock;
    const Instant deadline = clock.now().mono + Duration::from_seconds(20);
    while (clock.now().mono < deadline) {
      for (;;) {
        Incoming in;
        const auto got = router_->receive(in, clock.now().mono);
        REQUIRE(got);
        if (!*got) {
          break;
        }
        FrameBytes bytes;
        in.message.copy_to(bytes);
        take(in.link, bytes);
      }
      if (done()) {
        return true;
      }
      if (link_.is_open() && clock.now().mono - said_ > Duration::from_ms(300)) {
        say<fb::Heartbeat>({});
      }
      ::poll(nullptr, 0, 2);
    }
    UNSCOPED_INFO(content_of(dir + "/n1.log") << content_of(dir + "/err"));
    return false;
  }

  template <class Body>
  void say(const typename Body::NativeTableType& body) {
    const FrameBytes bytes = pack_frame<Body>(link_.next_head(Epoch(1)), body);
    static_cast<void>(router_->send(peer_, bytes));
    said_ = SystemClock().now().mono;
  }

  void launch(const AttemptId& attempt, const std::vector<std::string>& argv, std::uint64_t job = 1,
              bool requeueable = false) {
    fb::TaskSpecT spec;
    spec.job = job;
    spec.name = "test";
    spec.argv = argv;
    spec.environment = {"PATH=/usr/bin:/bin"};
    spec.working_directory = dir;
    spec.ntasks = 1;
    spec.try_number = 1;
    spec.requeueable = requeueable;
    spec.token_hi = 5;
    spec.token_lo = 6;
    spec.cpus_per_rank_milli = 1000;
    Resources shape;
    shape.cpus_milli = 2000;
    shape.memory_bytes = 1U << 20U;
    fb::LaunchT body;
    body.specs.push_back(std::make_unique<fb::SpecBytesT>());
    body.specs[0]->data = pack_spec(spec);
    body.shapes.push_back(std::make_unique<fb::ShapeT>(to_shape_object(shape)));
    body.frameworks = {kFramework.value()};
    body.launches.emplace_back(to_fb(attempt), 3U, 0U, 0U, 2U, 0U, 0U, std::uint16_t{0}, std::uint16_t{0},
                               std::uint16_t{0}, std::uint16_t{0});
    say<fb::Launch>(body);
  }
  void acknowledge_all() {
    fb::AcknowledgeT body;
    body.entries.emplace_back(highest_seq_, 3U, std::uint16_t{0}, std::uint16_t{0});
    body.frameworks = {kFramework.value()};
    say<fb::Acknowledge>(body);
  }
  [[nodiscard]] bool in_state(const AttemptId& attempt, TaskState state) const {
    const auto at = updates.find(attempt);
    return at != updates.end() && at->second.state == state;
  }

  std::string dir;
  std::vector<std::string> options;     // of the agent
  pid_t agent{};
  int registrations{};
  std::size_t reported{};               // tasks in the last registration
  std::map<AttemptId, Seen> updates;    // the last of each attempt

 private:
  void take(LinkId from, const FrameBytes& bytes) {
    const auto verified = verify_frame(bytes);
    REQUIRE(verified);
    const fb::Frame& frame = **verified;
    if (frame.body_type() == fb::Body::Register) {
      link_.open(Incarnation(frame.incarnation()));
      peer_ = from;
    }
    if (link_.take(frame) != LinkState::Verdict::deliver) {
      return;
    }
    if (const auto* registered = frame.body_as_Register()) {
      const auto* tasks = registered->nodes()->Get(0)->tasks();
      reported = tasks == nullptr ? 0 : tasks->size();
      fb::RegisteredT answer;
      answer.nodes.emplace_back(3U, 0U);
      say<fb::Registered>(answer);
      ++registrations;
    } else if (const auto* update = frame.body_as_Update()) {
      for (const auto* entry : *update->entries()) {
        Seen& seen = updates[from_fb(*entry).first];
        seen.state = from_fb(*entry).second;
        seen.reason = static_cast<TaskReason>(entry->reason());
        seen.exit_code = entry->exit_code();
        highest_seq_ = std::max(highest_seq_, entry->seq());
        if (entry->detail() != 0) {
          const auto* detail = update->details()->Get(entry->detail() - 1U);
          seen.cpus = text_of(detail->cpus());
          seen.text = text_of(detail->text());
        }
      }
    }
  }
  static std::pair<AttemptId, TaskState> from_fb(const fb::UpdateEntry& entry) {
    return {muster::from_fb(entry.attempt()), static_cast<TaskState>(entry.state())};
  }

  Context context_;
  std::optional<Router> router_;
  LinkState link_;
  LinkId peer_;
  Instant said_;
  std::uint64_t highest_seq_{};
};

}  // namespace

TEST_CASE("an agent runs a task, gives its output and leaves no process") {
  // Goal: the whole path on a real machine. Method: two ranks echo their variables; read the file by token; SIGTERM.
  Cluster c;
  c.start();
  c.launch(kA, {"sh", "-c", "echo rank $MUSTER_RANK of $MUSTER_NTASKS on $MUSTER_NODE_NAME cpus $MUSTER_CPUS; exit 3"});
  REQUIRE(c.wait_for([&] { return c.in_state(kA, TaskState::finished); }));
  CHECK(c.updates[kA].exit_code == 3);
  CHECK_FALSE(c.updates[kA].cpus.empty());
  const std::string output = content_of(c.dir + "/muster-1.out");
  CHECK(output.find("rank 0 of 2 on n1 cpus ") != std::string::npos);
  CHECK(output.find("rank 1 of 2 on n1 cpus ") != std::string::npos);

  Context context;
  auto user = RequestClient::connect(context, *ipc_endpoint(c.dir + "/nodes/n1/job.ipc"));
  REQUIRE(user);
  fb::ReadLogT ask;
  ask.request = 9;
  ask.job = 1;
  ask.token_hi = 5;
  ask.token_lo = 6;
  const auto answer = user->call(pack_frame<fb::ReadLog>({}, ask), 9, SystemClock().now().mono + Duration::from_seconds(10));
  REQUIRE(answer);
  const auto* chunk = (*verify_frame(*answer))->body_as_LogChunk();
  REQUIRE(chunk != nullptr);
  CHECK(std::string(chunk->data()->begin(), chunk->data()->end()) == output);
  CHECK(chunk->ended());

  const auto launcher = identity_of(c.launcher_pid());
  REQUIRE(launcher);
  c.launch({1, 2}, {"sleep", "1000"}, 2);
  REQUIRE(c.wait_for([&] { return c.in_state({1, 2}, TaskState::running); }));
  ::kill(c.agent, SIGTERM);
  REQUIRE(c.wait_for([&] { return c.in_state({1, 2}, TaskState::killed); }));
  CHECK(c.updates[{1, 2}].reason == TaskReason::drained);
  CHECK(c.wait_agent() == 0);
  CHECK(c.wait_for([&] { return !is_alive(*launcher); }));
}

TEST_CASE("kill -9 of the agent ends nothing, exit codes survive") {
  // Goal: re-adoption. Method: kill the agent while a task runs and while another ends; start it again.
  Cluster c;
  c.start();
  c.launch(kA, {"sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; exit 42"});
  c.launch({1, 2}, {"sh", "-c", "while [ ! -e end ]; do sleep 0.02; done; echo x > ended; exit 7"}, 2);
  REQUIRE(c.wait_for([&] { return c.in_state(kA, TaskState::running) && c.in_state({1, 2}, TaskState::running); }));
  c.acknowledge_all();
  c.kill_agent();
  std::ofstream(c.dir + "/end") << "x";
  REQUIRE(c.wait_for([&] { return content_of(c.dir + "/ended").size() > 1; }));
  c.start();
  CHECK(c.reported == 2);
  REQUIRE(c.wait_for([&] { return c.in_state({1, 2}, TaskState::finished); }));
  CHECK(c.updates[{1, 2}].exit_code == 7);
  CHECK(c.in_state(kA, TaskState::running));
  std::ofstream(c.dir + "/go") << "x";
  REQUIRE(c.wait_for([&] { return c.in_state(kA, TaskState::finished); }));
  CHECK(c.updates[kA].exit_code == 42);
  c.acknowledge_all();
  c.launch({1, 3}, {"true"}, 3);  // after the acknowledgement, so it has been taken when this has ended
  REQUIRE(c.wait_for([&] { return c.in_state({1, 3}, TaskState::finished); }));
  c.kill_agent();
  c.start();
  CHECK(c.reported == 1);
}

TEST_CASE("kill -9 of the launcher: its tasks are dead when they are reported lost, the next ones run") {
  Cluster c;
  c.start();
  c.launch(kA, {"sh", "-c", "echo $$ > pid; exec sleep 1000"});
  REQUIRE(c.wait_for([&] { return c.in_state(kA, TaskState::running) && !content_of(c.dir + "/pid").empty(); }));
  const auto task = identity_of(std::atoi(content_of(c.dir + "/pid").c_str()));
  REQUIRE(task);
  const pid_t launcher = c.launcher_pid();
  ::kill(launcher, SIGKILL);
  bool alive_when_reported = false;
  REQUIRE(c.wait_for([&] {
    if (!c.in_state(kA, TaskState::lost)) {
      return false;
    }
    alive_when_reported = is_alive(*task);
    return true;
  }));
  CHECK_FALSE(alive_when_reported);
  CHECK(c.updates[kA].reason == TaskReason::launcher_died);
  c.launch({1, 2}, {"true"}, 2);
  REQUIRE(c.wait_for([&] { return c.in_state({1, 2}, TaskState::finished); }));
}

TEST_CASE("a second agent of a node, and bad options, end with one clear line") {
  Cluster c;
  c.start();
  const auto run = [&](const std::vector<std::string>& more, int code) {
    const pid_t second = c.spawn_agent(more);
    int status = 0;
    ::waitpid(second, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == code);
    return content_of(c.dir + "/err");
  };
  CHECK(run({}, 1).find("already running") != std::string::npos);
  CHECK(run({"--first-cpu", "x"}, 2).find("--first-cpu") != std::string::npos);
  CHECK(run({"--count", "9lives"}, 2).find("--count 9lives") != std::string::npos);
  CHECK(run({"--master", "tcp://10.0.0.1:5"}, 2).find("muster keygen") != std::string::npos);
  CHECK(run({"--reserve-memory", "5G"}, 2).find("--reserve-memory 5G") != std::string::npos);
  CHECK(run({"--launcher", "/nowhere"}, 1).find("/nowhere") != std::string::npos);
}

TEST_CASE("requeueable tasks are gone by the fence although the agent was killed, the others go on") {
  // Goal: what may be started elsewhere after the fence runs here no more, whatever became of the agent.
  // Method: a short fence, kill -9 of the agent, its launcher alone; then an agent that tells the end.
  Cluster c;
  c.options = {"--fence", "2"};
  c.start();
  c.launch(kA, {"sh", "-c", "echo $$ > pid.a; exec sleep 1000"}, 1, true);
  c.launch({1, 2}, {"sh", "-c", "echo $$ > pid.b; exec sleep 1000"}, 2);
  REQUIRE(c.wait_for([&] {
    return c.in_state(kA, TaskState::running) && c.in_state({1, 2}, TaskState::running) &&
           !content_of(c.dir + "/pid.a").empty() && !content_of(c.dir + "/pid.b").empty();
  }));
  const auto requeueable = identity_of(std::atoi(content_of(c.dir + "/pid.a").c_str()));
  const auto other = identity_of(std::atoi(content_of(c.dir + "/pid.b").c_str()));
  REQUIRE(requeueable);
  REQUIRE(other);
  const Instant killed = SystemClock().now().mono;
  c.kill_agent();
  REQUIRE(c.wait_for([&] { return !is_alive(*requeueable); }));
  CHECK(SystemClock().now().mono - killed < Duration::from_seconds(2 + 10));  // the fence and the master's margin
  CHECK(is_alive(*other));
  c.start();
  REQUIRE(c.wait_for([&] { return c.in_state(kA, TaskState::killed); }));
  CHECK(c.updates[kA].reason == TaskReason::fenced);
  CHECK(c.in_state({1, 2}, TaskState::running));
  CHECK(is_alive(*other));
}
