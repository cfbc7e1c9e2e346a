// What users see of a job: one row, its reason, its elements.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr std::uint32_t kElementsMax = 10'000;   // of one row

[[nodiscard]] std::string plural(std::uint64_t n, const std::string& word) {
  return std::to_string(n) + " " + word + (n == 1 ? "" : "s");
}

// What one element asks for: "8 cpus, 16G on 2 nodes".
[[nodiscard]] std::string wish_text(const GangShape& shape, Bytes memory_per_cpu) {
  const Resources all = shape.need(shape.ntasks, memory_per_cpu);
  std::string text = format_cpus(all.cpus_milli) + (all.cpus_milli == 1000 ? " cpu" : " cpus");
  if (all.memory_bytes != 0) {
    text += ", " + format_bytes_short(all.memory_bytes) + (shape.memory_per_node_bytes != 0 ? " per node" : "");
  }
  if (all.gpus != 0) {
    text += ", " + plural(all.gpus, "gpu");
  }
  if (shape.takes_whole()) {
    text += shape.exclusive ? ", no other job beside it" : ", all memory of its nodes";
  }
  if (shape.nodes_min > 1) {
    text += " on " + plural(shape.nodes_min, "node");
  }
  return text;
}

[[nodiscard]] JobState state_of_live(const Job& job, const LiveTry& live) {
  if (live.record.cancelled || job.record.cancelled || live.failing || !live.ends.empty()) {
    return JobState::Completing;
  }
  return live.queued ? JobState::Pending : JobState::Running;
}

}  // namespace

std::uint64_t GangCore::Impl::jobs_ahead(const Job& job) const {
  std::uint64_t ahead = 0;
  for (const QueueKey& key : queue.pending()) {
    if (key.job == job.id) {
      break;
    }
    const Job* other = queue.find(key.job);
    ahead += other->startable() > 0 ? 1U : 0U;
  }
  return ahead;
}

std::string GangCore::Impl::reason_of(const Job& job, std::uint64_t ahead, Now now) const {
  const JobState state = state_of(job);
  if (job.done) {
    return state == JobState::Completed ? std::string() : job.first_failure;
  }
  if (state == JobState::Completing) {
    if (job.record.cancelled || (job.live.size() == 1 && job.live.begin()->second.record.cancelled)) {
      return "Cancelled: its processes are being ended";
    }
    return "Ending: some of its nodes have ended";
  }
  if (job.waiting() == 0) {
    return {};
  }
  if (job.elements.pending() == 0) {
    const auto live = std::find_if(job.live.begin(), job.live.end(), [](const auto& entry) { return entry.second.queued; });
    return "NextInLine: next in line on " + live->second.record.nodes.front();
  }
  if (job.record.held) {
    return "Held by user: 'muster release " + std::to_string(job.id.value()) + "' lets it go";
  }
  if (job.elements.running() >= job.throttle()) {
    return "ArrayThrottle: " + plural(job.throttle(), "element") + " may run at once";
  }
  if (!job.never_fits.empty()) {
    return "NeverFits: " + job.never_fits;
  }
  if (!link.connected()) {
    return "MasterUnreachable: no master answers; running jobs go on";
  }
  if (capacities.empty()) {
    return "NoNodes: no node has registered with the master";
  }
  if (job.not_before > now.mono) {
    return "Retrying: the last start failed: " + job.last_failed_start;
  }
  if (live_total >= config.running_max) {
    return "RunningMax: " + std::to_string(config.running_max) + " attempts are live, the most this scheduler runs";
  }
  if (ahead > 0) {
    return "Priority: " + plural(ahead, "job") + " ahead";
  }
  if (reservation && reservation->job == job.id) {
    return "Resources: " + plural(reservation->needs.size(), "node") + " held until complete for " +
           wish_text(job.shape, memory_per_cpu);
  }
  return "Resources: waits for " + wish_text(job.shape, memory_per_cpu);
}

