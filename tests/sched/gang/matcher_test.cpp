// Goal: a gang is placed whole and within every room, and never missed when a plain count says that it fits.
// Method: random rooms and shapes against the definition.
#include "sched/gang/matcher.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "sched/gang/attempt_judge.hpp"
#include "sched/gang/token.hpp"

using namespace muster;
using namespace muster::gang;

TEST_CASE("a match holds every rank within its rooms and limits, on the fewest nodes", "[gang]") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<Room> rooms;
    const std::size_t count = random() % 6;
    for (std::size_t i = 0; i < count; ++i) {
      Room room;
      room.node = NodeIndex(static_cast<std::uint32_t>(i));
      room.left.cpus_milli = static_cast<MilliCpus>(random() % 9 * 1000);
      room.left.memory_bytes = random() % 9 * 1000;
      room.usable = random() % 8 != 0;
      rooms.push_back(room);
    }
    GangShape shape;
    shape.ntasks = static_cast<std::uint32_t>(1 + random() % 12);
    shape.nodes_min = static_cast<std::uint32_t>(1 + random() % 3);
    shape.nodes_min = std::min(shape.nodes_min, shape.ntasks);
    shape.nodes_max = std::max(shape.nodes_min, static_cast<std::uint32_t>(1 + random() % 12));
    shape.nodes_max = std::min(shape.nodes_max, shape.ntasks);
    shape.ranks_per_node = random() % 3 == 0 ? static_cast<std::uint32_t>(1 + random() % 4) : 0;
    shape.cpus_per_task_milli = static_cast<MilliCpus>(1000 * (1 + random() % 2));
    shape.memory_per_cpu_bytes = random() % 3 * 500;
    const auto pieces = match(shape, 0, rooms);
    // By definition: the fewest largest rooms.
    std::vector<std::uint32_t> holds;
    for (const Room& room : rooms) {
      if (room.usable && shape.ranks_in(room.left, 0) > 0) {
        holds.push_back(shape.ranks_in(room.left, 0));
      }
    }
    std::sort(holds.rbegin(), holds.rend());
    std::uint64_t sum = 0;
    std::size_t needed = 0;
    while (needed < holds.size() && sum < shape.ntasks) {
      sum += holds[needed++];
    }
    const std::size_t nodes = std::max<std::size_t>(needed, shape.nodes_min);
    const bool fits = sum >= shape.ntasks && nodes <= holds.size() && nodes <= shape.nodes_max;
    INFO("seed " << seed);
    REQUIRE(pieces.has_value() == fits);
    if (!pieces) {
      continue;
    }
    CHECK(pieces->size() == nodes);
    std::uint32_t ranks = 0;
    std::int64_t before = -1;
    for (const Piece& piece : *pieces) {
      REQUIRE(piece.ranks >= 1);
      REQUIRE(rooms[piece.room].usable);
      REQUIRE(shape.need(piece.ranks, 0).fits_in(rooms[piece.room].left));
      if (shape.ranks_per_node != 0) {
        REQUIRE(piece.ranks <= shape.ranks_per_node);
      }
      REQUIRE(static_cast<std::int64_t>(piece.room) > before);
      before = piece.room;
      ranks += piece.ranks;
    }
    REQUIRE(ranks == shape.ntasks);
    REQUIRE_FALSE(find_never_fits(shape, 0, rooms).has_value());
  }
}

TEST_CASE("default memory fills with the cpus", "[gang]") {
  std::vector<Room> rooms{{NodeIndex(0), *parse_resources("cpus=4;mem=4098M"), true},
                          {NodeIndex(1), *parse_resources("cpus=2;mem=8G"), true}};
  const Bytes per_cpu = default_memory_per_cpu(rooms);
  GangShape shape;
  shape.ntasks = shape.nodes_max = 4;
  CHECK(shape.need(4, per_cpu).fits_in(rooms[0].left));
  CHECK(shape.memory_per_rank(per_cpu) == Bytes{1024} << 20U);
  CHECK(default_memory_per_cpu({}) == 0);
}

TEST_CASE("asking for more nodes than needed spreads the ranks", "[gang]") {
  std::vector<Room> rooms{{NodeIndex(0), *parse_resources("cpus=8"), true}, {NodeIndex(1), *parse_resources("cpus=8"), true}};
  GangShape shape;
  shape.ntasks = 6;
  shape.nodes_min = shape.nodes_max = 2;
  CHECK(*match(shape, 0, rooms) == std::vector<Piece>{{0, 3}, {1, 3}});
}

TEST_CASE("the judge names the first cause, not its consequences", "[gang]") {
  const std::vector<std::string> nodes{"n1", "n2", "n3"};
  const MemberEnd released{0, TaskState::not_started, TaskReason::released, 0, 0, ""};
  const MemberEnd missing{1, TaskState::start_failed, TaskReason::exec_not_found, 0, 0, "command not found: foo"};
  auto verdict = judge({.ends = std::vector{released, missing}, .nodes = nodes, .cancelled = false, .requeue = true, .our_reason = ""});
  CHECK(verdict.state == JobState::Failed);
  CHECK(verdict.reason == "n2: command not found: foo");
  CHECK_FALSE(verdict.again);
  const MemberEnd killed{0, TaskState::killed, TaskReason::gang_failed, 137, 9, ""};
  const MemberEnd lost{2, TaskState::lost, TaskReason::node_lost, 0, 0, ""};
  for (const bool requeue : {false, true}) {
    verdict = judge({.ends = std::vector{killed, lost}, .nodes = nodes, .cancelled = false, .requeue = requeue, .our_reason = ""});
    CHECK(verdict.state == JobState::NodeFail);
    CHECK(verdict.again == requeue);
    CHECK(verdict.reason == "n3: node lost");
  }
  verdict = judge({.ends = std::vector{killed, lost}, .nodes = nodes, .cancelled = true, .requeue = true, .our_reason = ""});
  CHECK(verdict.state == JobState::Cancelled);
  const MemberEnd fine{0, TaskState::finished, TaskReason::none, 0, 0, ""};
  verdict = judge({.ends = std::vector{fine}, .nodes = nodes, .cancelled = true, .requeue = true, .our_reason = ""});
  CHECK(verdict.state == JobState::Completed);
}

