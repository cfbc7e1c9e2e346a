#include "master/table/task_table.hpp"

#include <algorithm>
#include <utility>

namespace muster::master {
namespace {

// The two lists a row is in differ only in these members.
struct NodeLinks {
  static std::uint32_t& prev(Task& task) { return task.node_prev; }
  static std::uint32_t& next(Task& task) { return task.node_next; }
};
struct FrameworkLinks {
  static std::uint32_t& prev(Task& task) { return task.framework_prev; }
  static std::uint32_t& next(Task& task) { return task.framework_next; }
};

constexpr std::size_t kRecentKinds = 16;

std::uint64_t kind_hash(const Resources& shape, std::string_view name, std::uint32_t uid, std::uint32_t ranks) {
  std::uint64_t h = mix64(shape.memory_bytes + (std::uint64_t{shape.cpus_milli} << 32U)) + shape.gpus;
  h = mix64(h ^ shape.disk_bytes) + (std::uint64_t{uid} << 32U) + ranks;
  for (const PortRange& range : shape.ports.ranges()) {
    h = mix64(h ^ ((std::uint64_t{range.first} << 16U) | range.last));
  }
  return mix64(h ^ std::hash<std::string_view>{}(name));
}
std::uint64_t kind_hash(const TaskKind& kind) { return kind_hash(kind.shape, kind.name, kind.uid, kind.ranks); }

TaskList& grown(std::vector<TaskList>& lists, std::uint32_t at) {
  if (at >= lists.size()) {
    lists.resize(at + 1);
  }
  return lists[at];
}

template <class Links>
void append(Slots<Task>& tasks, TaskList& list, std::uint32_t slot) {
  Task& task = tasks[slot];
  Links::prev(task) = list.tail;
  Links::next(task) = kNone;
  if (list.tail == kNone) {
    list.head = slot;
  } else {
    Links::next(tasks[list.tail]) = slot;
  }
  list.tail = slot;
  ++list.count;
}

template <class Links>
void unlink(Slots<Task>& tasks, TaskList& list, std::uint32_t slot) {
  Task& task = tasks[slot];
  const std::uint32_t prev = Links::prev(task);
  const std::uint32_t next = Links::next(task);
  (prev == kNone ? list.head : Links::next(tasks[prev])) = next;
  (next == kNone ? list.tail : Links::prev(tasks[next])) = prev;
  --list.count;
}

}  // namespace

TaskIndex TaskTable::find(FrameworkIndex framework, const AttemptId& attempt) const {
  const std::uint32_t slot = by_attempt_.find(hash_of(attempt), [&](std::uint32_t candidate) {
    const Task& task = tasks_[candidate];
    return task.attempt == attempt && task.framework == framework;
  });
  return slot == kNone ? TaskIndex{} : index_at(slot);
}

TaskIndex TaskTable::find_on_node(NodeIndex node, const AttemptId& attempt) const {
  std::uint32_t best = kNone;
  (void)by_attempt_.find(hash_of(attempt), [&](std::uint32_t candidate) {
    const Task& task = tasks_[candidate];
    if (task.attempt == attempt && task.node == node &&
        (best == kNone || task.framework < tasks_[best].framework)) {
      best = candidate;
    }
    return false;
  });
  return best == kNone ? TaskIndex{} : index_at(best);
}

TaskIndex TaskTable::add(FrameworkIndex framework, NodeIndex node, const AttemptId& attempt) {
  const std::uint32_t slot = tasks_.add();
  Task& task = tasks_[slot];
  task.attempt = attempt;
  task.framework = framework;
  task.node = node;
  by_attempt_.insert(hash_of(attempt), slot);
  append<NodeLinks>(tasks_, grown(of_node_, node.value()), slot);
  append<FrameworkLinks>(tasks_, grown(of_framework_, framework.value()), slot);
  return index_at(slot);
}

void TaskTable::remove(TaskIndex index) {
  check(holds(index), "task table: a row is removed twice");
  Task& task = tasks_[index.slot];
  if (task.spec != kNoSpec) {
    drop_spec(task.spec);
  }
  if (task.kind != kNoKind) {
    drop_kind(task.kind);
  }
  if (task.part != kNone) {
    parts_.remove(task.part);
  }
  drop_text(task);
  by_attempt_.erase(hash_of(task.attempt), index.slot);
  unlink<NodeLinks>(tasks_, of_node_[task.node.value()], index.slot);
  unlink<FrameworkLinks>(tasks_, of_framework_[task.framework.value()], index.slot);
  tasks_.remove(index.slot);
}

TaskList TaskTable::of(NodeIndex node) const {
  return node.value() < of_node_.size() ? of_node_[node.value()] : TaskList{};
}

TaskList TaskTable::of(FrameworkIndex framework) const {
  return framework.value() < of_framework_.size() ? of_framework_[framework.value()] : TaskList{};
}

void TaskTable::list(NodeIndex node, std::vector<TaskIndex>& out) const {
  for (std::uint32_t slot = of(node).head; slot != kNone; slot = tasks_[slot].node_next) {
    out.push_back(index_at(slot));
  }
}

void TaskTable::list(FrameworkIndex framework, std::vector<TaskIndex>& out) const {
  for (std::uint32_t slot = of(framework).head; slot != kNone; slot = tasks_[slot].framework_next) {
    out.push_back(index_at(slot));
  }
}

KindIndex TaskTable::kind_of(const Resources& shape, std::string_view name, std::uint32_t uid, std::uint32_t ranks) {
  const std::uint64_t hash = kind_hash(shape, name, uid, ranks);
  const std::uint32_t found = kind_index_.find(hash, [&](std::uint32_t candidate) {
    const TaskKind& kind = kinds_[candidate];
    return kind.uid == uid && kind.ranks == ranks && kind.name == name && kind.shape == shape;
  });
  if (found != kNone) {
    return KindIndex{found};
  }
  const std::uint32_t slot = kinds_.add();
  kinds_[slot] = TaskKind{shape, std::string(name), uid, ranks, 1};
  kind_index_.insert(hash, slot);
  if (recent_kinds_.size() < kRecentKinds) {
    recent_kinds_.push_back(KindIndex{slot});
  } else {
    drop_kind(std::exchange(recent_kinds_[next_recent_], KindIndex{slot}));
    next_recent_ = (next_recent_ + 1) % kRecentKinds;
  }
  return KindIndex{slot};
}

void TaskTable::drop_kind(KindIndex kind) {
  TaskKind& row = kinds_[kind.value()];
  if (--row.references == 0) {
    kind_index_.erase(kind_hash(row), kind.value());
    kinds_.remove(kind.value());
  }
}

void TaskTable::set_part(Task& task, const TaskPart& part) {
  if (part != TaskPart{}) {
    task.part = parts_.add();
    parts_[task.part] = part;
  }
}

void TaskTable::set_text(Task& task, UpdateText text) {
  if (task.update.text == kNone) {
    task.update.text = texts_.add();
  }
  texts_[task.update.text] = std::move(text);
}

void TaskTable::drop_text(Task& task) {
  if (task.update.text != kNone) {
    texts_.remove(std::exchange(task.update.text, kNone));
  }
}

SpecIndex TaskTable::add_spec(std::span<const std::uint8_t> bytes, std::string name) {
  const std::uint32_t slot = specs_.add();
  Spec& spec = specs_[slot];
  spec.bytes.assign(bytes.begin(), bytes.end());
  spec.name = std::move(name);
  spec.references = 1;
  return SpecIndex{slot};
}

bool TaskTable::is_spec(SpecIndex spec, std::span<const std::uint8_t> bytes) const {
  return specs_.used(spec.value()) && std::ranges::equal(specs_[spec.value()].bytes, bytes);
}

void TaskTable::drop_spec(SpecIndex spec) {
  Spec& row = specs_[spec.value()];
  check(row.references > 0, "task table: a specification is dropped too often");
  if (--row.references == 0) {
    specs_.remove(spec.value());
  }
}

}  // namespace muster::master
