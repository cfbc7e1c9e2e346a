// NodeCore and the step daemons of its tasks: where they listen, and what they leave behind.
#include "node/core/impl.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kEndpointsMax = 8;
constexpr std::size_t kEndpointBytesMax = 512;
constexpr std::size_t kTextBytesMax = 4096;

bool opens(const Task& task, std::uint64_t token_hi, std::uint64_t token_lo) {
  return (task.facts.token_hi != 0 || task.facts.token_lo != 0) && task.facts.token_hi == token_hi &&
         task.facts.token_lo == token_lo;
}

}  // namespace

void NodeCore::Impl::take_stepd_hello(LinkId from, const fb::StepdHello& hello) {
  Refusal refusal;
  refusal.code = fb::RefusedCode::BadRequest;
  refusal.subject = "StepdHello";
  if (hello.attempt() == nullptr || hello.endpoints() == nullptr || hello.endpoints()->size() == 0 ||
      hello.endpoints()->size() > kEndpointsMax) {
    refusal.text = "StepdHello names the attempt and 1 to " + std::to_string(kEndpointsMax) + " endpoints";
    refuse_user(from, refusal);
    return;
  }
  std::vector<std::string> endpoints;
  for (const auto* endpoint : *hello.endpoints()) {
    endpoints.emplace_back(text_of(endpoint).substr(0, kEndpointBytesMax));
  }
  const CpuKey key{FrameworkId(hello.framework()), from_fb(*hello.attempt())};
  refusal.subject = "attempt " + to_string(key.attempt);
  Task* task = book.find(key);
  if (task == nullptr || !task->live()) {
    refusal.code = fb::RefusedCode::UnknownAttempt;
    refusal.text = refusal.subject + " does not run on node " + config.name;
  } else if (!opens(*task, hello.token_hi(), hello.token_lo())) {
    refusal.code = fb::RefusedCode::NotAllowed;
    refusal.text = "the token is not that of " + refusal.subject;
  } else {
    task->stepd = Task::Stepd{from, std::move(endpoints)};
    return;  // it says so every second: no answer is good news
  }
  refuse_user(from, refusal);
}

void NodeCore::Impl::take_find_stepd(LinkId from, const fb::FindStepd& find) {
  if (refuse_other_node(from, find.request(), text_of(find.node()))) {
    return;
  }
  const Task* found = nullptr;
  bool is_here = false;
  for (const auto& [key, task] : book.tasks()) {
    if (task.live() && task.job == JobId(find.job()) && task.facts.index == find.index()) {
      is_here = true;
      if (opens(task, find.token_hi(), find.token_lo())) {
        found = &task;
        break;
      }
    }
  }
  Refusal refusal;
  refusal.request = find.request();
  refusal.code = fb::RefusedCode::UnknownJob;
  refusal.subject = "job " + std::to_string(find.job());
  if (!is_here) {
    refusal.text = refusal.subject + " does not run on node " + config.name + " now";
  } else if (found == nullptr) {
    refusal.code = fb::RefusedCode::NotAllowed;
    refusal.text = "the token is not that of " + refusal.subject + "; ask its framework for the right one";
  } else if (!found->stepd) {
    refusal.text = "the step daemon of " + refusal.subject + " on node " + config.name + " has not spoken yet; ask again";
  } else {
    flatbuffers::FlatBufferBuilder builder;
    const auto endpoints = builder.CreateVectorOfStrings(found->stepd->endpoints);
    const fb::AttemptId attempt = to_fb(found->key.attempt);
    to_users.push_back({from, finish_frame(builder, FrameHead{},
                                           fb::CreateStepdPlace(builder, find.request(), endpoints, &attempt))});
    return;
  }
  refuse_user(from, refusal);
}

// The daemon runs as the job's user: nothing in it is believed before it verifies.
void NodeCore::Impl::take_report(Task& task, const event::Ended& ended) {
  if (ended.report.empty()) {
    return;
  }
  const FrameBytes aligned(ended.report.begin(), ended.report.end());
  flatbuffers::Verifier verifier(aligned.data(), aligned.size(), FrameLimits{}.depth_max, FrameLimits{}.tables_max);
  if (aligned.size() > kReportMax || !verifier.VerifyBuffer<fb::StepReport>(nullptr)) {
    task.text = "the report of the step daemon on node " + config.name + " does not verify";
    return;
  }
  const auto& report = *flatbuffers::GetRoot<fb::StepReport>(aligned.data());
  if (ended.state == TaskState::finished) {  // else it was ended, and who did that knows why
    if (!text_of(report.text()).empty()) {
      task.text = text_of(report.text()).substr(0, kTextBytesMax);
    }
    if (task.signal == 0 && report.signal() != 0) {
      task.signal = report.signal();  // of what it started: its own end says only the code
    }
  }
  task.report = ended.report;
}

}  // namespace muster::node
