// Goal: PMI-1 as MPICH's ranks speak it, and nothing a rank says harms others. Method: lines in, lines out, without
// sockets; two nodes' protocols that exchange by hand; then the socket server with lines torn apart.
#include "node/pmi/pmi1_protocol.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "node/pmi/pmi1_server.hpp"

using namespace muster;
using namespace muster::node;

namespace {

PmiStep two_by_two(std::uint32_t here) {
  PmiStep step;
  step.step = 3;
  step.name = "muster.7.0.1.3";
  step.nodes = {"n1", "n2"};
  step.ranks = {{0, 1}, {2, 3}};
  step.here = here;
  step.ntasks = 4;
  return step;
}

// The only answer, without its '\n'.
std::string answer(const Pmi1Step::Output& output) {
  REQUIRE(output.answers.size() == 1);
  REQUIRE(output.answers.front().line.ends_with('\n'));
  return output.answers.front().line.substr(0, output.answers.front().line.size() - 1);
}

void init(Pmi1Step& step, std::initializer_list<std::uint32_t> ranks) {
  for (const std::uint32_t rank : ranks) {
    const auto output = step.on(rank, "cmd=init pmi_version=1 pmi_subversion=1");
    CHECK(answer(output) == "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0");
    REQUIRE(output.events.size() == 1);
    CHECK(std::get<pmi_event::Connected>(output.events.front()).rank == rank);
  }
}

const pmi_event::Aborted& abort_in(const Pmi1Step::Output& output) {
  REQUIRE(output.events.size() == 1);
  return std::get<pmi_event::Aborted>(output.events.front());
}

}  // namespace

TEST_CASE("PMI-1 answers what a rank asks at its start") {
  Pmi1Step step(two_by_two(0));
  init(step, {0});
  CHECK(answer(step.on(0, "cmd=get_maxes")) == "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024");
  CHECK(answer(step.on(0, "cmd=get_appnum")) == "cmd=appnum appnum=0");
  CHECK(answer(step.on(0, "cmd=get_universe_size")) == "cmd=universe_size size=4");
  CHECK(answer(step.on(0, "cmd=get_my_kvsname")) == "cmd=my_kvsname kvsname=muster.7.0.1.3");
  CHECK(answer(step.on(0, "cmd=get kvsname=muster.7.0.1.3 key=PMI_process_mapping")) ==
        "cmd=get_result rc=0 msg=success value=(vector,(0,2,2))");
  CHECK(answer(step.on(0, "cmd=get kvsname=muster.7.0.1.3 key=nobody")) ==
        "cmd=get_result rc=-1 msg=key_nobody_not_found value=unknown");
  CHECK(answer(step.on(0, "cmd=get kvsname=other key=nobody")) ==
        "cmd=get_result rc=-1 msg=kvs_other_not_found value=unknown");
  const auto end = step.on(0, "cmd=finalize");
  CHECK(answer(end) == "cmd=finalize_ack");
  REQUIRE(end.events.size() == 1);
  CHECK(std::get<pmi_event::Finalized>(end.events.front()).rank == 0);
}

TEST_CASE("a PMI-1 barrier carries what all ranks have put to all nodes") {
  Pmi1Step one(two_by_two(0));
  Pmi1Step two(two_by_two(1));
  init(one, {0, 1});
  init(two, {2, 3});
  CHECK(answer(one.on(0, "cmd=put kvsname=muster.7.0.1.3 key=a value=x=1")) == "cmd=put_result rc=0 msg=success");
  CHECK(answer(two.on(3, "cmd=put kvsname=muster.7.0.1.3 key=b value=2")) == "cmd=put_result rc=0 msg=success");
  CHECK(answer(one.on(1, "cmd=put kvsname=muster.7.0.1.3 key=a value=5")) == "cmd=put_result rc=-1 msg=duplicate_key_a");
  CHECK(one.on(0, "cmd=barrier_in").answers.empty());
  const auto from_one = one.on(1, "cmd=barrier_in");
  CHECK(from_one.answers.empty());
  CHECK(two.on(2, "cmd=barrier_in").events.empty());
  const auto from_two = two.on(3, "cmd=barrier_in");
  const std::string data = std::get<pmi_event::Exchange>(from_two.events.at(0)).data +
                           std::get<pmi_event::Exchange>(from_one.events.at(0)).data;
  for (Pmi1Step* step : {&one, &two}) {
    const auto out = step->on_exchanged(true, data);
    REQUIRE(out.answers.size() == 2);
    CHECK(out.answers[0].line == "cmd=barrier_out rc=0\n");
    const std::uint32_t rank = out.answers[0].rank;
    CHECK(answer(step->on(rank, "cmd=get kvsname=muster.7.0.1.3 key=a")) == "cmd=get_result rc=0 msg=success value=x=1");
    CHECK(answer(step->on(rank, "cmd=get kvsname=muster.7.0.1.3 key=b")) == "cmd=get_result rc=0 msg=success value=2");
  }
  // The next round has nothing of the last one in it.
  (void)one.on(0, "cmd=barrier_in");
  CHECK(std::get<pmi_event::Exchange>(one.on(1, "cmd=barrier_in").events.at(0)).data.empty());
  CHECK(one.on_exchanged(false, {}).answers.at(1).line == "cmd=barrier_out rc=-1\n");
}

