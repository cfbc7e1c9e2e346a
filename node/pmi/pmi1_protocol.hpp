// PMI-1 as the ranks of MPICH speak it, of one step on one node: lines in, lines out. Pure.
//
//   fresh ── init ──► talking ── barrier_in ──► waiting ── the last rank here, then on_exchanged ──► talking
//                        └── finalize ──► finalized          anything it can't say there, abort ──► closed
//
// MPICH shuts its line down at finalize, for all who share it: a script can run one MPI program per rank and no more.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

// Pure.
class Pmi1Step {
 public:
  struct Answer { std::uint32_t rank{}; std::string line; };  // with its '\n'
  struct Output {
    std::vector<Answer> answers;
    std::vector<PmiEvent> events;
    bool close{};  // the line of the rank that spoke
  };
  static constexpr std::size_t kLineBytesMax = 4096;  // MPICH's own lines have at most 1024

  // REQUIRES: check_layout(step)
  explicit Pmi1Step(const PmiStep& step);

  // One line without its '\n'. Lines of ranks that are not here or closed are dropped.
  [[nodiscard]] Output on(std::uint32_t rank, std::string_view line);
  // The rank's line is too long to be one of ours: it is closed like one that speaks no PMI-1.
  [[nodiscard]] Output on_nonsense(std::uint32_t rank, const std::string& why);
  // The data of all nodes. `ok` false: the step is ending.
  [[nodiscard]] Output on_exchanged(bool ok, std::string_view data);

  [[nodiscard]] bool closed(std::uint32_t rank) const;
  [[nodiscard]] std::uint32_t ranks_here() const { return static_cast<std::uint32_t>(ranks_.size()); }
  [[nodiscard]] std::uint32_t ntasks() const { return ntasks_; }

 private:
  enum class State : std::uint8_t { fresh, talking, waiting, finalized, closed };
  using Fields = std::map<std::string, std::string, std::less<>>;

  Output on_command(std::uint32_t rank, State& state, const Fields& fields);
  Output on_barrier(std::uint32_t rank, State& state);
  Output on_put(std::uint32_t rank, const Fields& fields);
  Output on_get(std::uint32_t rank, const Fields& fields) const;
  Output refuse(std::uint32_t rank, const std::string& command, const std::string& answer) const;

  std::uint32_t step_{};
  std::uint32_t ntasks_{};
  std::string name_;
  std::map<std::uint32_t, State> ranks_;                   // of this node
  std::map<std::uint32_t, std::size_t> long_command_;      // ranks in the middle of an "mcmd", and its bytes so far
  std::map<std::string, std::string, std::less<>> known_;  // what every rank may get
  std::map<std::string, std::string, std::less<>> put_;    // by ranks here, since the last barrier
  std::uint32_t waiting_{};
};

}  // namespace muster::node
