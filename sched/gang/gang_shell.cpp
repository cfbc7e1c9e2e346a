#include "sched/gang/gang_shell.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>

#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::gang {
namespace {

enum Tag : Poller::Tag { kMaster = 1, kUsers, kSignals, kStore };

constexpr int kBatchMax = 512;                     // frames per wake-up and socket
constexpr std::size_t kUserFramesMax = 20'000;     // that slow users have not taken
constexpr Duration kUserRetry = Duration::from_ms(10);
constexpr std::size_t kUserLinksMax = 4096;
// Written at once, without the writer's thread: two wake-ups take longer than a small batch on a fast disk.
constexpr std::size_t kSmallBatchOps = 4;
constexpr Duration kFastWrite = Duration::from_us(600);
constexpr Duration kStatusEvery = Duration::from_seconds(60);
constexpr Duration kUserNameKept = Duration::from_seconds(60);
constexpr std::size_t kUserNamesMax = 10'000;
constexpr Duration kUserSilence = Duration::from_seconds(600);

[[nodiscard]] std::uint64_t number_in(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

GangShell::GangShell(GangPlan plan, LockFile lock, SqliteStore store, Wakeup stored, Dealer master, Router users)
    : plan_(std::move(plan)),
      lock_(std::move(lock)),
      store_(std::move(store)),
      writer_(store_, std::move(stored)),
      master_(std::move(master)),
      users_(std::move(users)) {
  poller_.add(master_, kMaster);
  poller_.add(users_, kUsers);
  poller_.add_fd(writer_.fd(), kStore);
}

Result<std::unique_ptr<GangShell>> GangShell::open(Context& context, GangPlan plan) {
  const std::string folder = plan.dir + "/gang";
  if (auto made = make_directory(plan.dir, plan.config.owner_only ? 0700 : 0755); !made) {
    return tl::unexpected(made.error());
  }
  if (auto made = make_directory(folder); !made) {
    return tl::unexpected(made.error());
  }
  auto lock = LockFile::acquire(folder + "/lock", "muster-gang of " + plan.dir);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  auto store = SqliteStore::open(folder + "/gang.db");
  if (!store) {
    return tl::unexpected(store.error());
  }
  auto stored = Wakeup::open();
  if (!stored) {
    return tl::unexpected(stored.error());
  }
  SocketOptions socket_options;
  socket_options.keys = plan.keys;
  auto master = Dealer::connect(context, plan.master, socket_options);
  if (!master) {
    return tl::unexpected(master.error());
  }
  auto users = Router::bind(context, plan.listen);
  if (!users) {
    return tl::unexpected(users.error());
  }
  if (!plan.config.owner_only) {
    for (const Endpoint& endpoint : users->endpoints()) {
      if (auto opened = open_to_all(endpoint.path); !opened) {
        return tl::unexpected(opened.error());
      }
    }
  }
  std::unique_ptr<GangShell> shell(new GangShell(std::move(plan), *std::move(lock), *std::move(store), *std::move(stored),
                                                 *std::move(master), *std::move(users)));
  if (auto started = shell->start(); !started) {
    return tl::unexpected(started.error());
  }
  return shell;
}

Status GangShell::start() {
  const auto id_text = store_.meta("framework_id");
  const auto lives_text = store_.meta("lives");
  if (!id_text || !lives_text) {
    return tl::unexpected((id_text ? lives_text : id_text).error());
  }
  std::uint64_t id = number_in(*id_text);
  if (id == 0) {
    id = random_u64() | 1U;
    if (auto set = store_.set_meta("framework_id", std::to_string(id)); !set) {
      return set;
    }
  }
  // Incarnations grow over restarts: the upper half counts the daemon's lives, and is on disk before it is used.
  const std::uint64_t life = number_in(*lives_text) + 1;
  if (auto set = store_.set_meta("lives", std::to_string(life)); !set) {
    return set;
  }
  plan_.config.framework = FrameworkId(id);
  plan_.config.first_incarnation = Incarnation(life << 32U);
  plan_.config.seed = random_u64();
  auto loaded = store_.load(plan_.config.done_jobs_kept);
  if (!loaded) {
    return tl::unexpected(loaded.error());
  }
  core_ = std::make_unique<GangCore>(plan_.config, *loaded, now());
  log::info("framework " + std::to_string(id) + ", life " + std::to_string(life) + ", " +
            std::to_string(loaded->jobs.size()) + " jobs from the store; master at " + plan_.master.to_string());
  return {};
}

void GangShell::read_master() {
  while (const auto change = master_.next_change()) {
    if (*change == LinkChange::up) {
      core_->on_master_link_up(now());
    } else {
      log::warn("the master's link is down");
      to_master_.clear();
      core_->on_master_link_down(now());
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
      core_->on_master_frame(**frame, now());
    } else {
      log::warn("a frame of the master does not verify: " + frame.error().text);  // the gap it leaves ends the life
    }
  }
}

void GangShell::read_users() {
  for (int i = 0; i < kBatchMax; ++i) {
    Incoming in;
    const auto got = users_.receive(in, now().mono);
    if (!got) {
      log::error("user socket: " + got.error().text);
      return;
    }
    if (!*got) {
      break;
    }
    in.message.copy_to(buffer_);
    const auto frame = in.several_parts ? tl::unexpected(FrameError{fb::RefusedCode::Malformed, "a message of several parts"})
                                        : verify_frame(buffer_);
    if (frame) {
      Peer peer{in.peer.local, in.peer.uid, in.peer.pid, in.peer.gid};
      if (peer.local && (*frame)->body_type() == fb::Body::Submit) {
        peer.user = name_of(peer.uid);
      }
      core_->on_user_frame(in.link, peer, **frame, now());
    } else {
      core_->on_bad_user_frame(in.link, frame.error(), now());
    }
  }
  const Instant time = now().mono;
  if (users_.links() > kUserLinksMax && time - users_swept_ > Duration::from_seconds(10)) {
    users_swept_ = time;
    std::vector<LinkId> lost;
    users_.forget_silent(time - kUserSilence, lost);
    for (const LinkId link : lost) {
      core_->on_user_lost(link, now());
    }
  }
}

const std::string& GangShell::name_of(std::uint32_t uid) {
  const Instant time = now().mono;
  auto known = users_known_.find(uid);
  if (known == users_known_.end() || time - known->second.asked > kUserNameKept) {
    if (users_known_.size() >= kUserNamesMax) {
      users_known_.clear();
    }
    std::string name = user_name(uid);
    known = users_known_.insert_or_assign(uid, KnownUser{name.empty() ? std::to_string(uid) : std::move(name), time}).first;
  }
  return known->second.name;
}

Status GangShell::settle() {
  // A commit lets answers go, and those may plan anew: a few rounds, then the sockets' turn.
  for (int round = 0; round < 4; ++round) {
    GangOutputs out;
    core_->flush(now(), out);
    const bool quiet = !out.store && out.to_master.empty();
    std::move(out.to_master.begin(), out.to_master.end(), std::back_inserter(to_master_));
    std::move(out.to_users.begin(), out.to_users.end(), std::back_inserter(to_users_));
    if (out.store) {
      if (auto written = write(*std::move(out.store)); !written) {
        return written;
      }
    }
    send_to_master();
    send_to_users();
    if (quiet) {
      break;
    }
  }
  return {};
}

Status GangShell::write(StoreBatch batch) {
  if (batch.ops.size() > kSmallBatchOps || last_write_ > kFastWrite) {
    last_write_ = last_write_ / 2;  // tried again some batches later
    writer_.begin(std::move(batch));
    return {};
  }
  const Instant begun = now().mono;
  auto status = store_.commit(batch);
  last_write_ = now().mono - begun;
  return on_written({batch.number, std::move(status)});
}

Status GangShell::on_written(const StoreWriter::Done& done) {
  if (done.status) {
    core_->on_stored(done.number, now());
  }
  return done.status;
}

void GangShell::send_to_master() {
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

void GangShell::send_to_users() {
  users_blocked_ = false;
  for (std::size_t left = to_users_.size(); left > 0; --left) {
    UserFrame frame = std::move(to_users_.front());
    to_users_.pop_front();
    const auto sent = users_.send(frame.link, frame.bytes);
    if (sent && *sent == SendOutcome::would_block) {
      users_blocked_ = true;
      to_users_.push_back(std::move(frame));
    } else if (sent && *sent == SendOutcome::link_lost) {
      core_->on_user_lost(frame.link, now());
    }
  }
  while (to_users_.size() > kUserFramesMax) {
    to_users_.pop_front();  // its asker asks again
  }
}

// A line a minute while something changes.
void GangShell::log_status() {
  const Instant time = now().mono;
  if (time - status_logged_ < kStatusEvery) {
    return;
  }
  status_logged_ = time;
  if (std::string text = core_->status_text(); text != status_) {
    status_ = std::move(text);
    log::info(status_);
  }
}

Status GangShell::run(const SignalFd& signals) {
  poller_.add_fd(signals.fd(), kSignals);
  for (;;) {
    if (auto settled = settle(); !settled) {
      return settled;
    }
    Instant deadline = core_->next_timer();
    if (users_blocked_) {
      deadline = std::min(deadline, now().mono + kUserRetry);
    }
    const auto events = poller_.wait(deadline);
    if (!events) {
      return tl::unexpected(events.error());
    }
    for (const Poller::Event& event : *events) {
      if (event.tag == kMaster) {
        read_master();
      } else if (event.tag == kUsers) {
        read_users();
      } else if (event.tag == kStore) {
        if (const auto done = writer_.take()) {
          if (auto written = on_written(*done); !written) {
            return written;
          }
        }
      } else if (const auto signal = signals.next()) {
        log::info("leaving on signal " + std::to_string(*signal) + ": running jobs go on; " + core_->status_text());
        for (;;) {
          if (auto settled = settle(); !settled) {
            return settled;
          }
          const auto done = writer_.finish();
          if (!done) {
            return {};
          }
          if (auto written = on_written(*done); !written) {
            return written;
          }
        }
      }
    }
    if (core_->next_timer() <= now().mono) {
      core_->on_timer(now());
    }
    log_status();
  }
}

}  // namespace muster::gang