TEST_CASE("PMI-1 spawn and name service are refused, and the rank goes on") {
  Pmi1Step step(two_by_two(0));
  init(step, {0});
  for (const char* line : {"mcmd=spawn", "nprocs=2", "execname=/bin/true", "totspawns=1", "info_num=0"}) {
    const auto output = step.on(0, line);
    CHECK(output.answers.empty());
    CHECK(output.events.empty());
  }
  const auto spawn = step.on(0, "endcmd");
  CHECK(answer(spawn) == "cmd=spawn_result rc=-1 msg=spawn_is_not_supported");
  CHECK(std::get<pmi_event::Unsupported>(spawn.events.at(0)).text == "PMI-1 spawn");
  CHECK(answer(step.on(0, "cmd=publish_name service=a port=b")) == "cmd=publish_result rc=-1 msg=publish_name_is_not_supported");
  CHECK(answer(step.on(0, "cmd=lookup_name service=a")) == "cmd=lookup_result rc=-1 msg=lookup_name_is_not_supported");
  CHECK(answer(step.on(0, "cmd=get_appnum")) == "cmd=appnum appnum=0");
}

TEST_CASE("a PMI-1 abort names rank and code") {
  Pmi1Step step(two_by_two(1));
  init(step, {2});
  const auto output = step.on(2, "cmd=abort exitcode=9");
  CHECK(output.answers.empty());
  CHECK(abort_in(output).rank == 2);
  CHECK(abort_in(output).exit_code == 9);
  CHECK(abort_in(output).text == "rank 2 called abort with code 9");
  CHECK(step.on(2, "cmd=get_appnum").answers.empty());
}

TEST_CASE("what is no PMI-1 ends the rank that said it and nobody else") {
  const std::string line = GENERATE(as<std::string>{}, "", "hello", "=", "cmd=", "cmd=fly", "cmd=barrier_in", "cmd=init",
                                    "cmd=init pmi_version=2 pmi_subversion=0", "GET / HTTP/1.1", std::string(3, '\0'));
  Pmi1Step step(two_by_two(0));
  init(step, {0});
  const auto output = step.on(1, line);
  CAPTURE(line);
  CHECK(abort_in(output).rank == 1);
  CHECK(output.close);
  CHECK(step.closed(1));
  CHECK(step.on(1, "cmd=get_appnum").answers.empty());
  CHECK(answer(step.on(0, "cmd=get_appnum")) == "cmd=appnum appnum=0");
  CHECK(step.on(7, "cmd=init pmi_version=1 pmi_subversion=1").answers.empty());
}

TEST_CASE("a rank that speaks while it waits in a PMI-1 barrier is ended") {
  Pmi1Step step(two_by_two(0));
  init(step, {0, 1});
  (void)step.on(0, "cmd=barrier_in");
  CHECK(abort_in(step.on(0, "cmd=barrier_in")).text == "rank 0: said 'barrier_in' while it waits in a barrier");
  CHECK(step.on(1, "cmd=barrier_in").events.empty());  // alone it is not all ranks of this node
}

