// Goal: a cluster is found where it should be, and its record survives being written and read.
// Method: pure functions, and files in a temporary folder.
#include "sched/cli/cluster.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sched/cli/conversation.hpp"
#include "sched/cli/daemons.hpp"
#include "wire/daemon/process_identity.hpp"

namespace muster::cli {
namespace {

using Catch::Matchers::Contains;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/muster_cli_XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

ClusterRecord record() {
  ClusterRecord record;
  record.boot_id = "b";
  record.started = WallTime::from_ns(1'777'000'000'123'000'000);
  record.nodes = 2;
  record.cpus_milli = 4000;
  record.memory_bytes = 1ULL << 33U;
  record.daemons = {{.name = "master", .command = {"/x/muster-master", "--dir", "/d e"}, .process = {.pid = 7, .start_ticks = 9}},
                    {.name = "n1", .command = {"/x/muster-node"}, .process = {}}};
  return record;
}

}  // namespace

TEST_CASE("the cluster is named by --dir, then MUSTER_DIR, then home") {
  const auto none = [](const char*) -> const char* { return nullptr; };
  const auto some = [](const char* name) -> const char* { return std::string(name) == "MUSTER_DIR" ? "/env/dir/" : nullptr; };
  CommonOptions common;
  CHECK(find_place(common, none, "/home/ann", "/w")->dir == "/home/ann/.muster");
  CHECK(find_place(common, none, "/home/ann", "/w")->hint().empty());
  CHECK(find_place(common, some, "/home/ann", "/w")->dir == "/env/dir");
  CHECK(find_place(common, some, "/home/ann", "/w")->source == "MUSTER_DIR");
  common.dir = "c";
  CHECK(find_place(common, some, "/home/ann", "/w")->dir == "/w/c");
  CHECK(find_place(common, some, "/home/ann", "/w")->hint() == " --dir /w/c");
  common.dir.reset();
  CHECK_FALSE(find_place(common, none, "", "/w"));
}

TEST_CASE("an installed cluster is found after one's own, and its cluster.toml is checked") {
  char name[] = "/tmp/mct.XXXXXX";
  const std::string folder = ::mkdtemp(name);
  const auto write = [&](const std::string& file, const std::string& text) { std::ofstream(folder + "/" + file) << text; };
  const auto find = [&](const CommonOptions& common, const std::string& variable) {
    return find_place(common, [&](const char* asked) -> const char* {
      return !variable.empty() && variable.substr(0, variable.find('=')) == asked ? variable.c_str() + variable.find('=') + 1 : nullptr;
    }, folder + "/home", "/w", folder + "/system.toml");
  };
  write("system.toml", "dir = '/var/lib/muster/'\n");
  write("cluster.toml", "gang = 'ipc:///g'\nmaster = 'tcp://127.0.0.1:5051'\n");
  CommonOptions common;
  CHECK(find(common, "")->dir == "/var/lib/muster");
  CHECK(find(common, "")->installed);
  CHECK(find(common, "")->endpoint("gang") == "ipc:///var/lib/muster/gang.ipc");
  CHECK(find(common, "MUSTER_CLUSTER=" + folder)->endpoint("gang") == "ipc:///g");
  CHECK(find(common, "MUSTER_CLUSTER=" + folder + "/cluster.toml")->endpoint("master") == "tcp://127.0.0.1:5051");
  CHECK(find(common, "MUSTER_DIR=/elsewhere")->dir == "/elsewhere");
  std::filesystem::create_directories(folder + "/home/.muster");
  write("home/.muster/cluster.json", "{}");
  CHECK(find(common, "")->dir == folder + "/home/.muster");
  CHECK_FALSE(find(common, "")->installed);
  common.cluster = folder + "/cluster.toml";
  CHECK(find(common, "MUSTER_DIR=/elsewhere")->endpoint("gang") == "ipc:///g");
  CHECK(find(common, "")->hint() == " --cluster " + folder + "/cluster.toml");
  write("cluster.toml", "gang = 'ipc:///g'\nmaster = 'nonsense'\n");
  CHECK_THAT(find(common, "").error().text, Contains("cluster.toml:2: master") && Contains("must begin with ipc:// or tcp://"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a cluster's record reads back as written") {
  const auto back = cluster_from_json(to_json(record()));
  REQUIRE(back);
  CHECK(back->boot_id == "b");
  CHECK(back->started == record().started);
  CHECK(back->nodes == 2);
  CHECK(back->cpus_milli == 4000);
  CHECK(back->memory_bytes == 1ULL << 33U);
  CHECK_FALSE(back->http_port);
  CHECK_FALSE(back->fake_duration);
  ClusterRecord fake = record();
  fake.fake_duration = Duration::from_ms(250);
  CHECK(cluster_from_json(to_json(fake))->fake_duration == fake.fake_duration);
  REQUIRE(back->daemons.size() == 2);
  CHECK(back->find("master")->command[2] == "/d e");
  CHECK(back->find("master")->process == ProcessIdentity{.pid = 7, .start_ticks = 9});
  CHECK(back->find("gang") == nullptr);
  CHECK(back->find("n1")->is_node());
  for (const char* bad : {"", "{", "[]", "{\"format\":2}", "{\"format\":1}", "{\"format\":\"1\"}"}) {
    INFO(bad);
    CHECK_FALSE(cluster_from_json(bad));
  }
}

TEST_CASE("no cluster and a broken record are told apart") {
  TemporaryFolder folder;
  const ClusterPlace place{folder.path() + "/c", "--dir"};
  auto none = load_cluster(place);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::unreachable);
  CHECK_THAT(none.error().text, Contains("no cluster here (looked in " + place.dir) && Contains("muster up --dir " + place.dir));
  std::filesystem::create_directory(place.dir);
  REQUIRE(save_cluster(place, record()));
  CHECK(load_cluster(place)->nodes == 2);
  CHECK((std::filesystem::status(place.record_path()).permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);
  std::ofstream(place.record_path()) << "{";
  CHECK(load_cluster(place).error().code == Errc::malformed);
}

TEST_CASE("a recorded daemon runs only as the same process in the same boot") {
  ClusterRecord r = record();
  r.daemons[0].process = own_identity();
  CHECK(is_running(r, r.daemons[0], "b"));
  CHECK_FALSE(is_running(r, r.daemons[0], "other boot"));
  r.daemons[0].process.start_ticks += 1;
  CHECK_FALSE(is_running(r, r.daemons[0], "b"));
  CHECK_FALSE(is_running(r, r.daemons[1], "b"));
}

TEST_CASE("programs are looked for where they are installed and where they are built") {
  const auto places = program_candidates("muster-node", "/opt/m/bin/muster");
  CHECK(places.front() == "/opt/m/libexec/muster/muster-node");
  CHECK(std::find(places.begin(), places.end(), "/opt/m/node/muster-node") != places.end());
  CHECK_THAT(find_program("muster-nothing", "/opt/m/bin/muster").error().text, Contains("muster-nothing"));
}

TEST_CASE("a family of processes is found and ends when told") {
  ClusterPlace place;
  TemporaryFolder folder;
  place.dir = folder.path();
  const DaemonRecord daemon{.name = "x", .command = {"/bin/sh", "-c", "sleep 60 & sleep 60; :"}, .process = {}};
  auto process = start_daemon(place, daemon);
  REQUIRE(process);
  const Instant until = SystemClock{}.now().mono + Duration::from_seconds(5);
  while (descendants_of(*process).size() < 2 && SystemClock{}.now().mono < until) {
    ::usleep(1000);
  }
  auto family = descendants_of(*process);
  CHECK(family.size() == 2);
  family.push_back(*process);
  for (const auto& member : family) {
    signal_process(member, 9);
  }
  CHECK(wait_ended(family, SystemClock{}.now().mono + Duration::from_seconds(5)));
}

TEST_CASE("a daemon's last words are kept") {
  TemporaryFolder folder;
  const ClusterPlace place{folder.path(), "--dir"};
  const DaemonRecord daemon{.name = "x", .command = {"/bin/sh", "-c", "echo one >&2; echo 'two: no' >&2; exit 3"}, .process = {}};
  auto process = start_daemon(place, daemon);
  REQUIRE(process);
  REQUIRE(wait_ended({*process}, SystemClock{}.now().mono + Duration::from_seconds(5)));
  CHECK(last_words(place, daemon) == "two: no");
}

TEST_CASE("refusals keep their words and get a kind") {
  flatbuffers::FlatBufferBuilder builder;
  const auto refuse = [&](fb::RefusedCode code, const char* text) {
    builder.Clear();
    builder.Finish(fb::CreateRefusedDirect(builder, code, 1, 0, "job 7", text));
    return error_of(*flatbuffers::GetRoot<fb::Refused>(builder.GetBufferPointer()));
  };
  CHECK(refuse(fb::RefusedCode::NeverFits, "too big").text == "job 7: too big");
  CHECK(refuse(fb::RefusedCode::NeverFits, "job 7 is too big").text == "job 7 is too big");
  CHECK(refuse(fb::RefusedCode::NeverFits, "too big").code == Errc::refused);
  CHECK(refuse(fb::RefusedCode::UnknownJob, "").code == Errc::not_found);
  CHECK_THAT(refuse(fb::RefusedCode::UnknownJob, "").text, Contains("job 7"));
  CHECK(refuse(fb::RefusedCode::NotAllowed, "x").code == Errc::permission);
  CHECK(span_text(Duration::from_seconds(10)) == "10 s");
  CHECK(span_text(Duration::from_ms(500)) == "500 ms");
}

}  // namespace muster::cli
