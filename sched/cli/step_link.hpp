// StepLink: a user's connection to the first step daemon of a job. Owned by one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sched/cli/session.hpp"
#include "wire/daemon/signals.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"

namespace muster::cli {

inline constexpr std::uint32_t kBatchStep = 0xffffffffU;  // the script
inline constexpr std::uint32_t kNoStep = 0xfffffffeU;     // AttachStep: "I hold this allocation"

struct StepPlace {
  std::vector<std::string> endpoints;  // any of them
  std::uint64_t job{};
  std::uint64_t token_hi{};
  std::uint64_t token_lo{};
};

// The allocation that this process runs in, from MUSTER_STEP_SOCKET and its like; nothing outside of one.
// Errc::malformed: the variables contradict each other.
[[nodiscard]] Result<std::optional<StepPlace>> place_from_environment();
// Where the first step daemon of a running job is. `row` with details. Errc::not_found: not there (yet).
[[nodiscard]] Result<StepPlace> find_stepd(Session& session, const fb::JobRowT& row, std::uint32_t index, Instant deadline);
// Waits until the job runs and its step daemon is there. Errc::conflict: it has ended, `row` says how, or a signal came.
struct Awaited {
  Result<StepPlace> place = fail(Errc::not_found, "");
  fb::JobRowT row;        // the last that was seen
  bool interrupted{};
};
[[nodiscard]] Awaited await_stepd(Session& session, std::uint64_t job, const SignalFd& signals, bool quiet);

class StepLink {
 public:
  // Connects and says hello. Errc::unreachable, timed_out, permission.
  [[nodiscard]] static Result<StepLink> open(Context& context, const StepPlace& place, Instant deadline);

  [[nodiscard]] const StepPlace& place() const { return place_; }
  [[nodiscard]] const Dealer& dealer() const { return dealer_; }
  // Never waits: what can't be sent yet is kept in order.
  void send(FrameBytes frame);
  void flush();
  [[nodiscard]] std::size_t unsent() const { return unsent_.size(); }
  // The next frame, if there is one; it lives until the next call.
  [[nodiscard]] const fb::Frame* receive();
  // The connection broke.
  [[nodiscard]] bool is_lost() const { return lost_; }
  // A number for a question.
  [[nodiscard]] std::uint64_t next_request() { return ++last_request_; }
  // Waits for the answer to `request`; what comes before it is lost. A Refused is an error.
  [[nodiscard]] Result<FrameBytes> answer(std::uint64_t request, Instant deadline);

 private:
  StepLink(StepPlace place, Dealer dealer) : place_(std::move(place)), dealer_(std::move(dealer)) {}
  StepPlace place_;
  Dealer dealer_;
  std::vector<FrameBytes> unsent_;
  FrameBytes buffer_;
  bool lost_{};
  std::uint64_t last_request_{};
};

}  // namespace muster::cli
