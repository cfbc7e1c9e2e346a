// Goal: the step daemons of a job start, count and end ranks together, and say rightly what happened first.
// Method: all cores of a job in one process (StepCluster); ranks are entries in a table.
#include <catch2/catch.hpp>

#include <algorithm>

#include "tests/node/step/step_cluster.hpp"

namespace muster::node {
namespace {

fb::StepSpecT app(const std::string& command = "app") {
  fb::StepSpecT step;
  step.argv = {command};
  return step;
}

StepCluster::Shape shape(std::uint32_t members, std::uint32_t ranks_each, fb::StepSpecT step = app()) {
  StepCluster::Shape shape;
  shape.members = members;
  shape.ranks_each = ranks_each;
  shape.step = std::move(step);
  return shape;
}

fb::StartStepT start(fb::StepSpecT spec, std::uint64_t request = 1) {
  fb::StartStepT question;
  question.request = request;
  question.attach = true;
  question.spec = std::make_unique<fb::StepSpecT>(std::move(spec));
  return question;
}

}  // namespace

TEST_CASE("a run starts its ranks when all nodes are there and ends with them") {
  StepCluster cluster(shape(3, 2));
  cluster.settle();
  CHECK(cluster.running_.empty());
  cluster.join();
  REQUIRE(cluster.running_.size() == 6);
  CHECK(cluster.running_.at({0, 0}) == 0);
  CHECK(cluster.running_.at({0, 5}) == 2);
  CHECK(cluster.started_.at({0, 1}).os_cpus == std::vector<std::uint32_t>{101});
  cluster.end_all(0);
  cluster.advance(Duration::from_seconds(3));
  REQUIRE(cluster.finished_.size() == 3);
  for (const auto& [member, finish] : cluster.finished_) {
    CHECK(finish.exit_code == 0);
  }
  const auto report = cluster.report(0);
  REQUIRE(report.steps.size() == 1);
  CHECK(report.steps[0]->state == fb::StepState::Completed);
  CHECK(report.steps[0]->ntasks == 6);
  CHECK(report.steps[0]->cpu_time_us == 30);
  CHECK(report.text.empty());
}

TEST_CASE("the worst exit code is the job's, and the others go on without kill-on-bad-exit") {
  StepCluster cluster(shape(2, 2));
  cluster.join();
  cluster.end_rank(0, 1, 3);
  CHECK(cluster.running_.size() == 3);
  cluster.end_rank(0, 2, 7);
  cluster.end_rank(0, 0, 0);
  cluster.end_rank(0, 3, 5);
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.finished_.at(0).exit_code == 7);
  CHECK(cluster.finished_.at(1).exit_code == 0);
  CHECK(cluster.report(0).text == "rank 2 on node n2: exit code 7");
}

TEST_CASE("with kill-on-bad-exit the first failure ends the step and gives the reason") {
  auto step = app();
  step.kill_on_bad_exit = true;
  StepCluster cluster(shape(2, 2, step));
  cluster.join();
  cluster.end_rank(0, 2, 139, 11);
  CHECK(cluster.running_.empty());
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.finished_.at(0).exit_code == 139);
  CHECK(cluster.report(0).text == "rank 2 on node n2: signal 11 (SIGSEGV)");
}

TEST_CASE("ranks that ignore SIGTERM are killed after the step's kill-wait") {
  auto step = app();
  step.kill_on_bad_exit = true;
  step.kill_wait_ms = 1000;
  StepCluster cluster(shape(1, 3, step));
  cluster.stubborn_ = true;
  cluster.join();
  cluster.settle();
  cluster.end_rank(0, 0, 1);
  CHECK(cluster.running_.size() == 2);
  cluster.advance(Duration::from_ms(800));
  CHECK(cluster.running_.size() == 2);
  cluster.advance(Duration::from_ms(400));
  CHECK(cluster.running_.empty());
}

TEST_CASE("a command that is not there fails the step with its code and names the node") {
  StepCluster cluster(shape(2, 1, app("missing")));
  cluster.join();
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.finished_.at(0).exit_code == 127);
  CHECK(cluster.report(0).text.find("command 'missing' was not found") != std::string::npos);
}

TEST_CASE("an exchange gives every node the data of all, also through a tree of several levels") {
  StepCluster cluster(shape(70, 1));
  cluster.join();
  REQUIRE(cluster.running_.size() == 70);
  for (std::uint32_t member = 0; member < 70; ++member) {
    CHECK(cluster.answers_.empty());
    cluster.pmi(member, pmi_event::Exchange{0, std::string(1, static_cast<char>('0' + member % 10))});
  }
  REQUIRE(cluster.answers_.size() == 70);
  for (const auto& [member, answers] : cluster.answers_) {
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].data.size() == 70);
    CHECK(std::count(answers[0].data.begin(), answers[0].data.end(), '3') == 7);
  }
}

