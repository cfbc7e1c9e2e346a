// NodeCore: Launch, Prepare, Go, Release, NodeKill, Acknowledge.
#include <algorithm>

#include "node/core/impl.hpp"
#include "wire/model/cpu_list.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node {

void NodeCore::Impl::take_launches(const Launches* launches, const Specs* specs, const Shapes* shapes,
                                   const flatbuffers::Vector<std::uint64_t>* frameworks, bool prepare, Now now) {
  if (launches == nullptr) {
    return;
  }
  struct ReadSpec {
    FrameBytes storage;
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
        spec.spec = verify_spec(*specs->Get(entry->spec()), spec.storage);
        spec.read = true;
      }
      auto& shape = read_shapes[entry->shape()];
      if (!shape) {
        shape = from_fb(*shapes->Get(entry->shape()));
      }
      fault = !spec.spec ? spec.spec.error().text : !*shape ? shape->error().text : launch_fault(**spec.spec, *entry);
      if (fault.empty()) {
        launch(key, *entry, **spec.spec, **shape, prepare, now);
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

void NodeCore::Impl::launch(const CpuKey& key, const fb::LaunchEntry& entry, const fb::TaskSpec& spec,
                            const Resources& shape, bool prepare, Now now) {
  const bool park = prepare && !defects.exec_without_go;
  Task* known = book.find(key);  // only a defect launches it again
  CpuGrant grant;
  if (known != nullptr) {
    grant.cpus = known->facts.cpus;
  } else {
    known = &book.add(key);
    known->job = JobId(spec.job());
    known->name = text_of(spec.name());
    AgentNote& facts = known->facts;
    facts.shape = shape;
    facts.cpus_per_rank_milli = spec.cpus_per_rank_milli();
    facts.index = entry.index();
    facts.first_rank = entry.first_rank();
    facts.ranks = entry.ranks();
    facts.gang = prepare;
    facts.requeueable = spec.requeueable();
    facts.executor = spec.executor();
    facts.token_hi = spec.token_hi();
    facts.token_lo = spec.token_lo();
    facts.time_limit_ms = spec.time_limit_ms();
    facts.kill_grace_ms = spec.kill_grace_ms();
    book.count_requeueable(*known);
    record_contact(now);
    auto room = book.charge(*known);
    if (!room) {
      known->text = "node " + config.name + " has no room: " + room.error().text;
      finish(*known, TaskState::start_failed, TaskReason::no_room, now);
      return;
    }
    grant = *std::move(room);
    facts.cpus_text = format_cpu_list(grant.cpus);
    facts.binding_text = binding.wrap_text(grant.cpus);
    if (grant.pool_changed && grant.shared) {
      pool_grew = true;  // no harm in waiting for the rest of the frame
    } else if (grant.pool_changed) {
      rebind_pool(false);  // before this task starts on what was theirs
    }
  }
  const SpawnNode node{config.name, config.endpoint, config.switch_user, config.enforce_memory, config.processes_max, binding};
  known->start = plan_spawn(node, {key.framework, spec, entry, shape, grant, park});
  known->start->agent_note = encode_note(known->facts);
  if (const JobOutput output = output_of(key.framework, spec, entry); outputs.put(output)) {
    output_records.push_back(encode_output(output));
  }
  if (leaving) {
    finish(*known, TaskState::not_started, TaskReason::drained, now);
    return;
  }
  if (launcher_up) {
    tell_fence();
    known->with_launcher = true;
    command(command::Start{*known->start});
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
      const bool unstarted = task->facts.gang && !task->go && task->state != TaskState::running;
      ask_end(*task, {.cause = unstarted ? TaskReason::released : TaskReason::gang_failed}, now);
    }
  }
}

void NodeCore::Impl::take_kill(const fb::NodeKill& kill, Now now) {
  if (kill.attempts() == nullptr) {
    return;
  }
  const int signal = kill.signal() == 0 || kill.signal() > 64 ? 15 : kill.signal();
  const auto cause = kill.reason() == 0 || kill.reason() > static_cast<std::uint8_t>(TaskReason::drained)
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
