// A benchmark's own conversation with a gang over one kept connection. Owned by one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/socket/request_client.hpp"

namespace muster::bench {

class GangClient {
 public:
  [[nodiscard]] static Result<GangClient> connect(Context& context, const std::string& cluster_dir);

  struct NoOp {
    std::vector<std::string> argv{"/bin/true"};
    std::string name{"no-op"};
    std::uint32_t ntasks{1};
    std::uint32_t nodes{0};
    std::uint32_t array_elements{0};  // 0: no array
    std::uint32_t array_throttle{0};  // most elements at once; 0: no bound
    std::uint32_t cpus_milli{1000};
  };
  // Answered after the job is on durable record.
  [[nodiscard]] Result<std::uint64_t> submit(const NoOp& job);
  // Many at once: all leave before the first answer is awaited.
  [[nodiscard]] Result<std::vector<std::uint64_t>> submit_many(const NoOp& job, std::uint32_t count);

  struct Progress {
    std::uint64_t total{};
    std::uint64_t completed{};
    std::uint64_t failed{};  // ended in any other way
  };
  // Of all these jobs together; those that have ended drop out of `jobs`, which must not be empty.
  [[nodiscard]] Result<Progress> progress(std::vector<std::uint64_t>& jobs);
  // Waits until every element of these jobs has ended, or the deadline.
  [[nodiscard]] Result<Progress> wait(const std::vector<std::uint64_t>& jobs, Duration limit);
  [[nodiscard]] Status cancel(std::uint64_t job);

 private:
  explicit GangClient(RequestClient client) : client_(std::move(client)) {}
  [[nodiscard]] FrameBytes submit_frame(const NoOp& job);
  RequestClient client_;
  std::uint64_t request_{0};
  std::uint64_t key_{};
};

}  // namespace muster::bench
