// File patterns, environment and bindings of a launch: pure functions, by table.
#include <catch2/catch.hpp>

#include <algorithm>

#include "node/core/agent_note.hpp"
#include "node/core/environment_cache.hpp"
#include "node/core/file_pattern.hpp"
#include "node/core/spawn_plan.hpp"

using namespace muster;
using namespace muster::node;

namespace {

const Topology kFour = make_topology({.cores_per_l3 = 4});

struct Plan {
  fb::TaskSpecT spec;
  std::uint32_t index{};
  std::uint32_t first_rank{};
  std::uint32_t ranks{1};
  std::uint32_t member{};
  CpuGrant grant;

  [[nodiscard]] TaskStart make() const {
    const FrameBytes bytes = pack_spec(spec);
    FrameBytes storage;
    const auto read = verify_spec(bytes, storage);
    REQUIRE(read);
    const fb::LaunchEntry entry(fb::AttemptId(65537, 2), 5, index, first_rank, ranks, 1, member, 0, 0, 0, 0);
    REQUIRE(launch_fault(**read, entry).empty());
    Resources shape;
    shape.cpus_milli = static_cast<MilliCpus>(grant.cpus.size() * 1000);
    shape.memory_bytes = 512;
    const CpuBinding binding(kFour, {0, 1});
    return plan_spawn({"n1", "ipc:///x/job", false, false, 500, binding, kFour, "/x/muster-stepd", "/x/jobs", ""},
                      {FrameworkId(3), **read, entry, shape, grant, false, EnvironmentCache().of(**read), storage});
  }
};

std::string value(const TaskStart& start, const std::string& name) {
  std::string found = "(unset)";
  std::vector<std::string> lines = start.shared_environment->lines();
  lines.insert(lines.end(), start.environment.begin(), start.environment.end());
  for (const std::string& line : lines) {
    if (line.rfind(name + "=", 0) == 0) {
      REQUIRE(found == "(unset)");  // said once
      found = line.substr(name.size() + 1);
    }
  }
  return found;
}

Plan basic() {
  Plan plan;
  plan.spec.job = 12;
  plan.spec.name = "a/b";
  plan.spec.argv = {"./app", "-x"};
  plan.spec.environment = {"PATH=/bin", "MUSTER_RANK=4", "MUSTER_DIR=/d", "MUSTER_ARRAY_INDEX=3", "EMPTY="};
  plan.spec.working_directory = "/home/u";
  plan.spec.user = "ann";
  plan.spec.nodes = {"n0", "n1"};
  plan.spec.ntasks = 6;
  plan.spec.cpus_per_rank_milli = 1000;
  plan.spec.try_number = 2;
  plan.member = 1;
  plan.first_rank = 4;
  plan.ranks = 2;
  plan.grant.cpus = {0, 1};
  plan.grant.ranks = {{0}, {1}};
  return plan;
}

}  // namespace

TEST_CASE("file patterns expand as documented") {
  // Goal: every field, padding and oddity. Method: a table of patterns and results.
  const PatternValues plain{.job = JobId(12), .job_name = "x/y", .user = "ann", .node_name = "n1", .node_rank = 1, .rank = 4};
  PatternValues array = plain;
  array.is_array = true;
  array.index = 7;
  struct Row { const char* pattern; const char* plain; const char* array; };
  for (const Row& row : {Row{"muster-%j.out", "muster-12.out", "muster-12_7.out"},
                         Row{"%A_%a", "12_0", "12_7"},
                         Row{"%x-%N-%n-%t-%u", "x_y-n1-1-4-ann", "x_y-n1-1-4-ann"},
                         Row{"%4a|%6A|%3t|%2n", "0000|000012|004|01", "0007|000012|004|01"},
                         Row{"%4j", "0012", "12_7"},
                         Row{"100%%", "100%", "100%"},
                         Row{"%z %", "%z %", "%z %"},
                         Row{"%12", "%12", "%12"},
                         Row{"", "", ""},
                         Row{"%99999999999t", "00000000000000000004", "00000000000000000004"}}) {
    CHECK(expand_pattern(row.pattern, plain) == row.plain);
    CHECK(expand_pattern(row.pattern, array) == row.array);
  }
  CHECK(names_rank("a%3t"));
  CHECK_FALSE(names_rank("a%%t%j"));
  CHECK(absolute_path("a/b", "/d") == "/d/a/b");
  CHECK(absolute_path("/a", "/d") == "/a");
  CHECK(absolute_path("", "/d") == "");
}

