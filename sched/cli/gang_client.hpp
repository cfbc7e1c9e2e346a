// GangClient: a user's connection to the batch scheduler that is kept: no-op jobs by the thousand, for measurements.
// Owned by one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"
#include "wire/socket/request_client.hpp"

namespace muster::cli {

class GangClient {
 public:
  // `patience`: how long any answer may take.
  [[nodiscard]] static Result<GangClient> connect(Context& context, const std::string& cluster_dir,
                                                  Duration patience = Duration::from_seconds(60));
  // A descriptor that ends a wait for an answer early (Errc::timed_out); -1: none.
  void interrupt_on(int fd) { client_.interrupt_on(fd); }

  struct NoOp {
    std::vector<std::string> argv{"/bin/true"};
    std::string name{"no-op"};
    std::uint32_t ntasks{1};
    std::uint32_t nodes{0};
    std::uint32_t array_elements{0};  // 0: no array; indices from 1
    std::uint32_t array_throttle{0};  // most elements at once; 0: no bound
    std::uint32_t cpus_milli{1000};
  };
  // Answered after the job is on durable record. Errc::refused and the like: the scheduler's own words.
  [[nodiscard]] Result<std::uint64_t> submit(const NoOp& job);
  // Many at once: at most 256 are unanswered at any time.
  [[nodiscard]] Result<std::vector<std::uint64_t>> submit_many(const NoOp& job, std::uint32_t count);

  // The job's row as soon as its version is beyond `version`; the present one when patience ends.
  [[nodiscard]] Result<fb::JobRowT> watch(std::uint64_t job, std::uint64_t version);

  struct Progress {
    std::uint64_t total{};
    std::uint64_t completed{};
    std::uint64_t failed{};  // ended in any other way
  };
  // Of all these jobs together; those that have ended drop out of `jobs`, which must not be empty.
  [[nodiscard]] Result<Progress> progress(std::vector<std::uint64_t>& jobs);
  // Waits until every element of these jobs has ended, or the deadline.
  [[nodiscard]] Result<Progress> wait(const std::vector<std::uint64_t>& jobs, Duration limit);

  // When the jobs (or the elements of an array) that have started did so, by their nodes' clocks; in no order.
  [[nodiscard]] Result<std::vector<WallTime>> starts_of(const std::vector<std::uint64_t>& jobs);
  [[nodiscard]] Result<std::vector<WallTime>> starts_of_array(std::uint64_t job);

  [[nodiscard]] Status cancel(std::uint64_t job);
  // Every unfinished job of ours that has this name.
  [[nodiscard]] Status cancel_named(const std::string& name);
  // How many jobs of ours with this name have not ended.
  [[nodiscard]] Result<std::uint64_t> unfinished(const std::string& name);

 private:
  GangClient(RequestClient client, Duration patience) : client_(std::move(client)), patience_(patience) {}
  [[nodiscard]] Instant deadline() const { return SystemClock{}.now().mono + patience_; }
  [[nodiscard]] FrameBytes submit_frame(const NoOp& job);
  template <class Answer, class Question>
  [[nodiscard]] Result<typename Answer::NativeTableType> ask(typename Question::NativeTableType question);
  // The rows of these jobs, by pages: f(row).
  template <class F>
  [[nodiscard]] Status each_row(const std::vector<std::uint64_t>& jobs, F&& f);
  [[nodiscard]] Status cancel(fb::CancelT question);

  RequestClient client_;
  Duration patience_;
  std::uint64_t request_{0};
  std::uint64_t key_{};
};

}  // namespace muster::cli
