// Goal: docs/words.md, where words come from, knows every noun of the design and every state and reason.
// Method: the enumerators are read from the header's text, so a new state without a definition fails here.
#include <catch2/catch.hpp>

#include "tests/house/source_tree.hpp"

namespace muster::house {
namespace {

// The names of `enum class name ... { a = 1, b, };`, comments ignored. Empty if there is no such enum.
std::vector<std::string> enumerators(const std::string& text, const std::string& name) {
  const std::string code = without_comments(text);
  std::vector<std::string> names;
  std::smatch match;
  if (!std::regex_search(code, match, std::regex("enum(?: class)? " + name + R"(\b[^{;]*\{([^}]*)\})"))) {
    return names;
  }
  const std::string body = match[1].str();
  const std::regex item(R"((?:^|,)\s*(\w+))");
  for (auto it = std::sregex_iterator(body.begin(), body.end(), item); it != std::sregex_iterator(); ++it) {
    names.push_back((*it)[1].str());
  }
  return names;
}

// A word is defined when it opens a table row in bold or code: "| **offer** |", "| `running` |".
std::vector<std::string> undefined(const std::string& words_md, const std::vector<std::string>& words) {
  std::vector<std::string> missing;
  for (const std::string& word : words) {
    if (words_md.find("\n| **" + word + "** |") == std::string::npos &&
        words_md.find("\n| `" + word + "` |") == std::string::npos) {
      missing.push_back(word);
    }
  }
  return missing;
}

// OutOfMemory → OUT_OF_MEMORY, as people see it.
std::string shouted(const std::string& name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (i > 0 && std::isupper(c) != 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0) {
      out += '_';
    }
    out += static_cast<char>(std::toupper(c));
  }
  return out;
}

const std::string& text_of(const std::string& path) {
  static const std::string none;
  const auto& files = tracked_files();
  const auto file = std::find_if(files.begin(), files.end(), [&](const SourceFile& f) { return f.path == path; });
  return file == files.end() ? none : file->text;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("the word rule finds what is not defined") {
  CHECK(enumerators("enum class TaskState : std::uint8_t {\n  a = 0,  // x, y\n  b,\n  c = 7,\n};", "TaskState") ==
        Words{"a", "b", "c"});
  CHECK(enumerators("enum JobState:ubyte { PENDING = 0, RUNNING }", "JobState") == Words{"PENDING", "RUNNING"});
  CHECK(enumerators("enum class Other { a };", "TaskState").empty());
  CHECK(shouted("OutOfMemory") == "OUT_OF_MEMORY");
  CHECK(shouted("PENDING") == "PENDING");
  const std::string page = "# Words\n\n| word | meaning |\n|---|---|\n| **offer** | x |\n| `running` | y |\n";
  CHECK(undefined(page, {"offer", "running"}).empty());
  CHECK(undefined(page, {"offer", "task", "run"}) == Words{"task", "run"});
  CHECK(undefined(page + "the task runs\n", {"task"}) == Words{"task"});
}

TEST_CASE("docs/words.md defines the nouns of the design") {
  CHECK(undefined(text_of("docs/words.md"), {"master", "node", "link", "framework", "offer", "task", "rank", "attempt",
                                             "job", "gang", "allocation", "step", "array", "claim", "epoch"}) == Words{});
}

TEST_CASE("docs/words.md defines every task state and reason") {
  const std::string& header = text_of("wire/model/task_state.hpp");
  const Words states = enumerators(header, "TaskState");
  REQUIRE(states.size() >= 10);
  CHECK(undefined(text_of("docs/words.md"), states) == Words{});
  Words reasons = enumerators(header, "TaskReason");
  REQUIRE(reasons.size() >= 20);
  std::erase(reasons, "none");
  CHECK(undefined(text_of("docs/words.md"), reasons) == Words{});
}

TEST_CASE("docs/words.md defines every job state") {
  CHECK(undefined(text_of("docs/words.md"), {"PENDING", "RUNNING", "COMPLETING", "COMPLETED", "FAILED", "CANCELLED",
                                             "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "LOST"}) == Words{});
  // Whatever the schemas name as well.
  for (const SourceFile& file : tracked_files()) {
    if (file.path.ends_with(".fbs")) {
      INFO(file.path);
      Words states = enumerators(file.text, "JobState");
      std::transform(states.begin(), states.end(), states.begin(), shouted);
      CHECK(undefined(text_of("docs/words.md"), states) == Words{});
    }
  }
}

}  // namespace muster::house