TEST_CASE("ranks see where they are") {
  // Goal: the MUSTER_* variables of a gang's member. Method: plan and read the environment back.
  const TaskStart start = basic().make();
  struct Row { const char* name; const char* value; };
  for (const Row& row : {Row{"PATH", "/bin"}, Row{"EMPTY", ""}, Row{"MUSTER_DIR", "/d"}, Row{"MUSTER_JOB_ID", "12"},
                         Row{"MUSTER_JOB_NAME", "a/b"}, Row{"MUSTER_SUBMIT_DIR", "/home/u"}, Row{"MUSTER_TRY", "2"},
                         Row{"MUSTER_NTASKS", "6"}, Row{"MUSTER_NODELIST", "n0,n1"}, Row{"MUSTER_NNODES", "2"},
                         Row{"MUSTER_NODE_NAME", "n1"}, Row{"MUSTER_NODE_RANK", "1"}, Row{"MUSTER_LOCAL_NTASKS", "2"},
                         Row{"MUSTER_CPUS_PER_TASK", "1"}, Row{"MUSTER_MEM_BYTES", "512"},
                         Row{"MUSTER_RANK", "(unset)"}, Row{"MUSTER_ARRAY_INDEX", "(unset)"},
                         Row{"MUSTER_EXECUTOR_TOKEN", "(unset)"}}) {
    INFO(row.name);
    CHECK(value(start, row.name) == row.value);
  }
  REQUIRE(start.ranks.size() == 2);
        CHECK(start.ranks[1].environment ==
        std::vector<std::string>{"MUSTER_RANK=5", "MUSTER_LOCAL_RANK=1", "MUSTER_CPUS=1"});
  CHECK(start.ranks[1].cpus == std::vector<std::uint32_t>{1});
  CHECK(start.argv == std::vector<std::string>{"./app", "-x"});
  CHECK_FALSE(start.truncate_output);  // a second try appends
}

TEST_CASE("array elements and executors get their variables") {
  Plan plan = basic();
  plan.spec.is_array = true;
  plan.spec.array_min = 1;
  plan.spec.array_max = 9;
  plan.spec.array_count = 5;
  plan.spec.executor = true;
  plan.spec.token_hi = 0xabc;
  plan.spec.token_lo = 1;
  plan.index = 7;
  plan.spec.try_number = 1;
  const TaskStart start = plan.make();
  struct Row { const char* name; const char* value; };
  for (const Row& row : {Row{"MUSTER_JOB_ID", "12_7"}, Row{"MUSTER_ARRAY_JOB_ID", "12"}, Row{"MUSTER_ARRAY_INDEX", "7"},
                         Row{"MUSTER_ARRAY_TASK_ID", "7"}, Row{"MUSTER_ARRAY_MIN", "1"}, Row{"MUSTER_ARRAY_MAX", "9"},
                         Row{"MUSTER_ARRAY_COUNT", "5"}, Row{"MUSTER_EXECUTOR_SOCKET", "ipc:///x/job"},
                         Row{"MUSTER_EXECUTOR_TOKEN", "0000000000000abc0000000000000001"},
                         Row{"MUSTER_FRAMEWORK", "3"}, Row{"MUSTER_ATTEMPT", "65537:2"}}) {
    INFO(row.name);
    CHECK(value(start, row.name) == row.value);
  }
  CHECK(start.ranks[0].stdout_path == "/home/u/muster-12_7.out");
  CHECK(start.truncate_output);
}

TEST_CASE("ranks share one file unless the pattern tells them apart") {
  Plan plan = basic();
  plan.spec.stdout_path = "out/%x-%t.log";
  plan.spec.stderr_path = "/var/err-%j";
  TaskStart start = plan.make();
  CHECK(start.ranks[0].stdout_path == "/home/u/out/a_b-4.log");
  CHECK(start.ranks[1].stdout_path == "/home/u/out/a_b-5.log");
  CHECK(start.ranks[0].stderr_path == "/var/err-12");
  CHECK(start.ranks[1].stderr_path == "/var/err-12");
  plan.spec.stderr_path = "/home/u/out/%x-%t.log";  // the same file in other words
  start = plan.make();
  CHECK(start.ranks[0].stderr_path.empty());
}

TEST_CASE("an agent note survives the run log") {
  // Goal: what is encoded comes back; anything else is refused. Method: round trip and every truncation.
  AgentNote note;
  note.shape.cpus_milli = 2500;
  note.shape.memory_bytes = 12345;
  note.shape.ports.add({31000, 31001});
  note.shape.set_count("licence.x", 3);
  note.cpus = {4, 5, 6};
  note.index = 9;
  note.first_rank = 2;
  note.ranks = 3;
  note.gang = true;
  note.requeueable = true;
  note.token_hi = ~0ULL;
  note.time_limit_ms = 77;
  note.cpus_text = "4-6";
  const std::string bytes = encode_note(note);
  const auto back = decode_note(bytes);
  REQUIRE(back);
  CHECK(*back == note);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    CHECK_FALSE(decode_note(std::string_view(bytes).substr(0, n)));
  }
  CHECK_FALSE(decode_note(bytes + "x"));
}
