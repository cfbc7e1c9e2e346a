// What became of an attempt: answered as soon as it can be said, and never guessed.
#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::on_reconcile(
    Link& link, const fb::Frame& frame, const flatbuffers::Vector<const fb::LiveTask*>* live,
    const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* names, Now now) {
  if (live == nullptr) {
    return;
  }
  for (const fb::LiveTask* task : *live) {
    if (names == nullptr || task->node_name() >= names->size()) {
      refuse_in_life(link, frame, fb::RefusedCode::Malformed, "attempt " + to_string(from_fb(task->attempt())),
                     "its node's name is not in the frame");
      continue;
    }
    reconcile(link.framework, {from_fb(task->attempt()), task->boot()}, text_of(names->Get(task->node_name())),
              now);
  }
}

void MasterCore::Impl::reconcile(FrameworkIndex framework, const Asked& asked, std::string_view node_name, Now now) {
  const AttemptId& attempt = asked.attempt;
  const TaskIndex task = tasks.find(framework, attempt);
  const NodeIndex node = task.is_none() ? nodes.find(node_name) : tasks[task].node;
  if (node != kNoNode) {
    reconcile_on({framework, frameworks[framework].incarnation, asked}, node);
    return;
  }
  // The node has not been heard in this epoch: it may still come with the task.
  const Word lost{attempt, kNoNode, TaskState::lost, TaskReason::node_lost};
  const Instant deadline = start + config.fence + config.fence_margin;
  if (defect(&MasterDefects::never_seen_too_early)) {
    say(framework, {attempt, kNoNode, TaskState::not_started, TaskReason::never_seen});
  } else if (now.mono >= deadline) {
    say(framework, lost);
  } else {
    auto found = questions.find(node_name);
    if (found == questions.end()) {
      found = questions.emplace(std::string(node_name), std::vector<Question>{}).first;
    }
    found->second.push_back({framework, frameworks[framework].incarnation, asked});
    if (!questions_armed) {
      questions_armed = true;
      timers.add(deadline, TimerKind::questions, 0);
    }
  }
}

// The node is known in this epoch.
void MasterCore::Impl::reconcile_on(const Question& question, NodeIndex node) {
  const auto& [framework, incarnation, asked] = question;
  const AttemptId& attempt = asked.attempt;
  if (const TaskIndex task = tasks.find(framework, attempt); !task.is_none()) {
    // A stored update that waits in the queue is the answer.
    if (!(tasks[task].unacknowledged && tasks[task].queued)) {
      queue_update(task, tasks[task].unacknowledged ? tasks[task].update.seq : 0);
    }
    return;
  }
  if (const auto promised = reported_ended.find({node, framework, attempt}); promised != reported_ended.end()) {
    promised->second = question;  // its update is on the way from the node
    return;
  }
  if (nodes[node].lost) {
    say(framework, {attempt, node, TaskState::lost, TaskReason::node_lost});
  } else if (asked.boot != nodes[node].boot && !defect(&MasterDefects::never_seen_too_early)) {
    // A power cut may have taken the node's record of it: that it is not there proves nothing.
    say(framework, {attempt, node, TaskState::lost, TaskReason::node_rebooted});
  } else {
    say(framework, {attempt, node, TaskState::not_started, TaskReason::never_seen});
  }
}

void MasterCore::Impl::answer_questions(NodeIndex node) {
  const auto found = questions.find(nodes[node].name);
  if (found == questions.end()) {
    return;
  }
  const std::vector<Question> asked = std::move(found->second);
  questions.erase(found);
  for (const Question& question : asked) {
    if (frameworks[question.framework].incarnation == question.incarnation) {
      reconcile_on(question, node);
    }
  }
}

// Fence and margin have passed since this master began: what has not come by now is gone.
void MasterCore::Impl::on_questions_timer(Now) {
  questions_armed = false;
  auto asked = std::move(questions);
  questions.clear();
  for (const auto& [name, list] : asked) {
    for (const Question& question : list) {
      if (frameworks[question.framework].incarnation == question.incarnation) {
        say(question.framework, {question.asked.attempt, kNoNode, TaskState::lost, TaskReason::node_lost});
      }
    }
  }
}

}  // namespace muster::master
