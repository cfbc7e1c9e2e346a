// Goal: the tables' parts do what the core relies on: generations, lookups, leases, exact books, classes, filters.
// Method: small models beside them, seeded random operations.
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "master/allocator/decline_filters.hpp"
#include "master/allocator/node_classes.hpp"
#include "master/table/flat_index.hpp"
#include "master/table/node_table.hpp"
#include "master/table/offer_ledger.hpp"
#include "master/table/slots.hpp"
#include "master/table/task_table.hpp"

using namespace muster;
using namespace muster::master;

namespace {
Resources res(const char* text) { return parse_resources(text).value(); }
}  // namespace

TEST_CASE("a slot that is used again has another generation") {
  Slots<int> slots;
  const std::uint32_t first = slots.add();
  const std::uint32_t generation = slots.generation(first);
  slots[first] = 7;
  slots.remove(first);
  CHECK_FALSE(slots.holds(first, generation));
  const std::uint32_t again = slots.add();
  CHECK(again == first);
  CHECK(slots[again] == 0);
  CHECK_FALSE(slots.holds(first, generation));
  CHECK(slots.holds(again, slots.generation(again)));
  CHECK_FALSE(slots.holds(99'999, 1));
}

TEST_CASE("the flat index finds what was put in, and only that, through growth and removal") {
  std::mt19937_64 random(7);
  FlatIndex index;
  std::map<std::uint64_t, std::uint32_t> model;
  std::vector<std::uint64_t> keys;  // by value
  // Few different hashes, so that many collide.
  const auto hash = [](std::uint64_t key) { return mix64(key % 97); };
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t key = random() % 500;
    const auto same = [&](std::uint32_t value) { return keys[value] == key; };
    const auto known = model.find(key);
    REQUIRE(index.find(hash(key), same) == (known == model.end() ? kNone : known->second));
    if (known == model.end()) {
      keys.push_back(key);
      const auto value = static_cast<std::uint32_t>(keys.size() - 1);
      index.insert(hash(key), value);
      model.emplace(key, value);
    } else if (random() % 2 == 0) {
      index.erase(hash(key), known->second);
      model.erase(known);
    }
    REQUIRE(index.size() == model.size());
  }
}

TEST_CASE("the ledger's leases end in order, held ones among the others") {
  OfferLedger ledger;
  ledger.add_node();
  const NodeIndex node{0};
  const FrameworkIndex one{0};
  ledger.set_capacity(node, res("cpus=100"));
  const auto at = [](std::int64_t ns) { return Instant::from_ns(ns); };
  const OfferId a = ledger.open(node, one, res("cpus=1"), {}, at(10));
  const OfferId b = ledger.open(node, one, res("cpus=1"), {}, at(30));
  const OfferId c = ledger.open(node, one, res("cpus=1"), {}, at(20));
  ledger.hold(b, at(15));
  CHECK(ledger.next_lease_end() == at(10));
  std::vector<OfferId> over;
  ledger.list_expired(at(19), over);
  CHECK(over == std::vector<OfferId>{a, b});
  ledger.close(a);
  ledger.close(b);
  CHECK(ledger.find(a) == nullptr);
  CHECK(ledger.next_lease_end() == at(20));
  CHECK(ledger.books(node).offered == res("cpus=1"));
  CHECK(ledger.audit({Resources{}}, {"n"}));
  ledger.close(c);
  CHECK(ledger.next_lease_end() == Instant::never());
  CHECK(ledger.books(node).free == res("cpus=100"));
}

TEST_CASE("the ledger's audit sees books that do not balance") {
  OfferLedger ledger;
  ledger.add_node();
  ledger.set_capacity(NodeIndex{0}, res("cpus=4"));
  ledger.charge(NodeIndex{0}, res("cpus=1"));
  CHECK(ledger.audit({res("cpus=1")}, {"n"}));
  CHECK_FALSE(ledger.audit({Resources{}}, {"n"}));
  ledger.corrupt_free(NodeIndex{0}, res("cpus=1"));
  const auto wrong = ledger.audit({res("cpus=1")}, {"n"});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().text.find("node n") != std::string::npos);
}

