// NodeCore: Launch, Prepare, Go, Release, NodeKill, Acknowledge.
#include <algorithm>

#include "node/core/impl.hpp"
#include "wire/model/cpu_list.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node {
namespace {

// Whom a task would run as, and whether this node does that. Frameworks that name nobody leave uid 0.
std::string user_fault(const NodeConfig& config, const fb::TaskSpec& spec) {
  if (config.switch_user) {
    return spec.uid() != 0 || config.allow_root ? std::string()
                                                : "node " + config.name + " runs no tasks of root; submit as an ordinary user, or start "
                                                      "muster-node with --allow-root";
  }
  if (config.owner_uid && spec.uid() != 0 && spec.uid() != *config.owner_uid) {
    return "node " + config.name + " runs tasks of user " + std::to_string(*config.owner_uid) + " only, not of user " +
           std::to_string(spec.uid()) + "; as root it runs everybody's with --run-as-submitter";
  }
  return {};
}

}  // namespace

void NodeCore::Impl::take_launches(const Launches* launches, const Specs* specs, const Shapes* shapes,
                                   const flatbuffers::Vector<std::uint64_t>* frameworks,
                                   const Predecessors* predecessors, bool prepare, Now now) {
  if (launches == nullptr) {
    return;
  }
  struct ReadSpec {
    std::shared_ptr<FrameBytes> storage;
    Result<const fb::TaskSpec*> spec = nullptr;
    bool read{};
  };
  std::vector<ReadSpec> read_specs(specs == nullptr ? 0 : specs->size());
  std::vector<std::optional<Result<Resources>>> read_shapes(shapes == nullptr ? 0 : shapes->size());
  for (const fb::LaunchEntry* entry : *launches) {
    const auto refuse = [&](fb::RefusedCode code, const std::string& text) {
      Refusal refusal;
      refusal.code = code;
      refusal.subject = "attempt " + to_string(from_fb(entry->attempt()));
      refusal.text = text;
      refuse_to_master(refusal);
    };
    if (NodeIndex(entry->node()) != index) {
      refuse(fb::RefusedCode::UnknownNode, "node index " + std::to_string(entry->node()) + " is not " + config.name +
                                               "'s, which is " + std::to_string(index.value()));
      continue;
    }
    if (frameworks == nullptr || entry->framework() >= frameworks->size()) {
      refuse(fb::RefusedCode::BadLaunch, "the launch names a framework that the frame does not list");
      continue;
    }
    const CpuKey key{FrameworkId(frameworks->Get(entry->framework())), from_fb(entry->attempt())};
    if (forgotten.contains(key)) {
      ++frames_dropped;  // it ran, and its end is on record
      continue;
    }
    if (Task* known = book.find(key); known != nullptr && !defects.rerun_known_attempt) {
      answer_known(*known);
      continue;
    }
    std::string fault;
    if (entry->spec() >= read_specs.size() || entry->shape() >= read_shapes.size()) {
      fault = "the launch names a spec or shape that the frame does not hold";
    } else {
      ReadSpec& spec = read_specs[entry->spec()];
      if (!spec.read) {
        spec.storage = std::make_shared<FrameBytes>();
        spec.spec = verify_spec(*specs->Get(entry->spec()), *spec.storage);
        spec.read = true;
      }
      auto& shape = read_shapes[entry->shape()];
      if (!shape) {
        shape = from_fb(*shapes->Get(entry->shape()));
      }
      fault = !spec.spec ? spec.spec.error().text : !*shape ? shape->error().text : launch_fault(**spec.spec, *entry);
      if (fault.empty()) {
        fault = user_fault(config, **spec.spec);
      }
      if (fault.empty() && entry->after() != 0 && (predecessors == nullptr || entry->after() > predecessors->size())) {
        fault = "the launch follows an attempt that the frame does not name";
      }
      if (fault.empty()) {
        launch(key,
               {.entry = *entry,
                .spec = **spec.spec,
                .shape = **shape,
                .prepare = prepare,
                .after = entry->after() != 0 ? from_fb(*predecessors->Get(entry->after() - 1U)) : AttemptId{},
                .spec_bytes = spec.storage},
               now);
        continue;
      }
    }
    if (book.find(key) == nullptr) {
      Task& task = book.add(key);
      task.text = fault;
      finish(task, TaskState::start_failed, TaskReason::spawn_failed, now);
    }
  }
}

