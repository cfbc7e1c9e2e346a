// Goal: whoever reads a class knows at once which thread owns it.
// Method: every namespace-level class in the headers of the rooms with threads. The first line of the comment
// above it, or else the comment that opens the file, must name a thread or say that there is none. The rule on
// bad and good snippets.
#include <catch2/catch.hpp>

#include "tests/house/source_tree.hpp"

namespace muster::house {
namespace {

// Classes stand at the left margin: namespaces are not indented.
Findings class_comments(const SourceFile& file) {
  static const std::regex kClass(R"(^class\s+(\w+)[^;]*$)");
  static const std::regex kOwner(R"(\b(pure|threads?|value|none|duty|owned by|any thread)\b)", std::regex::icase);
  Findings findings;
  if (!file.path.ends_with(".hpp") ||
      !starts_with_any(file.path, {"wire/ring/", "wire/socket/", "master/", "node/", "sched/"})) {
    return findings;
  }
  const std::vector<std::string> lines = lines_of(file.text);
  std::string opening;  // the comment that opens the file
  for (std::size_t i = 0; i < lines.size() && lines[i].starts_with("//"); ++i) {
    opening += lines[i] + "\n";
  }
  const bool opening_names_owner = std::regex_search(opening, kOwner);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (!std::regex_match(lines[i], match, kClass)) {
      continue;
    }
    const std::string name = match[1].str();
    if (opening_names_owner) {
      continue;
    }
    std::size_t above = i;
    while (above > 0 && (lines[above - 1].starts_with("template") || lines[above - 1].starts_with("requires") ||
                         lines[above - 1].starts_with("    requires"))) {
      --above;
    }
    std::size_t first = above;
    while (first > 0 && lines[first - 1].starts_with("//")) {
      --first;
    }
    if (first == above) {
      findings.push_back({file.path, i + 1, "class " + name + " has no comment above it"});
    } else if (!std::regex_search(lines[first], kOwner)) {
      findings.push_back({file.path, first + 1,
                          "the first line above class " + name +
                              " neither names its owning thread nor says pure, value or none"});
    }
  }
  return findings;
}

std::size_t count(const std::string& text, const std::string& path = "master/core/a.hpp") {
  return class_comments({path, text}).size();
}

}  // namespace

TEST_CASE("the class rule wants the owning thread in the first line above") {
  CHECK(count("class MasterCore {\n public:\n  void on();\n};\n") == 1);
  CHECK(count("// The state machine.\nclass MasterCore {\n public:\n};\n") == 1);
  CHECK(count("#pragma once\n// Decides.\n// Pure.\nclass MasterCore {\n};\n") == 1);
  CHECK(count("// Poller: waits.\n#pragma once\n\nclass Poller {\n};\n", "wire/socket/a.hpp") == 1);
  CHECK(count("#pragma once\n// Pure.\n\nclass MasterCore {\n};\n") == 1);
  CHECK(count("template <class T>\nclass Ring {\n};\n", "wire/ring/a.hpp") == 1);
  CHECK(count("class A final : public B {\n};\n", "sched/client/a.hpp") == 1);
}

TEST_CASE("the class rule accepts named threads, pure code, and what is not a class") {
  CHECK(count("// Pure: decides.\nclass MasterCore {\n};\n") == 0);
  CHECK(count("// Owned by the gateway's thread.\n// More.\nclass Gateway {\n};\n") == 0);
  CHECK(count("// Producer: one thread. Consumer: another.\ntemplate <class T>\nclass Ring {\n};\n") == 0);
  CHECK(count("// Poller: waits. Owned by one thread.\n#pragma once\n\nclass Poller {\n};\n", "wire/socket/a.hpp") == 0);
  CHECK(count("class Forward;\nenum class Kind { a };\nstruct Plain {\n};\n") == 0);
  CHECK(count("class A {\n};\n", "wire/base/a.hpp") == 0);
  CHECK(count("class A {\n};\n", "master/core/a.cpp") == 0);
}

TEST_CASE("all classes say which thread owns them") { CHECK(report(findings_in_tree(class_comments)) == ""); }

}  // namespace muster::house
