#include "node/core/task_book.hpp"

#include "wire/base/check.hpp"

namespace muster::node {

TaskBook::TaskBook(const Resources& capacity, const Topology& topology) : capacity_(capacity), cpus_(topology) {}

Task* TaskBook::find(const CpuKey& key) {
  const auto at = tasks_.find(key);
  return at == tasks_.end() ? nullptr : &at->second;
}

const Task* TaskBook::find(const CpuKey& key) const {
  const auto at = tasks_.find(key);
  return at == tasks_.end() ? nullptr : &at->second;
}

Task& TaskBook::add(const CpuKey& key) {
  const auto [at, fresh] = tasks_.try_emplace(key);
  check(fresh, "task book: an attempt is added twice");
  at->second.key = key;
  ++live_;
  return at->second;
}

void TaskBook::erase(const CpuKey& key) {
  const auto at = tasks_.find(key);
  check(at != tasks_.end() && !at->second.live() && !at->second.charged, "task book: a live task is forgotten");
  tasks_.erase(at);
}

Result<CpuGrant> TaskBook::charge(Task& task) { return charge_on(task, {}); }

Result<CpuGrant> TaskBook::charge_on(Task& task, std::span<const std::uint32_t> cpus) {
  check(!task.charged && task.state != TaskState::queued, "task book: charged twice, or in a line");
  const Resources& shape = task.facts.shape;
  const Resources free = used_.fits_in(capacity_) ? capacity_ - used_ : Resources{};
  if (!shape.fits_in(free)) {
    return fail(Errc::exhausted, shape.shortfall(free));
  }
  const CpuRequest request{.cpus_milli = shape.cpus_milli,
                           .ranks = task.facts.ranks,
                           .cpus_per_rank_milli = task.facts.cpus_per_rank_milli};
  auto grant = cpus.empty() ? cpus_.grant(task.key, request) : cpus_.adopt(task.key, request, cpus);
  if (!grant && !cpus.empty()) {
    grant = cpus_.grant(task.key, request);
  }
  if (!grant) {
    return grant;
  }
  used_ += shape;
  task.charged = true;
  task.facts.cpus = grant->cpus;
  return grant;
}

void TaskBook::enqueue(Task& task) {
  check(task.live() && !task.charged && task.state != TaskState::queued, "task book: into a line twice");
  task.state = TaskState::queued;
  ++queued_;
}

void TaskBook::dequeue(Task& task) {
  check(task.state == TaskState::queued, "task book: out of a line that it is not in");
  task.state = TaskState::launching;
  --queued_;
}

Status TaskBook::adopt(Task& task) {
  check(!task.charged, "task book: charged twice");
  const Resources& shape = task.facts.shape;
  if (!used_.can_add(shape)) {
    return fail(Errc::conflict, "what it uses is charged to another task already");
  }
  used_ += shape;
  task.charged = true;
  auto grant = cpus_.adopt(task.key,
                           CpuRequest{.cpus_milli = shape.cpus_milli,
                                      .ranks = task.facts.ranks,
                                      .cpus_per_rank_milli = task.facts.cpus_per_rank_milli},
                           task.facts.cpus);
  if (!grant) {
    return fail(grant.error().code, grant.error().text);
  }
  return {};
}

void TaskBook::end(Task& task, TaskState state, TaskReason reason) {
  check(task.live() && is_terminal(state), "task book: a task ends twice");
  set_deadline(task, Instant::never());
  if (task.state == TaskState::queued) {
    --queued_;
  }
  if (task.charged) {
    used_ -= task.facts.shape;
    cpus_.release(task.key);
    task.charged = false;
  }
  task.state = state;
  task.reason = reason;
  task.start.reset();
  --live_;
  if (task.facts.requeueable) {
    --live_requeueable_;
  }
}

void TaskBook::count_requeueable(Task& task) {
  if (task.facts.requeueable) {
    ++live_requeueable_;
  }
}

void TaskBook::set_deadline(Task& task, Instant deadline) {
  if (task.deadline != Instant::never()) {
    deadlines_.erase({task.deadline, task.key});
  }
  task.deadline = deadline;
  if (deadline != Instant::never()) {
    deadlines_.insert({deadline, task.key});
  }
}

Instant TaskBook::next_deadline() const {
  return deadlines_.empty() ? Instant::never() : deadlines_.begin()->first;
}

std::vector<CpuKey> TaskBook::due(Instant now) {
  std::vector<CpuKey> keys;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const CpuKey key = deadlines_.begin()->second;
    keys.push_back(key);
    set_deadline(tasks_.at(key), Instant::never());
  }
  return keys;
}

std::vector<CpuKey> TaskBook::live_keys() const {
  std::vector<CpuKey> keys;
  keys.reserve(live_);
  for (const auto& [key, task] : tasks_) {
    if (task.live()) {
      keys.push_back(key);
    }
  }
  return keys;
}

Status TaskBook::audit() const {
  Resources sum;
  std::size_t live = 0;
  std::size_t requeueable = 0;
  std::size_t deadlines = 0;
  std::size_t queued = 0;
  for (const auto& [key, task] : tasks_) {
    const std::string name = "attempt " + to_string(key.attempt);
    if (task.charged) {
      if (!task.live()) {
        return fail(Errc::conflict, name + " has ended and is still charged");
      }
      if (!sum.can_add(task.facts.shape)) {
        return fail(Errc::conflict, name + " is charged what another task has");
      }
      sum += task.facts.shape;
    }
    if (!task.live() && !cpus_.cpus_of(key).empty()) {
      return fail(Errc::conflict, name + " has ended and still holds cpus");
    }
    if (task.state == TaskState::queued) {
      const Task* before = find({key.framework, task.after});
      if (task.charged || task.with_launcher || !task.waiting || before == nullptr || !before->live() ||
          before->successor != key.attempt) {
        return fail(Errc::conflict, name + " is queued, and not behind a live task");
      }
      ++queued;
    }
    live += task.live() ? 1 : 0;
    requeueable += task.live() && task.facts.requeueable ? 1 : 0;
    if (task.deadline != Instant::never()) {
      ++deadlines;
      if (!deadlines_.contains({task.deadline, key})) {
        return fail(Errc::conflict, name + " has a deadline that no timer knows");
      }
    }
  }
  if (!(sum == used_)) {
    return fail(Errc::conflict, "used is " + to_string(used_) + ", the tasks sum up to " + to_string(sum));
  }
  if (live != live_ || requeueable != live_requeueable_ || deadlines != deadlines_.size() ||
      queued != queued_) {
    return fail(Errc::conflict, "the book's counts differ from its tasks");
  }
  if (cpus_.size() > live_) {
    return fail(Errc::conflict, "the cpu map knows more tasks than live");
  }
  return {};
}

}  // namespace muster::node