void NodeCore::Impl::launch(const CpuKey& key, const LaunchFrom& from, Now now) {
  const bool park = from.prepare && !defects.exec_without_go;
  if (Task* known = book.find(key); known != nullptr) {  // only a defect launches it again
    CpuGrant grant;
    grant.cpus = known->facts.cpus;
    begin(*known, from.entry, *from.spec_bytes, grant, park, now);
    return;
  }
  Task& task = book.add(key);
  task.job = JobId(from.spec.job());
  task.name = text_of(from.spec.name());
  AgentNote& facts = task.facts;
  facts.shape = from.shape;
  facts.cpus_per_rank_milli = from.spec.cpus_per_rank_milli();
  facts.index = from.entry.index();
  facts.first_rank = from.entry.first_rank();
  facts.ranks = from.entry.ranks();
  facts.gang = from.prepare;
  facts.requeueable = from.spec.requeueable();
  facts.executor = from.spec.executor();
  facts.token_hi = from.spec.token_hi();
  facts.token_lo = from.spec.token_lo();
  facts.time_limit_ms = from.spec.time_limit_ms();
  facts.kill_grace_ms = from.spec.kill_grace_ms();
  facts.uid = from.spec.uid();
  book.count_requeueable(task);
  record_contact(now);
  if (from.after != AttemptId{}) {
    launch_after(task, from.after, {from.spec_bytes, from.entry}, now);
    return;
  }
  auto room = book.charge(task);
  if (!room) {
    task.text = "node " + config.name + " has no room: " + room.error().text;
    finish(task, TaskState::start_failed, TaskReason::no_room, now);
    return;
  }
  begin(task, from.entry, *from.spec_bytes, *room, park, now);
}

// Its resources are charged: to the launcher with it.
void NodeCore::Impl::begin(Task& task, const fb::LaunchEntry& entry, const FrameBytes& spec_bytes, const CpuGrant& grant,
                           bool park, Now now) {
  const auto& spec = *flatbuffers::GetRoot<fb::TaskSpec>(spec_bytes.data());
  AgentNote& facts = task.facts;
  facts.cpus_text = format_cpu_list(grant.cpus);
  facts.binding_text = binding.wrap_text(grant.cpus);
  if (grant.pool_changed && grant.shared) {
    pool_grew = true;  // no harm in waiting for the rest of the frame
  } else if (grant.pool_changed) {
    rebind_pool(false);  // before this task starts on what was theirs
  }
  const SpawnNode node{.name = config.name,
                       .endpoint = config.endpoint,
                       .switch_user = config.switch_user,
                       .enforce_memory = config.enforce_memory,
                       .processes_max = config.processes_max,
                       .binding = binding,
                       .topology = config.topology,
                       .stepd_path = config.stepd_path,
                       .jobs_directory = config.jobs_directory,
                       .step_listen = config.step_listen};
  task.start = plan_spawn(
      node, {task.key.framework, spec, entry, facts.shape, grant, park, environments.of(spec), spec_bytes});
  task.start->agent_note = encode_note(facts);
  if (const JobOutput output = output_of(task.key.framework, spec, entry); outputs.put(output)) {
    output_records.push_back(encode_output(output));
  }
  if (leaving) {
    finish(task, TaskState::not_started, TaskReason::drained, now);
    return;
  }
  if (launcher_up) {
    tell_fence();
    task.with_launcher = true;
    command(command::Start{*task.start});
  }
}

