// Goal: node names travel through the compressed form unharmed. Method: by table, and back.
#include <catch2/catch.hpp>

#include "wire/model/node_list.hpp"

using namespace muster;

TEST_CASE("node names are compressed as Slurm users know it, and expand again") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table{
      {{}, ""},
      {{"n1"}, "n1"},
      {{"n1", "n2", "n3", "n4", "n7"}, "n[1-4,7]"},
      {{"n1", "n3"}, "n[1,3]"},
      {{"n08", "n09", "n10", "n11"}, "n[08-11]"},
      {{"n8", "n9", "n10"}, "n[8-10]"},
      {{"n1", "n01"}, "n1,n01"},
      {{"login", "n1", "n2"}, "login,n[1-2]"},
      {{"rack2-n1", "rack2-n2", "rack3-n1"}, "rack2-n[1-2],rack3-n1"},
      {{"n3", "n1", "n2"}, "n[3,1-2]"},
      {{"a", "b"}, "a,b"},
      {{"12", "13"}, "[12-13]"},
      {{"n99999999999999999999"}, "n99999999999999999999"},
  };
  for (const auto& [names, text] : table) {
    CAPTURE(text);
    CHECK(format_node_list(names) == text);
    if (!names.empty()) {
      const auto back = parse_node_list(text);
      REQUIRE(back);
      CHECK(*back == names);
    }
  }
}

TEST_CASE("a node list that can't be read is refused with the right form") {
  for (const char* text : {"", "n1,", "n[1-", "n1]", "n[2-1]", "n[a]", "n[1-2][3-4]", "n[]", "n[1,]", "n[-3]"}) {
    CAPTURE(text);
    const auto names = parse_node_list(text);
    REQUIRE(!names);
    CHECK(names.error().text.find("n[1-4,7]") != std::string::npos);
  }
  CHECK(parse_node_list("n[1-999999999]").error().code == Errc::out_of_range);
  CHECK(parse_node_list("n[1-60000],m[1-60000]").error().code == Errc::out_of_range);
  CHECK(*parse_node_list("n[1-2]-ib") == std::vector<std::string>{"n1-ib", "n2-ib"});
}

TEST_CASE("counts that repeat are written once") {
  CHECK(format_counts(std::vector<std::uint32_t>{}).empty());
  CHECK(format_counts(std::vector<std::uint32_t>{2}) == "2");
  CHECK(format_counts(std::vector<std::uint32_t>{2, 2, 2, 1}) == "2(x3),1");
  CHECK(format_counts(std::vector<std::uint32_t>{1, 2, 2, 1}) == "1,2(x2),1");
}
