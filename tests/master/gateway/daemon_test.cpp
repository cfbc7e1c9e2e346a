// Goal: the daemon itself keeps its promises to whoever starts it: one per folder, a growing epoch, clear refusals, a clean
// leave. Method: the real program in fresh folders, every one of them reaped.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/wire/temp_dir.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/process_identity.hpp"
#include "wire/socket/request_client.hpp"

using namespace muster;
using muster::test::TempDir;
using Json = nlohmann::json;

namespace {

const std::string kProgram = std::string(MUSTER_BINARY_DIR) + "/master/muster-master";

Instant in_ms(std::int64_t ms) { return SystemClock{}.now().mono + Duration::from_ms(ms); }

// One run of the program; its output goes to a file. Killed and reaped at the latest when it goes.
class Run {
 public:
  Run(const std::string& output, std::vector<std::string> arguments) : output_(output) {
    arguments.insert(arguments.begin(), kProgram);
    std::vector<char*> argv;
    for (auto& a : arguments) {
      argv.push_back(a.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    REQUIRE(::posix_spawn(&pid_, kProgram.c_str(), &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Run() {
    if (pid_ > 0) {
      (void)end(SIGKILL);
    }
  }
  // Waits up to 20 s for its end; the exit code, or 128 + the signal.
  int end(int signal = 0) {
    if (signal != 0) {
      ::kill(pid_, signal);
    }
    const Instant deadline = in_ms(20'000);
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (SystemClock{}.now().mono > deadline) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        break;
      }
      std::this_thread::yield();
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string output() const { return read_file(output_).value_or(""); }

 private:
  std::string output_;
  pid_t pid_{-1};
};

// Its announcement, as soon as it is this process's.
Json announced(const TempDir& dir, const Run& run) {
  const Instant deadline = in_ms(20'000);
  while (SystemClock{}.now().mono < deadline) {
    if (const auto text = read_file(dir / "master/master.json")) {
      auto json = Json::parse(*text);
      if (json["pid"] == run.pid()) {
        return json;
      }
    }
    std::this_thread::yield();
  }
  FAIL("no announcement; the output was: " << run.output());
  return {};
}

std::uint64_t asked_epoch(const std::string& endpoint) {
  Context context;
  fb::OperatorQueryT query;
  query.request = 1;
  auto client = RequestClient::connect(context, *parse_endpoint(endpoint));
  const auto answer = client->call(pack_frame<fb::OperatorQuery>({}, query), 1, in_ms(20'000));
  REQUIRE(answer);
  const auto* reply = fb::GetFrame(answer->data())->body_as_OperatorReply();
  REQUIRE(reply != nullptr);
  return reply->epoch();
}

}  // namespace

TEST_CASE("the daemon announces itself, answers, refuses a second one and leaves on SIGTERM") {
  TempDir dir;
  for (const char* threads : {"shared", "dedicated"}) {
    Run master(dir / "out", {"--dir", dir.path(), "--http", "0", "--listen", "tcp://127.0.0.1:0", "--threads", threads});
    const Json json = announced(dir, master);
    REQUIRE(json["endpoints"].size() == 2);
    CHECK(json["endpoints"][0] == "ipc://" + (dir / "master.ipc"));
    CHECK(json["http_port"].get<int>() > 0);
    CHECK(json["start_ticks"] == identity_of(master.pid())->start_ticks);
    for (const auto& endpoint : json["endpoints"]) {
      CHECK(asked_epoch(endpoint) == json["epoch"]);
    }
    Run second(dir / "second", {"--dir", dir.path(), "--http", "off"});
    CHECK(second.end() == 1);
    CHECK_THAT(second.output(), Catch::Contains("already running (pid " + std::to_string(master.pid())));
    CHECK(master.end(SIGTERM) == 0);
    CHECK_THAT(master.output(), Catch::Contains("leaving on signal 15"));
  }
}

TEST_CASE("the daemon's epoch grows over kill -9") {
  TempDir dir;
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    Run master(dir / "out", {"--dir", dir.path(), "--http", "off"});
    const Json json = announced(dir, master);
    CHECK(json["epoch"].get<std::uint64_t>() > last);
    CHECK(json["http"].is_null());
    last = json["epoch"];
    CHECK(asked_epoch(json["endpoints"][0]) == last);
    CHECK(master.end(SIGKILL) == 128 + SIGKILL);
  }
}

TEST_CASE("the daemon refuses what it can't serve in one clear line") {
  TempDir dir;
  const struct {
    std::vector<std::string> arguments;
    int code;
    const char* says;
  } cases[] = {
      {{}, 2, "--dir"},
      {{"--dir", dir.path(), "--listen", "tcp://0.0.0.0:0"}, 2, "other hosts could connect"},
      {{"--dir", dir.path(), "--listen", "udp://x"}, 2, "must begin with ipc:// or tcp://"},
      {{"--dir", dir.path(), "--http", "70000"}, 2, "--http '70000'"},
      {{"--dir", dir.path(), "--lease", "-1"}, 2, "--lease"},
      {{"--dir", dir.path(), "--log-level", "loud"}, 2, "'loud'"},
      {{"--dir", dir.path(), "--log", "/proc/none/x.log"}, 1, "/proc/none/x.log"},
      {{"--dir", dir / std::string(120, 'x')}, 1, "choose a shorter --dir"},
      {{"--dir", "/proc/none"}, 1, "/proc/none"},
  };
  for (const auto& c : cases) {
    Run run(dir / "out", c.arguments);
    CHECK(run.end() == c.code);
    const std::string output = run.output();
    CHECK_THAT(output, Catch::Contains("muster-master: ") && Catch::Contains(c.says));
    CHECK(std::count(output.begin(), output.end(), '\n') == 1);
  }
}
