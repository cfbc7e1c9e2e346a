#include "node/stepd_shell.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "node/stepd_tags.hpp"
#include "wire/daemon/log.hpp"
#include "wire/socket/curve.hpp"

namespace muster::node {
namespace {

constexpr int kBatchMax = 256;
constexpr Duration kUsersLooked = Duration::from_ms(500);
constexpr Duration kReadersLimit = Duration::from_seconds(30);  // for those who read slowly, at the end
constexpr Duration kBlockedRetry = Duration::from_ms(5);

}  // namespace

StepdShell::StepdShell(StepPlan plan, const SignalFd& signals)
    : plan_(std::move(plan)), signals_(signals), up_(plan_.facts.directory) {}

StepdShell::~StepdShell() {
  for (auto& [pid, rank] : ranks_) {
    close_pipe(rank->pipes.input);
    close_pipe(rank->pipes.output);
    close_pipe(rank->pipes.error);
  }
  servers_.clear();
  if (epoll_fd_ >= 0) {
    ::close(epoll_fd_);
  }
}

Result<std::unique_ptr<StepdShell>> StepdShell::create(StepPlan plan, const SignalFd& signals) {
  auto shell = std::unique_ptr<StepdShell>(new StepdShell(std::move(plan), signals));
  if (auto listening = shell->listen(); !listening) {
    return tl::unexpected(listening.error());
  }
  return shell;
}

Status StepdShell::listen() {
  if (auto ok = context_.ok(); !ok) {
    return ok;
  }
  auto local = ipc_endpoint(plan_.facts.directory + "/s");
  if (!local) {
    return tl::unexpected(local.error());
  }
  std::vector<Endpoint> wanted{*local};
  if (!plan_.facts.listen.empty()) {
    auto outside = parse_endpoint(plan_.facts.listen);
    if (!outside) {
      return tl::unexpected(outside.error());
    }
    wanted.push_back(*outside);
  }
  RouterOptions options;
  if (!plan_.facts.listen.empty()) {
    auto keys = make_key_pair();  // of this job: whoever connects learns the public one from an agent
    if (!keys) {
      return tl::unexpected(keys.error());
    }
    options.socket.keys = *std::move(keys);
  }
  options.socket.send_frames_max = 256;  // what a reader does not take is better off in our queue
  auto router = Router::bind(context_, wanted, options);
  if (!router) {
    return tl::unexpected(router.error());
  }
  router_ = *std::move(router);
  for (const Endpoint& endpoint : router_->endpoints()) {
    endpoints_.push_back(endpoint.to_string());
  }
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) {
    return fail_errno(errno, "epoll");
  }
  poller_.add(*router_, kLinks);
  poller_.add_fd(signals_.fd(), kSignals);
  poller_.add_fd(epoll_fd_, kRanks);
  core_ = std::make_unique<StepCore>(plan_, endpoints_, now());
  users_seen_ = now().mono;
  return {};
}

void StepdShell::read_links() {
  for (int i = 0; i < kBatchMax; ++i) {
    Incoming in;
    const auto got = router_->receive(in, now().mono);
    if (!got || !*got) {
      return;
    }
    in.message.copy_to(buffer_);
    const auto frame = in.several_parts ? tl::unexpected(FrameError{fb::RefusedCode::Malformed, "a message of several parts"})
                                        : verify_frame(buffer_);
    if (!frame) {
      Refusal refusal;
      refusal.code = frame.error().code;
      refusal.subject = "frame";
      refusal.text = frame.error().text;
      static_cast<void>(router_->send(in.link, refused_frame({}, refusal)));
      continue;
    }
    if (in.peer.local && (*frame)->body_type() == fb::Body::StepHello &&
        (*frame)->body_as_StepHello()->role() == fb::StepRole::User) {
      local_users_[in.link] = static_cast<pid_t>(in.peer.pid);
    }
    core_->on_frame(in.link, {in.peer.local ? in.peer.pid : 0}, **frame, now());
    carry_out();
  }
}

void StepdShell::look_after_users() {
  if (now().mono - users_seen_ < kUsersLooked) {
    return;
  }
  users_seen_ = now().mono;
  std::vector<LinkId> gone;
  for (const auto& [link, pid] : local_users_) {
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) {
      gone.push_back(link);
    }
  }
  for (const LinkId link : gone) {
    local_users_.erase(link);
    core_->on_link_lost(link, now());
  }
}

void StepdShell::read_signals() {
  while (const auto signal = signals_.next()) {
    if (*signal == SIGCHLD) {
      reap();
    } else if (*signal == SIGTERM) {
      core_->on_ending(now());
    }
  }
}