TEST_CASE("the judge of an allocation believes its step daemons, in their words", "[gang]") {
  // Goal: what happened first is the reason. Method: ends in the order they came, one row for each way to end.
  const std::vector<std::string> nodes{"n1", "n2", "n3"};
  const MemberEnd fine{0, TaskState::finished, TaskReason::none, 0, 0, ""};
  const MemberEnd crashed{1, TaskState::finished, TaskReason::none, 139, 11, "rank 5 on n2 was killed by signal 11"};
  const MemberEnd killed{2, TaskState::killed, TaskReason::kill_requested, 143, 15, ""};
  const MemberEnd silent{1, TaskState::finished, TaskReason::none, 3, 0, ""};
  const MemberEnd missed{0, TaskState::finished, TaskReason::none, 1, 0, "n3 does not answer any more"};
  const MemberEnd lost{2, TaskState::lost, TaskReason::node_lost, 0, 0, ""};
  MemberEnd ended_by_user{0, TaskState::finished, TaskReason::none, 130, 0, ""};
  ended_by_user.cancelled = true;
  struct Row { std::vector<MemberEnd> ends; JobState state; std::string reason; int exit_code; bool again; };
  for (const Row& row : {Row{{fine, fine}, JobState::Completed, "", 0, false},
                         Row{{crashed, killed, killed}, JobState::Failed, crashed.text, 139, false},
                         Row{{killed, crashed}, JobState::Failed, crashed.text, 139, false},
                         Row{{silent, killed}, JobState::Failed, "n2: exit code 3", 3, false},
                         Row{{missed, lost}, JobState::NodeFail, "n3: node lost", 0, true},
                         Row{{lost, missed}, JobState::NodeFail, "n3: node lost", 0, true},
                         Row{{killed, ended_by_user}, JobState::Cancelled, "cancelled by its user", 130, false}}) {
    const Verdict verdict = judge({.ends = row.ends, .nodes = nodes, .cancelled = false, .requeue = true, .our_reason = "", .allocation = true});
    CHECK(verdict.state == row.state);
    CHECK(verdict.reason == row.reason);
    CHECK(verdict.exit_code == row.exit_code);
    CHECK(verdict.again == row.again);
  }
  CHECK(is_trouble(silent, true));
  CHECK_FALSE(is_trouble(silent, false));
}

TEST_CASE("whole nodes and all their memory are counted by the node", "[gang]") {
  const Resources whole = *parse_resources("cpus=8;mem=16G");
  std::vector<Room> rooms{{NodeIndex(0), *parse_resources("cpus=7;mem=16G"), true, whole},
                          {NodeIndex(1), whole, true, whole},
                          {NodeIndex(2), *parse_resources("cpus=4;mem=8G"), true, *parse_resources("cpus=4;mem=8G")}};
  GangShape shape;
  shape.ntasks = shape.nodes_max = 2;
  shape.exclusive = true;
  CHECK(*match(shape, 0, rooms) == std::vector<Piece>{{1, 2}});
  CHECK(shape.need_on(whole, 2, 0) == whole);
  shape.memory_per_cpu_bytes = Bytes{1} << 30U;
  CHECK(shape.need_on(whole, 2, 0) == *parse_resources("cpus=8;mem=2G"));
  shape = GangShape{};
  shape.ntasks = 10;
  shape.nodes_max = 2;
  shape.exclusive = true;
  CHECK(*match(shape, 0, rooms) == std::vector<Piece>{{1, 8}, {2, 2}});
  shape.exclusive = false;
  shape.all_memory = true;
  shape.ntasks = 3;
  CHECK(*match(shape, 0, rooms) == std::vector<Piece>{{0, 3}});
  CHECK(shape.need_on(whole, 3, 0) == *parse_resources("cpus=3;mem=16G"));
  rooms[0].left = *parse_resources("cpus=7;mem=15G");
  CHECK(*match(shape, 0, rooms) == std::vector<Piece>{{1, 3}});
}

TEST_CASE("tokens differ by job and seed", "[gang]") {
  CHECK(job_token(1, JobId(1)) != job_token(1, JobId(2)));
  CHECK(job_token(1, JobId(1)) != job_token(2, JobId(1)));
  CHECK(job_token(1, JobId(1)) == job_token(1, JobId(1)));
  // The published vector for the 8-byte message 00 01 … 07.
  CHECK(keyed_hash(0x0f0e0d0c0b0a0908ULL, 0x0706050403020100ULL, 0x0706050403020100ULL) == 0x93f5f5799a932462ULL);
}
