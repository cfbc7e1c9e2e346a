// Goal: settings are checked where they are written, and reach the daemon they belong to. Method: text in, options out.
#include "sched/cli/settings.hpp"

#include <catch2/catch.hpp>

#include "sched/cli/command_line.hpp"

namespace muster::cli {

using Catch::Matchers::Contains;

TEST_CASE("settings are named, checked and brought to one form") {
  CHECK(*parse_setting("fence=30") == ChosenSetting{"fence", "30"});
  CHECK(*parse_setting("fence=2m") == ChosenSetting{"fence", "120"});
  CHECK(*parse_setting("lease=1500ms") == ChosenSetting{"lease", "1.500"});
  CHECK(*parse_setting("default-time=1-0") == ChosenSetting{"default-time", "1-00:00:00"});
  CHECK(*parse_setting("reserve-memory=1024M") == ChosenSetting{"reserve-memory", "1G"});
  CHECK(*parse_setting("enforce-memory=yes") == ChosenSetting{"enforce-memory", "yes"});
  CHECK_THAT(parse_setting("fense=3").error().text, Contains("did you mean fence?"));
  CHECK_THAT(parse_setting("fence").error().text, Contains("fence=60"));
  CHECK_THAT(parse_setting("fence=soon").error().text, Contains("fence: 'soon'"));
  CHECK_FALSE(parse_setting("enforce-memory=maybe"));
  CHECK_FALSE(parse_setting("array-max=-1"));
}

TEST_CASE("each daemon is given its own settings") {
  const std::vector<ChosenSetting> settings{{"default-time", "01:00:00"}, {"enforce-memory", "yes"}, {"fence", "30"}};
  std::vector<std::string> master;
  std::vector<std::string> gang;
  std::vector<std::string> node;
  add_setting_options(settings, "master", master);
  add_setting_options(settings, "gang", gang);
  add_setting_options(settings, "node", node);
  CHECK(master == std::vector<std::string>{"--fence", "30"});
  CHECK(gang == std::vector<std::string>{"--default-time", "01:00:00"});
  CHECK(node == std::vector<std::string>{"--enforce-memory"});
}

TEST_CASE("up takes settings, and config shows them beside their defaults") {
  const std::vector<std::string> words{"up", "--set", "fence=30", "--set=lease=5", "--nodes", "2"};
  auto parsed = parse_command_line(words);
  REQUIRE(parsed);
  const auto& up = std::get<UpCommand>(parsed->command);
  REQUIRE(up.settings.size() == 2);
  CHECK(up.settings[1] == ChosenSetting{"lease", "5"});
  ClusterRecord record;
  record.settings = up.settings;
  const std::string text = render_settings(settings_of({"/d", "--dir"}, record));
  CHECK_THAT(text, Contains("fence               30 s"));
  const std::vector<std::string> bad{"up", "--set", "fence=x"};
  CHECK_THAT(parse_command_line(bad).error().text, Contains("--set: fence: 'x'"));
  CHECK(cluster_from_json(to_json(record))->settings == std::vector<ChosenSetting>(record.settings));
}

}  // namespace muster::cli
