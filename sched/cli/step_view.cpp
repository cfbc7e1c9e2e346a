#include "sched/cli/step_view.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "sched/cli/log_reader.hpp"

namespace muster::cli {
namespace {

enum Tag : Poller::Tag { kStep = 1, kSignals, kInput };
constexpr std::uint64_t kInputWindow = 1U << 20U;
constexpr Duration kHeartbeat = Duration::from_seconds(5);
constexpr Duration kSecondInterrupt = Duration::from_seconds(1);

}  // namespace

RawTerminal::RawTerminal(bool wanted) {
  termios now{};
  if (!wanted || ::tcgetattr(STDIN_FILENO, &now) != 0) {
    return;
  }
  saved_.assign(reinterpret_cast<const char*>(&now), sizeof(now));
  ::cfmakeraw(&now);
  raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
}

RawTerminal::~RawTerminal() {
  if (raw_) {
    termios before{};
    std::memcpy(&before, saved_.data(), sizeof(before));
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  }
}

StepView::StepView(StepLink& link, const SignalFd& signals, const ViewOptions& options)
    : link_(link), signals_(signals), options_(options), input_open_(options.input) {}

Result<StepEnd> StepView::start(fb::StepSpecT spec, Instant deadline) {
  fb::StartStepT question;
  question.request = link_.next_request();
  question.attach = true;
  question.spec = std::make_unique<fb::StepSpecT>(std::move(spec));
  return show(pack_frame<fb::StartStep>({}, question), question.request, deadline);
}

Result<StepEnd> StepView::attach(std::optional<std::uint32_t> step, Instant deadline) {
  fb::AttachStepT question;
  question.request = link_.next_request();
  question.newest = !step.has_value();
  question.step = step.value_or(0);
  return show(pack_frame<fb::AttachStep>({}, question), question.request, deadline);
}

Result<StepEnd> StepView::show(FrameBytes question, std::uint64_t request, Instant deadline) {
  const FrameBytes again = question;
  link_.send(std::move(question));
  const RawTerminal terminal(options_.terminal);
  Poller poller;
  poller.add(link_.dealer(), kStep);
  poller.add_fd(signals_.fd(), kSignals);
  bool watches_input = false;
  Instant beat = mono_now() + kHeartbeat;
  Instant ask_again = Instant::never();
  for (;;) {
    while (const fb::Frame* frame = link_.receive()) {
      if (const auto* refused = frame->body_as_Refused()) {
        if (refused->request() == request && refused->code() == fb::RefusedCode::Busy && mono_now() < deadline) {
          ask_again = mono_now() + Duration::from_ms(20);  // its nodes are still coming together
        } else if (!step_) {
          return tl::unexpected(error_of(*refused));
        }
      } else if (const auto* started = frame->body_as_StepStarted(); started != nullptr && started->request() == request) {
        step_ = started->step();
        ranks_ = started->ntasks();
        send_window();
        if (options_.bindings && started->bindings() != nullptr) {
          for (const auto* line : *started->bindings()) {
            if (line->size() != 0) {
              complain(std::string(text_of(line)));
            }
          }
        }
      } else if (const auto* output = frame->body_as_StepOutput()) {
        on_output(*output);
      } else if (const auto* ended = frame->body_as_StepEnded()) {
        if (step_ && ended->step() != *step_) {
          continue;
        }
        for (auto& [key, line] : lines_) {
          if (!line.empty()) {
            write_labelled(key.first, static_cast<fb::StepStream>(key.second), "", true);
          }
        }
        const StepEnd end{ended->step(), ended->state(), ended->exit_code(), ended->signal(), std::string(text_of(ended->text()))};
        link_.send(pack_frame<fb::Done>({}, {}));  // the daemon may leave
        return end;
      }
    }
    if (link_.is_lost()) {
      return fail(Errc::unreachable, "the connection to the job's first node broke");
    }
    heed_signals();
    if (left_) {
      return fail(Errc::conflict, "left");
    }
    const bool may_read = input_open_ && step_ && input_unread_ < kInputWindow && link_.unsent() == 0;
    if (may_read != watches_input) {
      watches_input = may_read;
      may_read ? poller.add_fd(STDIN_FILENO, kInput) : poller.remove(kInput);
    }
    if (mono_now() >= ask_again) {
      ask_again = Instant::never();
      link_.send(again);
    }
    if (mono_now() >= beat) {
      beat = mono_now() + kHeartbeat;
      flatbuffers::FlatBufferBuilder builder;
      link_.send(finish_frame(builder, FrameHead{}, fb::CreateHeartbeat(builder)));
    }
    link_.flush();
    poller.watch_write(kStep, link_.unsent() != 0);
    const auto events = poller.wait(std::min(beat, ask_again));
    if (!events) {
      return tl::unexpected(events.error());
    }
    for (const auto& event : *events) {
      if (event.tag == kInput) {
        read_input();
      }
    }
  }
}

void StepView::on_output(const fb::StepOutput& output) {
  if (output.stream() == fb::StepStream::In) {
    input_unread_ -= std::min(input_unread_, output.lost_bytes());
    return;
  }
  if (nobody_reads_) {
    return;
  }
  const std::string_view data = output.data() == nullptr
                                    ? std::string_view()
                                    : std::string_view(reinterpret_cast<const char*>(output.data()->data()), output.data()->size());
  if (output.lost_bytes() != 0 && !options_.quiet) {
    complain(std::to_string(output.lost_bytes()) + " bytes of output were dropped: they were not read in time");
  }
  if (options_.label) {
    write_labelled(output.rank(), output.stream(), data, output.end());
    return;
  }
  nobody_reads_ = !write_all(output.stream() == fb::StepStream::Err ? STDERR_FILENO : STDOUT_FILENO, data);
}

// Whole lines only, so that ranks don't tear each other's.
void StepView::write_labelled(std::uint32_t rank, fb::StepStream stream, std::string_view data, bool end) {
  std::string& begun = lines_[{rank, static_cast<int>(stream)}];
  begun += data;
  if (end && !begun.empty() && begun.back() != '\n') {
    begun += '\n';
  }
  const std::size_t width = std::to_string(ranks_ == 0 ? 0 : ranks_ - 1).size();
  std::string label = std::to_string(rank);
  label = std::string(width > label.size() ? width - label.size() : 0, ' ') + label + ": ";
  std::string text;
  std::size_t from = 0;
  for (std::size_t at = begun.find('\n'); at != std::string::npos; at = begun.find('\n', from)) {
    text += label + begun.substr(from, at + 1 - from);
    from = at + 1;
  }
  begun.erase(0, from);
  nobody_reads_ = !write_all(stream == fb::StepStream::Err ? STDERR_FILENO : STDOUT_FILENO, text) || nobody_reads_;
}

void StepView::read_input() {
  std::array<char, 16384> data{};
  const ssize_t n = ::read(STDIN_FILENO, data.data(), data.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
    return;
  }
  fb::StepInputT input;
  input.step = *step_;
  if (n > 0) {
    input.data.assign(data.begin(), data.begin() + n);
    input_unread_ += static_cast<std::uint64_t>(n);
  } else {
    input.end = true;
    input_open_ = false;
  }
  link_.send(pack_frame<fb::StepInput>({}, input));
}

void StepView::send_window() {
  winsize size{};
  if (!options_.terminal || !step_ || ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) {
    return;
  }
  fb::StepWindowT window;
  window.step = *step_;
  window.rows = size.ws_row;
  window.columns = size.ws_col;
  link_.send(pack_frame<fb::StepWindow>({}, window));
}

// SIGINT goes to the ranks; the second one within a second ends the step, as SIGTERM and SIGHUP do at once. Whoever has asked
// for the end need not wait for it.
void StepView::heed_signals() {
  while (auto signal = signals_.next()) {
    if (*signal == SIGWINCH) {
      send_window();
      continue;
    }
    if (options_.detach || !step_ || ending_) {
      left_ = true;
      return;
    }
    ending_ = *signal != SIGINT || mono_now() - interrupted_ < kSecondInterrupt;
    interrupted_ = mono_now();
    if (!options_.quiet) {
      complain(ending_ ? "ending step " + std::to_string(*step_) + " (Ctrl-C leaves it to itself)"
                       : "interrupt passed on to the ranks; Ctrl-C again within a second ends the step");
    }
    fb::SignalStepT order;
    order.step = *step_;
    order.signal = static_cast<std::uint8_t>(*signal == SIGINT && ending_ ? SIGTERM : *signal);
    order.end = ending_;
    order.text = ending_ ? "ended by its user" : "";
    link_.send(pack_frame<fb::SignalStep>({}, order));
  }
}

}  // namespace muster::cli
