// Goal: a configuration file means what the same options on the command line would, and every mistake in it is named with
// file and line. Method: tables of texts; key files in a fresh folder.
#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/wire/temp_dir.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/key_file.hpp"

using namespace muster;
using muster::test::TempDir;

namespace {

const std::vector<OptionFace> kOptions{{"dir", ConfigKind::text, false, "The folder"},
                                       {"listen", ConfigKind::text, true, "Endpoints"},
                                       {"http", ConfigKind::text, false, "Port"},
                                       {"lease", ConfigKind::number, false, "How long, seconds"},
                                       {"array-max", ConfigKind::integer, false, "Most elements"},
                                       {"all-users", ConfigKind::flag, false, "Take all"}};
const std::vector<std::string> kTables{"keys"};

Result<std::vector<std::string>> arguments_of(const std::string& text) {
  const auto entries = parse_config(text, "m.toml");
  if (!entries) {
    return tl::unexpected(entries.error());
  }
  const auto arguments = as_arguments(*entries, kOptions, kTables);
  if (!arguments) {
    return tl::unexpected(arguments.error());
  }
  std::vector<std::string> out;
  for (const ConfigArgument& argument : *arguments) {
    out.push_back(argument.text);
  }
  return out;
}

const std::string kKey(40, 'k');

}  // namespace

TEST_CASE("a configuration file is read as options, in the order of its lines") {
  const auto arguments = arguments_of("# a comment\nlisten = ['tcp://10.0.0.1:5051', \"ipc:///x\"]\nlease = 10\nhttp = 5050\n"
                                      "all-users = true\ndir = \"/var/lib/muster\"\n[keys]\n'" + kKey + "' = 'framework'\n");
  REQUIRE(arguments);
  CHECK(*arguments == std::vector<std::string>{"--listen=tcp://10.0.0.1:5051", "--listen=ipc:///x", "--lease=10", "--http=5050",
                                               "--all-users", "--dir=/var/lib/muster"});
  CHECK(arguments_of("all-users = false\nlease = 0.5\n").value() == std::vector<std::string>{"--lease=0.5"});
  CHECK(arguments_of("")->empty());
}

TEST_CASE("what is wrong in a configuration file is named with its line and the way out") {
  const struct {
    const char* text;
    const char* place;
    const char* says;
  } cases[] = {
      {"dir = '/x'\nleese = 3\n", "m.toml:2: leese", "did you mean lease?"},
      {"\n\nall_users = true\n", "m.toml:3: all_users", "did you mean all-users?"},
      {"zzzzzz = 1\n", "m.toml:1: zzzzzz", "--help lists them"},
      {"lease = '10s'\n", "m.toml:1: lease", "is a text in quotes, 10s; it takes a number (How long, seconds)"},
      {"array-max = 1.5\n", "m.toml:1: array-max", "it takes a whole number"},
      {"all-users = 'yes'\n", "m.toml:1: all-users", "it takes true or false"},
      {"dir = true\n", "m.toml:1: dir", "is true or false, true; it takes a text in quotes"},
      {"dir = ['a', 'b']\n", "m.toml:1: dir", "is a list"},
      {"listen = ['a', 1]\n", "m.toml:1: listen", "a list of one of these"},
      {"dir = 1979-05-27\n", "m.toml:1: dir", "takes a text, a number"},
      {"dir = '/x'\n[kees]\na = 'b'\n", "m.toml:3: kees.a", "did you mean [keys]?"},
      {"[master]\ndir = '/x'\n", "m.toml:2: master.dir", "outside of tables"},
      {"dir = /x\n", "m.toml:1: ", "no TOML"},
      {"dir = 'a'\ndir = 'b'\n", "m.toml:2: ", "no TOML"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const auto arguments = arguments_of(c.text);
    REQUIRE_FALSE(arguments);
    CHECK_THAT(arguments.error().text, Catch::StartsWith(c.place) && Catch::Contains(c.says));
  }
  CHECK(read_config("/nowhere/m.toml").error().code == Errc::not_found);
}

TEST_CASE("the table of keys says what each key allows") {
  const auto entries = parse_config("[keys]\n'" + kKey + "' = 'node n1 n2'\n'" + std::string(40, 'f') + "' = 'framework'\n'" +
                                        std::string(40, 'o') + "' = 'operator'\n", "keys.toml");
  REQUIRE(entries);
  const auto keys = allowed_keys(*entries);
  REQUIRE(keys);
  REQUIRE(keys->size() == 3);
  CHECK(keys->at(*parse_public_key(kKey)).role == KeyRole::node);
  CHECK(keys->at(*parse_public_key(kKey)).nodes == std::vector<std::string>{"n1", "n2"});
  CHECK(keys->at(*parse_public_key(std::string(40, 'f'))).role == KeyRole::framework);
  CHECK(keys->at(*parse_public_key(std::string(40, 'o'))).role == KeyRole::operate);
  const struct {
    const char* value;
    const char* says;
  } cases[] = {{"'nod n1'", "did you mean \"node\"?"}, {"'node'", "which node?"}, {"'framework f'", "has no names"},
               {"1", "takes one text"},              {"'queen'", "there is no role 'queen'"},
               {"'operator'", "'k' is no key"}};
  for (const auto& c : cases) {
    const auto bad = allowed_keys(*parse_config(std::string("[keys]\n'k' = ") + c.value + "\n", "keys.toml"));
    REQUIRE_FALSE(bad);
    CHECK_THAT(bad.error().text, Catch::StartsWith("keys.toml:2: ") && Catch::Contains(c.says));
  }
}

TEST_CASE("key files are their owner's alone, never overwritten, and never shown") {
  TempDir dir;
  const std::string path = key_path(dir.path());
  CHECK(load_keys(path).error().code == Errc::not_found);
  CHECK(own_keys("", dir.path())->empty());
  CHECK_FALSE(own_keys(path, dir.path()));
  const KeyPair pair = *make_key_pair();
  REQUIRE(save_keys(path, pair));
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600U);
  REQUIRE(load_keys(path));
  CHECK(load_keys(path)->public_key == pair.public_key);
  CHECK(own_keys("", dir.path())->secret_key == pair.secret_key);
  CHECK(save_keys(path, {"a", "b"}).error().code == Errc::already_exists);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  CHECK(load_keys(path).error().code == Errc::permission);
  REQUIRE(write_durably(path, "public = '" + make_key_pair()->public_key + "'\nsecret = '" + pair.secret_key + "'\n"));
  CHECK_THAT(load_keys(path).error().text, Catch::Contains("not that of the secret") && !Catch::Contains(pair.secret_key));
  REQUIRE(write_durably(path, "public = 'p'\nsecret = the-secret\n"));
  const auto broken = load_keys(path);
  REQUIRE_FALSE(broken);
  CHECK_THAT(broken.error().text, Catch::Contains("no key file") && !Catch::Contains("the-secret"));
}
