// Goal: values are read in Slurm's forms, exactly, and bad ones are named. Method: tables of text and meaning.
#include "sched/cli/values.hpp"

#include <catch2/catch.hpp>

#include "wire/base/suggest.hpp"

namespace muster::cli {

TEST_CASE("array specs become ascending, disjoint ranges") {
  struct Row { const char* text; const char* same; std::uint64_t count; std::uint32_t throttle; };
  const Row rows[] = {
      {"1-10000", "1-10000", 10000, 0},   {"0", "0", 1, 0},         {"1-10:2,20%5", "1-9:2,20%5", 6, 5},
      {"20,1-3", "1-3,20", 4, 0},         {"3-3:7", "3", 1, 0},     {"1-5,3-8", "1-8", 8, 0},
      {"1-9:2,2-8:2", "1-9", 9, 0},       {"5,5,5", "5", 1, 0},     {"1-10:3,4", "1-10:3", 4, 0},
      {"1,9,1,20-21%2", "1,9,20-21%2", 4, 2},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    auto array = parse_array(row.text);
    REQUIRE(array);
    CHECK(format_array(array->ranges, array->throttle) == row.same);
    CHECK(array->count() == row.count);
    CHECK(array->throttle == row.throttle);
  }
  for (const char* bad : {"", "a", "1-", "-3", "5-1", "1-5:0", "3:2", "1%0", "1%", "1,,2", "1-9999999999", "0-10000001"}) {
    INFO(bad);
    CHECK_FALSE(parse_array(bad));
  }
}

TEST_CASE("overlapping array ranges keep exactly the indices that were written") {
  auto array = parse_array("0-20:5,3,5-7,100-104:2,102");
  REQUIRE(array);
  std::vector<std::uint32_t> indices;
  std::uint32_t last = 0;
  for (const auto& range : array->ranges) {
    CHECK((indices.empty() || range.first() > last));
    for (std::uint32_t i = range.first(); i <= range.last(); i += range.step()) {
      indices.push_back(i);
    }
    last = range.last();
  }
  CHECK(indices == std::vector<std::uint32_t>{0, 3, 5, 6, 7, 10, 15, 20, 100, 102, 104});
}

TEST_CASE("job names are jobs, elements or ranges of them") {
  CHECK(parse_job_name("7")->job == 7);
  CHECK_FALSE(parse_job_name("7")->first);
  CHECK(parse_job_name("7_3")->is_element());
  CHECK(parse_job_name("7_[2-9]")->last == 9);
  CHECK(format_job_name(*parse_job_name("7_2-9")) == "7_[2-9]");
  CHECK(format_job_name(*parse_job_name("7_0")) == "7_0");
  for (const char* bad : {"", "0", "x", "7_", "7_x", "7_9-2", "_3", "7_[3", "-1"}) {
    INFO(bad);
    CHECK_FALSE(parse_job_name(bad));
  }
}

TEST_CASE("node ranges, counts, times, signals and states") {
  CHECK(parse_node_range("2")->max == 2);
  CHECK(parse_node_range("2-4")->max == 4);
  for (const char* bad : {"", "0", "4-2", "-2", "2-", "a"}) {
    INFO(bad);
    CHECK_FALSE(parse_node_range(bad));
  }
  CHECK(*parse_count("8", 1, 10) == 8);
  CHECK_FALSE(parse_count("11", 1, 10));
  CHECK_FALSE(parse_count("8x", 1, 10));
  CHECK(*parse_timeout("10") == Duration::from_seconds(10));
  CHECK(*parse_timeout("0.5") == Duration::from_ms(500));
  CHECK(*parse_timeout("500ms") == Duration::from_ms(500));
  CHECK(*parse_timeout("2m") == Duration::from_seconds(120));
  for (const char* bad : {"", "0", "-1", "x", "nan", "inf", "1e3", "100000"}) {
    INFO(bad);
    CHECK_FALSE(parse_timeout(bad));
  }
  CHECK(*parse_signal("SIGKILL") == 9);
  CHECK(*parse_signal("usr1") == 10);
  CHECK(*parse_signal("15") == 15);
  CHECK_FALSE(parse_signal("0"));
  CHECK_FALSE(parse_signal("FOO"));
  CHECK(signal_name(11) == "SIGSEGV");
  CHECK(signal_name(40) == "signal 40");
  CHECK(*parse_states("pd,Running") == std::vector<fb::JobState>{fb::JobState::Pending, fb::JobState::Running});
  CHECK(parse_states("all")->empty());
  CHECK_FALSE(parse_states("done"));
}

TEST_CASE("the nearest word is a slip away, or nothing") {
  const std::vector<std::string> words{"submit", "status", "queue", "cancel", "nodes", "up"};
  CHECK(nearest("stauts", words) == "status");
  CHECK(nearest("sumbit", words) == "submit");
  CHECK(nearest("que", words) == "queue");
  CHECK(nearest("node", words) == "nodes");
  CHECK(nearest("frobnicate", words).empty());
  CHECK(edit_distance("abc", "acb") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

}  // namespace muster::cli
