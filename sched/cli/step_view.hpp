// StepView: shows one step here: its output, our input, signals, its end. Owned by one thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "sched/cli/step_link.hpp"
#include "wire/daemon/signals.hpp"

namespace muster::cli {

struct ViewOptions {
  bool label{};        // "3: " in front of every line
  bool input{};        // ours goes to the step
  bool terminal{};     // ours becomes raw, and its size is passed on
  bool detach{};       // Ctrl-C leaves, the step goes on
  bool bindings{};     // show where the ranks are bound
  bool quiet{};
};

struct StepEnd {
  std::uint32_t step{};
  fb::StepState state{};
  int exit_code{};     // 128 + signal for a signal
  int signal{};
  std::string text;
};

// The terminal of this process as it was, when it goes.
class RawTerminal {
 public:
  explicit RawTerminal(bool wanted);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  [[nodiscard]] bool is_raw() const { return raw_; }

 private:
  bool raw_{};
  std::string saved_;  // termios
};

class StepView {
 public:
  StepView(StepLink& link, const SignalFd& signals, const ViewOptions& options);

  // Asks for a new step, or for one that runs; shows it to its end.
  //   refused and the like: the step daemon's own words; conflict: left by Ctrl-C; unreachable: the daemon has gone
  [[nodiscard]] Result<StepEnd> start(fb::StepSpecT spec, Instant deadline);
  [[nodiscard]] Result<StepEnd> attach(std::optional<std::uint32_t> step, Instant deadline);

 private:
  [[nodiscard]] Result<StepEnd> show(FrameBytes question, std::uint64_t request, Instant deadline);
  void on_output(const fb::StepOutput& output);
  void write_labelled(std::uint32_t rank, fb::StepStream stream, std::string_view data, bool end);
  void read_input();
  void heed_signals();
  void send_window();

  StepLink& link_;
  const SignalFd& signals_;
  ViewOptions options_;
  std::optional<std::uint32_t> step_;
  std::optional<StepEnd> end_;
  std::uint32_t ranks_{};
  bool input_open_{};
  std::uint64_t input_unread_{};   // bytes on their way
  bool nobody_reads_{};
  bool left_{};
  Instant interrupted_ = Instant::from_ns(0);
  bool ending_{};                  // we have asked for its end
  std::map<std::pair<std::uint32_t, int>, std::string> lines_;  // begun, by rank and stream
};

}  // namespace muster::cli