TEST_CASE("a question for another node's rank finds its way and so does the answer") {
  StepCluster cluster(shape(40, 1));
  cluster.join();
  cluster.pmi(35, pmi_event::Modex{0, 7, 99});
  REQUIRE(cluster.asked_[7].size() == 1);
  cluster.pmi(7, pmi_event::ModexServed{cluster.asked_[7][0].question, 0, "here"});
  REQUIRE(cluster.served_[35].size() == 1);
  CHECK(cluster.served_[35][0].question == 99);
  CHECK(cluster.served_[35][0].data == "here");
}

TEST_CASE("a node that falls silent ends the job everywhere within the silence, and is named") {
  StepCluster cluster(shape(3, 1));
  cluster.join();
  cluster.advance(Duration::from_seconds(2));
  REQUIRE(cluster.running_.size() == 3);
  cluster.cut(2);
  cluster.advance(Duration::from_ms(3600));
  CHECK(cluster.running_.empty());
  cluster.advance(Duration::from_seconds(5));
  REQUIRE(cluster.finished_.size() == 3);
  CHECK(cluster.report(0).text == "node n3 was not heard for 3 s");
  CHECK(cluster.report(2).text == "no contact with node n1 for 3 s");
  CHECK(cluster.finished_.at(0).exit_code == 1);
}

TEST_CASE("a node that never comes fails the job and is named") {
  StepCluster cluster(shape(2, 1));
  cluster.advance(Duration::from_seconds(16));
  CHECK(cluster.started_.empty());
  CHECK(cluster.report(0).text == "node n2 did not join its job within 15 s");
}

TEST_CASE("a pause of this process is not taken for silence of the others") {
  StepCluster cluster(shape(2, 1));
  cluster.join();
  Now later = cluster.now();
  later.mono = later.mono + Duration::from_seconds(20);
  cluster.core(0).on_timer(later);
  cluster.settle();
  CHECK(cluster.running_.size() == 2);
}

TEST_CASE("MPI ranks that leave without finalize, or abort, end the step") {
  SECTION("without finalize") {
    StepCluster cluster(shape(2, 1));
    cluster.join();
    cluster.pmi(0, pmi_event::Connected{0, 0});
    cluster.pmi(1, pmi_event::Connected{0, 1});
    cluster.end_rank(0, 1, 0);
    CHECK(cluster.running_.empty());
    cluster.advance(Duration::from_seconds(3));
    CHECK(cluster.finished_.at(0).exit_code == 1);
    CHECK(cluster.report(0).text.find("rank 1 on node n2 ended without MPI_Finalize") == 0);
  }
  SECTION("abort") {
    StepCluster cluster(shape(2, 1));
    cluster.join();
    cluster.pmi(1, pmi_event::Aborted{0, 1, 9, ""});
    CHECK(cluster.running_.empty());
    cluster.advance(Duration::from_seconds(3));
    CHECK(cluster.finished_.at(0).exit_code == 9);
    CHECK(cluster.report(0).text == "rank 1 on node n2 called MPI_Abort(9)");
  }
  SECTION("in order") {
    StepCluster cluster(shape(2, 1));
    cluster.join();
    for (std::uint32_t rank : {0U, 1U}) {
      cluster.pmi(rank, pmi_event::Connected{0, rank});
      cluster.pmi(rank, pmi_event::Finalized{0, rank});
    }
    cluster.end_all(0);
    cluster.advance(Duration::from_seconds(3));
    CHECK(cluster.finished_.at(0).exit_code == 0);
  }
}

TEST_CASE("singletons that were asked to speak PMIx fail with one clear line") {
  auto step = app();
  step.mpi = "pmix";
  StepCluster cluster(shape(2, 1, step));
  cluster.join();
  cluster.end_all(0);
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.finished_.at(0).exit_code == 1);
  CHECK(cluster.report(0).text.find("--mpi=pmix was asked for, and none of the 2 ranks spoke it") == 0);
}

TEST_CASE("who does not know the token is refused") {
  StepCluster cluster(shape(1, 1));
  cluster.user_hello(StepCluster::kUser, 23);
  const auto refused = cluster.heard<fb::Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].code == fb::RefusedCode::NotAllowed);
  cluster.say<fb::StartStep>(start(app()));
  CHECK(cluster.heard<fb::Refused>().back().code == fb::RefusedCode::Unauthenticated);
}

