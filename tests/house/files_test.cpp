// Goal: the top level stays fixed, files stay readable, and nothing points at the place it was written in.
// Method: names, lengths and words of every tracked file; each rule on bad and good snippets.
#include <catch2/catch.hpp>

#include "tests/house/source_tree.hpp"

namespace muster::house {
namespace {

Findings top_level(const SourceFile& file) {
  static const std::vector<std::string_view> kNames{"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE",
                                                    "master",         "node",              "sched",     "wire",
                                                    "bench",          "tests",             "examples",  "docs"};
  const std::string name = file.path.substr(0, file.path.find('/'));
  if (name.starts_with('.') || std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
    return {};
  }
  return {{file.path, 0, "'" + name + "' has no place on the top level"}};
}

Findings pragma_once(const SourceFile& file) {
  if (!file.path.ends_with(".hpp") && !file.path.ends_with(".h")) {
    return {};
  }
  for (const std::string& line : lines_of(file.text)) {
    if (line == "#pragma once") {
      return {};
    }
  }
  return {{file.path, 0, "a header without #pragma once"}};
}

constexpr std::size_t kMostLines = 600;

Findings length(const SourceFile& file) {
  const bool code = is_cpp(file.path) || file.path.ends_with(".fbs") || file.path.ends_with(".sh") ||
                    file.path.ends_with(".py") || file.path.ends_with("CMakeLists.txt");
  const std::size_t n = lines_of(file.text).size();
  if (!code || n <= kMostLines) {
    return {};
  }
  return {{file.path, 0, std::to_string(n) + " lines, at most " + std::to_string(kMostLines) +
                             ": split it by message or by policy"}};
}

Findings vague_names(const SourceFile& file) {
  const std::string name = file_name(file.path);
  const std::string stem = name.substr(0, name.find('.'));
  for (const std::string_view vague : {"util", "utils", "helper", "helpers", "misc", "stuff"}) {
    if (stem == vague || stem.ends_with("_" + std::string(vague))) {
      return {{file.path, 0, "'" + stem + "' says nothing about what is in it"}};
    }
  }
  return {};
}

// The words are written in two parts so that this file passes its own rule.
Findings foreign_words(const SourceFile& file) {
  static const std::vector<std::string> kPaths{std::string("/wo") + "rk/", std::string("/tm") + "p/b/",
                                               std::string("/tm") + "p/brief", std::string("/ro") + "ot/"};
  static const std::regex kWords(std::string(R"(\b(cla)") + "ude|anth" + "ropic|ope" + "nai|chat" + "gpt|cop" +
                                     "ilot|ll" + "ms?|sub-?ag" + "ents?|langu" + "age model|iss" + R"(ue #?\d+|iss)" +
                                     R"(ues show|as an a)" + R"(i|prom)" + R"(pt engineer\w*)\b)",
                                 std::regex::icase | std::regex::optimize);
  Findings findings;
  std::size_t number = 0;
  for (const std::string& line : lines_of(file.text)) {
    ++number;
    for (const std::string& path : kPaths) {
      // /home/ann + such a path is somebody's folder in an example.
      const auto at = line.find(path);
      if (at != std::string::npos && (at == 0 || std::isalnum(static_cast<unsigned char>(line[at - 1])) == 0)) {
        findings.push_back({file.path, number, "a path of one machine: " + path});
      }
    }
    std::smatch match;
    if (line.size() < 2000 && std::regex_search(line, match, kWords)) {
      findings.push_back({file.path, number, "a word that does not belong here: " + match[0].str()});
    }
  }
  return findings;
}

std::string of_lines(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) {
    text += "int a;\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the top-level rule refuses new names and accepts the fixed ones") {
  CHECK(top_level({"src/a.cpp", ""}).size() == 1);
  CHECK(top_level({"notes.txt", ""}).size() == 1);
  CHECK(top_level({"Makefile", ""}).size() == 1);
  CHECK(top_level({"wire/base/ids.hpp", ""}).empty());
  CHECK(top_level({"README.md", ""}).empty());
  CHECK(top_level({".ci/run", ""}).empty());
  CHECK(top_level({".gitignore", ""}).empty());
}

TEST_CASE("the header rule wants #pragma once") {
  CHECK(pragma_once({"wire/a.hpp", "#ifndef A\n#define A\n#endif\n"}).size() == 1);
  CHECK(pragma_once({"wire/a.hpp", "// #pragma once\n"}).size() == 1);
  CHECK(pragma_once({"wire/a.hpp", "// why\n#pragma once\n"}).empty());
  CHECK(pragma_once({"wire/a.cpp", ""}).empty());
}

TEST_CASE("the length rule refuses what is too long to read") {
  CHECK(length({"wire/a.cpp", of_lines(601)}).size() == 1);
  CHECK(length({"wire/a.cpp", of_lines(600)}).empty());
  CHECK(length({"docs/a.md", of_lines(2000)}).empty());
}

TEST_CASE("the name rule refuses names that say nothing") {
  CHECK(vague_names({"wire/base/utils.hpp", ""}).size() == 1);
  CHECK(vague_names({"node/exec/exec_helpers.cpp", ""}).size() == 1);
  CHECK(vague_names({"node/exec/helper.cpp", ""}).size() == 1);
  CHECK(vague_names({"node/exec/launcher.cpp", ""}).empty());
}

TEST_CASE("the word rule refuses paths of one machine and words of elsewhere") {
  CHECK(foreign_words({"docs/a.md", std::string("cd /wo") + "rk/main\n"}).size() == 1);
  CHECK(foreign_words({"docs/a.md", std::string("see iss") + "ue #12\n"}).size() == 1);
  CHECK(foreign_words({"docs/a.md", std::string("see iss") + "ue 2\n"}).size() == 1);
  CHECK(foreign_words({"a.cpp", std::string("// written by Cla") + "ude\n"}).size() == 1);
  CHECK(foreign_words({"docs/a.md", "an issue of fairness, 2 nodes, the node agent, a session leader, /tmp/muster\n"}).empty());
  CHECK(foreign_words({"docs/a.md", std::string("cd /home/ann/wo") + "rk/sub\n"}).empty());
}

TEST_CASE("the top level holds only its fixed names") { CHECK(report(findings_in_tree(top_level)) == ""); }
TEST_CASE("all headers say #pragma once") { CHECK(report(findings_in_tree(pragma_once)) == ""); }
TEST_CASE("no file is too long to read") { CHECK(report(findings_in_tree(length)) == ""); }
TEST_CASE("all file names say what is in the file") { CHECK(report(findings_in_tree(vague_names)) == ""); }
TEST_CASE("no file points at the place where it was written") { CHECK(report(findings_in_tree(foreign_words)) == ""); }

TEST_CASE("files are found with and without git") {
  const auto walked = listed_by_walking(MUSTER_SOURCE_DIR);
  for (const char* path : {"CMakeLists.txt", "wire/base/ids.hpp", "tests/house/files_test.cpp"}) {
    CHECK(std::find(walked.begin(), walked.end(), path) != walked.end());
  }
  CHECK(std::none_of(walked.begin(), walked.end(), [](const std::string& path) { return path.starts_with(".git/"); }));
  CHECK(tracked_files().size() > 20);
}

}  // namespace muster::house
