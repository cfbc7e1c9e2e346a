// QueryJobs and GangStatusQuery: pages of rows, in id order.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr std::uint32_t kRowsMax = 1000;   // of one page
constexpr std::size_t kLargeBytesMax = std::size_t{2} << 20U;  // of reports and scripts in one page

[[nodiscard]] bool has_state(const Job& job, const flatbuffers::Vector<fb::JobState>& states) {
  const JobState state = state_of(job);
  for (std::uint32_t i = 0; i < states.size(); ++i) {
    const fb::JobState wanted = states.Get(i);
    if (wanted == state || (wanted == JobState::Pending && job.waiting() > 0) ||
        (wanted == JobState::Running && job.running() > 0)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void GangCore::Impl::on_query(LinkId from, const Peer& peer, const fb::QueryJobs& query, Now now) {
  fb::JobListT list;
  list.request = query.request();
  list.now_ns = now.wall.ns();
  list.connected = link.connected();
  const std::uint32_t limit = std::clamp<std::uint32_t>(query.limit(), 1, kRowsMax);
  const std::string_view name = text_of(query.name());
  const std::string_view user = text_of(query.user());
  const auto matches = [&](const Job& job) {
    return (query.states() == nullptr || query.states()->size() == 0 || has_state(job, *query.states())) &&
           (name.empty() || text_of(job.spec().name()) == name) &&
           (user.empty() || text_of(job.spec().user()) == user);
  };
  std::unordered_map<JobId, std::uint64_t> ahead;  // looked up, never iterated
  const bool all = query.jobs() == nullptr || query.jobs()->size() == 0;
  if (all) {
    std::uint64_t place = 0;
    for (const QueueKey& key : queue.pending()) {
      ahead.emplace(key.job, place);
      place += queue.find(key.job)->startable() > 0 ? 1U : 0U;
    }
  }
  std::size_t bytes_left = kLargeBytesMax;
  const auto add = [&](const Job& job) {
    ++list.total;
    if (job.id.value() <= query.after_job()) {
      return;
    }
    if (list.jobs.size() >= limit) {
      list.more = true;
      return;
    }
    RowWish wish;
    wish.details = query.details();
    wish.private_parts = may_touch(peer, job);
    wish.bytes_left = &bytes_left;
    wish.elements_first = query.elements_first();
    wish.elements_limit = query.elements_limit() == 0 ? 100 : query.elements_limit();
    if (const auto found = ahead.find(job.id); found != ahead.end()) {
      wish.ahead = found->second;
    } else if (!all && job.elements.pending() > 0) {
      wish.ahead = jobs_ahead(job);
    }
    list.jobs.push_back(row_of(job, wish, now));
  };
  if (!all) {
    std::set<JobId> ids;
    for (const std::uint64_t id : *query.jobs()) {
      ids.insert(JobId(id));
    }
    for (const JobId id : ids) {
      const Job* job = queue.find(id);
      if (job == nullptr) {
        list.unknown.push_back(id.value());
      } else if (matches(*job)) {
        add(*job);
      }
    }
  } else {
    for (const auto& [id, job] : queue.jobs()) {
      if (matches(*job)) {
        add(*job);
      }
    }
  }
  answer(from, pack_frame<fb::JobList>(FrameHead{}, list));
}

void GangCore::Impl::on_status_query(LinkId from, const fb::GangStatusQuery& query) {
  fb::GangStatusT status;
  status.request = query.request();
  status.framework = config.framework.value();
  status.name = config.name;
  status.master_connected = link.connected();
  status.epoch = link.epoch().value();
  for (const auto& [id, job] : queue.jobs()) {
    if (job->done) {
      ++status.jobs_done;
    } else if (job->running() > 0) {
      ++status.jobs_running;
    } else {
      ++status.jobs_pending;
    }
    status.elements_pending += job->waiting();
    status.elements_running += job->running();
  }
  status.store_text = std::to_string(next_batch - 1) + " batches written";
  status.version = kVersionText;
  answer(from, pack_frame<fb::GangStatus>(FrameHead{}, status));
}

}  // namespace muster::gang
