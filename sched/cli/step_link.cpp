#include "sched/cli/step_link.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "sched/cli/job_queries.hpp"
#include "sched/cli/log_reader.hpp"
#include "wire/socket/request_client.hpp"

namespace muster::cli {
namespace {

constexpr Duration kTellWaiting = Duration::from_seconds(2);
constexpr Duration kAskAgain = Duration::from_ms(3);

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool parse_hex(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<std::optional<StepPlace>> place_from_environment() {
  const std::string sockets = variable("MUSTER_STEP_SOCKET");
  if (sockets.empty()) {
    return std::nullopt;
  }
  StepPlace place;
  for (const std::string& endpoint : split(sockets, ' ')) {
    if (!endpoint.empty()) {
      place.endpoints.push_back(endpoint);
    }
  }
  const std::string token = variable("MUSTER_STEP_TOKEN");
  const std::string job = variable("MUSTER_STEP_JOB");
  const bool job_read = std::from_chars(job.data(), job.data() + job.size(), place.job).ec == std::errc{} && !job.empty();
  if (token.size() != 32 || !parse_hex(std::string_view(token).substr(0, 16), place.token_hi) ||
      !parse_hex(std::string_view(token).substr(16), place.token_lo) || !job_read) {
    return fail(Errc::malformed,
                "MUSTER_STEP_SOCKET is set, and MUSTER_STEP_TOKEN or MUSTER_STEP_JOB is not what belongs to it; unset "
                "MUSTER_STEP_SOCKET to run outside of an allocation");
  }
  return place;
}

Result<StepPlace> find_stepd(Session& session, const fb::JobRowT& row, std::uint32_t index, Instant deadline) {
  const auto sources = log_sources(row, index, fb::LogStream::Out);
  if (sources.empty()) {
    return fail(Errc::not_found, "the node of job " + std::to_string(row.job) + " is not known yet");
  }
  // The first node of the job has its first step daemon.
  const auto element = std::find_if(row.elements.begin(), row.elements.end(),
                                    [&](const auto& e) { return !row.is_array || e->index == index; });
  const std::string first = element == row.elements.end() || (*element)->nodes.empty() ? sources.front().node
                                                                                        : (*element)->nodes.front();
  const auto source = std::find_if(sources.begin(), sources.end(), [&](const LogSource& s) { return s.node == first; });
  if (source == sources.end()) {
    return fail(Errc::not_found, "node " + first + " is not known yet");
  }
  auto node = Conversation::open(session.context(), "node " + source->node, source->endpoint);
  if (!node) {
    return tl::unexpected(node.error());
  }
  fb::FindStepdT question;
  question.token_hi = row.token_hi;
  question.token_lo = row.token_lo;
  question.job = row.job;
  question.index = index;
  question.node = source->node;
  auto found = node->ask<fb::StepdPlace, fb::FindStepd>(std::move(question), deadline);
  if (!found) {
    return tl::unexpected(found.error());
  }
  // On the same machine as its agent's local socket, or not.
  const bool local = source->endpoint.starts_with("ipc:");
  StepPlace place;
  for (const std::string& endpoint : found->endpoints) {
    if (endpoint.starts_with("ipc:") == local) {
      place.endpoints.push_back(endpoint);
    }
  }
  place.job = row.job;
  place.token_hi = row.token_hi;
  place.token_lo = row.token_lo;
  return place;
}

Awaited await_stepd(Session& session, std::uint64_t job, const SignalFd& signals, bool quiet) {
  Awaited awaited;
  std::uint64_t version = 0;
  bool told = quiet;
  const Instant begun = mono_now();
  Instant silent_since = begun;
  const auto ended = [&] {
    awaited.place = fail(Errc::conflict, "job " + std::to_string(job) + " has ended");
    return awaited;
  };
  for (;;) {
    if (signals.next()) {
      awaited.interrupted = true;
      awaited.place = fail(Errc::conflict, "interrupted");
      return awaited;
    }
    auto row = watch_job(session, job, version, mono_now() + Duration::from_ms(500));
    if (!row) {
      if (row.error().code == Errc::not_found || mono_now() - silent_since >= session.common().timeout) {
        awaited.place = tl::unexpected(row.error());
        return awaited;
      }
      wait_readable(signals.fd(), mono_now() + kAskAgain);
      continue;
    }
    silent_since = mono_now();
    version = row->version;
    awaited.row = *std::move(row);
    if (is_ended(awaited.row.state)) {
      return ended();
    }
    if (!told && awaited.row.state == fb::JobState::Pending && mono_now() - begun >= kTellWaiting) {
      told = true;
      complain("job " + std::to_string(job) + " waits" + (awaited.row.reason.empty() ? "" : ": " + awaited.row.reason));
    }
    if (awaited.row.state == fb::JobState::Pending) {
      continue;
    }
    auto detailed = fetch_job(session, job, {.wanted = true, .elements_first = 0, .elements_limit = 1}, session.fresh_deadline());
    if (!detailed) {
      continue;
    }
    awaited.row = *std::move(detailed);
    if (is_ended(awaited.row.state)) {
      return ended();
    }
    awaited.place = find_stepd(session, awaited.row, 0, mono_now() + Duration::from_seconds(2));
    const Errc code = awaited.place ? Errc::conflict : awaited.place.error().code;
    if (awaited.place || code == Errc::unsupported || code == Errc::permission || code == Errc::refused) {
      return awaited;
    }
    version = 0;  // it runs: its step daemon will be there in a moment
    wait_readable(signals.fd(), mono_now() + kAskAgain);
  }
}

Result<StepLink> StepLink::open(Context& context, const StepPlace& place, Instant deadline) {
  if (place.endpoints.empty()) {
    return fail(Errc::unreachable, "the job's step daemon has no address that can be reached from here");
  }
  Error last{Errc::unreachable, "no step daemon"};
  for (const std::string& text : place.endpoints) {
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) {
      last = endpoint.error();
      continue;
    }
    SocketOptions options;
    options.reconnect = Duration::from_ms(10);
    auto dealer = Dealer::connect(context, *endpoint, options);
    if (!dealer) {
      last = dealer.error();
      continue;
    }
    StepLink link(place, *std::move(dealer));
    fb::StepHelloT hello;
    hello.role = fb::StepRole::User;
    hello.job = place.job;
    hello.token_hi = place.token_hi;
    hello.token_lo = place.token_lo;
    link.send(pack_frame<fb::StepHello>({}, hello));
    Poller poller;
    poller.add(link.dealer_, 1);
    const Instant until = place.endpoints.size() > 1 ? std::min(deadline, mono_now() + Duration::from_seconds(2)) : deadline;
    while (mono_now() < until) {
      link.flush();
      poller.watch_write(1, !link.unsent_.empty() && link.dealer_.is_up());
      static_cast<void>(poller.wait(std::min(until, mono_now() + Duration::from_ms(100))));
      const fb::Frame* frame = link.receive();
      if (frame == nullptr) {
        continue;
      }
      if (const auto* refused = frame->body_as_Refused()) {
        return tl::unexpected(error_of(*refused));
      }
      if (frame->body_type() == fb::Body::StepWelcome) {
        link.lost_ = false;
        return link;
      }
    }
    last = {Errc::unreachable, "the job's step daemon at " + text + " does not answer"};
  }
  return tl::unexpected(last);
}

void StepLink::send(FrameBytes frame) {
  unsent_.push_back(std::move(frame));
  flush();
}

void StepLink::flush() {
  std::size_t sent = 0;
  for (; sent < unsent_.size(); ++sent) {
    const auto outcome = dealer_.send(unsent_[sent]);
    if (!outcome || *outcome != SendOutcome::sent) {
      break;
    }
  }
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent));
}

const fb::Frame* StepLink::receive() {
  while (const auto change = dealer_.next_change()) {
    lost_ = lost_ || *change == LinkChange::down;
  }
  for (;;) {
    const auto got = dealer_.receive(buffer_);
    if (!got || !*got) {
      return nullptr;
    }
    if (const auto frame = verify_frame(buffer_)) {
      return *frame;
    }
  }
}

Result<FrameBytes> StepLink::answer(std::uint64_t request, Instant deadline) {
  Poller poller;
  poller.add(dealer_, 1);
  while (mono_now() < deadline) {
    flush();
    while (const fb::Frame* frame = receive()) {
      if (const auto* refused = frame->body_as_Refused(); refused != nullptr && (refused->request() == request || refused->request() == 0)) {
        return tl::unexpected(error_of(*refused));
      }
      if (request_number(*frame) == request) {
        return buffer_;
      }
    }
    if (lost_) {
      return fail(Errc::unreachable, "the job's step daemon has gone");
    }
    static_cast<void>(poller.wait(std::min(deadline, mono_now() + Duration::from_ms(200))));
  }
  return fail(Errc::timed_out, "the job's step daemon did not answer in time");
}

}  // namespace muster::cli
