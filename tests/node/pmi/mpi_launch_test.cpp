// Goal: programs of both MPIs find each other through our servers, on one and on several nodes, and every bad end is
// known. Method: real programs (tests/mpi) under played step daemons, one process per node.
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/node/pmi/played_nodes.hpp"

using namespace muster::node;

namespace {

using Layout = std::vector<std::vector<std::uint32_t>>;

const std::set<std::uint32_t> kFour{0, 1, 2, 3};

PmiKind kind_of(const std::string& mpi) { return mpi == "openmpi" ? PmiKind::pmix : PmiKind::pmi1; }

// Nothing if that MPI is not installed.
std::vector<std::string> command(const std::string& mpi, const std::string& program, std::vector<std::string> arguments = {}) {
  arguments.insert(arguments.begin(), mpi_program(mpi, program));
  if (arguments.front().empty()) {
    WARN("mpicc." << mpi << " is not installed: not tested");
    return {};
  }
  return arguments;
}

void check_hello(const PlayedEnd& end, const std::string& mpi, std::uint32_t size) {
  INFO(end.error);
  CHECK(end.in_time);
  CHECK(end.all_exited_with(0));
  CHECK(end.exits.size() == size);
  CHECK(end.aborted.empty());
  for (const auto& [rank, text] : end.outputs) {
    INFO(text);
    CHECK(text.starts_with("hello " + std::to_string(rank) + " " + std::to_string(size) + " "));
  }
  const PmiKind kind = kind_of(mpi);
  for (const auto& [other, ranks] : end.connected) {
    CHECK(ranks.size() == (other == kind ? size : 0));
  }
  CHECK(end.finalized.at(kind).size() == size);
}

}  // namespace

TEST_CASE("MPI programs know rank and size on one, two and four nodes, however ranks lie") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const auto program = command(mpi, "hello");
  if (program.empty()) {
    return;
  }
  PlayedNodes nodes(4);
  for (const Layout& layout : {Layout{{0, 1}}, Layout{{0, 1}, {2, 3}}, Layout{{0, 2}, {1, 3}}, Layout{{0}, {1}, {2}, {3}},
                               Layout{{1, 2}, {}, {0}}}) {
    std::uint32_t size = 0;
    for (const auto& ranks : layout) {
      size += static_cast<std::uint32_t>(ranks.size());
    }
    CAPTURE(mpi, layout);
    check_hello(nodes.run({.command = program, .layout = layout}), mpi, size);
  }
}

TEST_CASE("MPI messages and collectives arrive within and between nodes") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const std::string name = GENERATE(as<std::string>{}, "ring", "collectives");
  const auto program = command(mpi, name);
  if (program.empty()) {
    return;
  }
  CAPTURE(mpi, name);
  PlayedNodes nodes(2);
  for (const Layout& layout : {Layout{{0, 1}, {2, 3}}, Layout{{0, 2}, {1, 3}}}) {
    const PlayedEnd end = nodes.run({.command = program, .layout = layout});
    CHECK(end.lines() == std::vector<std::string>{name + " ok 4"});
    CHECK(end.all_exited_with(0));
  }
}

TEST_CASE("a script may run one Open MPI program after the other") {
  const auto program = command("openmpi", "collectives");
  if (program.empty()) {
    return;
  }
  const PlayedEnd end = PlayedNodes(2).run(
      {.command = {"/bin/sh", "-c", program.front() + " && " + program.front()}, .layout = {{0, 1}, {2, 3}}});
  CHECK(end.lines() == std::vector<std::string>{"collectives ok 4", "collectives ok 4"});
  CHECK(end.all_exited_with(0));
}

TEST_CASE("nodes that share a machine share no MPI memory") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const auto program = command(mpi, "peers");
  if (program.empty()) {
    return;
  }
  const PlayedEnd end = PlayedNodes(2).run({.command = program, .layout = {{0, 2}, {1, 3}}});
  CHECK(end.lines() == std::vector<std::string>{"peers 0 2 0", "peers 1 2 1", "peers 2 2 0", "peers 3 2 1"});
}

TEST_CASE("MPI steps run side by side and one after the other in the same servers") {
  const auto openmpi = command("openmpi", "collectives");
  const auto mpich = command("mpich", "collectives");
  if (openmpi.empty() || mpich.empty()) {
    return;
  }
  PlayedNodes nodes(2);
  for (int i = 0; i < 2; ++i) {
    const auto ends = nodes.run({{.command = openmpi, .layout = {{0, 1}, {2, 3}}},
                                 {.command = mpich, .layout = {{0, 1}, {2}}},
                                 {.command = openmpi, .layout = {{0}, {1}}}});
    CHECK(ends[0].lines() == std::vector<std::string>{"collectives ok 4"});
    CHECK(ends[1].lines() == std::vector<std::string>{"collectives ok 3"});
    CHECK(ends[2].lines() == std::vector<std::string>{"collectives ok 2"});
  }
}