void StepdShell::carry_out() {
  for (bool more = true; more;) {
    auto orders = core_->take();
    more = !orders.empty();
    for (StepOutput& order : orders) {
      std::visit(
          [this](auto& what) {
            using T = std::decay_t<decltype(what)>;
            if constexpr (std::is_same_v<T, step_out::StartRank>) {
              start(what);
            } else if constexpr (std::is_same_v<T, step_out::Truncate>) {
              static_cast<void>(::truncate(what.path.c_str(), 0));  // what is wrong with it shows when it is opened
            } else if constexpr (std::is_same_v<T, step_out::SignalRanks>) {
              signal_step(what.step, what.signal);
            } else if constexpr (std::is_same_v<T, step_out::FeedRank>) {
              feed(what);
            } else if constexpr (std::is_same_v<T, step_out::ResizeRank>) {
              resize(what);
            } else if constexpr (std::is_same_v<T, step_out::PmiBegin>) {
              pmi_begin(what);
            } else if constexpr (std::is_same_v<T, step_out::PmiAnswer>) {
              if (auto* pmi = server(what.kind)) {
                pmi->answer_exchange(what.step, what.ok, what.data);
              }
            } else if constexpr (std::is_same_v<T, step_out::PmiModexAnswer>) {
              if (auto* pmi = server(PmiKind::pmix)) {
                pmi->answer_modex(what.question, what.status, what.data);
              }
            } else if constexpr (std::is_same_v<T, step_out::PmiModexServe>) {
              if (auto* pmi = server(PmiKind::pmix)) {
                pmi->serve_modex(what.step, what.rank, what.question);
              }
            } else if constexpr (std::is_same_v<T, step_out::PmiEnd>) {
              for (auto& [kind, pmi] : servers_) {
                pmi->end_step(what.step);
              }
              files_.erase(what.step);
            } else if constexpr (std::is_same_v<T, step_out::SendUp>) {
              send_up(std::move(what.frame));
            } else if constexpr (std::is_same_v<T, step_out::SendTo>) {
              send_to(what.link, std::move(what.frame), what.bulk);
            } else if constexpr (std::is_same_v<T, step_out::Forget>) {
              queues_.erase(what.link);
              local_users_.erase(what.link);
              router_->forget(what.link);
            } else if constexpr (std::is_same_v<T, step_out::Finish>) {
              finish_ = std::move(what);
              leave_by_ = now().mono + kReadersLimit;
            }
          },
          order);
    }
  }
}

bool StepdShell::all_sent() const {
  return (up_.empty() || !parent_ || !parent_->is_up()) && std::all_of(queues_.begin(), queues_.end(), [](const auto& q) { return q.second->empty(); });
}

Instant StepdShell::next_wake() const {
  Instant wake = std::min({core_->next_timer(), leave_by_, users_seen_ + kUsersLooked, agent_told_ + kAgentTold});
  if (blocked_) {
    wake = std::min(wake, now().mono + kBlockedRetry);
  }
  if (!parent_answers_ && plan_.facts.member != 0) {
    wake = std::min(wake, parent_asked_ + parent_patience_);
  }
  return wake;
}

StepdShell::Outcome StepdShell::run() {
  while (true) {
    tend_agent();
    tend_parent();
    carry_out();
    drain();
    if (finish_ && (all_sent() || now().mono >= leave_by_)) {
      break;
    }
    const auto events = poller_.wait(next_wake());
    if (!events) {
      log::error("poll: " + events.error().text);
      break;
    }
    bool links = false;
    bool ranks = false;
    bool signals = false;
    bool agent = false;
    bool parent = false;
    bool parent_agent = false;
    std::vector<PmiKind> pmi;
    for (const Poller::Event& event : *events) {
      links |= event.tag == kLinks;
      ranks |= event.tag == kRanks;
      signals |= event.tag == kSignals;
      agent |= event.tag == kAgent;
      parent |= event.tag == kParent;
      parent_agent |= event.tag == kParentAgent;
      if (event.tag >= kPmi) {
        pmi.push_back(static_cast<PmiKind>(event.tag - kPmi));
      }
    }
    if (parent) {
      read_parent();
    }
    if (agent || parent_agent) {
      read_agent();
    }
    if (links) {
      read_links();
    }
    for (const PmiKind kind : pmi) {
      if (auto* what = server(kind)) {
        read_pmi(*what);
      }
    }
    if (ranks) {
      read_ranks();
    }
    if (signals) {
      read_signals();
    }
    look_after_users();
    const Now time = now();
    if (time.mono >= core_->next_timer()) {
      core_->on_timer(time);
    }
  }
  Outcome outcome;
  outcome.exit_code = finish_ ? finish_->exit_code : 1;
  if (finish_) {
    outcome.report = std::move(finish_->report);
  }
  return outcome;
}

}  // namespace muster::node
