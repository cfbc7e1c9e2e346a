// What users ask of the gang core: cancel, hold, queries, watches, refusals.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

std::string refusal(const fb::Frame* frame) {
  REQUIRE(frame != nullptr);
  const auto* refused = frame->body_as_Refused();
  REQUIRE(refused != nullptr);
  return std::string(to_string(refused->code())) + " | " + std::string(text_of(refused->text()));
}

FrameBytes hold_frame(std::uint64_t job, bool hold) {
  auto range = std::make_unique<fb::JobRangeT>();
  range->job = job;
  if (hold) {
    fb::HoldJobT body;
    body.request = 3;
    body.jobs.push_back(std::move(range));
    return pack_frame<fb::HoldJob>(FrameHead{}, body);
  }
  fb::ReleaseJobT body;
  body.request = 3;
  body.jobs.push_back(std::move(range));
  return pack_frame<fb::ReleaseJob>(FrameHead{}, body);
}

}  // namespace

TEST_CASE("a job that can never fit is refused, naming the resource and the largest node", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  c.advance(Duration::from_seconds(1));
  auto wish = spec();
  wish.memory_per_node_bytes = Bytes{64} << 30U;
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))) ==
        "can never fit | --mem: wants 64G on one node; the largest node has 4G");
  wish = spec();
  wish.cpus_per_task_milli = 8000;
  CHECK(refusal(c.ask(submit_frame(wish, 1, 2))).find("--cpus-per-task: wants 8 cpus on one node; the largest node has 4") !=
        std::string::npos);
  wish = spec(9);
  CHECK(refusal(c.ask(submit_frame(wish, 1, 3))).find("--ntasks: wants 9 ranks") != std::string::npos);
  wish = spec(3);
  wish.nodes_min = 3;
  CHECK(refusal(c.ask(submit_frame(wish, 1, 4))).find("--nodes: wants 3 nodes; the cluster has 2") != std::string::npos);
}

TEST_CASE("while nodes arrive, what does not fit waits a moment before it is refused", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  CHECK(c.ask(submit_frame(spec(9), 1, 3)) == nullptr);
  c.advance(Duration::from_seconds(1));
  REQUIRE(c.answers.size() == 1);
  CHECK(refusal(*verify_frame(c.answers[0])).find("can never fit") == 0);
}

TEST_CASE("without a master jobs are accepted and say why they wait", "[gang]") {
  Cluster c({});
  c.core->on_master_link_down(c.now());
  auto wish = spec();
  wish.cpus_per_task_milli = 64'000;
  const auto id = c.submit(wish);
  CHECK(c.row(id).reason.find("MasterUnreachable") == 0);
}

TEST_CASE("bad specs are refused by the option that is wrong", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  wish.argv.clear();
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))).find("no command") != std::string::npos);
  wish = spec();
  wish.array = {fb::IndexRange(5, 2, 1)};
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))).find("--array: range 5-2") != std::string::npos);
  wish = spec();
  wish.dependency = "singleton";
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))).find("--dependency is not supported yet") != std::string::npos);
  wish = spec();
  wish.private_tmp = true;
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))).find("--private-tmp is not supported yet") != std::string::npos);
  wish = spec();
  wish.working_directory = "here";
  CHECK(refusal(c.ask(submit_frame(wish, 1, 1))).find("not absolute") != std::string::npos);
}

TEST_CASE("other users may neither submit to an owner's cluster nor touch its jobs", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  CHECK(refusal(c.ask(submit_frame(spec(), 1, 1), 2000)).find("not allowed") == 0);
  const auto id = c.submit(spec());
  CHECK(refusal(c.ask(cancel_frame(id), 2000)).find("belongs to user 1000") != std::string::npos);
  fb::QueryJobsT query;
  query.details = true;
  const fb::Frame* frame = c.ask(pack_frame<fb::QueryJobs>(FrameHead{}, query), 2000);
  REQUIRE(frame->body_as_JobList() != nullptr);
  CHECK(frame->body_as_JobList()->jobs()->Get(0)->token_hi() == 0);
  CHECK(frame->body_as_JobList()->jobs()->Get(0)->spec() == nullptr);
  CHECK(c.row(id).token_hi != 0);
}

TEST_CASE("cancelling a pending job ends it, a running one is killed first", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto running = c.submit(spec(8));
  const auto pending = c.submit(spec());
  CHECK(c.row(pending).reason.find("Resources") == 0);
  const fb::Frame* done = c.ask(cancel_frame(pending));
  REQUIRE(done->body_as_Done() != nullptr);
  CHECK(done->body_as_Done()->count() == 1);
  CHECK(c.state(pending) == JobState::Cancelled);
  REQUIRE(c.ask(cancel_frame(running))->body_as_Done()->count() == 1);
  c.pump();
  CHECK(c.master.kills.size() == 2);
  CHECK(c.state(running) == JobState::Cancelled);
  CHECK(c.row(running).reason == "cancelled by its user");
  CHECK(refusal(c.ask(cancel_frame(12345))).find("unknown job") == 0);
}