void NodeCore::Impl::rebind_pool(bool all) {
  pool_grew = false;
  const std::vector<std::uint32_t> cpus = book.cpus().pool_cpus();
  const std::vector<std::uint32_t> os_cpus = binding.os_cpus(cpus);
  for (const CpuKey& key : book.cpus().pool_members()) {
    Task& task = *book.find(key);
    if (task.facts.cpus == cpus && !all) {
      continue;
    }
    const bool moved = task.facts.cpus != cpus;
    task.facts.cpus = cpus;
    task.facts.cpus_text = format_cpu_list(cpus);
    task.facts.binding_text = binding.wrap_text(cpus);
    if (task.start) {
      task.start->cpus = os_cpus;
      for (RankStart& rank : task.start->ranks) {
        rank.cpus = os_cpus;
      }
    }
    if (task.with_launcher && !os_cpus.empty()) {
      command(command::Rebind{key.framework, key.attempt, os_cpus});
    }
    if (moved && task.state == TaskState::running) {
      news(task);
    }
  }
}

// A launch that came again is answered with the state that its attempt has.
void NodeCore::Impl::answer_known(Task& task) {
  switch (task.state) {
    case TaskState::queued:
    case TaskState::launching: break;  // its news comes by itself
    case TaskState::prepared: prepared_news.insert(task.key); break;
    default: news(task); break;
  }
}

void NodeCore::Impl::take_go(const fb::Go& go) {
  if (go.attempts() == nullptr) {
    return;
  }
  for (const fb::NodeAttempt* entry : *go.attempts()) {
    Task* task = book.find({FrameworkId(entry->framework()), from_fb(entry->attempt())});
    if (task == nullptr || task->state != TaskState::prepared || task->go || task->release_sent) {
      continue;
    }
    task->go = true;
    book.set_deadline(*task, Instant::never());
    command(command::Go{task->key.framework, task->key.attempt});
  }
}

void NodeCore::Impl::take_release(const fb::Release& release, Now now) {
  if (release.attempts() == nullptr) {
    return;
  }
  for (const fb::NodeAttempt* entry : *release.attempts()) {
    if (Task* task = book.find({FrameworkId(entry->framework()), from_fb(entry->attempt())}); task != nullptr) {
      if (!task->facts.gang) {
        if (task->state == TaskState::queued) {
          ask_end(*task, {.cause = TaskReason::recalled}, now);
        }
        continue;  // its turn has come already
      }
      const bool unstarted = !task->go && task->state != TaskState::running;
      ask_end(*task, {.cause = unstarted ? TaskReason::released : TaskReason::gang_failed}, now);
    }
  }
}

void NodeCore::Impl::take_kill(const fb::NodeKill& kill, Now now) {
  if (kill.attempts() == nullptr) {
    return;
  }
  const int signal = kill.signal() == 0 || kill.signal() > 64 ? 15 : kill.signal();
  const auto cause = kill.reason() == 0 || kill.reason() > static_cast<std::uint8_t>(TaskReason::recalled)
                         ? TaskReason::kill_requested
                         : static_cast<TaskReason>(kill.reason());
  for (const fb::NodeAttempt* entry : *kill.attempts()) {
    Task* task = book.find({FrameworkId(entry->framework()), from_fb(entry->attempt())});
    if (task == nullptr) {
      continue;  // its end is on record
    }
    if (!kill.only_signal()) {
      ask_end(*task, {.cause = cause, .signal = signal, .grace_ms = kill.grace_ms()}, now);
    } else if (task->state == TaskState::running) {
      command(command::Signal{task->key.framework, task->key.attempt, signal});
    }
  }
}

void NodeCore::Impl::take_acknowledge(const fb::Acknowledge& ack, Now /*now*/) {
  if (ack.entries() == nullptr || ack.frameworks() == nullptr) {
    return;
  }
  for (const fb::AckEntry* entry : *ack.entries()) {
    if (NodeIndex(entry->node()) != index || entry->framework() >= ack.frameworks()->size()) {
      continue;
    }
    const FrameworkId framework(ack.frameworks()->Get(entry->framework()));
    for (const StatusOutbox::Acked& acked : outbox.acknowledge(framework, entry->seq())) {
      const Task* task = book.find(acked.key);
      if (task != nullptr && task->seq == acked.seq && !task->live()) {
        forget(acked.key);
      }
    }
  }
}

}  // namespace muster::node
