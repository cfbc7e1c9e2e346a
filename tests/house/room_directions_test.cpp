// Goal: rooms include only what the house allows, so that each can be read and replaced alone.
// Method: the include lines of every tracked file against a table; the rule itself on bad and good snippets.
#include <catch2/catch.hpp>

#include "tests/house/source_tree.hpp"

namespace muster::house {
namespace {

struct Direction {
  std::string_view from;                  // files below this folder
  std::vector<std::string_view> may_see;  // may include files below these, of our own
};

// The first row that matches a path decides: inner rooms stand before their room.
const std::vector<Direction>& directions() {
  static const std::vector<Direction> table{
      {"wire/", {"wire/"}},
      {"master/web/", {"wire/", "master/web/", "master/view/"}},
      {"master/", {"wire/", "master/"}},
      {"node/", {"wire/", "node/"}},
      {"sched/client/", {"wire/", "sched/client/"}},
      {"sched/gang/", {"wire/", "sched/client/", "sched/gang/"}},
      {"sched/service/", {"wire/", "sched/client/", "sched/service/"}},
      {"sched/cron/", {"wire/", "sched/client/", "sched/cron/"}},
      {"sched/cli/", {"wire/", "sched/client/", "sched/cli/"}},
      {"sched/", {"wire/", "sched/"}},
      {"bench/", {"wire/", "master/", "node/", "sched/", "bench/"}},
      {"tests/", {"wire/", "master/", "node/", "sched/", "tests/"}},
      {"examples/", {"wire/", "master/", "node/", "sched/", "examples/"}},
  };
  return table;
}

Findings room_directions(const SourceFile& file) {
  Findings findings;
  const auto row = std::find_if(directions().begin(), directions().end(),
                                [&](const Direction& d) { return file.path.starts_with(d.from); });
  if (row == directions().end()) {
    return findings;
  }
  for (const Include& include : includes_of(file)) {
    const bool ours = starts_with_any(
        include.target, {"wire/", "master/", "node/", "sched/", "bench/", "tests/", "examples/", "docs/"});
    if (!ours) {
      if (!include.angled) {
        findings.push_back({file.path, include.line,
                            "\"" + include.target + "\" is not written from the top level, as \"wire/base/ids.hpp\" is"});
      }
      continue;
    }
    const bool allowed = std::any_of(row->may_see.begin(), row->may_see.end(),
                                     [&](std::string_view prefix) { return include.target.starts_with(prefix); });
    if (!allowed) {
      findings.push_back(
          {file.path, include.line, std::string(row->from) + " may not include \"" + include.target + "\""});
    }
  }
  return findings;
}

// No rule of its own: a file in one of the rooms with one include.
std::size_t count(const std::string& path, const std::string& target) {
  return room_directions({path, "#pragma once\n#include \"" + target + "\"\n"}).size();
}

}  // namespace

TEST_CASE("the direction rule refuses every forbidden edge") {
  CHECK(count("wire/base/a.hpp", "master/core/core.hpp") == 1);
  CHECK(count("wire/ring/a.hpp", "node/core/core.hpp") == 1);
  CHECK(count("wire/ring/a.hpp", "tests/sim/world.hpp") == 1);
  CHECK(count("master/core/a.cpp", "node/core/core.hpp") == 1);
  CHECK(count("master/core/a.cpp", "sched/client/link.hpp") == 1);
  CHECK(count("node/core/a.cpp", "master/core/core.hpp") == 1);
  CHECK(count("sched/gang/a.cpp", "master/core/core.hpp") == 1);
  CHECK(count("sched/gang/a.cpp", "sched/service/service.hpp") == 1);
  CHECK(count("sched/service/a.cpp", "sched/cron/cron.hpp") == 1);
  CHECK(count("sched/cron/a.cpp", "sched/gang/core.hpp") == 1);
  CHECK(count("sched/client/a.cpp", "sched/gang/core.hpp") == 1);
  CHECK(count("sched/cli/a.cpp", "sched/gang/core.hpp") == 1);
  CHECK(count("master/web/a.cpp", "master/core/core.hpp") == 1);
  CHECK(count("master/core/a.cpp", "tests/sim/world.hpp") == 1);
  CHECK(count("sched/cli/a.cpp", "bench/load.hpp") == 1);
  CHECK(count("tests/sim/a.cpp", "bench/load.hpp") == 1);
  CHECK(count("master/core/a.cpp", "core.hpp") == 1);
  CHECK(count("master/core/a.cpp", "../table/node_table.hpp") == 1);
  CHECK(report(room_directions({"wire/a.hpp", "\n  #  include \"master/x.hpp\" // why\n"})) ==
        "wire/a.hpp:2: wire/ may not include \"master/x.hpp\"\n");
  // Angle brackets are no way around it.
  CHECK(room_directions({"wire/a.hpp", "#include <master/x.hpp>\n"}).size() == 1);
}

TEST_CASE("the direction rule accepts what the house allows") {
  CHECK(count("wire/socket/a.cpp", "wire/base/ids.hpp") == 0);
  CHECK(count("master/core/a.cpp", "wire/schema/frame_generated.h") == 0);
  CHECK(count("master/core/a.cpp", "master/table/node_table.hpp") == 0);
  CHECK(count("master/web/a.cpp", "master/view/view.hpp") == 0);
  CHECK(count("sched/gang/a.cpp", "sched/client/link.hpp") == 0);
  CHECK(count("sched/cli/a.cpp", "sched/client/link.hpp") == 0);
  CHECK(count("tests/sim/a.cpp", "master/core/core.hpp") == 0);
  CHECK(count("bench/a.cpp", "sched/gang/core.hpp") == 0);
  CHECK(room_directions({"wire/a.hpp", "#include <vector>\n// #include \"master/x.hpp\"\n"}).empty());
  CHECK(room_directions({"docs/a.md", "#include \"master/x.hpp\"\n"}).empty());
}

TEST_CASE("all files keep the directions between rooms") { CHECK(report(findings_in_tree(room_directions)) == ""); }

}  // namespace muster::house
