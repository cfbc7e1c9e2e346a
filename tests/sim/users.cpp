#include "tests/sim/users.hpp"

#include <algorithm>

#include "tests/sim/cluster.hpp"

namespace muster::sim {
namespace {

constexpr std::uint32_t kDeadlineMs = 10'000;

}  // namespace

fb::JobSpecT Users::draw_spec() {
  Prng& prng = cluster_.world().prng;
  fb::JobSpecT spec;
  spec.name = "job" + std::to_string(submissions_.size());
  spec.argv = {"./work", "--step", std::to_string(prng.below(100))};
  spec.environment = {"HOME=/home/u", "PATH=/bin"};
  spec.working_directory = "/home/u";
  spec.uid = kClusterUid;
  spec.gid = kClusterUid;
  spec.user = "u";
  spec.requeue = prng.percent(40);
  spec.kill_grace_ms = static_cast<std::uint32_t>(prng.between(100, 5000));
  const std::uint32_t cpus = cluster_.smallest_node_cpus();
  const std::uint32_t nodes = cluster_.node_count();
  switch (prng.below(10)) {
    case 0:
    case 1:
    case 2: {  // over several nodes
      const std::uint32_t wanted = static_cast<std::uint32_t>(prng.between(2, std::min<std::int64_t>(nodes, 4)));
      spec.ntasks = wanted * static_cast<std::uint32_t>(prng.between(1, std::max(1U, cpus / 2)));
      spec.nodes_min = wanted;
      spec.nodes_max = wanted;
      if (prng.percent(40)) {
        spec.ntasks_per_node = spec.ntasks / wanted;
      }
      break;
    }
    case 3: {  // as it fits
      spec.ntasks = static_cast<std::uint32_t>(prng.between(1, cpus * std::int64_t{nodes} / 2));
      break;
    }
    case 4:
    case 5: {  // an array
      const std::uint32_t first = static_cast<std::uint32_t>(prng.between(0, 3));
      const std::uint32_t step = static_cast<std::uint32_t>(prng.between(1, 2));
      const bool is_long = prng.percent(20);  // those form lines
      const std::uint32_t last = first + static_cast<std::uint32_t>(is_long ? prng.between(30, 60) : prng.between(0, 24));
      spec.array.emplace_back(first, last, step);
      if (!is_long && prng.percent(40)) {
        spec.array_throttle = static_cast<std::uint32_t>(prng.between(1, 6));
      }
      if (is_long || prng.percent(30)) {
        spec.cpus_per_task_milli = 500;
      }
      break;
    }
    case 6: spec.cpus_per_task_milli = 250; break;
    case 7: spec.cpus_per_task_milli = static_cast<std::uint32_t>(prng.between(1, cpus)) * 1000; break;
    default: break;
  }
  if (prng.percent(30)) {
    spec.memory_per_node_bytes = static_cast<std::uint64_t>(prng.between(16, 512)) << 20U;
  }
  if (prng.percent(15)) {
    spec.time_limit_ms = static_cast<std::uint64_t>(prng.between(1'000, 30'000));
  }
  if (prng.percent(8)) {
    spec.held = true;
  }
  return spec;
}

void Users::plan(std::uint32_t jobs, Duration span) {
  Prng& prng = cluster_.world().prng;
  for (std::uint32_t i = 0; i < jobs; ++i) {
    Submission submission;
    submission.spec = draw_spec();
    submission.key = prng.next();
    submission.released = !submission.spec.held;
    submissions_.push_back(std::move(submission));
    const std::size_t place = submissions_.size() - 1;
    const Duration at = prng.between(Duration::from_ms(1), span);
    cluster_.world().after(at, [this, place] { send_submit(place); });
    if (prng.percent(20)) {
      cluster_.world().after(at + prng.skewed(Duration::from_ms(1), Duration::from_seconds(30)), [this, place] { send_ask(Ask::cancel, place); });
    }
    if (prng.percent(8)) {
      cluster_.world().after(at + prng.skewed(Duration::from_ms(1), Duration::from_seconds(10)), [this, place] {
        if (!winding_down_) {
          submissions_[place].released = false;
          send_ask(Ask::hold, place);
        }
      });
    }
    if (!submissions_[place].released || prng.percent(10)) {
      cluster_.world().after(at + prng.between(Duration::from_seconds(1), Duration::from_seconds(30)), [this, place] { send_ask(Ask::release, place); });
    }
  }
  query_soon();
}

void Users::submit(const fb::JobSpecT& spec) {
  Submission submission;
  submission.spec = spec;
  submission.key = cluster_.world().prng.next();
  submissions_.push_back(std::move(submission));
  send_submit(submissions_.size() - 1);
}

void Users::wind_down() {
  winding_down_ = true;
  for (std::size_t place = 0; place < submissions_.size(); ++place) {
    submissions_[place].released = submissions_[place].refused;
    send_ask(Ask::release, place);
  }
}

void Users::query_soon() {
  Prng& prng = cluster_.world().prng;
  cluster_.world().after(prng.between(Duration::from_ms(100), Duration::from_seconds(8)), [this] {
    if (!submissions_.empty()) {
      send_ask(Ask::query, cluster_.world().prng.below(submissions_.size()));
    }
    query_soon();
  });
}

void Users::send_submit(std::size_t place) {
  Submission& submission = submissions_[place];
  if (submission.job != 0 || submission.refused) {
    return;
  }
  fb::SubmitT body;
  body.request = ++next_request_;
  body.deadline_ms = kDeadlineMs;
  body.key_hi = submission.key;
  body.key_lo = mix64(submission.key);
  body.spec = std::make_unique<fb::JobSpecT>(submission.spec);
  send({Ask::submit, place}, pack_frame<fb::Submit>({}, body));
  // Not answered: once more with the same key.
  cluster_.world().after(cluster_.world().prng.between(Duration::from_ms(300), Duration::from_seconds(12)), [this, place] { send_submit(place); });
}

void Users::send_ask(Ask ask, std::size_t place) {
  Submission& submission = submissions_[place];
  if (submission.refused) {
    return;
  }
  const auto again = [&] {
    cluster_.world().after(cluster_.world().prng.between(Duration::from_seconds(1), Duration::from_seconds(5)), [this, ask, place] {
      const Submission& s = submissions_[place];
      if ((ask == Ask::release && !s.released) || (ask == Ask::cancel && !s.cancel_asked)) {
        send_ask(ask, place);
      }
    });
  };
  if (submission.job == 0) {
    if (ask == Ask::release || ask == Ask::cancel) {
      again();
    }
    return;
  }
  const std::uint64_t number = ++next_request_;
  const auto range = [&] {
    auto jobs = std::make_unique<fb::JobRangeT>();
    jobs->job = submission.job;
    return jobs;
  };
  switch (ask) {
    case Ask::cancel: {
      fb::CancelT body;
      body.request = number;
      body.deadline_ms = kDeadlineMs;
      body.jobs.push_back(range());
      if (!submission.spec.array.empty() && cluster_.world().prng.percent(50)) {
        body.jobs.back()->first = submission.spec.array.front().first();
        body.jobs.back()->last = body.jobs.back()->first + static_cast<std::uint32_t>(cluster_.world().prng.below(10));
      }
      send({ask, place}, pack_frame<fb::Cancel>({}, body));
      again();
      break;
    }
    case Ask::hold: {
      fb::HoldJobT body;
      body.request = number;
      body.deadline_ms = kDeadlineMs;
      body.jobs.push_back(range());
      send({ask, place}, pack_frame<fb::HoldJob>({}, body));
      break;
    }
    case Ask::release: {
      fb::ReleaseJobT body;
      body.request = number;
      body.deadline_ms = kDeadlineMs;
      body.jobs.push_back(range());
      send({ask, place}, pack_frame<fb::ReleaseJob>({}, body));
      again();
      break;
    }
    case Ask::query: {
      fb::QueryJobsT body;
      body.request = number;
      body.deadline_ms = kDeadlineMs;
      body.jobs = {submission.job};
      body.details = cluster_.world().prng.percent(50);
      body.elements_limit = 100;
      send({ask, place}, pack_frame<fb::QueryJobs>({}, body));
      break;
    }
    case Ask::submit: break;
  }
}

void Users::send(const Request& request, FrameBytes bytes) {
  World& world = cluster_.world();
  if (connected_ && world.prng.percent(2)) {
    cluster_.user_hangs_up(link_);
    connected_ = false;
  }
  if (!connected_) {
    link_ = cluster_.new_user_link();
    connected_ = true;
  }
  requests_[next_request_] = request;
  cluster_.send_from_user(link_, std::make_shared<const FrameBytes>(std::move(bytes)));
}

void Users::gang_gone() { connected_ = false; }

void Users::answer(LinkId link, const FrameBytes& bytes) {
  const Network::Received received = Network::verify(bytes);
  World& world = cluster_.world();
  world.note("user gets", link.value(), [&] { return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame); });
  world.trace.mix(bytes);
  if (received.frame == nullptr) {
    return;
  }
  const fb::Frame& frame = *received.frame;
  const auto submission_of = [&](std::uint64_t request, Ask ask) -> Submission* {
    const auto it = requests_.find(request);
    if (it == requests_.end() || it->second.ask != ask) {
      violated("answer to nothing", "the gang answers request " + std::to_string(request) + " with " + cluster_.describe(frame));
    }
    return &submissions_[it->second.submission];
  };
  if (const auto* submitted = frame.body_as_Submitted()) {
    Submission& submission = *submission_of(submitted->request(), Ask::submit);
    if (submission.job != 0 && submission.job != submitted->job()) {
      violated("submitted twice", "one submit key was answered with job " + std::to_string(submission.job) + " and with job " +
                                      std::to_string(submitted->job()));
    }
    submission.job = submitted->job();
  } else if (const auto* refused = frame.body_as_Refused()) {
    const auto it = requests_.find(refused->request());
    if (it == requests_.end()) {
      return;
    }
    Submission& submission = submissions_[it->second.submission];
    const bool later = refused->code() == fb::RefusedCode::Busy || refused->code() == fb::RefusedCode::NotSettled;
    if (it->second.ask == Ask::submit && !later && submission.job == 0) {
      submission.refused = true;
      submission.released = true;
    } else if (it->second.ask == Ask::release && !later) {
      submission.released = true;
    } else if (it->second.ask == Ask::cancel && !later) {
      submission.cancel_asked = true;
    } else if (it->second.ask == Ask::query && refused->code() == fb::RefusedCode::UnknownJob) {
      violated("acknowledged job is gone", "job " + std::to_string(submission.job) + " is unknown to the gang");
    }
  } else if (const auto* done = frame.body_as_Done()) {
    const auto it = requests_.find(done->request());
    if (it == requests_.end()) {
      violated("answer to nothing", "the gang answers request " + std::to_string(done->request()));
    }
    if (it->second.ask == Ask::release) {
      submissions_[it->second.submission].released = true;
    } else if (it->second.ask == Ask::cancel) {
      submissions_[it->second.submission].cancel_asked = true;
    }
  } else if (const auto* list = frame.body_as_JobList()) {
    Submission& submission = *submission_of(list->request(), Ask::query);
    if (list->unknown() != nullptr && list->unknown()->size() != 0) {
      violated("acknowledged job is gone", "job " + std::to_string(submission.job) + " is unknown to the gang");
    }
    if (list->jobs() != nullptr) {
      for (const fb::JobRow* row : *list->jobs()) {
        if (row->job() != submission.job) {
          violated("wrong row", "asked for job " + std::to_string(submission.job) + ", got " + std::to_string(row->job()));
        }
        if (submission.last_state_known && is_end(submission.last_state) && row->state() != submission.last_state) {
          violated("ended twice", "job " + std::to_string(submission.job) + " was shown as " +
                                      fb::EnumNameJobState(submission.last_state) + " and now as " + fb::EnumNameJobState(row->state()));
        }
        submission.last_state = row->state();
        submission.last_state_known = true;
      }
    }
  }
}

bool Users::done() const {
  return std::all_of(submissions_.begin(), submissions_.end(),
                     [](const Submission& s) { return s.refused || (s.job != 0 && s.released); });
}

std::string Users::undone_text() const {
  for (const Submission& s : submissions_) {
    if (s.job == 0 && !s.refused) {
      return s.spec.name + " was never acknowledged";
    }
    if (!s.released) {
      return "the release of " + s.spec.name + " was never answered";
    }
  }
  return {};
}

void Users::check(const SimStore& store) const {
  for (const Submission& s : submissions_) {
    if (s.job != 0 && store.job(JobId(s.job)) == nullptr) {
      violated("acknowledged job is gone", "job " + std::to_string(s.job) + " is not in the store");
    }
  }
}

}  // namespace muster::sim