TEST_CASE("output waits for whoever comes to read it, and the end comes behind it") {
  StepCluster cluster(shape(2, 1));
  cluster.join();
  cluster.core(1).on_rank_output({0, 1}, fb::StepStream::Out, "early\n", false);
  cluster.settle();
  cluster.end_all(0);
  CHECK_FALSE(cluster.finished_.contains(0));
  cluster.user_hello();
  fb::AttachStepT ask;
  ask.request = 5;
  cluster.say<fb::AttachStep>(ask);
  const auto output = cluster.heard<fb::StepOutput>();
  REQUIRE(output.size() == 1);
  CHECK(std::string(output[0].data.begin(), output[0].data.end()) == "early\n");
  REQUIRE(cluster.heard<fb::StepEnded>().size() == 1);
  CHECK_FALSE(cluster.finished_.contains(0));
  cluster.say<fb::Done>({});
  CHECK(cluster.finished_.at(0).exit_code == 0);
}

TEST_CASE("steps of an allocation run side by side, wait for cpus in their order, and are counted one by one") {
  auto allocation = shape(2, 2, {});
  allocation.kind = fb::TaskKind::Allocation;
  StepCluster cluster(allocation);
  cluster.join();
  cluster.user_hello();
  auto one_node = app();
  one_node.ntasks = 2;
  one_node.nodes_max = 1;
  cluster.say<fb::StartStep>(start(one_node, 1));
  cluster.say<fb::StartStep>(start(one_node, 2));
  CHECK(cluster.running_.size() == 4);
  CHECK(cluster.heard<fb::StepStarted>().size() == 2);
  auto all = app();
  all.ntasks = 4;
  cluster.say<fb::StartStep>(start(all, 3));
  CHECK(cluster.heard<fb::StepStarted>().size() == 2);
  auto beside = all;
  beside.overlap = true;
  cluster.say<fb::StartStep>(start(beside, 4));
  CHECK(cluster.heard<fb::StepStarted>().size() == 3);
  cluster.end_all(0);
  CHECK(cluster.heard<fb::StepStarted>().size() == 3);
  cluster.end_all(1);
  CHECK(cluster.heard<fb::StepStarted>().size() == 4);
  cluster.end_all(3);
  cluster.end_all(2);
  CHECK(cluster.heard<fb::StepEnded>().size() == 4);
  auto too_many = app();
  too_many.ntasks = 5;
  cluster.say<fb::StartStep>(start(too_many, 5));
  REQUIRE(cluster.heard<fb::Refused>().size() == 1);
  CHECK(cluster.heard<fb::Refused>()[0].code == fb::RefusedCode::NeverFits);
  CHECK(cluster.finished_.empty());
  for (int i = 0; i < 4; ++i) {
    cluster.say<fb::Done>({});
  }
  cluster.say<fb::FinishJob>({});
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.report(0).steps.size() == 4);
  CHECK(cluster.report(0).steps_total == 4);
}

TEST_CASE("a step ends with the command that started it, and an allocation with the one that holds it") {
  auto allocation = shape(1, 2, {});
  allocation.kind = fb::TaskKind::Allocation;
  StepCluster cluster(allocation);
  cluster.settle();
  cluster.user_hello();
  fb::AttachStepT hold;
  hold.request = 1;
  hold.step = kNoStep;
  cluster.say<fb::AttachStep>(hold);
  const LinkId other(2);
  cluster.user_hello(other);
  auto step = app();
  step.ntasks = 2;
  cluster.say<fb::StartStep>(start(step), other);
  CHECK(cluster.running_.size() == 2);
  cluster.core(0).on_link_lost(other, cluster.now());
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.running_.empty());
  CHECK(cluster.finished_.empty());
  cluster.core(0).on_link_lost(StepCluster::kUser, cluster.now());
  cluster.settle();
  CHECK(cluster.finished_.at(0).exit_code == 129);
}

TEST_CASE("a batch script's end ends its steps and the job has the script's code") {
  auto batch = shape(2, 1, {});
  batch.kind = fb::TaskKind::Batch;
  StepCluster cluster(batch);
  cluster.join();
  REQUIRE(cluster.running_.contains({kBatchStep, 0}));
  CHECK(cluster.started_.at({kBatchStep, 0}).script != nullptr);
  cluster.user_hello();
  cluster.say<fb::StartStep>(start(app()));
  CHECK(cluster.running_.size() == 3);
  cluster.end_rank(kBatchStep, 0, 4);
  CHECK(cluster.running_.empty());
  cluster.say<fb::Done>({});
  cluster.advance(Duration::from_seconds(3));
  CHECK(cluster.finished_.at(0).exit_code == 4);
  CHECK(cluster.finished_.at(1).exit_code == 0);
}

}  // namespace muster::node