TEST_CASE("a cancel survives a restart: the kill is sent again", "[gang]") {
  const bool whole = GENERATE(true, false);
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  set_array(wish, 1, 3);
  const auto id = c.submit(wish);
  // The kill is lost: the link breaks before it leaves.
  const FrameBytes frame = whole ? cancel_frame(id) : cancel_frame(id, 2, 2);
  c.core->on_user_frame(LinkId(5), Peer{true, 1000, 1}, **verify_frame(frame), c.now());
  GangOutputs out;
  c.core->flush(c.now(), out);
  REQUIRE(out.store.has_value());
  c.store.commit(*out.store);
  c.crash();
  c.pump();
  CHECK(c.master.kills.size() == (whole ? 3 : 1));
  const auto row = c.row(id);
  CHECK(row.elements.at(1)->state == JobState::Cancelled);
  CHECK(row.elements.at(0)->state == (whole ? JobState::Cancelled : JobState::Running));
}

TEST_CASE("a held job does not start before it is released", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  wish.held = true;
  const auto id = c.submit(wish);
  CHECK(c.row(id).reason.find("Held by user") == 0);
  CHECK(c.master.accepts == 0);
  REQUIRE(c.ask(hold_frame(id, false))->body_as_Done() != nullptr);
  c.pump();
  CHECK(c.state(id) == JobState::Running);
}

TEST_CASE("queries page, filter and name what is unknown", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  for (int i = 0; i < 12; ++i) {
    c.submit(spec());
  }
  fb::QueryJobsT query;
  query.limit = 5;
  const fb::Frame* frame = c.ask(pack_frame<fb::QueryJobs>(FrameHead{}, query));
  CHECK(frame->body_as_JobList()->jobs()->size() == 5);
  CHECK(frame->body_as_JobList()->more());
  CHECK(frame->body_as_JobList()->total() == 12);
  query.after_job = 10;
  frame = c.ask(pack_frame<fb::QueryJobs>(FrameHead{}, query));
  CHECK(frame->body_as_JobList()->jobs()->size() == 2);
  CHECK_FALSE(frame->body_as_JobList()->more());
  query = {};
  query.states = {JobState::Running};
  frame = c.ask(pack_frame<fb::QueryJobs>(FrameHead{}, query));
  CHECK(frame->body_as_JobList()->total() == 8);
  query = {};
  query.jobs = {3, 77};
  frame = c.ask(pack_frame<fb::QueryJobs>(FrameHead{}, query));
  CHECK(frame->body_as_JobList()->unknown()->Get(0) == 77);
  CHECK(c.row(12).reason == "Priority: 3 jobs ahead");
}

TEST_CASE("a watch is answered when the job changes, or by its deadline", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec());
  const auto version = c.row(id).version;
  fb::WatchT watch;
  watch.request = 8;
  watch.job = id;
  watch.version = version;
  watch.deadline_ms = 5000;
  CHECK(c.ask(pack_frame<fb::Watch>(FrameHead{}, watch)) == nullptr);
  c.master.end_task(c.master.tasks.begin()->first, TaskState::finished, 0);
  c.pump();
  REQUIRE(c.answers.size() == 1);
  const auto* list = (*verify_frame(c.answers[0]))->body_as_JobList();
  REQUIRE(list != nullptr);
  CHECK(list->jobs()->Get(0)->state() == JobState::Completed);
  watch.version = list->jobs()->Get(0)->version();
  CHECK(c.ask(pack_frame<fb::Watch>(FrameHead{}, watch)) == nullptr);
  c.advance(Duration::from_seconds(5));
  CHECK(c.answers.size() == 1);
}

TEST_CASE("a cluster for all users takes the submitter's ids from the kernel and refuses root", "[gang]") {
  GangConfig config = Cluster::default_config();
  config.owner_only = false;
  Cluster c(two_nodes(), config);
  c.pump();
  CHECK(refusal(c.ask(submit_frame(spec(), 1, 1), 0)).find("root's jobs are refused") != std::string::npos);
  auto wish = spec();
  wish.uid = 0;
  wish.gid = 0;
  const FrameBytes frame = submit_frame(wish, 1, 2);
  c.core->on_user_frame(LinkId(5), Peer{true, 2000, 1, 3000}, **verify_frame(frame), c.now());
  c.pump();
  FrameBytes storage;
  REQUIRE(c.master.tasks.size() == 1);
  const auto task = verify_spec(c.master.tasks.begin()->second.spec, storage);
  REQUIRE(task.has_value());
  CHECK((*task)->uid() == 2000);
  CHECK((*task)->gid() == 3000);
}
