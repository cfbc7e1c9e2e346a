// What a registering node says that it has, held against what the master believes.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {

// What a report says of a task beyond its state.
struct MasterCore::Impl::Reported {
  Resources shape;
  std::string_view name;
  std::uint32_t uid{};
};

void MasterCore::Impl::take_report(NodeIndex node, const fb::NodeRegistration& registration, bool rebooted, Now now) {
  // What was due is derived anew from the report.
  node_out[node.value()].tasks.clear();
  std::vector<TaskIndex> rows;
  tasks.list(node, rows);
  for (const TaskIndex index : rows) {
    Task& task = tasks[index];
    task.listed = task.launch_due = task.go_due = task.release_due = task.kill_due = task.signal_due = false;
  }
  std::vector<Question> open_questions;  // answered by updates that the node may have lost since
  const auto promised = reported_ended.lower_bound({node, FrameworkIndex{0}, AttemptId{}});
  const auto promised_end = reported_ended.lower_bound({NodeIndex{node.value() + 1}, FrameworkIndex{0}, AttemptId{}});
  for (auto it = promised; it != promised_end; ++it) {
    if (it->second) {
      open_questions.push_back(*it->second);
    }
  }
  reported_ended.erase(promised, promised_end);

  std::vector<Resources> shapes;
  if (registration.shapes() != nullptr) {
    for (const fb::Shape* shape : *registration.shapes()) {
      shapes.push_back(from_fb(*shape).value());
    }
  }
  struct Report {
    const fb::TaskReport* report;
    FrameworkIndex framework;
    TaskIndex task;
    std::uint32_t place;
  };
  std::vector<Report> reports;
  std::vector<std::uint32_t> named;
  if (registration.tasks() != nullptr) {
    for (std::uint32_t place = 0; place < registration.tasks()->size(); ++place) {
      const fb::TaskReport* report = registration.tasks()->Get(place);
      const FrameworkIndex framework = framework_of_report(FrameworkId{report->framework()}, now);
      const TaskIndex task = tasks.find(framework, from_fb(report->attempt()));
      if (!task.is_none() && tasks[task].node != node) {
        ++probe.updates_foreign;  // an attempt belongs to one node
        continue;
      }
      reports.push_back({report, framework, task, place});
      if (!task.is_none()) {
        named.push_back(task.slot);
      }
    }
  }
  // First what is gone, so that the books have room for what is there.
  std::sort(named.begin(), named.end());
  for (const TaskIndex task : rows) {
    if (tasks.holds(task) && !std::binary_search(named.begin(), named.end(), task.slot)) {
      report_missing(task, rebooted, now);
    }
  }
  for (const Report& entry : reports) {
    if (tasks.holds(entry.task)) {
      report_known(entry.task, static_cast<TaskState>(entry.report->state()), now);
    }
  }
  const auto* names = registration.names();
  for (const Report& entry : reports) {
    if (entry.task.is_none()) {
      const std::uint32_t at = entry.report->name();
      const std::string_view name =
          names != nullptr && at < names->size() ? text_of(names->Get(at)) : std::string_view{};
      const bool live = !is_terminal(static_cast<TaskState>(entry.report->state()));
      const auto* uids = registration.uids();
      const std::uint32_t uid = uids != nullptr && entry.place < uids->size() ? uids->Get(entry.place) : ~0U;
      report_unknown(node, entry.framework, *entry.report,
                     {live ? shapes[entry.report->shape()] : Resources{}, name, uid}, now);
    }
  }
  for (const Question& question : open_questions) {
    const auto& [framework, incarnation, asked] = question;
    if (frameworks[framework].incarnation != incarnation) {
      continue;
    }
    if (tasks.find(framework, asked.attempt).is_none() && !reported_ended.contains({node, framework, asked.attempt})) {
      // The node has named it once, so whatever it knows now, it can't have been never seen.
      say(framework, {asked.attempt, node, TaskState::lost, rebooted ? TaskReason::node_rebooted : TaskReason::none});
    } else {
      reconcile_on(question, node);
    }
  }
}

// Books what runs already. Where that leaves no room, the node's open offers were made of what it does not have.
bool MasterCore::Impl::charge_reported(NodeIndex node, const Resources& shape) {
  if (!shape.fits_in(ledger.books(node).free)) {
    rescind_node(node, fb::RescindReason::None);
  }
  return ledger.charge_running(node, shape);
}

