// StepdShell: the threads' worth of a step daemon: sockets, ranks' pipes, children, PMI servers. One thread, the main one
// (libpmix and libzmq have theirs).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/pmi/pmi_server.hpp"
#include "node/step/step_core.hpp"
#include "node/stepd_process.hpp"
#include "node/stepd_queue.hpp"
#include "wire/daemon/signals.hpp"
#include "wire/socket/context.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/router.hpp"

namespace muster::node {

// Owned by the main thread.
class StepdShell {
 public:
  // Listens. io: no socket, no descriptors.
  [[nodiscard]] static Result<std::unique_ptr<StepdShell>> create(StepPlan plan, const SignalFd& signals);
  ~StepdShell();
  StepdShell(const StepdShell&) = delete;
  StepdShell& operator=(const StepdShell&) = delete;

  struct Outcome {
    std::int32_t exit_code{};
    FrameBytes report;
  };
  [[nodiscard]] Outcome run();

 private:
  StepdShell(StepPlan plan, const SignalFd& signals);

  struct Rank {
    std::uint32_t step{};
    std::uint32_t rank{};
    pid_t pid{};
    RankPipes pipes;
    std::string input;         // not written yet
    bool input_ends{};
    bool exited{};
  };
  // One descriptor of a rank in the epoll set.
  enum class Pipe : std::uint8_t { input, output, error };

  // stepd_shell.cpp
  [[nodiscard]] Status listen();
  void carry_out();
  void leave_when_sent();
  [[nodiscard]] bool all_sent() const;
  void read_links();
  void read_signals();
  void look_after_users();
  [[nodiscard]] Instant next_wake() const;
  [[nodiscard]] Now now() const { return clock_.now(); }

  // stepd_links.cpp
  void send_to(LinkId link, FrameBytes frame, bool bulk);
  void send_up(FrameBytes frame);
  void drain();
  void tend_agent();
  void tend_parent();
  void read_agent();
  void read_parent();
  void say_hello();

  // stepd_ranks.cpp
  void start(const step_out::StartRank& order);
  [[nodiscard]] Status prepare_script(const step_out::StartRank& order, RankExtras& extras);
  void watch(Rank& rank);
  void close_pipe(int& fd);
  void read_pipe(Rank& rank, Pipe pipe);
  void read_ranks();
  void feed(const step_out::FeedRank& order);
  void write_input(Rank& rank);
  void resize(const step_out::ResizeRank& order);
  void signal_step(std::uint32_t step, int signal);
  void reap();
  void end_rank(Rank& rank, const StepCore::End& end);
  [[nodiscard]] std::string marker_of(std::uint32_t step) const;

  // stepd_pmi.cpp
  void pmi_begin(const step_out::PmiBegin& order);
  [[nodiscard]] PmiServer* server(PmiKind kind);
  void read_pmi(PmiServer& server);
  void pmi_rank_ended(std::uint32_t step, std::uint32_t rank);

  const StepPlan plan_;
  const SignalFd& signals_;
  SystemClock clock_;
  Context context_;
  std::optional<Router> router_;
  std::vector<std::string> endpoints_;
  std::optional<Dealer> agent_;            // of this node
  Instant agent_told_ = Instant::from_ns(0);
  std::optional<Dealer> parent_agent_;     // says where the parent is
  Instant parent_asked_ = Instant::from_ns(0);
  Duration parent_patience_;               // until it is asked again
  std::optional<Dealer> parent_;
  bool parent_answers_{};
  Poller poller_;
  FrameBytes buffer_;
  std::unique_ptr<StepCore> core_;

  std::map<LinkId, std::unique_ptr<StepdQueue>> queues_;  // only of who does not keep up
  StepdQueue up_;
  bool blocked_{};
  std::map<LinkId, pid_t> local_users_;
  Instant users_seen_;

  int epoll_fd_{-1};
  std::map<pid_t, std::unique_ptr<Rank>> ranks_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Rank*> by_rank_;
  std::map<std::uint32_t, std::unique_ptr<StepFiles>> files_;  // by step
  std::map<int, std::pair<Rank*, Pipe>> by_fd_;
  std::string script_path_;

  std::map<PmiKind, std::unique_ptr<PmiServer>> servers_;
  std::set<PmiKind> pmi_missing_;  // could not be started, and nobody had asked for it by name
  std::optional<step_out::Finish> finish_;
  Instant leave_by_ = Instant::never();
  bool gone_{};
};

}  // namespace muster::node
