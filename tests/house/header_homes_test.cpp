// Goal: each third-party library has one home, the message path takes no lock, and what decides sees no
// socket, thread, file or clock.
// Method: include lines and a few words of every tracked file; each rule on bad and good snippets.
#include <catch2/catch.hpp>

#include "tests/house/source_tree.hpp"

namespace muster::house {
namespace {

struct Home {
  std::vector<std::string_view> headers;  // prefixes of the include target
  std::vector<std::string_view> folders;  // prefixes of the path
  bool mains{};                           // main*.cpp of any room too
};

const std::vector<Home>& homes() {
  static const std::vector<Home> table{
      {{"zmq.h", "zmq_"}, {"wire/socket/"}},
      {{"hwloc"}, {"node/topology/"}},
      {{"sqlite3"}, {"sched/gang/store_sqlite"}},
      {{"spdlog/"}, {"wire/daemon/"}},
      {{"httplib"}, {"master/web/"}},
      {{"tbb/", "oneapi/"}, {"master/view/parallel_for"}},
      {{"CLI/"}, {"sched/cli/"}, true},
      {{"nlohmann/"}, {"sched/cli/", "master/web/"}},
      {{"zookeeper"}, {"master/election/"}},
      {{"libpq-fe"}, {"sched/gang/store_postgres"}},
      {{"pmix"}, {"node/pmi/"}},
      {{"toml++"}, {"wire/daemon/"}},
      {{"munge"}, {"wire/daemon/"}},
      {{"catch2/"}, {}},
      {{"benchmark/"}, {}},
  };
  return table;
}

// Tests and benchmarks may look behind every wall.
bool is_outside(const std::string& path) { return starts_with_any(path, {"tests/", "bench/"}); }

Findings header_homes(const SourceFile& file) {
  Findings findings;
  if (is_outside(file.path)) {
    return findings;
  }
  const bool is_main = file_name(file.path).starts_with("main") && file.path.ends_with(".cpp");
  for (const Include& include : includes_of(file)) {
    for (const Home& home : homes()) {
      const auto begins = [&](std::string_view text) {
        return [text](std::string_view prefix) { return text.starts_with(prefix); };
      };
      if (std::none_of(home.headers.begin(), home.headers.end(), begins(include.target)) ||
          std::any_of(home.folders.begin(), home.folders.end(), begins(file.path)) || (home.mains && is_main)) {
        continue;
      }
      findings.push_back({file.path, include.line, "<" + include.target + "> has its home elsewhere"});
    }
  }
  return findings;
}

Findings no_locks(const SourceFile& file) {
  Findings findings;
  if (!starts_with_any(file.path,
                       {"master/core/", "master/table/", "master/allocator/", "master/gateway/", "wire/ring/"})) {
    return findings;
  }
  for (const Include& include : includes_of(file)) {
    if (include.target == "mutex" || include.target == "shared_mutex" || include.target == "condition_variable") {
      findings.push_back({file.path, include.line, "<" + include.target + "> on the message path, which takes no lock"});
    }
  }
  return findings;
}

// Code that decides: given `now` and input, it returns output.
bool is_pure_place(const std::string& path) {
  if (starts_with_any(path, {"master/core/", "master/table/", "master/allocator/", "node/core/", "node/fake/",
                             "node/topology/cpu_map", "node/topology/cpu_placement", "node/topology/node_cpus",
                             "sched/policies/", "wire/model/"})) {
    return true;
  }
  // The gang: all but its store, its shell and main.
  const std::string name = file_name(path);
  return path.starts_with("sched/gang/") && !name.starts_with("store") && !name.starts_with("main") &&
         name.find("shell") == std::string::npos;
}

Findings pure_places(const SourceFile& file) {
  static const std::vector<std::string_view> kHeaders{
      "thread",  "jthread",   "future",   "stop_token", "fstream",   "filesystem", "ctime",   "time.h",
      "csignal", "signal.h",  "unistd.h", "fcntl.h",    "poll.h",    "pthread.h",  "sched.h", "dirent.h",
      "netdb.h", "semaphore", "barrier",  "latch",      "syslog.h",  "pwd.h",      "grp.h",   "spawn.h"};
  static const std::vector<std::string_view> kFolders{"sys/", "netinet/", "arpa/", "linux/", "wire/socket/", "wire/daemon/"};
  static const std::vector<std::string_view> kWords{"random_device", "_clock::",  "clock_gettime", "SystemClock",
                                                    "fopen(",        "getenv(",   "std::rand(",    "time(nullptr)",
                                                    "std::cout",     "std::cerr", "usleep(",       "nanosleep("};
  Findings findings;
  if (!is_pure_place(file.path) || !is_cpp(file.path)) {
    return findings;
  }
  for (const Include& include : includes_of(file)) {
    const bool forbidden =
        (include.angled && std::find(kHeaders.begin(), kHeaders.end(), include.target) != kHeaders.end()) ||
        std::any_of(kFolders.begin(), kFolders.end(),
                    [&](std::string_view folder) { return include.target.starts_with(folder); });
    if (forbidden) {
      findings.push_back({file.path, include.line, "code that decides may not see " + include.target});
    }
  }
  std::size_t number = 0;
  for (const std::string& line : lines_of(without_comments(file.text))) {
    ++number;
    for (const std::string_view word : kWords) {
      if (line.find(word) != std::string::npos) {
        findings.push_back({file.path, number, "code that decides may not use " + std::string(word)});
      }
    }
  }
  return findings;
}

std::size_t homes_broken(const std::string& path, const std::string& target) {
  return header_homes({path, "#include <" + target + ">\n"}).size();
}
std::size_t locks(const std::string& path, const std::string& target) {
  return no_locks({path, "#include <" + target + ">\n"}).size();
}
std::size_t impure(const std::string& path, const std::string& text) { return pure_places({path, text}).size(); }

}  // namespace

TEST_CASE("the home rule refuses a library outside its home") {
  CHECK(homes_broken("master/gateway/a.cpp", "zmq.hpp") == 1);
  CHECK(homes_broken("sched/client/a.hpp", "zmq.h") == 1);
  CHECK(homes_broken("wire/ring/a.hpp", "zmq_addon.hpp") == 1);
  CHECK(homes_broken("node/exec/a.cpp", "hwloc.h") == 1);
  CHECK(homes_broken("master/core/view.cpp", "tbb/parallel_for.h") == 1);
  CHECK(homes_broken("node/exec/a.cpp", "hwloc/linux.h") == 1);
  CHECK(homes_broken("sched/gang/core.cpp", "sqlite3.h") == 1);
  CHECK(homes_broken("master/core/a.cpp", "spdlog/spdlog.h") == 1);
  CHECK(homes_broken("master/core/a.cpp", "httplib.h") == 1);
  CHECK(homes_broken("sched/client/a.cpp", "CLI/CLI.hpp") == 1);
  CHECK(homes_broken("sched/gang/a.cpp", "nlohmann/json.hpp") == 1);
  CHECK(homes_broken("examples/a.cpp", "zmq.hpp") == 1);
  CHECK(homes_broken("master/core/a.cpp", "catch2/catch.hpp") == 1);
  CHECK(homes_broken("node/core/main_loop.hpp", "CLI/CLI.hpp") == 1);
  CHECK(header_homes({"master/a.cpp", "#include \"zmq.hpp\"\n"}).size() == 1);
}

TEST_CASE("the home rule accepts a library at home") {
  CHECK(homes_broken("wire/socket/router.cpp", "zmq.hpp") == 0);
  CHECK(homes_broken("node/topology/hwloc_topology.cpp", "hwloc.h") == 0);
  CHECK(homes_broken("master/view/parallel_for.cpp", "tbb/parallel_for.h") == 0);
  CHECK(homes_broken("sched/gang/store_sqlite.cpp", "sqlite3.h") == 0);
  CHECK(homes_broken("wire/daemon/log.cpp", "spdlog/spdlog.h") == 0);
  CHECK(homes_broken("master/main.cpp", "CLI/CLI.hpp") == 0);
  CHECK(homes_broken("sched/gang/main.cpp", "CLI/CLI.hpp") == 0);
  CHECK(homes_broken("master/web/json.cpp", "nlohmann/json.hpp") == 0);
  CHECK(homes_broken("bench/raw_limits.cpp", "zmq.hpp") == 0);
  CHECK(homes_broken("tests/wire/a_test.cpp", "catch2/catch.hpp") == 0);
  CHECK(homes_broken("master/core/a.cpp", "vector") == 0);
}

TEST_CASE("the lock rule refuses locks on the message path only") {
  for (const char* path : {"master/core/a.cpp", "master/table/a.hpp", "master/allocator/a.cpp", "master/gateway/a.cpp",
                           "wire/ring/spsc_ring.hpp"}) {
    for (const char* header : {"mutex", "shared_mutex", "condition_variable"}) {
      CHECK(locks(path, header) == 1);
    }
    CHECK(locks(path, "atomic") == 0);
  }
  CHECK(locks("master/web/a.cpp", "mutex") == 0);
  CHECK(locks("wire/daemon/a.cpp", "condition_variable") == 0);
}

TEST_CASE("the purity rule refuses sockets, threads, files and clocks where code decides") {
  for (const char* header : {"thread", "fstream", "filesystem", "unistd.h", "sys/socket.h", "ctime", "poll.h"}) {
    INFO(header);
    for (const char* path : {"master/core/a.cpp", "master/table/a.hpp", "master/allocator/drf.cpp", "node/core/a.cpp",
                             "node/topology/cpu_map.cpp", "sched/gang/policy_fifo.cpp", "sched/gang/gang_core.cpp"}) {
      CHECK(impure(path, "#include <" + std::string(header) + ">\n") == 1);
    }
    CHECK(impure("node/topology/hwloc_topology.cpp", "#include <" + std::string(header) + ">\n") == 0);
    CHECK(impure("sched/gang/store_sqlite.cpp", "#include <" + std::string(header) + ">\n") == 0);
    CHECK(impure("sched/gang/main.cpp", "#include <" + std::string(header) + ">\n") == 0);
    CHECK(impure("master/gateway/a.cpp", "#include <" + std::string(header) + ">\n") == 0);
  }
  CHECK(impure("master/core/a.cpp", "#include \"wire/socket/router.hpp\"\n") == 1);
  CHECK(impure("master/core/a.cpp", "#include \"wire/daemon/log.hpp\"\n") == 1);
  CHECK(impure("master/core/a.cpp", "auto t = std::chrono::steady_clock::now();\n") == 1);
  CHECK(impure("master/core/a.cpp", "std::random_device entropy;\n") == 1);
  CHECK(impure("master/core/a.cpp", "SystemClock clock;\n") == 1);
  CHECK(impure("node/core/a.cpp", "auto* f = std::fopen(\"x\", \"r\");\n") == 1);
}

TEST_CASE("the purity rule accepts plain computing and words in comments") {
  CHECK(impure("master/core/a.cpp", "#include <random>\n#include <map>\nstd::mt19937_64 random(seed);\n") == 0);
  CHECK(impure("master/core/a.cpp", "// never steady_clock::now()\n/* nor random_device */\n") == 0);
  CHECK(impure("master/core/a.cpp", "#include \"wire/base/time.hpp\"\n#include \"wire/model/resources.hpp\"\n") == 0);
}

TEST_CASE("all third-party headers stand in their homes") { CHECK(report(findings_in_tree(header_homes)) == ""); }
TEST_CASE("nothing on the message path can lock") { CHECK(report(findings_in_tree(no_locks)) == ""); }
TEST_CASE("all code that decides is pure") { CHECK(report(findings_in_tree(pure_places)) == ""); }

}  // namespace muster::house
