#include "node/fake/fake_book.hpp"

#include <algorithm>
#include <bit>

#include "wire/base/check.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

constexpr std::uint32_t kWordBits = 64;

// Of a list that we wrote.
std::vector<std::uint32_t> cpus_in(const std::string& list) { return parse_cpu_list(list).value_or(std::vector<std::uint32_t>{}); }

}  // namespace

FakeBook::FakeBook(std::uint32_t nodes, std::uint32_t cpus, Bytes memory_bytes)
    : cpus_(cpus),
      memory_bytes_(memory_bytes),
      words_((cpus + kWordBits - 1) / kWordBits),
      first_(nodes, kNoPlace),
      used_milli_(nodes),
      used_bytes_(nodes),
      busy_(std::size_t{nodes} * words_) {}

FakeTask* FakeBook::find(const FakeKey& key) {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &tasks_[found->second];
}

FakeTask* FakeBook::at(const FakeRow& row) {
  if (row.slot >= tasks_.size() || !tasks_[row.slot].used || tasks_[row.slot].generation != row.generation) {
    return nullptr;
  }
  return &tasks_[row.slot];
}

FakeTask& FakeBook::add(const FakeKey& key, FakePlace node) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(tasks_.size());
    tasks_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  check(by_key_.emplace(key, slot).second, "fake book: an attempt twice");
  FakeTask& task = tasks_[slot];
  task.used = true;
  task.key = key;
  task.slot = slot;
  task.node = node;
  task.next = first_[node];
  if (task.next != kNoPlace) {
    tasks_[task.next].prev = slot;
  }
  first_[node] = slot;
  return task;
}

void FakeBook::forget(FakeTask& task) {
  check(!task.charged, "fake book: what is forgotten holds something");
  if (forgotten_.insert(task.key).second) {
    forgotten_order_.push_back(task.key);
    if (forgotten_order_.size() > kForgottenMax) {
      forgotten_.erase(forgotten_order_.front());
      forgotten_order_.pop_front();
    }
  }
  by_key_.erase(task.key);
  if (task.next != kNoPlace) {
    tasks_[task.next].prev = task.prev;
  }
  (task.prev != kNoPlace ? tasks_[task.prev].next : first_[task.node]) = task.next;
  const std::uint32_t slot = task.slot;
  const std::uint32_t generation = task.generation + 1;
  task = FakeTask{};
  task.generation = generation;
  free_.push_back(slot);
}

Status FakeBook::charge(FakeTask& task, const std::string& preferred) {
  const std::uint32_t free_milli = cpus_ * 1000 - used_milli_[task.node];
  const Bytes free_bytes = memory_bytes_ - used_bytes_[task.node];
  if (task.cpus_milli > free_milli) {
    return fail(Errc::out_of_range, "cpus: wants " + format_cpus(task.cpus_milli) + ", has " + format_cpus(free_milli));
  }
  if (task.memory_bytes > free_bytes) {
    return fail(Errc::out_of_range, "mem: wants " + format_bytes(task.memory_bytes) + ", has " + format_bytes(free_bytes));
  }
  task.charged = true;
  used_milli_[task.node] += task.cpus_milli;
  used_bytes_[task.node] += task.memory_bytes;
  if (task.cpus_milli % 1000 == 0 && task.cpus_milli != 0) {
    task.cpus = !preferred.empty() && take_cpus(task.node, preferred) ? preferred
                                                                      : take_any_cpus(task.node, task.cpus_milli / 1000);
  }
  return {};
}

void FakeBook::discharge(FakeTask& task) {
  if (!task.charged) {
    return;
  }
  task.charged = false;
  used_milli_[task.node] -= task.cpus_milli;
  used_bytes_[task.node] -= task.memory_bytes;
  std::uint64_t* const busy = &busy_[std::size_t{task.node} * words_];
  for (const std::uint32_t cpu : cpus_in(task.cpus)) {
    busy[cpu / kWordBits] &= ~(std::uint64_t{1} << (cpu % kWordBits));
  }
}

bool FakeBook::take_cpus(FakePlace node, const std::string& list) {
  std::uint64_t* const busy = &busy_[std::size_t{node} * words_];
  const std::vector<std::uint32_t> cpus = cpus_in(list);
  const auto bit = [](std::uint32_t cpu) { return std::uint64_t{1} << (cpu % kWordBits); };
  if (std::any_of(cpus.begin(), cpus.end(), [&](std::uint32_t cpu) { return (busy[cpu / kWordBits] & bit(cpu)) != 0; })) {
    return false;
  }
  for (const std::uint32_t cpu : cpus) {
    busy[cpu / kWordBits] |= bit(cpu);
  }
  return true;
}

// The lowest that are free.
std::string FakeBook::take_any_cpus(FakePlace node, std::uint32_t count) {
  std::uint64_t* const busy = &busy_[std::size_t{node} * words_];
  std::vector<std::uint32_t> cpus;
  cpus.reserve(count);
  for (std::uint32_t word = 0; word < words_ && cpus.size() < count; ++word) {
    while (cpus.size() < count && ~busy[word] != 0) {
      const auto bit = static_cast<std::uint32_t>(std::countr_one(busy[word]));
      if (word * kWordBits + bit >= cpus_) {
        break;
      }
      busy[word] |= std::uint64_t{1} << bit;
      cpus.push_back(word * kWordBits + bit);
    }
  }
  return format_cpu_list(cpus);
}

Status FakeBook::audit() const {
  std::vector<std::uint64_t> milli(first_.size());
  std::vector<Bytes> bytes(first_.size());
  std::vector<std::uint64_t> busy(busy_.size());
  std::size_t rows = 0;
  for (FakePlace node = 0; node < first_.size(); ++node) {
    for (std::uint32_t slot = first_[node]; slot != kNoPlace; slot = tasks_[slot].next) {
      const FakeTask& task = tasks_[slot];
      const std::string name = "attempt " + to_string(task.key.attempt);
      ++rows;
      const auto found = by_key_.find(task.key);
      if (!task.used || task.node != node || found == by_key_.end() || found->second != slot) {
        return fail(Errc::conflict, name + " is listed where it does not belong");
      }
      if (task.charged != (task.state == TaskState::running || task.state == TaskState::prepared)) {
        return fail(Errc::conflict, name + " is " + std::string(to_string(task.state)) + " and " +
                                        (task.charged ? "charged" : "not charged"));
      }
      if (!task.charged) {
        continue;
      }
      milli[node] += task.cpus_milli;
      bytes[node] += task.memory_bytes;
      for (const std::uint32_t cpu : cpus_in(task.cpus)) {
        std::uint64_t& word = busy[std::size_t{node} * words_ + cpu / kWordBits];
        const std::uint64_t bit = std::uint64_t{1} << (cpu % kWordBits);
        if ((word & bit) != 0) {
          return fail(Errc::conflict, name + " shares cpu " + std::to_string(cpu) + " with another");
        }
        word |= bit;
      }
    }
    if (milli[node] != used_milli_[node] || bytes[node] != used_bytes_[node]) {
      return fail(Errc::conflict, "node f" + std::to_string(node + 1) + "'s books differ from its tasks");
    }
  }
  if (rows != by_key_.size() || busy != busy_) {
    return fail(Errc::conflict, "the books' totals differ from the tasks");
  }
  return {};
}

}  // namespace muster::node