TEST_CASE("no sequence of PMI-1 lines brings the protocol down") {
  std::mt19937 random(7);
  const std::vector<std::string> lines{"cmd=init pmi_version=1 pmi_subversion=1", "cmd=get_maxes", "cmd=barrier_in",
                                       "cmd=put kvsname=muster.7.0.1.3 key=k value=v", "mcmd=spawn", "endcmd", "x=y",
                                       "cmd=get kvsname=muster.7.0.1.3 key=k", "cmd=finalize", "cmd=abort exitcode=z", ""};
  for (int run = 0; run < 200; ++run) {
    Pmi1Step step(two_by_two(0));
    for (int i = 0; i < 60; ++i) {
      std::string line = lines[random() % lines.size()];
      if (random() % 20 == 0 && !line.empty()) {
        line[random() % line.size()] = static_cast<char>(random());
      }
      const auto output = step.on(static_cast<std::uint32_t>(random() % 3), line);
      for (const PmiEvent& event : output.events) {
        if (const auto* exchange = std::get_if<pmi_event::Exchange>(&event)) {
          (void)step.on_exchanged(true, exchange->data);
        }
      }
    }
  }
}

TEST_CASE("the PMI-1 server hears lines in pieces, and a rank's last words after its end") {
  auto server = make_pmi1_server();
  REQUIRE(server);
  REQUIRE((*server)->begin_step(two_by_two(0)));
  CHECK_FALSE((*server)->begin_step(two_by_two(0)));
  CHECK_FALSE((*server)->prepare_rank(3, 2));
  CHECK_FALSE((*server)->prepare_rank(4, 0));
  const auto prepared = (*server)->prepare_rank(3, 1);
  REQUIRE(prepared);
  CHECK(std::find(prepared->environment.begin(), prepared->environment.end(), "PMI_RANK=1") != prepared->environment.end());
  REQUIRE(prepared->inherit.size() == 1);
  CHECK(prepared->inherit.front().variable == "PMI_FD");
  const int rank = ::fcntl(prepared->inherit.front().fd, F_DUPFD_CLOEXEC, 0);  // as the fork does
  (*server)->on_rank_started(3, 1);
  pollfd ready{(*server)->fd(), POLLIN, 0};
  CHECK(::poll(&ready, 1, 0) == 0);
  for (const char c : std::string("cmd=init pmi_version=1 pmi_subversion=1\ncmd=get_app")) {
    REQUIRE(::send(rank, &c, 1, 0) == 1);
  }
  REQUIRE(::poll(&ready, 1, 5000) == 1);
  CHECK((*server)->take_events().size() == 1);
  REQUIRE(::send(rank, "num\n", 4, 0) == 4);
  CHECK((*server)->take_events().empty());
  std::array<char, 256> heard{};
  const ssize_t got = ::recv(rank, heard.data(), heard.size(), 0);
  CHECK(std::string(heard.data(), static_cast<std::size_t>(got)) ==
        "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\ncmd=appnum appnum=0\n");
  const std::string last = "cmd=abort exitcode=5\n";
  REQUIRE(::send(rank, last.data(), last.size(), 0) == static_cast<ssize_t>(last.size()));
  ::close(rank);
  (*server)->on_rank_ended(3, 1);
  REQUIRE(::poll(&ready, 1, 0) == 1);
  const auto events = (*server)->take_events();
  REQUIRE(events.size() == 1);
  CHECK(std::get<pmi_event::Aborted>(events.front()).exit_code == 5);
  CHECK(::poll(&ready, 1, 0) == 0);
  (*server)->end_step(3);
}

TEST_CASE("a PMI-1 line without end ends its rank") {
  auto server = make_pmi1_server();
  REQUIRE((*server)->begin_step(two_by_two(0)));
  const auto prepared = (*server)->prepare_rank(3, 0);
  const int rank = prepared->inherit.front().fd;
  const std::string nonsense(5000, 'x');
  REQUIRE(::send(rank, nonsense.data(), nonsense.size(), 0) == 5000);
  const auto events = (*server)->take_events();
  REQUIRE(events.size() == 1);
  CHECK(std::get<pmi_event::Aborted>(events.front()).text == "rank 0: sent a PMI-1 line of more than 4096 bytes");
}
