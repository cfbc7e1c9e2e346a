// Jobs whose nodes run step daemons: what they are launched with, how they end, and who has a node for itself.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

fb::JobSpecT batch(std::uint32_t ntasks) {
  fb::JobSpecT wish = spec(ntasks);
  wish.kind = fb::TaskKind::Batch;
  wish.argv = {"one", "two"};
  wish.script = {'#', '!', '/', 0, 'x'};
  wish.account = "physics";
  wish.partition = "long";
  wish.submit_host = "login1";
  wish.ntasks_per_node = 4;
  wish.step = std::make_unique<fb::StepSpecT>();
  wish.step->cpu_bind = "core";
  return wish;
}

std::vector<std::uint8_t> report_of(const std::string& text, bool cancelled = false) {
  fb::StepReportT report;
  report.text = text;
  report.cancelled = cancelled;
  report.steps.push_back(std::make_unique<fb::StepRowT>());
  report.steps.back()->name = "hostname";
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::StepReport::Pack(builder, &report));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

std::vector<AttemptId> live(const Cluster& c) {
  std::vector<AttemptId> ids;
  for (const auto& [id, task] : c.master.tasks) {
    if (!is_terminal(task.state)) {
      ids.push_back(id);
    }
  }
  return ids;
}

std::string refused(Cluster& c, const fb::JobSpecT& wish) {
  const fb::Frame* frame = c.ask(submit_frame(wish, 1, 1));
  REQUIRE(frame->body_as_Refused() != nullptr);
  return std::string(text_of(frame->body_as_Refused()->text()));
}

}  // namespace

TEST_CASE("an allocation's spec tells its step daemons all of it", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(batch(6));
  c.pump();
  const auto ids = live(c);
  REQUIRE(ids.size() == 2);
  FrameBytes storage;
  const auto read = verify_spec(c.master.tasks.at(ids[0]).spec, storage);
  REQUIRE(read);
  const std::unique_ptr<fb::TaskSpecT> task((*read)->UnPack());
  CHECK(task->kind == fb::TaskKind::Batch);
  CHECK(task->argv == std::vector<std::string>{"one", "two"});
  CHECK(task->script == batch(6).script);
  CHECK(task->step->cpu_bind == "core");
  CHECK(task->nodes == std::vector<std::string>{"n1", "n2"});
  CHECK(task->endpoints == std::vector<std::string>{"ipc:///nowhere/n1", "ipc:///nowhere/n2"});
  CHECK(task->ranks_by_member == std::vector<std::uint32_t>{4, 2});
  CHECK(task->account == "physics");
  CHECK(task->partition == "long");
  CHECK(task->submit_host == "login1");
  CHECK(task->ntasks_per_node == 4);
  CHECK(task->stdout_path == "muster-%j.out");
  CHECK(task->token_hi == c.row(id).token_hi);
}

TEST_CASE("what can't be an allocation is refused by name", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = batch(1);
  wish.script.clear();
  CHECK(refused(c, wish) == "the batch script is empty");
  wish.script.assign((4U << 20U) + 1, 'x');
  CHECK(refused(c, wish).find("at most 4M are taken") != std::string::npos);
  wish = batch(1);
  wish.kind = fb::TaskKind::Run;
  CHECK(refused(c, wish).find("no command") == 0);
  wish = batch(1);
  wish.kind = fb::TaskKind::Allocation;
  CHECK(refused(c, wish) == "a script is for batch jobs only");
  wish = batch(1);
  wish.step->mpi = "openmpi";
  CHECK(refused(c, wish) == "--mpi: 'openmpi' is not pmix, pmi1 or none");
  wish = batch(1);
  wish.kind = static_cast<fb::TaskKind>(9);
  CHECK(refused(c, wish).find("of a later version") != std::string::npos);
}

TEST_CASE("an allocation without a command runs until somebody ends it", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  fb::JobSpecT wish = spec(2);
  wish.kind = fb::TaskKind::Allocation;
  wish.argv.clear();
  const auto id = c.submit(wish);
  c.pump();
  REQUIRE(live(c).size() == 1);
  CHECK(c.state(id) == JobState::Running);
  FrameBytes storage;
  const auto read = verify_spec(c.master.tasks.begin()->second.spec, storage);
  REQUIRE(read);
  CHECK(text_of((*read)->stdout_path()).empty());
  c.master.tasks.begin()->second.report = report_of("", true);
  c.master.end_task(live(c)[0], TaskState::finished, 130);
  c.pump();
  CHECK(c.state(id) == JobState::Cancelled);
}

TEST_CASE("the first step daemon to end badly ends the others and says why", "[gang]") {
  // Goal: the cause is the job's reason, and the first member's report stays, also over a restart. Method: end the second
  // member badly; the scripted master ends the first as it is killed.
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(batch(8));
  c.pump();
  const auto ids = live(c);
  REQUIRE(ids.size() == 2);
  c.master.tasks.at(ids[0]).report = report_of("step 0 was ended");
  c.master.tasks.at(ids[1]).text = "rank 5 on n2 was killed by signal 11";
  c.master.end_task(ids[1], TaskState::finished, 139, TaskReason::none, 11);
  c.pump();
  REQUIRE(c.master.kills == std::vector<AttemptId>{ids[0]});
  for (int round = 0; round < 2; ++round) {
    const auto row = c.row(id);
    CHECK(row.spec->script.empty());  // of no use any more
    CHECK(row.spec->step->cpu_bind == "core");
    CHECK(row.state == JobState::Failed);
    CHECK(row.reason == "rank 5 on n2 was killed by signal 11");
    CHECK(row.exit_code == 139);
    CHECK(row.signal == 11);
    REQUIRE(row.elements.size() == 1);
    CHECK(row.elements[0]->report == report_of("step 0 was ended"));
    c.crash();
    c.pump();
  }
  CHECK(c.store.job(id)->attempts[0].report.size() == report_of("step 0 was ended").size());
}

TEST_CASE("what does not verify as a report is not kept", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(batch(1));
  c.pump();
  c.master.tasks.begin()->second.report = {1, 2, 3, 4, 5};
  c.master.end_task(live(c)[0], TaskState::finished, 0);
  c.pump();
  CHECK(c.state(id) == JobState::Completed);
  CHECK(c.row(id).elements[0]->report.empty());
}

TEST_CASE("an exclusive job has its nodes for itself and waits until they are free", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto small = c.submit(spec(1));
  c.pump();
  fb::JobSpecT wish = spec(2);
  wish.exclusive = true;
  const auto first = c.submit(wish);
  const auto second = c.submit(wish);
  c.pump();
  CHECK(c.state(first) == JobState::Running);
  CHECK(c.state(second) == JobState::Pending);
  CHECK(c.row(second).reason.find("no other job beside it") != std::string::npos);
  for (const auto& [id, task] : c.master.tasks) {
    CHECK(task.resources.cpus_milli == (task.ranks == 2 ? 4000U : 1000U));
  }
  c.master.end_task(live(c).front(), TaskState::finished);
  c.pump();
  c.advance(Duration::from_seconds(6));
  c.pump();
  CHECK(c.state(small) == JobState::Completed);
  CHECK(c.state(second) == JobState::Running);
}