TEST_CASE("MPI_Abort ends the step with rank and code known") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const auto program = command(mpi, "endings", {"abort", "3", "9"});
  if (program.empty()) {
    return;
  }
  CAPTURE(mpi);
  const PlayedEnd end = PlayedNodes(2).run({.command = program, .layout = {{0, 1}, {2, 3}}});
  CHECK(end.in_time);
  REQUIRE(end.aborted.size() == 1);
  CHECK(end.aborted.front().rank == 3);
  CHECK(end.aborted.front().exit_code == 9);
  CHECK(end.aborted.front().text == "rank 3 called abort with code 9");
}

TEST_CASE("an MPI rank that dies is one that connected and never finalized") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const auto [how, code] = GENERATE(table<std::string, int>({{"segfault", 139}, {"kill", 137}, {"exit", 0}}));
  const auto program = command(mpi, "endings", {how, "2", "0"});
  if (program.empty()) {
    return;
  }
  CAPTURE(mpi, how);
  const PlayedEnd end = PlayedNodes(2).run({.command = program, .layout = {{0, 1}, {2, 3}}});
  CHECK(end.in_time);
  CHECK(end.aborted.empty());
  CHECK(end.exits.at(2) == code);
  CHECK(end.connected.at(kind_of(mpi)) == kFour);
  const auto finalized = end.finalized.find(kind_of(mpi));
  CHECK((finalized == end.finalized.end() || finalized->second.empty()));
}

TEST_CASE("nobody connects where only the other MPI's protocol is offered") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const auto program = command(mpi, "hello");
  if (program.empty()) {
    return;
  }
  const PlayedEnd end = PlayedNodes(1).run(
      {.command = program, .layout = {{0, 1}}, .pmix = mpi != "openmpi", .pmi1 = mpi != "mpich"});
  CHECK(end.all_exited_with(0));  // two jobs of one rank each, happy ones
  CHECK(end.outputs.at(1).starts_with("hello 0 1 "));
  CHECK(end.connected.empty());
}

TEST_CASE("MPI spawn and name service are refused, and the program goes on") {
  const auto spawn = command("openmpi", "refused");
  if (spawn.empty()) {
    return;
  }
  PlayedNodes nodes(1);
  PlayedEnd end = nodes.run({.command = spawn, .layout = {{0, 1}}});
  CHECK(end.lines() == std::vector<std::string>{"refused", "refused"});
  CHECK(end.refused == std::vector<std::string>{"PMIx spawn", "PMIx spawn"});
  CHECK(end.all_exited_with(0));
  end = nodes.run({.command = command("openmpi", "refused", {"publish"}), .layout = {{0}}});
  CHECK(end.refused == std::vector<std::string>{"PMIx publish"});
  CHECK(end.all_exited_with(0));
  const auto mpich = command("mpich", "refused", {"publish"});
  if (!mpich.empty()) {
    end = nodes.run({.command = mpich, .layout = {{0}}});
    CHECK(end.refused == std::vector<std::string>{"PMI-1 publish_name"});
    CHECK(end.all_exited_with(0));
  }
}

TEST_CASE("direct modex brings a rank's data when the fence has not") {
  const auto program = command("openmpi", "collectives");
  if (program.empty()) {
    return;
  }
  const PlayedEnd end = PlayedNodes(2).run(
      {.command = program,
       .layout = {{0, 1}, {2, 3}},
       .environment = {"OMPI_MCA_pmix_base_async_modex=1", "OMPI_MCA_pmix_base_collect_data=0"}});
  CHECK(end.lines() == std::vector<std::string>{"collectives ok 4"});
  CHECK(end.questions > 0);
  CHECK(end.all_exited_with(0));
}

TEST_CASE("programs that speak to no server run as if there were none") {
  const PlayedEnd end = PlayedNodes(1).run({.command = {"/bin/sh", "-c", "echo $PMI_RANK $PMIX_RANK"}, .layout = {{0, 1}}});
  CHECK(end.lines() == std::vector<std::string>{"0 0", "1 1"});
  CHECK(end.connected.empty());
}

TEST_CASE("an MPI step leaves nothing in shared memory") {
  const auto program = command("openmpi", "endings", {"kill", "0"});
  if (program.empty()) {
    return;
  }
  std::string place;
  {
    PlayedNodes nodes(1);
    const PlayedEnd end = nodes.run({.command = program, .layout = {{0, 1}}});
    for (const std::string& variable : end.variables) {
      if (variable.starts_with("OMPI_MCA_btl_vader_backing_directory=")) {
        place = variable.substr(variable.find('=') + 1);
      }
    }
    CHECK(end.exits.at(0) == 137);
  }
  REQUIRE(place.starts_with("/dev/shm/"));
  CHECK_FALSE(std::filesystem::exists(place));
}
