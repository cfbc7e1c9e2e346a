#include "node/agent.hpp"

#include <algorithm>
#include <csignal>
#include <variant>

#include "wire/daemon/log.hpp"

namespace muster::node {
namespace {

enum Tag : Poller::Tag { kMaster = 1, kUsers, kLauncher, kSignals };

constexpr int kBatchMax = 256;                                // frames per wake-up and socket
constexpr Duration kLauncherRetry = Duration::from_ms(1000);
constexpr Duration kLauncherTimeout = Duration::from_seconds(5);
constexpr Duration kLeaveLimit = Duration::from_seconds(15);
constexpr std::size_t kUserLinksMax = 1024;
constexpr Duration kUserSilence = Duration::from_seconds(600);

}  // namespace

Agent::Agent(AgentPlan plan, AgentDisk disk, const SignalFd& signals, Dealer master, Router users)
    : plan_(std::move(plan)),
      disk_(std::move(disk)),
      signals_(signals),
      master_(std::move(master)),
      users_(std::move(users)),
      core_(plan_.config, disk_.memory(), clock_.now()) {
  poller_.add(master_, kMaster);
  poller_.add(users_, kUsers);
  poller_.add_fd(signals_.fd(), kSignals);
  core_.on_outputs_loaded(disk_.load_outputs());
}

void Agent::connect_launcher() {
  auto client = LauncherClient::connect({.directory = plan_.state_dir,
                                         .launcher_path = plan_.launcher,
                                         .plain = plan_.plain,
                                         .idle_seconds = "",
                                         .timeout = kLauncherTimeout});
  if (!client) {
    log::error("no launcher: " + client.error().text);
    launcher_retry_ = now().mono + kLauncherRetry;
    return;
  }
  launcher_ = *std::move(client);
  poller_.add_fd(launcher_->fd(), kLauncher);
  read_launcher();
}

void Agent::lose_launcher(const std::string& why) {
  if (!launcher_) {
    return;
  }
  poller_.remove(kLauncher);
  launcher_.reset();
  core_.on_launcher_lost(now());
  if (leaving_) {
    log::info("the launcher has gone");
    gone_ = true;
    return;
  }
  log::warn("the launcher is lost (" + why + "); connecting again");
  launcher_retry_ = now().mono;
}

void Agent::read_launcher() {
  std::vector<LauncherMessage> messages;
  const Status received = launcher_->receive(messages);
  for (const LauncherMessage& message : messages) {
    if (const auto* hello = std::get_if<LauncherHello>(&message)) {
      std::string text = "launcher speaks: containment " + hello->containment + ", " +
                         std::to_string(hello->tasks.size()) + " known tasks";
      for (std::size_t i = 0; i < hello->not_enforced.size() && !hello_logged_; ++i) {
        text += (i == 0 ? "; not enforced: " : ", ") + hello->not_enforced[i];
      }
      log::info(text);
      hello_logged_ = true;
      core_.on_launcher_hello(*hello, now());
    } else {
      core_.on_launcher_event(std::get<LauncherEvent>(message), now());
    }
  }
  if (!received) {
    lose_launcher(received.error().text);
  }
}

void Agent::read_master() {
  while (const auto change = master_.next_change()) {
    if (*change == LinkChange::up) {
      core_.on_master_link_up(now());
    } else {
      to_master_.clear();
      core_.on_master_link_down(now());
    }
  }
  refusals_.look(master_, now().mono);
  for (int i = 0; i < kBatchMax; ++i) {
    const auto got = master_.receive(buffer_);
    if (!got) {
      log::error("master link: " + got.error().text);
      return;
    }
    if (!*got) {
      return;
    }
    if (const auto frame = verify_frame(buffer_)) {
      refusals_.hear(**frame, now().mono);
      core_.on_master_frame(**frame, now());
    } else {
      core_.on_bad_master_frame(frame.error(), now());
    }
  }
}

void Agent::read_users() {
  for (int i = 0; i < kBatchMax; ++i) {
    Incoming in;
    const auto got = users_.receive(in, now().mono);
    if (!got) {
      log::error("job socket: " + got.error().text);
      return;
    }
    if (!*got) {
      break;
    }
    in.message.copy_to(buffer_);
    const auto frame = in.several_parts ? tl::unexpected(FrameError{fb::RefusedCode::Malformed, "a message of several parts"})
                                        : verify_frame(buffer_);
    if (frame) {
      core_.on_user_frame(in.link, {in.peer.local, in.peer.uid, in.peer.pid}, **frame, now());
    } else {
      Refusal refusal;
      refusal.code = frame.error().code;
      refusal.subject = "frame";
      refusal.text = frame.error().text;
      static_cast<void>(users_.send(in.link, refused_frame({}, refusal)));
    }
  }
  const Instant time = now().mono;
  if (users_.links() > kUserLinksMax && time - users_swept_ > Duration::from_seconds(10)) {
    std::vector<LinkId> lost;
    users_.forget_silent(time - kUserSilence, lost);
    users_swept_ = time;
  }
}

void Agent::read_signals() {
  while (const auto signal = signals_.next()) {
    if (*signal == SIGHUP) {
      log::info("hung up: leaving, the tasks go on");
      gone_ = true;
    } else if (!leaving_) {
      log::info("signal " + std::to_string(*signal) + ": ending the tasks, then leaving");
      leaving_ = true;
      leave_by_ = now().mono + kLeaveLimit;
      core_.on_leaving(now());
      gone_ = !launcher_;
    } else {
      gone_ = true;
    }
  }
}

void Agent::send_to_master() {
  while (!to_master_.empty()) {
    const auto sent = master_.send(to_master_.front());
    if (!sent) {
      log::error("master link: " + sent.error().text);
      to_master_.clear();
      return;
    }
    if (*sent == SendOutcome::would_block) {
      poller_.watch_write(kMaster, master_.is_up());
      return;
    }
    to_master_.pop_front();
  }
  poller_.watch_write(kMaster, false);
}

bool Agent::send_to_launcher(const LauncherCommand& command) {
  if (!launcher_) {
    return true;
  }
  if (const auto queued = launcher_->queue(command); !queued) {
    // Too large for a frame: the task can't be started, and only a Start can be that large.
    if (const auto* start = std::get_if<command::Start>(&command)) {
      event::Ended ended;
      ended.framework = start->task.framework;
      ended.attempt = start->task.attempt;
      ended.state = TaskState::start_failed;
      ended.reason = TaskReason::spawn_failed;
      ended.text = queued.error().text;
      ended.ended = now().wall;
      core_.on_launcher_event(ended, now());
      return false;
    }
    log::error("launcher command: " + queued.error().text);
  }
  return true;
}

// Repeats until the core has nothing more to say: reading output leads to answers.
Status Agent::carry_out() {
  bool more = true;
  while (more) {
    NodeOutputs out;
    core_.flush(now(), out);
    if (out.memory) {
      if (auto kept = disk_.remember(*out.memory); !kept) {
        return kept;  // nothing may leave that relies on it
      }
    }
    if (!out.output_records.empty()) {
      if (auto kept = disk_.append_outputs(out.output_records); !kept) {
        log::warn("where output is will be forgotten at the next start: " + kept.error().text);
      }
    }
    std::move(out.to_master.begin(), out.to_master.end(), std::back_inserter(to_master_));
    more = !out.log_reads.empty();
    for (const LauncherCommand& command : out.to_launcher) {
      more |= !send_to_launcher(command);
    }
    for (const UserFrame& frame : out.to_users) {
      static_cast<void>(users_.send(frame.link, frame.bytes));  // whoever went away asks again
    }
    for (const LogRead& read : out.log_reads) {
      const auto as = read.as_user ? std::optional(FileUser{read.uid, read.gid}) : std::nullopt;
      const auto data = outputs_.read(
          {.path = read.path, .offset = read.offset, .bytes_max = read.max_bytes, .as = as}, now().mono);
      core_.on_log_read(read, data, now());
    }
  }
  send_to_master();
  if (launcher_) {
    if (const auto flushed = launcher_->flush(); !flushed) {
      lose_launcher(flushed.error().text);
    } else {
      poller_.watch_write(kLauncher, launcher_->wants_write());
    }
  }
  return {};
}

void Agent::note_changes() {
  if (core_.is_registered() != registered_) {
    registered_ = core_.is_registered();
    log::info(core_.status_text());
  }
}

Instant Agent::next_wake() const {
  Instant wake = core_.next_timer();
  if (!launcher_) {
    wake = std::min(wake, launcher_retry_);
  }
  return std::min(wake, leave_by_);
}

Status Agent::run() {
  while (!gone_) {
    if (!launcher_ && !leaving_ && now().mono >= launcher_retry_) {
      connect_launcher();
    }
    if (auto done = carry_out(); !done) {
      return done;
    }
    note_changes();
    if (gone_) {
      break;
    }
    const auto events = poller_.wait(next_wake());
    if (!events) {
      return tl::unexpected(events.error());
    }
    bool launcher_ready = false;
    for (const Poller::Event& event : *events) {
      switch (event.tag) {
        case kMaster: read_master(); break;
        case kUsers: read_users(); break;
        case kLauncher: launcher_ready = event.readable || event.broken; break;
        case kSignals: read_signals(); break;
        default: break;
      }
    }
    if (launcher_ready && launcher_) {
      read_launcher();
    }
    const Now time = now();
    if (time.mono >= core_.next_timer()) {
      core_.on_timer(time);
    }
    if (time.mono >= leave_by_) {
      log::warn("the launcher has not gone in time; it ends the tasks without us");
      gone_ = true;
    }
  }
  return carry_out();  // last words
}

}  // namespace muster::node