TEST_CASE("node classes skip what is too small and keep the order of nodes") {
  NodeClasses classes;
  std::map<std::uint32_t, std::uint8_t> model;
  std::mt19937_64 random(3);
  for (int step = 0; step < 5'000; ++step) {
    const auto node = static_cast<std::uint32_t>(random() % 10'000);
    const auto to = static_cast<std::uint8_t>(random() % 4 == 0 ? NodeClasses::kAbsent : random() % 6);
    classes.put(NodeIndex{node}, to);
    model[node] = to;
  }
  for (std::uint32_t c = 0; c < 6; ++c) {
    std::vector<std::uint32_t> expected, found;
    for (const auto& [node, in] : model) {
      if (in == c) {
        expected.push_back(node);
      }
    }
    for (std::uint32_t at = classes.next(c, 0); at != kNone; at = classes.next(c, at + 1)) {
      found.push_back(at);
    }
    CHECK(found == expected);
  }
  CHECK(NodeClasses::class_of(0) == 0);
  CHECK(NodeClasses::class_of(1000) == 9);
  CHECK(NodeClasses::class_of(4'000'000'000U) == 31);
}

TEST_CASE("decline filters end in time, later ends win, and dropping names the nodes") {
  DeclineFilters filters;
  const FrameworkIndex one{0}, two{1};
  const auto at = [](std::int64_t ns) { return Instant::from_ns(ns); };
  filters.add(one, NodeIndex{3}, at(100));
  filters.add(one, NodeIndex{3}, at(50));  // shorter: ignored
  filters.add(one, NodeIndex{1}, at(70));
  filters.add(two, NodeIndex{3}, at(60));
  CHECK(filters.blocks(one, NodeIndex{3}, at(99)));
  CHECK_FALSE(filters.blocks(one, NodeIndex{3}, at(100)));
  CHECK_FALSE(filters.blocks(two, NodeIndex{1}, at(0)));
  CHECK(filters.next_end() == at(60));
  std::vector<NodeIndex> freed;
  filters.end(at(70), freed);
  CHECK(freed == std::vector<NodeIndex>{NodeIndex{3}, NodeIndex{1}});
  freed.clear();
  filters.drop(one, freed);
  CHECK(freed == std::vector<NodeIndex>{NodeIndex{3}});
  CHECK(filters.size() == 0);
  CHECK(filters.next_end() == Instant::never());
}

TEST_CASE("the node table's history tells what changed since, or that it is too long ago") {
  NodeTable nodes;
  for (int i = 0; i < 5; ++i) {
    nodes.add("n" + std::to_string(i));
  }
  CHECK(nodes.find("n3") == NodeIndex{3});
  CHECK(nodes.find("n9") == kNoNode);
  nodes.note_change(NodeIndex{1});
  const auto mark = nodes.version();
  nodes.note_change(NodeIndex{2});
  nodes.note_change(NodeIndex{1});
  nodes.note_change(NodeIndex{2});
  std::vector<NodeIndex> changed;
  REQUIRE(nodes.changes_since(mark, changed));
  CHECK(changed == std::vector<NodeIndex>{NodeIndex{1}, NodeIndex{2}});
  for (int i = 0; i < 5'000; ++i) {
    nodes.note_change(NodeIndex{0});
  }
  changed.clear();
  CHECK_FALSE(nodes.changes_since(mark, changed));
}

TEST_CASE("a specification is known again by its bytes while somebody keeps it") {
  TaskTable tasks;
  const std::vector<std::uint8_t> one{1, 2, 3};
  const std::vector<std::uint8_t> other{1, 2, 4};
  CHECK_FALSE(tasks.is_spec(kNoSpec, one));
  const SpecIndex spec = tasks.add_spec(one, "one");
  CHECK(tasks.is_spec(spec, one));
  CHECK_FALSE(tasks.is_spec(spec, other));
  tasks.keep_spec(spec);
  tasks.drop_spec(spec);
  CHECK(tasks.is_spec(spec, one));
  tasks.drop_spec(spec);
  CHECK_FALSE(tasks.is_spec(spec, one));
  // Its place is used again by another.
  REQUIRE(tasks.add_spec(other, "other") == spec);
  CHECK_FALSE(tasks.is_spec(spec, one));
  CHECK(tasks.is_spec(spec, other));
}

TEST_CASE("attempts of one array are told apart by the index") {
  TaskTable tasks;
  std::vector<TaskIndex> rows;
  for (std::uint32_t lo = 0; lo < 1000; ++lo) {
    rows.push_back(tasks.add(FrameworkIndex(lo % 2), NodeIndex(0), AttemptId{7, lo}));
  }
  for (std::uint32_t lo = 0; lo < 1000; lo += 3) {
    tasks.remove(rows[lo]);
  }
  for (std::uint32_t lo = 0; lo < 1000; ++lo) {
    CHECK(tasks.find(FrameworkIndex(lo % 2), AttemptId{7, lo}) == (lo % 3 == 0 ? TaskIndex{} : rows[lo]));
    CHECK(tasks.find(FrameworkIndex(1 - lo % 2), AttemptId{7, lo}).is_none());
  }
}

TEST_CASE("equal attempt ids of two frameworks are two tasks") {
  TaskTable tasks;
  const AttemptId id{0, 1};
  const TaskIndex a = tasks.add(FrameworkIndex{0}, NodeIndex{0}, id);
  const TaskIndex b = tasks.add(FrameworkIndex{1}, NodeIndex{1}, id);
  CHECK(tasks.find(FrameworkIndex{0}, id) == a);
  CHECK(tasks.find(FrameworkIndex{1}, id) == b);
  CHECK(tasks.find_on_node(NodeIndex{1}, id) == b);
  tasks.remove(a);
  CHECK(tasks.find(FrameworkIndex{0}, id).is_none());
  CHECK(tasks.find(FrameworkIndex{1}, id) == b);
  CHECK_FALSE(tasks.holds(a));
  std::vector<TaskIndex> listed;
  tasks.list(NodeIndex{0}, listed);
  CHECK(listed.empty());
  const SpecIndex spec = tasks.add_spec(std::vector<std::uint8_t>{1, 2}, "job");
  tasks.keep_spec(spec);
  tasks.drop_spec(spec);
  CHECK(tasks.spec_count() == 1);
  tasks.drop_spec(spec);
  CHECK(tasks.spec_count() == 0);
}

TEST_CASE("alike tasks share a kind, which goes with the last of them") {
  TaskTable tasks;
  const auto row_of = [&](std::uint64_t id, const char* shape, const char* name) {
    const TaskIndex row = tasks.add(FrameworkIndex{0}, NodeIndex{0}, AttemptId{1, id});
    tasks.set_kind(tasks[row], tasks.kind_of(res(shape), name, 7, 1));
    return row;
  };
  const TaskIndex a = row_of(1, "cpus=1", "job");
  const TaskIndex b = row_of(2, "cpus=1", "job");
  const TaskIndex c = row_of(3, "cpus=1;ports=8000", "job");
  CHECK(tasks[a].kind == tasks[b].kind);
  CHECK(tasks[a].kind != tasks[c].kind);
  CHECK(tasks.shape(tasks[c]) == res("cpus=1;ports=8000"));
  CHECK(tasks.kind(tasks[a]).name == "job");
  CHECK(tasks.kind(tasks[a]).uid == 7);
  tasks.remove(a);
  // The table keeps the latest few; rows keep theirs however many come after.
  for (std::uint64_t i = 0; i < 100; ++i) {
    tasks.remove(row_of(100 + i, "cpus=2", ("other" + std::to_string(i)).c_str()));
  }
  CHECK(tasks.kind_count() <= 2 + 16);
  CHECK(tasks.shape(tasks[b]) == res("cpus=1"));
  CHECK(tasks.shape(tasks[c]) == res("cpus=1;ports=8000"));
  tasks.remove(b);
  tasks.remove(c);
  CHECK(tasks.kind_count() <= 16);
  const TaskIndex none = tasks.add(FrameworkIndex{0}, NodeIndex{0}, AttemptId{1, 1});
  CHECK(tasks.shape(tasks[none]).is_zero());
}

TEST_CASE("a row that is used again has no text and no place in a gang left") {
  TaskTable tasks;
  TaskIndex row = tasks.add(FrameworkIndex{0}, NodeIndex{0}, AttemptId{1, 1});
  tasks.set_part(tasks[row], {4, 9, 2});
  tasks.set_text(tasks[row], {"0-3", "out of memory", 5, 6, -1, {}});
  tasks.set_text(tasks[row], {"0-1", "", 5, 6, -1, {}});
  CHECK(tasks.part(tasks[row]) == TaskPart{4, 9, 2});
  REQUIRE(tasks.text(tasks[row]) != nullptr);
  CHECK(tasks.text(tasks[row])->cpus == "0-1");
  tasks.remove(row);
  row = tasks.add(FrameworkIndex{0}, NodeIndex{0}, AttemptId{1, 2});
  CHECK(tasks.text(tasks[row]) == nullptr);
  CHECK(tasks.part(tasks[row]) == TaskPart{});
  tasks.set_text(tasks[row], {"7", "", 0, 0, -1, {}});
  tasks.drop_text(tasks[row]);
  CHECK(tasks.text(tasks[row]) == nullptr);
}
