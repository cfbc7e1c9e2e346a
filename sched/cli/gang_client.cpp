#include "sched/cli/gang_client.hpp"

#include <unistd.h>

#include <algorithm>

#include "sched/cli/conversation.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

constexpr std::size_t kPage = 1000;
constexpr std::uint32_t kElementsPage = 10'000;

// The frame, unless it is a refusal.
Result<const fb::Frame*> answer_of(const FrameBytes& bytes) {
  const auto frame = verify_frame(bytes);
  if (!frame) {
    return fail(Errc::malformed, frame.error().text);
  }
  if (const auto* refused = (*frame)->body_as_Refused()) {
    return tl::unexpected(error_of(*refused));
  }
  return *frame;
}

}  // namespace

Result<GangClient> GangClient::connect(Context& context, const std::string& cluster_dir, Duration patience) {
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
  GangClient gang(std::move(*client), patience);
  gang.key_ = random_u64();
  return gang;
}

template <class Answer, class Question>
Result<typename Answer::NativeTableType> GangClient::ask(typename Question::NativeTableType question) {
  question.request = ++request_;
  if (question.deadline_ms == 0) {
    question.deadline_ms = static_cast<std::uint32_t>(patience_.ms());
  }
  auto bytes = client_.call(pack_frame<Question>({}, question), question.request, deadline());
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  auto frame = answer_of(*bytes);
  if (!frame) {
    return tl::unexpected(frame.error());
  }
  const auto* body = (*frame)->template body_as<Answer>();
  if (body == nullptr) {
    return fail(Errc::malformed, std::string("the batch scheduler answered with ") + fb::EnumNameBody((*frame)->body_type()));
  }
  typename Answer::NativeTableType answer;
  body->UnPackTo(&answer);
  return answer;
}

FrameBytes GangClient::submit_frame(const NoOp& job) {
  fb::SubmitT submit;
  submit.request = ++request_;
  submit.deadline_ms = static_cast<std::uint32_t>(patience_.ms());
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
  std::vector<std::uint64_t> jobs;
  for (std::uint32_t sent = 0; jobs.size() < count;) {
    constexpr std::size_t kWindow = 256;
    while (sent < count && sent - jobs.size() < kWindow) {
      if (auto status = client_.send(submit_frame(job), deadline()); !status) {
        return tl::unexpected(status.error());
      }
      ++sent;
    }
    auto bytes = client_.receive(deadline());
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

Result<fb::JobRowT> GangClient::watch(std::uint64_t job, std::uint64_t version) {
  fb::WatchT question;
  question.job = job;
  question.version = version;
  auto list = ask<fb::JobList, fb::Watch>(std::move(question));
  if (!list) {
    return tl::unexpected(list.error());
  }
  if (list->jobs.empty()) {
    return fail(Errc::not_found, "the batch scheduler has forgotten job " + std::to_string(job));
  }
  return std::move(*list->jobs.front());
}

template <class F>
Status GangClient::each_row(const std::vector<std::uint64_t>& jobs, F&& f) {
  for (std::size_t at = 0; at < jobs.size(); at += kPage) {
    fb::QueryJobsT query;
    query.jobs.assign(jobs.begin() + static_cast<std::ptrdiff_t>(at),
                      jobs.begin() + static_cast<std::ptrdiff_t>(std::min(jobs.size(), at + kPage)));
    query.limit = kPage;
    const std::size_t wanted = query.jobs.size();
    auto list = ask<fb::JobList, fb::QueryJobs>(std::move(query));
    if (!list) {
      return tl::unexpected(list.error());
    }
    if (list->jobs.size() != wanted) {
      return fail(Errc::not_found, "the batch scheduler's answer lacks some of our jobs");
    }
    for (const auto& row : list->jobs) {
      f(*row);
    }
  }
  return {};
}

Result<GangClient::Progress> GangClient::progress(std::vector<std::uint64_t>& jobs) {
  Progress sum;
  std::vector<std::uint64_t> left;
  const auto read = each_row(jobs, [&](const fb::JobRowT& row) {
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    for (const fb::StateCount& count : row.counts) {
      completed += count.state() == fb::JobState::Completed ? count.count() : 0;
      failed += count.state() > fb::JobState::Completed ? count.count() : 0;
    }
    if (completed + failed < row.elements_total) {
      left.push_back(row.job);
    }
    sum.total += row.elements_total;
    sum.completed += completed;
    sum.failed += failed;
  });
  if (!read) {
    return tl::unexpected(read.error());
  }
  jobs = std::move(left);
  return sum;
}

Result<GangClient::Progress> GangClient::wait(const std::vector<std::uint64_t>& jobs, Duration limit) {
  const Instant end = SystemClock{}.now().mono + limit;
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
    if (SystemClock{}.now().mono > end) {
      return fail(Errc::timed_out,
                  std::to_string(left.size()) + " of " + std::to_string(jobs.size()) + " jobs have not ended in time");
    }
    usleep(now->completed * 5 < now->total * 4 ? 20'000 : 5'000);
  }
}

Result<std::vector<WallTime>> GangClient::starts_of(const std::vector<std::uint64_t>& jobs) {
  std::vector<WallTime> starts;
  starts.reserve(jobs.size());
  const auto read = each_row(jobs, [&](const fb::JobRowT& row) {
    if (row.started_ns > 0) {
      starts.push_back(WallTime::from_ns(row.started_ns));
    }
  });
  if (!read) {
    return tl::unexpected(read.error());
  }
  return starts;
}

Result<std::vector<WallTime>> GangClient::starts_of_array(std::uint64_t job) {
  std::vector<WallTime> starts;
  for (std::uint32_t first = 0;;) {
    fb::QueryJobsT query;
    query.jobs = {job};
    query.details = true;
    query.elements_first = first;
    query.elements_limit = kElementsPage;
    auto list = ask<fb::JobList, fb::QueryJobs>(std::move(query));
    if (!list) {
      return tl::unexpected(list.error());
    }
    if (list->jobs.empty() || list->jobs.front()->elements.empty()) {
      return starts;
    }
    for (const auto& element : list->jobs.front()->elements) {
      if (element->started_ns > 0) {
        starts.push_back(WallTime::from_ns(element->started_ns));
      }
    }
    first = list->jobs.front()->elements.back()->index + 1;
  }
}

Status GangClient::cancel(fb::CancelT question) {
  const auto done = ask<fb::Done, fb::Cancel>(std::move(question));
  return done ? Status() : tl::unexpected(done.error());
}

Status GangClient::cancel(std::uint64_t job) {
  fb::CancelT question;
  question.jobs.push_back(std::make_unique<fb::JobRangeT>());
  question.jobs.back()->job = job;
  return cancel(std::move(question));
}

Status GangClient::cancel_named(const std::string& name) {
  fb::CancelT question;
  question.all_of_uid = true;
  question.name = name;
  return cancel(std::move(question));
}

Result<std::uint64_t> GangClient::unfinished(const std::string& name) {
  fb::QueryJobsT query;
  query.name = name;
  query.states = {fb::JobState::Pending, fb::JobState::Running, fb::JobState::Completing};
  query.limit = 1;
  const auto list = ask<fb::JobList, fb::QueryJobs>(std::move(query));
  if (!list) {
    return tl::unexpected(list.error());
  }
  return list->total;
}

}  // namespace muster::cli
