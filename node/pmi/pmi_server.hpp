// What a step daemon and a server of MPI process management say to each other. A server serves the ranks of
// all steps on this node; what must be known on other nodes it hands to the daemon, which carries it there.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "wire/base/result.hpp"

namespace muster::node {

enum class PmiKind : std::uint8_t { pmix = 1, pmi1 = 2 };  // StepExchange.kind

// A step as all its nodes see it.
struct PmiStep {
  std::uint32_t step{};
  std::string name;                               // unique on this node for ever: "muster.<job>.<index>.<try>.<step>"
  std::uint64_t job{};
  std::uint32_t uid{};
  std::uint32_t gid{};
  std::vector<std::string> nodes;                 // of the step, in the order of its members
  std::vector<std::vector<std::uint32_t>> ranks;  // on each of them, ascending
  std::uint32_t here{};                           // place of this node in `nodes`
  std::uint32_t ntasks{};
  std::string directory;                          // of the task; files may be made in it
  bool crowded{};                                 // more ranks than cpus, or cpus that others use too: who waits shall yield
};

// What the process of a rank needs. Descriptors stay the server's: it closes its copies at on_rank_started.
struct PmiRank {
  struct Inherit { int fd{}; std::string variable; };  // the child keeps a copy of fd; NAME of the variable that holds its number
  std::vector<std::string> environment;           // "NAME=value"
  std::vector<Inherit> inherit;
};

namespace pmi_event {
// Every rank of the step on this node has entered the next round: `data` must reach the other nodes of the step, and
// answer_exchange is called with the data of all nodes, one after the other (any order of nodes).
struct Exchange { std::uint32_t step{}; std::string data; };
// Somebody here asks for what `rank`, on another node, has put: answer_modex(question, …) brings it.
struct Modex { std::uint32_t step{}; std::uint32_t rank{}; std::uint64_t question{}; };
// The answer to serve_modex.
struct ModexServed { std::uint64_t question{}; int status{}; std::string data; };
struct Connected { std::uint32_t step{}; std::uint32_t rank{}; };  // the rank speaks this protocol; again after Finalized
                                                                        // if its script runs another program (PMIx)
struct Finalized { std::uint32_t step{}; std::uint32_t rank{}; };  // it has left in order
struct Aborted { std::uint32_t step{}; std::int32_t rank{}; std::int32_t exit_code{}; std::string text; };
// A rank asked for what we don't do (spawn, publish, lookup, connect): it was refused; `text` names it, for the log.
struct Unsupported { std::uint32_t step{}; std::uint32_t rank{}; std::string text; };
}  // namespace pmi_event
using PmiEvent = std::variant<pmi_event::Exchange, pmi_event::Modex, pmi_event::ModexServed, pmi_event::Connected,
                              pmi_event::Finalized, pmi_event::Aborted, pmi_event::Unsupported>;

// Owned by the step daemon's thread; all calls come from there.
class PmiServer {
 public:
  virtual ~PmiServer() = default;
  [[nodiscard]] virtual PmiKind kind() const = 0;
  // Readable when take_events may have something. Valid as long as the server.
  [[nodiscard]] virtual int fd() const = 0;
  [[nodiscard]] virtual std::vector<PmiEvent> take_events() = 0;
  // Before the first rank of the step. Errors name the call that failed.
  [[nodiscard]] virtual Status begin_step(const PmiStep& step) = 0;
  [[nodiscard]] virtual Result<PmiRank> prepare_rank(std::uint32_t step, std::uint32_t rank) = 0;
  virtual void on_rank_started(std::uint32_t step, std::uint32_t rank) = 0;  // or has failed to
  // What the rank said last (Finalized, Aborted) is in take_events after this: judge its end then.
  virtual void on_rank_ended(std::uint32_t step, std::uint32_t rank) = 0;
  // `ok` false: the step is ending, whoever waits is told so.
  virtual void answer_exchange(std::uint32_t step, bool ok, const std::string& data) = 0;
  virtual void answer_modex(std::uint64_t question, int status, const std::string& data) = 0;
  virtual void serve_modex(std::uint32_t step, std::uint32_t rank, std::uint64_t question) = 0;
  virtual void end_step(std::uint32_t step) = 0;
};

}  // namespace muster::node
