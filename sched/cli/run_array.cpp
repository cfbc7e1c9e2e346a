#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/log_reader.hpp"
#include "sched/cli/progress.hpp"
#include "sched/cli/render_jobs.hpp"
#include "sched/cli/submission.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/signals.hpp"

namespace muster::cli {
namespace {

constexpr Duration kPollMin = Duration::from_ms(5);
constexpr Duration kPollMax = Duration::from_ms(100);
constexpr Duration kTellWaiting = Duration::from_seconds(2);
constexpr Duration kLastOutput = Duration::from_seconds(5);  // after the end, a node may take so long to hand out the rest

// The files that `run` reads from: its own, gone afterwards, or the ones the user named.
struct Outputs {
  std::string stem;      // of our own files: DIR/run/KEY
  bool own_output{};
  bool own_error{};
  bool readable{true};   // false: a file per rank, which is not shown
};

Outputs choose_outputs(const Session& session, const SubmitKey& key, fb::JobSpecT& spec) {
  Outputs outputs;
  outputs.stem = session.place().dir + "/run/" + to_string(key);
  const std::string each = spec.array.empty() ? ".%n" : ".%a.%n";  // several nodes may share this folder
  outputs.own_output = spec.stdout_path.empty();
  outputs.own_error = outputs.own_output && spec.stderr_path.empty();
  if (outputs.own_output) {
    spec.stdout_path = outputs.stem + each + ".out";
  }
  if (outputs.own_error) {
    spec.stderr_path = outputs.stem + each + ".err";
  }
  outputs.readable = spec.stdout_path.find("%t") == std::string::npos;
  return outputs;
}

// Shows a job's output as it grows, and passes Ctrl-C on. One thread.
class Show {
 public:
  Show(Session& session, const SignalFd& signals, std::uint64_t job, Outputs outputs, bool quiet)
      : session_(session), signals_(signals), job_(job), outputs_(std::move(outputs)), quiet_(quiet) {}

  int run() {
    Duration pause = kPollMin;
    Instant silent_since = mono_now();
    for (;;) {
      if (auto code = heed_signals()) {
        return *code;
      }
      auto row = watch_job(session_, job_, version_, mono_now() + pause);
      if (row) {
        silent_since = mono_now();
        if (row->version != version_ || !known_) {
          version_ = row->version;
          known_ = true;
          pause = kPollMin;
        }
        tell_waiting(*row);
        find_readers(*row);
        if (read_output()) {
          pause = kPollMin;
        } else {
          pause = std::min(kPollMax, Duration::from_ns(pause.ns() * 3 / 2));
        }
        if (is_ended(row->state)) {
          return finish(*row);
        }
        if (row->is_array && all_read()) {
          next_element(*row);
        }
      } else if (row.error().code == Errc::not_found || mono_now() - silent_since >= session_.common().timeout) {
        complain(row.error().text + "; job " + std::to_string(job_) + " may go on: muster job " + std::to_string(job_) +
                 session_.place().hint());
        return exit_code_of(row.error().code);
      }
    }
  }

 private:
  // Once: cancel and go on showing. Twice: leave.
  std::optional<int> heed_signals() {
    while (auto signal = signals_.next()) {
      const std::string job = std::to_string(job_);
      if (cancelled_) {
        complain("left job " + job + " while it is being cancelled; look: muster job " + job + session_.place().hint());
        return kInterrupted;
      }
      cancelled_ = true;
      complain("cancelling job " + job + " (Ctrl-C again leaves it)");
      cancel_job(session_, job_);
    }
    return std::nullopt;
  }

  void tell_waiting(const fb::JobRowT& row) {
    if (told_ || quiet_ || row.state != fb::JobState::Pending || mono_now() - begun_ < kTellWaiting) {
      return;
    }
    told_ = true;
    complain("job " + std::to_string(job_) + " waits" + (row.reason.empty() ? "" : ": " + row.reason));
  }

  // The node(s) of the element whose output is shown next. An array's elements are shown in index order.
  void find_readers(const fb::JobRowT& row) {
    if (!readers_.empty() || !outputs_.readable || row.state == fb::JobState::Pending || !more_) {
      return;
    }
    std::optional<fb::JobRowT> fetched;
    if (row.is_array || row.places.empty()) {
      auto detailed = fetch_job(session_, job_, {.wanted = true, .elements_first = element_, .elements_limit = 1},
                                session_.fresh_deadline());
      if (!detailed) {
        return;
      }
      fetched = *std::move(detailed);
    }
    const fb::JobRowT& detailed = fetched ? *fetched : row;
    if (detailed.elements.empty()) {
      more_ = detailed.is_array ? false : more_;
      return;
    }
    const fb::JobElementT& element = *detailed.elements.front();
    if (detailed.is_array && element.state == fb::JobState::Pending) {
      return;
    }
    element_ = element.index;
    const bool never_ran = is_ended(element.state) && element.nodes.empty();
    for (const auto stream : {fb::LogStream::Out, fb::LogStream::Err}) {
      if (stream == fb::LogStream::Err && !outputs_.own_error) {
        continue;
      }
      for (LogSource& source : log_sources(detailed, element_, stream)) {
        readers_.push_back({LogReader(std::move(source)), false});
      }
    }
    if (readers_.empty() && never_ran) {
      next_element(detailed);
    }
  }