void GangCore::Impl::add_elements(const Job& job, const RowWish& wish, fb::JobRowT& row) const {
  const ArrayIndexes& indexes = job.elements.indexes();
  const std::uint32_t first = indexes.lower_bound(wish.elements_first);
  const std::uint32_t limit = std::min(wish.elements_limit, kElementsMax);
  for (std::uint32_t ordinal = first; ordinal < job.elements.size() && ordinal - first < limit; ++ordinal) {
    auto element = std::make_unique<fb::JobElementT>();
    element->index = indexes.index_of(ordinal);
    const auto fill = [&](const AttemptRecord& record) {
      element->reason = record.reason;
      element->exit_code = record.exit_code;
      element->signal = static_cast<std::uint8_t>(record.signal);
      element->try_number = job.try_of_user(ordinal, record.try_number);
      element->started_ns = record.started.ns();
      element->ended_ns = record.ended.ns();
      element->nodes = record.nodes;
      element->memory_peak_bytes = record.memory_peak_bytes;
      element->cpu_time_us = record.cpu_time_us;
      if (wish.private_parts && wish.bytes_left != nullptr && record.report.size() <= *wish.bytes_left) {
        *wish.bytes_left -= record.report.size();
        element->report.assign(record.report.begin(), record.report.end());
      }
    };
    if (const auto live = job.live.find(ordinal); live != job.live.end()) {
      fill(live->second.record);
      element->state = state_of_live(job, live->second);
      if (element->state == JobState::Pending) {
        element->reason = "next in line on " + live->second.record.nodes.front();
      }
      element->ended_ns = 0;
      element->cpus = live->second.cpus;
    } else if (const auto end = job.elements.end_of(ordinal)) {
      if (const auto details = job.details.find(ordinal); details != job.details.end()) {
        fill(details->second);
        for (std::size_t at = 0; at <= details->second.cpus.size() && !details->second.cpus.empty();) {
          const std::size_t stop = std::min(details->second.cpus.find(';', at), details->second.cpus.size());
          element->cpus.push_back(details->second.cpus.substr(at, stop - at));
          at = stop + 1;
        }
      } else {
        element->exit_code = end->exit_code;
        element->signal = end->signal;
        element->try_number = job.try_of_user(ordinal, end->try_number);
        element->ended_ns = end->ended_ns;
        if (end->duration_ms != EndRecord::kNeverStarted) {
          element->started_ns = end->ended_ns - std::int64_t{end->duration_ms} * 1'000'000;
        }
        element->reason = end->reason < job.texts.size() ? job.texts[end->reason] : std::string();
        if (end->nodes < job.node_lists.size()) {
          element->nodes = job.node_lists[end->nodes];
        }
      }
      element->state = end->state;
      if (element->reason.empty() && end->state == JobState::Cancelled) {
        element->reason = "cancelled before it started";
      }
    } else {
      element->state = JobState::Pending;
      element->try_number = job.try_of_user(ordinal, job.elements.next_try(ordinal));
    }
    for (const std::string& node : element->nodes) {
      const auto known = std::find_if(row.places.begin(), row.places.end(),
                                      [&](const auto& place) { return place->node == node; });
      if (known == row.places.end()) {
        auto place = std::make_unique<fb::LogPlaceT>();
        place->node = node;
        if (const client::NodeInfo* info = link.node(node)) {
          place->endpoint = info->endpoint;
        }
        row.places.push_back(std::move(place));
      }
    }
    row.elements.push_back(std::move(element));
  }
}

std::unique_ptr<fb::JobRowT> GangCore::Impl::row_of(const Job& job, const RowWish& wish, Now now) const {
  auto row = std::make_unique<fb::JobRowT>();
  const fb::JobSpec& spec = job.spec();
  row->job = job.id.value();
  row->name = text_of(spec.name());
  row->user = text_of(spec.user());
  row->state = state_of(job);
  row->reason = reason_of(job, wish.ahead, now);
  row->held = job.record.held;
  row->is_array = job.is_array();
  const auto count = [&row](JobState state, std::uint32_t n) {
    if (n > 0) {
      row->counts.emplace_back(state, std::uint8_t{0}, std::uint16_t{0}, n);
    }
  };
  const bool completing = row->state == JobState::Completing;
  count(JobState::Pending, completing ? job.elements.pending() : job.waiting());
  count(completing ? JobState::Completing : JobState::Running, completing ? job.elements.running() : job.running());
  for (auto state = static_cast<std::uint8_t>(JobState::Completed); state < ArrayState::kStates; ++state) {
    count(static_cast<JobState>(state), job.elements.ended(static_cast<JobState>(state)));
  }
  row->elements_total = job.elements.size();
  row->ntasks = job.shape.ntasks;
  row->nodes_wanted = job.shape.nodes_min;
  const Resources all = job.shape.need(job.shape.ntasks, memory_per_cpu);
  row->cpus_milli = std::uint64_t{job.shape.cpus_per_task_milli} * job.shape.ntasks;
  row->memory_bytes = all.memory_bytes;
  row->time_limit_ms = spec.time_limit_ms() != 0 ? spec.time_limit_ms()
                                                 : static_cast<std::uint64_t>(config.default_time_limit.ms());
  row->submitted_ns = job.record.submitted.ns();
  row->started_ns = job.first_started.ns();
  row->ended_ns = job.done ? job.last_ended.ns() : 0;
  row->exit_code = job.worst_exit;
  row->signal = static_cast<std::uint8_t>(job.worst_signal);
  row->version = job.version;
  if (wish.details) {
    add_elements(job, wish, *row);
    if (wish.private_parts) {
      row->token_hi = job.record.token_hi;
      row->token_lo = job.record.token_lo;
      if (wish.spec) {
        row->spec.reset(spec.UnPack());
        if (wish.bytes_left == nullptr || row->spec->script.size() > *wish.bytes_left) {
          row->spec->script.clear();
        } else {
          *wish.bytes_left -= row->spec->script.size();
        }
      }
    }
  }
  return row;
}

}  // namespace muster::gang
