// StepCore: what a step daemon decides. Pure: owned by the shell's only thread.
//
//   frames of users, other members and the parent + ranks' output and ends + PMI events + timers
//     → frames, processes to start and to end, input for them, answers for PMI servers, the end of all
//
// Every member of an allocation has one. Member 0, the root, knows the steps: it lays them out, counts their ranks and says how
// they end. The others start and end the ranks that they are told to. Frames between members travel along the tree (step_tree.hpp).
// Files: step_core.cpp (frames in), step_root.cpp (steps), step_root_end.cpp (how they end), step_users.cpp (who watches), step_member.cpp
// (ranks of this node), step_members.cpp (who is there), step_pmi.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "node/pmi/pmi_server.hpp"
#include "node/step/step_plan.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

inline constexpr std::uint32_t kBatchStep = 0xffffffffU;  // the script
inline constexpr std::uint32_t kNoStep = 0xfffffffeU;     // StepSpawned: "I am there"; StepAbort: of the whole job

namespace step_out {
// Start this process. `environment`: later entries win. Its descriptors: a path, a pipe to and from us, or nothing.
struct StartRank {
  std::uint32_t step{};
  std::uint32_t rank{};
  std::vector<std::string> argv;
  std::shared_ptr<const std::vector<std::string>> environment;  // of the step
  std::vector<std::string> rank_environment;
  std::string working_directory;
  std::vector<std::uint32_t> os_cpus;   // empty = not bound
  bool local_memory{};                  // from the NUMA nodes of its cpus
  std::string stdin_path;               // "" = /dev/null, or a pipe
  std::string stdout_path;
  std::string stderr_path;              // "" = as stdout
  bool stdin_pipe{};
  bool stdout_pipe{};
  bool stderr_pipe{};
  bool truncate_output{};
  bool truncate_error{};
  bool pty{};
  std::uint16_t rows{};
  std::uint16_t columns{};
  const std::vector<std::uint8_t>* script{};  // run this text by its interpreter; argv[0] is its name
  std::vector<PmiKind> pmi;
};
// Empty this file: nodes that may share it only append from now on.
struct Truncate { std::string path; };
struct SignalRanks { std::uint32_t step{}; int signal{}; };      // to all processes of the step on this node
struct FeedRank { std::uint32_t step{}; std::uint32_t rank{}; std::string data; bool end{}; };
struct ResizeRank { std::uint32_t step{}; std::uint16_t rows{}; std::uint16_t columns{}; };
struct PmiBegin { PmiStep step; std::vector<PmiKind> kinds; };
struct PmiAnswer { PmiKind kind{}; std::uint32_t step{}; bool ok{}; std::string data; };
struct PmiModexAnswer { std::uint64_t question{}; int status{}; std::string data; };
struct PmiModexServe { std::uint32_t step{}; std::uint32_t rank{}; std::uint64_t question{}; };
struct PmiEnd { std::uint32_t step{}; };
struct SendUp { FrameBytes frame; };
struct SendTo { LinkId link; FrameBytes frame; bool bulk{}; };   // bulk: may wait on disk, and be shed when that is full
struct Forget { LinkId link; };                                  // the link is spoken to no more
struct Finish { std::int32_t exit_code{}; FrameBytes report; };  // leave when what was sent is out
}  // namespace step_out
using StepOutput = std::variant<step_out::StartRank, step_out::Truncate, step_out::SignalRanks, step_out::FeedRank, step_out::ResizeRank,
                                step_out::PmiBegin, step_out::PmiAnswer, step_out::PmiModexAnswer, step_out::PmiModexServe,
                                step_out::PmiEnd, step_out::SendUp, step_out::SendTo, step_out::Forget, step_out::Finish>;

struct StepTimes {
  Duration silence = Duration::from_seconds(3);      // between members: then the job has failed
  Duration heartbeat = Duration::from_ms(500);
  Duration join = Duration::from_seconds(15);        // all members are there by then
  Duration attach = Duration::from_seconds(5);       // output that nobody has come to read is dropped then
  Duration confirm = Duration::from_seconds(2);      // at the end, that other members have heard of it,
  Duration read_out = Duration::from_seconds(30);    // and that users have read everything
  Duration user_silence = Duration::from_seconds(60);
};

class StepCore {
 public:
  StepCore(StepPlan plan, std::vector<std::string> endpoints, Now now, const StepTimes& times = {});
  ~StepCore();
  StepCore(const StepCore&) = delete;
  StepCore& operator=(const StepCore&) = delete;

  // A local peer's pid tells whether it still lives; 0 = another host's.
  struct Peer { std::uint32_t pid{}; };
  void on_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now);
  void on_link_lost(LinkId link, Now now);           // its process has gone
  void on_parent_frame(const fb::Frame& frame, Now now);

  struct Process { std::uint32_t step{}; std::uint32_t rank{}; };
  void on_rank_started(Process rank, Now now);
  // exit_code: what stands for it (127 not found, 126 not executable, 1).
  void on_rank_not_started(Process rank, std::int32_t exit_code, const std::string& text, Now now);
  void on_rank_output(Process rank, fb::StepStream stream, std::string data, bool end);
  void on_input_taken(Process rank, std::uint64_t bytes);  // of what was fed: so much has been read (or dropped)
  struct End {
    std::int32_t exit_code{};  // 0..255, or 128 + signal
    std::int32_t signal{};
    std::uint64_t cpu_time_us{};
    std::uint64_t memory_peak_bytes{};
  };
  // Its output has been handed over before.
  void on_rank_ended(Process rank, const End& end, Now now);
  void on_pmi(PmiKind kind, const PmiEvent& event, Now now);
  // PMI servers could not be made ready for the step.
  void on_pmi_failed(std::uint32_t step, const std::string& text, Now now);
  // The launcher ends the task: everybody here has been signalled.
  void on_ending(Now now);

  void on_timer(Now now);
  [[nodiscard]] Instant next_timer() const;
  // What is to be done since the last call, in order.
  [[nodiscard]] std::vector<StepOutput> take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::node
