#include "bench/gang_client.hpp"

#include <unistd.h>

#include <algorithm>

#include "wire/daemon/machine.hpp"

namespace muster::bench {
namespace {

Instant in(Duration d) { return SystemClock{}.now().mono + d; }

Result<const fb::Frame*> answer_of(const FrameBytes& bytes) {
  const auto frame = verify_frame(bytes);
  if (!frame) {
    return fail(Errc::malformed, frame.error().text);
  }
  if (const auto* refused = (*frame)->body_as_Refused()) {
    return fail(Errc::refused, std::string(text_of(refused->text())));
  }
  return *frame;
}

}  // namespace

Result<GangClient> GangClient::connect(Context& context, const std::string& cluster_dir) {
  auto endpoint = ipc_endpoint(cluster_dir + "/gang.ipc");
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  SocketOptions options;
  options.send_frames_max = 1 << 20;
  options.receive_frames_max = 1 << 20;
  auto client = RequestClient::connect(context, *endpoint, options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  GangClient gang(std::move(*client));
  gang.key_ = mix64(static_cast<std::uint64_t>(SystemClock{}.now().wall.ns()) ^ static_cast<std::uint64_t>(getpid()));
  return gang;
}

FrameBytes GangClient::submit_frame(const NoOp& job) {
  fb::SubmitT submit;
  submit.request = ++request_;
  submit.deadline_ms = 60'000;
  submit.key_hi = key_;
  submit.key_lo = request_;
  submit.spec = std::make_unique<fb::JobSpecT>();
  fb::JobSpecT& spec = *submit.spec;
  spec.name = job.name;
  spec.argv = job.argv;
  spec.environment = {"PATH=/usr/bin:/bin"};
  spec.working_directory = "/";
  spec.uid = getuid();
  spec.gid = getgid();
  spec.ntasks = job.ntasks;
  spec.nodes_min = job.nodes;
  spec.nodes_max = job.nodes;
  spec.cpus_per_task_milli = job.cpus_milli;
  spec.memory_per_node_bytes = 1U << 20U;
  spec.stdout_path = "/dev/null";
  if (job.array_elements != 0) {
    spec.array.emplace_back(1U, job.array_elements, 1U);
    spec.array_throttle = job.array_throttle;
  }
  return pack_frame<fb::Submit>({}, submit);
}

Result<std::uint64_t> GangClient::submit(const NoOp& job) {
  auto jobs = submit_many(job, 1);
  if (!jobs) {
    return tl::unexpected(jobs.error());
  }
  return jobs->front();
}

Result<std::vector<std::uint64_t>> GangClient::submit_many(const NoOp& job, std::uint32_t count) {
  const Instant deadline = in(Duration::from_seconds(60));
  std::vector<std::uint64_t> jobs;
  for (std::uint32_t sent = 0; jobs.size() < count;) {
    constexpr std::size_t kWindow = 256;
    while (sent < count && sent - jobs.size() < kWindow) {
      if (auto status = client_.send(submit_frame(job), deadline); !status) {
        return tl::unexpected(status.error());
      }
      ++sent;
    }
    auto bytes = client_.receive(deadline);
    if (!bytes) {
      return tl::unexpected(bytes.error());
    }
    auto frame = answer_of(*bytes);
    if (!frame) {
      return tl::unexpected(frame.error());
    }
    if (const auto* submitted = (*frame)->body_as_Submitted()) {
      jobs.push_back(submitted->job());
    }
  }
  return jobs;
}

Result<GangClient::Progress> GangClient::progress(std::vector<std::uint64_t>& jobs) {
  constexpr std::size_t kPage = 1000;
  Progress sum;
  std::vector<std::uint64_t> left;
  for (std::size_t at = 0; at < jobs.size(); at += kPage) {
    fb::QueryJobsT query;
    query.request = ++request_;
    query.deadline_ms = 10'000;
    query.jobs.assign(jobs.begin() + static_cast<std::ptrdiff_t>(at),
                      jobs.begin() + static_cast<std::ptrdiff_t>(std::min(jobs.size(), at + kPage)));
    query.limit = kPage;
    auto bytes = client_.call(pack_frame<fb::QueryJobs>({}, query), query.request, in(Duration::from_seconds(10)));
    if (!bytes) {
      return tl::unexpected(bytes.error());
    }
    auto frame = answer_of(*bytes);
    if (!frame) {
      return tl::unexpected(frame.error());
    }
    const auto* list = (*frame)->body_as_JobList();
    if (list == nullptr || list->jobs() == nullptr || list->jobs()->size() != query.jobs.size()) {
      return fail(Errc::not_found, "the gang's answer lacks some of our jobs");
    }
    for (const fb::JobRow* row : *list->jobs()) {
      std::uint64_t completed = 0;
      std::uint64_t failed = 0;
      if (row->counts() != nullptr) {
        for (const fb::StateCount* count : *row->counts()) {
          completed += count->state() == fb::JobState::Completed ? count->count() : 0;
          failed += count->state() > fb::JobState::Completed ? count->count() : 0;
        }
      }
      if (completed + failed < row->elements_total()) {
        left.push_back(row->job());
      }
      sum.total += row->elements_total();
      sum.completed += completed;
      sum.failed += failed;
    }
  }
  jobs = std::move(left);
  return sum;
}

Result<GangClient::Progress> GangClient::wait(const std::vector<std::uint64_t>& jobs, Duration limit) {
  const Instant deadline = in(limit);
  std::vector<std::uint64_t> last{jobs.back()};  // most end in their order: the last says when to look at all
  while (true) {
    std::vector<std::uint64_t> left = last.empty() ? jobs : last;
    auto now = progress(left);
    if (!now || (left.empty() && last.empty())) {
      return now;
    }
    if (left.empty()) {
      last.clear();
      continue;
    }
    if (SystemClock{}.now().mono > deadline) {
      return fail(Errc::timed_out,
                  std::to_string(left.size()) + " of " + std::to_string(jobs.size()) + " jobs have not ended in time");
    }
    usleep(now->completed * 5 < now->total * 4 ? 20'000 : 5'000);
  }
}

Status GangClient::cancel(std::uint64_t job) {
  fb::CancelT cancel;
  cancel.request = ++request_;
  cancel.deadline_ms = 10'000;
  cancel.jobs.push_back(std::make_unique<fb::JobRangeT>());
  cancel.jobs.back()->job = job;
  auto bytes = client_.call(pack_frame<fb::Cancel>({}, cancel), cancel.request, in(Duration::from_seconds(10)));
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  auto frame = answer_of(*bytes);
  return frame ? Status() : tl::unexpected(frame.error());
}

}  // namespace muster::bench
