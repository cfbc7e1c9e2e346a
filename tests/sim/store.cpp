#include "tests/sim/store.hpp"

#include <algorithm>

namespace muster::sim {
namespace {

std::string name_of(JobId job, std::uint32_t index) {
  return "job " + std::to_string(job.value()) + "_" + std::to_string(index);
}
std::string name_of(const gang::AttemptRecord& record) {
  return name_of(record.job, record.index) + " try " + std::to_string(record.try_number);
}
std::string name_of(gang::JobState state) { return fb::EnumNameJobState(state); }

}  // namespace

std::set<std::uint32_t> elements_of(const gang::JobRecord& job) {
  std::set<std::uint32_t> indexes;
  const auto* spec = flatbuffers::GetRoot<fb::JobSpec>(job.spec.data());
  if (spec->array() == nullptr || spec->array()->size() == 0) {
    return {0};
  }
  for (const fb::IndexRange* range : *spec->array()) {
    for (std::uint32_t i = range->first(); i <= range->last(); i += std::max(range->step(), 1U)) {
      indexes.insert(i);
    }
  }
  return indexes;
}

void SimStore::commit(const gang::StoreBatch& batch) {
  if (batch.number <= last_batch_) {
    violated("store order", "batch " + std::to_string(batch.number) + " comes after " + std::to_string(last_batch_));
  }
  last_batch_ = batch.number;
  ++commits_;
  world_.note("commit", batch.number, [&] { return std::to_string(batch.ops.size()) + " ops"; });
  for (const gang::StoreOp& operation : batch.ops) {
    apply(operation);
  }
}

const gang::LoadedJob* SimStore::job(JobId id) const {
  const auto it = std::lower_bound(state_.jobs.begin(), state_.jobs.end(), id,
                                   [](const gang::LoadedJob& job, JobId wanted) { return job.job.job < wanted; });
  return it != state_.jobs.end() && it->job.job == id ? &*it : nullptr;
}

const gang::AttemptRecord* SimStore::attempt(JobId id, std::uint32_t index, std::uint32_t try_number) const {
  if (const gang::LoadedJob* found = job(id)) {
    for (const gang::AttemptRecord& record : found->attempts) {
      if (record.index == index && record.try_number == try_number) {
        return &record;
      }
    }
  }
  return nullptr;
}

bool SimStore::has_attempt(JobId id, std::uint32_t index, std::uint32_t try_number) const {
  return attempt(id, index, try_number) != nullptr;
}

gang::LoadedJob& SimStore::existing(JobId id, const char* what) {
  const gang::LoadedJob* found = job(id);
  if (found == nullptr) {
    violated("store", std::string(what) + " of job " + std::to_string(id.value()) + ", which is not stored");
  }
  return const_cast<gang::LoadedJob&>(*found);
}

void SimStore::apply(const gang::StoreOp& operation) {
  namespace op = gang::op;
  if (const auto* put = std::get_if<op::PutJob>(&operation)) {
    world_.note("store job", put->job.job.value());
    for (const gang::LoadedJob& other : state_.jobs) {
      if (other.job.job != put->job.job && other.job.key_hi == put->job.key_hi && other.job.key_lo == put->job.key_lo &&
          (put->job.key_hi != 0 || put->job.key_lo != 0)) {
        violated("submitted twice", "jobs " + std::to_string(other.job.job.value()) + " and " +
                                        std::to_string(put->job.job.value()) + " have the same submit key");
      }
    }
    truth_.set_requeue(put->job.job.value(), flatbuffers::GetRoot<fb::JobSpec>(put->job.spec.data())->requeue());
    if (job(put->job.job) != nullptr) {
      existing(put->job.job, "replacement").job = put->job;
    } else {
      gang::LoadedJob added;
      added.job = put->job;
      const auto place = std::lower_bound(state_.jobs.begin(), state_.jobs.end(), put->job.job,
                                          [](const gang::LoadedJob& a, JobId wanted) { return a.job.job < wanted; });
      state_.jobs.insert(place, std::move(added));
    }
    state_.next_job = std::max(state_.next_job, put->job.job.value() + 1);
  } else if (const auto* put_attempt_op = std::get_if<op::PutAttempt>(&operation)) {
    put_attempt(put_attempt_op->attempt);
  } else if (const auto* set_held = std::get_if<op::SetHeld>(&operation)) {
    existing(set_held->job, "hold").job.held = set_held->held;
  } else if (const auto* cancelled = std::get_if<op::SetCancelled>(&operation)) {
    existing(cancelled->job, "cancellation").job.cancelled = true;
  } else if (const auto* ended = std::get_if<op::EndElements>(&operation)) {
    gang::LoadedJob& found = existing(ended->job, "elements' end");
    world_.note("store elements' end", ended->job.value(), [&] {
      return std::to_string(ended->first) + "-" + std::to_string(ended->last) + " " + name_of(ended->state);
    });
    for (const op::EndElements& earlier : found.ended_elements) {
      if (ended->first <= earlier.last && earlier.first <= ended->last) {
        violated("ended twice", name_of(ended->job, std::max(ended->first, earlier.first)) + " is ended without an attempt twice");
      }
    }
    for (const gang::AttemptRecord& record : found.attempts) {
      if (record.index >= ended->first && record.index <= ended->last &&
          (!is_over(record.state) || record.state == gang::JobState::Completed)) {
        violated("ended twice", name_of(record) + " is " + name_of(record.state) + ", and its element is ended as if never started");
      }
    }
    found.ended_elements.push_back(*ended);
  } else if (const auto* end_job = std::get_if<op::EndJob>(&operation)) {
    gang::LoadedJob& found = existing(end_job->job, "end");
    world_.note("store job's end", end_job->job.value(), [&] { return name_of(end_job->state); });
    if (is_end(found.state) && found.state != end_job->state) {
      violated("ended twice", "job " + std::to_string(end_job->job.value()) + " ended as " + name_of(found.state) +
                                  " and now as " + name_of(end_job->state));
    }
    if (!is_end(end_job->state)) {
      violated("store", "job " + std::to_string(end_job->job.value()) + " ends as " + name_of(end_job->state));
    }
    found.state = end_job->state;
    found.ended = end_job->ended;
    for (const gang::AttemptRecord& record : found.attempts) {
      if (!is_end(record.state) && record.state != gang::JobState::Pending) {
        violated("ended early", "job " + std::to_string(end_job->job.value()) + " ends while " + name_of(record) + " is " +
                                    name_of(record.state));
      }
    }
  } else if (const auto* meta = std::get_if<op::SetMeta>(&operation)) {
    auto it = std::find_if(state_.meta.begin(), state_.meta.end(), [&](const auto& pair) { return pair.first == meta->key; });
    if (it == state_.meta.end()) {
      state_.meta.emplace_back(meta->key, meta->value);
    } else {
      it->second = meta->value;
    }
  }
}

void SimStore::put_attempt(const gang::AttemptRecord& record) {
  world_.note("store attempt", record.job.value(),
              [&] { return name_of(record) + " " + name_of(record.state) + " " + record.reason; });
  gang::LoadedJob& found = existing(record.job, "attempt");
  const auto order = [](const gang::AttemptRecord& a, const gang::AttemptRecord& b) {
    return a.index != b.index ? a.index < b.index : a.try_number < b.try_number;
  };
  const auto place = std::lower_bound(found.attempts.begin(), found.attempts.end(), record, order);
  const bool known = place != found.attempts.end() && place->index == record.index && place->try_number == record.try_number;
  if (known && is_over(place->state) && (place->state != record.state || place->exit_code != record.exit_code)) {
    violated("ended twice", name_of(record) + " ended as " + name_of(place->state) + " and is now " + name_of(record.state));
  }
  if (record.state == gang::JobState::Completed) {
    for (const gang::AttemptRecord& other : found.attempts) {
      if (other.index == record.index && other.try_number != record.try_number &&
          other.state == gang::JobState::Completed) {
        violated("ended twice", name_of(record) + " is completed, as was " + name_of(other));
      }
    }
  }
  if (is_over(record.state)) {
    for (const auto& [key, truth] : truth_.members(record.job.value(), record.index, record.try_number)) {
      truth_.expect_stopped(key, name_of(record) + " is recorded as " + name_of(record.state));
      if (record.state == gang::JobState::Pending && truth->execs != 0) {
        violated("recorded end is not true", name_of(record) + " is recorded as never started, and " + to_string(key) + " executed");
      }
      if (record.state == gang::JobState::Completed && (truth->execs != 1 || truth->exit_code != 0)) {
        violated("recorded end is not true", name_of(record) + " is recorded as completed, and " + to_string(key) +
                                                 (truth->execs == 0 ? " never executed" : " did not end with exit code 0"));
      }
    }
  }
  if (known) {
    *place = record;
  } else {
    found.attempts.insert(place, record);
  }
}

bool SimStore::all_ended() const {
  return std::all_of(state_.jobs.begin(), state_.jobs.end(), [](const gang::LoadedJob& job) { return is_end(job.state); });
}

std::string SimStore::unended_text() const {
  std::string text;
  for (const gang::LoadedJob& job : state_.jobs) {
    if (!is_end(job.state)) {
      text += (text.empty() ? "" : ", ") + std::to_string(job.job.job.value());
      for (const gang::AttemptRecord& record : job.attempts) {
        if (!is_end(record.state)) {
          text += " (" + name_of(record) + " " + name_of(record.state) + ")";
        }
      }
    }
  }
  return text;
}

void SimStore::check_finished() const {
  for (const gang::LoadedJob& job : state_.jobs) {
    for (const std::uint32_t index : elements_of(job.job)) {
      const bool unstarted = std::any_of(job.ended_elements.begin(), job.ended_elements.end(), [&](const auto& range) {
        return range.first <= index && index <= range.last;
      });
      const gang::AttemptRecord* last = nullptr;
      for (const gang::AttemptRecord& record : job.attempts) {
        if (record.index == index) {
          last = &record;
        }
      }
      if (!unstarted && (last == nullptr || !is_end(last->state))) {
        violated("no recorded end", name_of(job.job.job, index) + " of an ended job has no recorded end");
      }
      if (last == nullptr) {
        continue;
      }
      // What the kernels saw complete, and said so in time, is not recorded as anything else; unless a power cut took
      // the node's word before it was on record elsewhere.
      const auto members = truth_.members(job.job.job.value(), index, last->try_number);
      const bool done = !members.empty() && std::all_of(members.begin(), members.end(), [](const auto& member) {
        return member.second->said == TaskState::finished && member.second->exit_code == 0 && !member.second->said_by_master &&
               !member.second->end_torn;
      });
      if (done && !unstarted && last->state != gang::JobState::Completed) {
        violated("recorded end is not true", name_of(*last) + " is recorded as " + name_of(last->state) + " (" +
                                                 last->reason + "), and it ran whole with exit code 0");
      }
    }
  }
}

}  // namespace muster::sim
