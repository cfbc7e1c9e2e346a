#include "tests/sim/truth.hpp"

#include "wire/schema/shapes.hpp"

namespace muster::sim {

std::string to_string(const TaskKey& key) {
  if (key.framework == kGangFramework) {
    const ElementTry e = element_of(key.attempt);
    return "job " + std::to_string(e.job) + "_" + std::to_string(e.index) + " try " + std::to_string(e.try_number) +
           " member " + std::to_string(e.member);
  }
  return "rival task " + muster::to_string(key.attempt);
}

ElementTry element_of(const AttemptId& attempt) {
  return {.job = attempt.hi >> 16U,
          .index = static_cast<std::uint32_t>(attempt.lo & 0xffff'ffffU),
          .try_number = static_cast<std::uint32_t>(attempt.hi & 0xffffU),
          .member = static_cast<std::uint32_t>(attempt.lo >> 32U)};
}

const AttemptTruth* Truth::find(const TaskKey& key) const {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : &it->second;
}

void Truth::on_accept_sent(FrameworkId framework, const fb::Accept& accept) {
  if (accept.launches() == nullptr) {
    return;
  }
  std::map<std::uint32_t, std::vector<const fb::LaunchEntry*>> gangs;
  for (const fb::LaunchEntry* launch : *accept.launches()) {
    const TaskKey key{framework, from_fb(launch->attempt())};
    AttemptTruth& attempt = attempts_[key];
    if (accept.shapes() != nullptr && launch->shape() < accept.shapes()->size()) {
      if (auto shape = from_fb(*accept.shapes()->Get(launch->shape()))) {
        attempt.shape = *shape;
      }
    }
    if (accept.specs() != nullptr && launch->spec() < accept.specs()->size()) {
      FrameBytes storage;
      if (auto spec = verify_spec(*accept.specs()->Get(launch->spec()), storage)) {
        attempt.requeueable = (*spec)->requeueable();
      }
    }
    attempt.accepted = true;
    if (launch->after() != 0 && accept.predecessors() != nullptr && launch->after() <= accept.predecessors()->size()) {
      attempt.after = TaskKey{framework, from_fb(*accept.predecessors()->Get(launch->after() - 1U))};
    }
    if (launch->gang() != 0) {
      gangs[launch->gang()].push_back(launch);
    }
  }
  for (const auto& [gang, launches] : gangs) {
    std::set<std::uint32_t> nodes;
    auto keys = std::make_shared<std::vector<TaskKey>>();
    for (const fb::LaunchEntry* launch : launches) {
      nodes.insert(launch->node());
      keys->push_back({framework, from_fb(launch->attempt())});
    }
    if (nodes.size() > 1) {
      for (const TaskKey& key : *keys) {
        attempts_[key].gang = keys;
      }
    }
  }
}

void Truth::on_start(const TaskKey& key, std::uint32_t machine) {
  AttemptTruth& attempt = attempts_[key];
  if (!attempt.accepted) {
    violated("started unasked", to_string(key) + " starts, and no framework ever accepted it");
  }
  ++attempt.starts;
  attempt.machine = machine;
}

void Truth::on_parked(const TaskKey& key) {
  AttemptTruth& attempt = attempts_[key];
  attempt.parked_ever = true;
  attempt.parked = true;
}

void Truth::on_exec(const TaskKey& key) {
  AttemptTruth& attempt = attempts_[key];
  if (attempt.execs != 0) {
    violated("exec twice", to_string(key) + " executes a second time");
  }
  if (attempt.denied) {
    violated("exec after denial", to_string(key) + " executes after it was reported as never started");
  }
  if (attempt.said) {
    violated("exec after end", to_string(key) + " executes after its end was reported");
  }
  // Nothing is left of what it stands behind, nor of anything before that.
  for (std::optional<TaskKey> before = attempt.after; before; before = attempts_[*before].after) {
    if (attempts_[*before].runs || attempts_[*before].parked) {
      violated("out of turn", to_string(key) + " executes while " + to_string(*before) + ", which it follows, is not over");
    }
  }
  in_line_ += attempt.after ? 1 : 0;
  if (attempt.gang) {
    for (const TaskKey& member : *attempt.gang) {
      if (!attempts_[member].parked_ever) {
        violated("exec before all prepared",
                 to_string(key) + " executes, and " + to_string(member) + " of its gang was never parked");
      }
    }
  }
  if (key.framework == kGangFramework) {
    const ElementTry element = element_of(key.attempt);
    const bool requeue = requeue_[element.job];
    for (std::uint32_t earlier = 0; earlier < element.try_number + 8; ++earlier) {
      if (earlier == element.try_number) {
        continue;
      }
      for (const auto& [other, truth] : members(element.job, element.index, earlier)) {
        if (truth->runs) {
          violated("two tries at once", to_string(key) + " executes while " + to_string(other) + " still runs");
        }
        if (truth->execs != 0 && !requeue && earlier < element.try_number) {
          violated("rerun without requeue", to_string(key) + " executes although " + to_string(other) +
                                                " had executed, and the job does not say requeue");
        }
      }
    }
  }
  ++attempt.execs;
  ++execs_;
  attempt.parked = false;
  attempt.runs = true;
  ++running_;
}

void Truth::on_stopped(const TaskKey& key, std::optional<std::int32_t> exit_code, TaskState state) {
  AttemptTruth& attempt = attempts_[key];
  attempt.parked = false;
  if (attempt.runs) {
    attempt.runs = false;
    --running_;
    attempt.exit_code = exit_code;
    attempt.end_state = state;
  }
}

void Truth::check_claim(const TaskKey& key, const AttemptTruth& attempt, const fb::UpdateEntry& entry,
                        const char* who) const {
  const auto state = static_cast<TaskState>(entry.state());
  const std::string claim = std::string(who) + " says " + to_string(key) + " is " +
                            std::string(muster::to_string(state)) + " (" +
                            std::string(muster::to_string(static_cast<TaskReason>(entry.reason()))) + ")";
  if (state == TaskState::running && !attempt.allowed) {
    violated("running is not true", claim + ", and it never executed");
  }
  if (!is_terminal(state)) {
    return;
  }
  if (proves_not_started(state) && attempt.execs != 0) {
    violated("not started is not true", claim + ", and it has executed");
  }
  const bool by_silence = static_cast<TaskReason>(entry.reason()) == TaskReason::node_lost;
  if (attempt.runs && !(by_silence && !attempt.requeueable)) {
    violated("ended is not true", claim + ", and it still runs");
  }
  if (attempt.parked && state != TaskState::lost) {
    violated("ended is not true", claim + ", and it is still parked");
  }
  if (state == TaskState::finished) {
    if (attempt.execs == 0 || !attempt.exit_code || *attempt.exit_code != entry.exit_code()) {
      violated("exit code is not true",
               claim + " with exit code " + std::to_string(entry.exit_code()) + ", and the kernel says " +
                   (attempt.exit_code ? std::to_string(*attempt.exit_code) : std::string("otherwise")));
    }
  }
}

void Truth::on_node_update(const TaskKey& key, const fb::UpdateEntry& entry) {
  AttemptTruth& attempt = attempts_[key];
  check_claim(key, attempt, entry, "a node");
  if (is_terminal(static_cast<TaskState>(entry.state()))) {
    attempt.terminal_seq = entry.seq();
  }
}

void Truth::on_master_update(const TaskKey& key, const fb::UpdateEntry& entry) {
  AttemptTruth& attempt = attempts_[key];
  check_claim(key, attempt, entry, "a master");
  const auto state = static_cast<TaskState>(entry.state());
  if (is_terminal(state)) {
    if (proves_not_started(state)) {
      attempt.denied = true;
    }
    if (static_cast<TaskReason>(entry.reason()) == TaskReason::node_lost && !attempt.requeueable) {
      attempt.said_by_master = true;
    } else if (!attempt.said) {
      attempt.said = state;
    }
  }
}

void Truth::expect_stopped(const TaskKey& key, const std::string& why) const {
  const AttemptTruth* attempt = find(key);
  if (attempt != nullptr && (attempt->runs || attempt->parked) && !attempt->said_by_master) {
    violated("recorded end is not true", why + ", and " + to_string(key) + (attempt->runs ? " runs" : " is parked"));
  }
}

std::vector<std::pair<TaskKey, const AttemptTruth*>> Truth::members(std::uint64_t job, std::uint32_t index,
                                                                    std::uint32_t try_number) const {
  std::vector<std::pair<TaskKey, const AttemptTruth*>> found;
  const std::uint64_t hi = job << 16U | try_number;
  for (std::uint32_t member = 0; member < 64; ++member) {
    const auto it = attempts_.find({kGangFramework, {hi, std::uint64_t{member} << 32U | index}});
    if (it == attempts_.end()) {
      break;
    }
    found.emplace_back(it->first, &it->second);
  }
  return found;
}

}  // namespace muster::sim
