// Steps as people and programs see them: from a report's bytes to a table and to JSON.
#include "sched/cli/render_steps.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace muster;
using namespace muster::cli;
using Catch::Contains;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

std::vector<std::uint8_t> report() {
  fb::StepReportT report;
  report.text = "rank 3 on node n2 was killed by signal 11";
  report.exit_code = 139;
  report.steps_total = 9;
  auto batch = std::make_unique<fb::StepRowT>();
  batch->step = 0xffffffff;
  batch->name = "batch";
  batch->state = fb::StepState::Failed;
  batch->ntasks = batch->nodes = batch->cpus = 1;
  batch->exit_code = 3;
  batch->started_ns = kStart;
  batch->ended_ns = kStart + 61 * kSecond;
  auto step = std::make_unique<fb::StepRowT>();
  step->step = 0;
  step->name = "hpcc\x1b[2J";
  step->state = fb::StepState::Failed;
  step->ntasks = 8;
  step->nodes = 2;
  step->cpus = 8;
  step->signal = 11;
  step->exit_code = 139;
  step->started_ns = kStart + kSecond;
  step->ended_ns = kStart + 11 * kSecond;
  step->memory_peak_bytes = 64U << 20U;
  step->cpu_time_us = 80'000'000;
  step->text = report.text;
  auto running = std::make_unique<fb::StepRowT>();
  running->step = 1;
  running->name = "next";
  running->state = fb::StepState::Running;
  running->started_ns = kStart + 20 * kSecond;
  report.steps.push_back(std::move(batch));
  report.steps.push_back(std::move(step));
  report.steps.push_back(std::move(running));
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::StepReport::Pack(builder, &report));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

}  // namespace

TEST_CASE("steps are a table with what each of them took") {
  const auto steps = steps_in("7", report());
  REQUIRE(steps);
  const std::string text = render_steps(*steps, WallTime::from_ns(kStart + 30 * kSecond));
  INFO(text);
  CHECK_THAT(text, Contains("7.batch"));
  CHECK_THAT(text, Contains("7.0"));
  CHECK_THAT(text, Contains("SIGSEGV"));
  CHECK_THAT(text, Contains("64M"));
  CHECK_THAT(text, Contains("RUNNING"));
  CHECK_THAT(text, Contains("… 6 earlier steps left out\n"));
  CHECK_THAT(text, !Contains("\x1b"));
  CHECK_THAT(text, Catch::EndsWith("rank 3 on node n2 was killed by signal 11\n"));
}

TEST_CASE("JSON of steps has its documented fields") {
  const auto json = json_of(*steps_in("7_3", report()));
  CHECK(json["id"] == "7_3");
  CHECK(json["steps_total"] == 9);
  REQUIRE(json["steps"].size() == 3);
  CHECK(json["steps"][0]["step"] == "batch");
  CHECK(json["steps"][0]["exit_code"] == 3);
  CHECK(json["steps"][1]["id"] == "7_3.0");
  CHECK(json["steps"][1]["signal"] == 11);
  CHECK(json["steps"][1]["ended_ms"] == (kStart + 11 * kSecond) / 1'000'000);
  CHECK(json["steps"][1]["cpu_time_us"] == 80'000'000);
  CHECK(json["steps"][2]["exit_code"].is_null());
  CHECK(json["steps"][2]["ended_ms"].is_null());
}

TEST_CASE("a report that does not verify is no list of steps") {
  CHECK_FALSE(steps_in("7", {1, 2, 3, 4, 5, 6, 7, 8}));
  CHECK_FALSE(steps_in("7", {}));
  JobSteps none;
  none.id = "7";
  CHECK(render_steps(none, WallTime()) == "Job 7 has had no steps.\n");
}