  void next_element(const fb::JobRowT& row) {
    readers_.clear();
    more_ = row.is_array;
    ++element_;
  }

  // True when something came.
  bool read_output() {
    bool came = false;
    for (Reader& reader : readers_) {
      while (!reader.done) {
        auto piece = reader.log.next(session_, mono_now() + Duration::from_seconds(1));
        if (!piece && piece.error().code == Errc::unsupported) {
          show_nothing(piece.error().text);
          return came;
        }
        if (!piece) {
          reader.trouble = piece.error().text;
          break;
        }
        reader.trouble.clear();
        if (is_repeated(reader)) {
          reader.done = true;
          break;
        }
        came = came || !piece->data.empty();
        const int fd = reader.log.source().stream == fb::LogStream::Err ? STDERR_FILENO : STDOUT_FILENO;
        if (!write_all(fd, piece->data)) {
          reader.done = true;
          break;
        }
        reader.done = piece->at_end && piece->ended;
        if (piece->at_end) {
          break;
        }
      }
    }
    return came;
  }

  // The nodes have no output, and never will have.
  void show_nothing(const std::string& why) {
    if (!quiet_) {
      complain(why);
    }
    outputs_.readable = false;
    readers_.clear();
  }

  int finish(const fb::JobRowT& row) {
    Instant until = mono_now() + kLastOutput;
    Duration pause = kPollMin;
    while (more_ && outputs_.readable && mono_now() < until && !heed_end()) {
      const bool had_readers = !readers_.empty();
      find_readers(row);
      if (readers_.empty() && !had_readers && !row.is_array) {
        break;  // it never ran
      }
      if (read_output()) {
        until = mono_now() + kLastOutput;
      }
      if (all_read()) {
        until = mono_now() + kLastOutput;
        next_element(row);
        continue;
      }
      wait_readable(signals_.fd(), mono_now() + pause);
      pause = std::min(kPollMax, pause * 2);
    }
    for (const Reader& reader : readers_) {
      if (!reader.done && row.started_ns > 0) {
        complain("output on node " + reader.log.source().node + " may be incomplete" +
                 (reader.trouble.empty() ? "" : ": " + reader.trouble));
      }
    }
    if (row.state != fb::JobState::Completed) {
      complain(ending_line(row));
    }
    return exit_code_of(row);
  }

  struct Reader {
    LogReader log;
    bool done{};
    std::string trouble{};
  };

  bool is_repeated(const Reader& reader) const {
    for (const Reader& other : readers_) {
      if (&other == &reader) {
        return false;
      }
      if (is_same_file(other.log, reader.log)) {
        return true;
      }
    }
    return false;
  }
  bool all_read() const {
    for (const Reader& reader : readers_) {
      if (!reader.done) {
        return false;
      }
    }
    return !readers_.empty();
  }
  bool heed_end() { return heed_signals().has_value(); }

  Session& session_;
  const SignalFd& signals_;
  std::uint64_t job_;
  Outputs outputs_;
  bool quiet_;
  Instant begun_ = mono_now();
  std::uint64_t version_{};
  bool known_{};
  bool told_{};
  bool cancelled_{};
  bool more_{true};              // elements whose output has not been shown
  std::uint32_t element_{};
  std::vector<Reader> readers_;  // of element_
};

// Our own files hold nothing that was not shown.
void remove_outputs(const Session& session, const Outputs& outputs) {
  const std::string folder = session.place().dir + "/run/";
  const std::string name = outputs.stem.substr(folder.size());
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(name)) {
      ::unlink(entry.path().c_str());
    }
  }
}

}  // namespace

// An array's elements are no steps: their output is read from their files.
int run_array(Session& session, const RunCommand& command) {
  if (auto status = check_program(command.job, "run"); !status) {
    return complain(status.error());
  }
  auto here = surroundings();
  auto key = submit_key(command.job.key);
  if (!here || !key) {
    return complain(here ? key.error() : here.error());
  }
  auto request = make_job_request(command.job, *here);
  if (!request) {
    complain("run: " + request.error().text);
    return kUsage;
  }
  const Outputs outputs = choose_outputs(session, *key, request->spec);
  if (auto made = make_directory(session.place().dir + "/run"); !made) {
    return complain(made.error());
  }
  auto signals = SignalFd::open({SIGINT, SIGTERM, SIGHUP});
  auto gang = session.gang();
  if (!signals || !gang) {
    return complain(signals ? gang.error() : signals.error());
  }
  auto submitted = hand_in(session, *std::move(request), *key, "run");
  if (!submitted) {
    return complain(submitted.error());
  }
  (*gang)->interrupt_on(signals->fd());
  if (!command.quiet && ::isatty(STDERR_FILENO) == 1) {
    complain("job " + std::to_string(submitted->job));
  }
  if (!outputs.readable && !command.quiet) {
    complain("the output goes to a file per rank and is not shown here");
  }
  Show show(session, *signals, submitted->job, outputs, command.quiet);
  const int exit_code = show.run();
  if (exit_code != kInterrupted && exit_code != kUnknown) {
    remove_outputs(session, outputs);
  }
  return exit_code;
}

}  // namespace muster::cli