// What runs goes before what is offered.
bool MasterCore::Impl::charge_running(NodeIndex node, const Resources& shape) {
  if (!shape.fits_in(ledger.free(node))) {
    rescind_node(node, fb::RescindReason::NodeLost);
  }
  return ledger.charge_running(node, shape);
}

void MasterCore::Impl::report_known(TaskIndex index, TaskState reported, Now now) {
  Task& task = tasks[index];
  if (task.declared) {
    // The frameworks have been told that it is over: so it must be.
    if (!is_terminal(reported) && !task.charged) {
      if (charge_reported(task.node, tasks.shape(task))) {
        book(index);
      }
    }
    if (!is_terminal(reported)) {
      want_kill(index, TaskReason::node_lost, 15, 0);
    }
    return;
  }
  if (is_terminal(task.state)) {
    return;  // its stored update waits for the framework
  }
  if (defect(&MasterDefects::repeat_known_launches) && task.spec != kNoSpec && task.launch_sent) {
    task.launch_due = true;
  } else {
    confirm(task);
  }
  task_marks.mark(index.slot);
  if (reported == TaskState::prepared && task.state == TaskState::launching) {
    task.state = TaskState::prepared;
  } else if (reported == TaskState::running && task.state == TaskState::queued) {
    // The end of what it followed comes before its own update, and makes it the holder.
  } else if (reported == TaskState::running && task.state != TaskState::running) {
    task.state = TaskState::running;  // its update follows
  }
  task.kill_due = task.kill_wanted && !is_terminal(reported);
  task.release_due = task.release_wanted && !is_terminal(reported);
  if (task.gang != kNoGang) {
    if (reported == TaskState::prepared && gangs[task.gang.value()].phase == GangPhase::going) {
      task.go_due = true;
    } else if (reported == TaskState::prepared) {
      gang_prepared(index, now);
    } else if (reported == TaskState::running) {
      gang_progress(index, now);
    }
  }
  due(index);
}

void MasterCore::Impl::report_unknown(NodeIndex node, FrameworkIndex framework, const fb::TaskReport& report,
                                      const Reported& facts, Now) {
  const AttemptId attempt = from_fb(report.attempt());
  const auto state = static_cast<TaskState>(report.state());
  if (is_terminal(state)) {
    reported_ended.insert({{node, framework, attempt}, std::nullopt});
    return;
  }
  if (!tasks.find(framework, attempt).is_none() || !charge_reported(node, facts.shape)) {
    ++probe.updates_foreign;  // named twice in one report
    return;
  }
  const TaskIndex index = tasks.add(framework, node, attempt);
  Task& task = tasks[index];
  tasks.set_kind(task, tasks.kind_of(facts.shape, facts.name, facts.uid, 0));
  task.state = state;
  task.confirmed = true;
  task.launch_sent = true;
  task.two_step = report.gang() != 0;
  task.go_sent = true;  // for all that is known
  book(index);
  if (state == TaskState::prepared) {
    task.release_wanted = task.release_due = true;  // nobody knows whether its Go left
    due(index);
  }
  if (frameworks[framework].gone) {
    want_kill(index, TaskReason::kill_requested, 15, 0);
  }
}

void MasterCore::Impl::report_missing(TaskIndex index, bool rebooted, Now now) {
  Task& task = tasks[index];
  if (task.declared || is_terminal(task.state)) {
    if (task.charged) {
      unbook(index);  // it was being killed, and is gone
    }
    task.kill_wanted = task.release_wanted = false;
    return;
  }
  if (task.state == TaskState::queued && !(rebooted && task.launch_sent)) {
    drop_queued(index, TaskReason::recalled);  // its turn had not come, or the node would know
    return;
  }
  const TaskReason reason = rebooted ? TaskReason::node_rebooted : TaskReason::none;
  const bool send_again = !task.launch_sent || (!task.two_step && !task.confirmed && !rebooted);
  if (send_again) {
    task.launch_due = true;
    task.kill_due = task.kill_wanted;
    due(index);
  } else if (task.two_step && !task.go_sent) {
    declare(index, TaskState::not_started, TaskReason::released, now);
  } else {
    declare(index, TaskState::lost, reason, now);
  }
}

}  // namespace muster::master
