#include "sched/cli/session.hpp"

#include <poll.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "sched/cli/daemons.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

// A daemon that is not where cluster.json says may still have been started by other means.
constexpr Duration kPatienceWithTheDead = Duration::from_ms(700);

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return home;
  }
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "";
}

std::string current_directory() {
  char* const path = ::getcwd(nullptr, 0);
  std::string text = path == nullptr ? "/" : path;
  std::free(path);
  return text;
}

bool answers(Context& context, const std::string& text) {
  auto endpoint = parse_endpoint(text);
  if (!endpoint) {
    return false;
  }
  auto dealer = Dealer::connect(context, *endpoint);
  const Instant until = mono_now() + kPatienceWithTheDead;
  while (dealer && mono_now() < until) {
    while (dealer->next_change()) {
    }
    if (dealer->is_up()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

Instant mono_now() { return SystemClock{}.now().mono; }

void wait_readable(int fd, Instant until) {
  const std::int64_t left_ms = ((until - mono_now()).ns() + 999'999) / 1'000'000;
  if (left_ms > 0) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left_ms, 60'000)));
  }
}

void complain(const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "muster: %s\n", text.c_str());
}

int complain(const Error& error) {
  complain(error.text);
  return exit_code_of(error.code);
}

int complain_installed(const ClusterPlace& place) {
  complain("the cluster in " + place.dir + " (" + place.source +
           ") was not made by `muster up`: its daemons are started and ended by others; for one of your own name another folder: "
           "muster up --dir DIR");
  return kFailed;
}

void say(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<ClusterPlace> place_of(const CommonOptions& common) {
  return find_place(common, [](const char* name) -> const char* { return std::getenv(name); }, home_directory(),
                    current_directory());
}

Session::Session(const CommonOptions& common, ClusterPlace place, ClusterRecord record)
    : common_(common), place_(std::move(place)), record_(std::move(record)), deadline_(mono_now() + common.timeout) {}

Instant Session::fresh_deadline() const { return mono_now() + common_.timeout; }

Result<std::unique_ptr<Session>> Session::open(const CommonOptions& common) {
  auto place = place_of(common);
  if (!place) {
    return tl::unexpected(place.error());
  }
  auto record = place->installed ? Result<ClusterRecord>(ClusterRecord{}) : load_cluster(*place);
  if (!record) {
    return tl::unexpected(record.error());
  }
  std::unique_ptr<Session> session(new Session(common, *std::move(place), *std::move(record)));
  if (auto ok = session->context_.ok(); !ok) {
    return tl::unexpected(ok.error());
  }
  return session;
}

Result<Conversation*> Session::conversation(std::unique_ptr<Conversation>& slot, const std::string& daemon,
                                            const std::string& who) {
  if (slot) {
    return slot.get();
  }
  const std::string where = place_.endpoint(daemon);
  if (place_.installed) {
    const std::string cluster = who + " of this cluster (" + where + ", " + place_.source + ")";
    if (where.starts_with("ipc://") && ::access(where.c_str() + 6, W_OK) != 0 && errno == EACCES) {
      return fail(Errc::unreachable, cluster + " is closed to you; its daemons let every user in with --all-users");
    }
    if (!answers(context_, where)) {
      return fail(Errc::unreachable, cluster + " does not answer; is muster-" + daemon + " running on this host?");
    }
  }
  const DaemonRecord* known = record_.find(daemon);
  if (known != nullptr && known->process.pid == 0) {
    return fail(Errc::unreachable, "the cluster in " + place_.dir + " (" + place_.source +
                                       ") is not running; start it: muster up" + place_.hint());
  }
  const auto boot = boot_id();
  const bool alive = known != nullptr && boot && is_running(record_, *known, *boot);
  if (!place_.installed && !alive && !answers(context_, where)) {
    const std::string why = last_error(place_, daemon);
    return fail(Errc::unreachable, who + " of the cluster in " + place_.dir + " (" + place_.source + ") does not run; " +
                                       (why.empty() ? "" : "it ended with: " + why + "; ") + "start it again: muster up" +
                                       place_.hint());
  }
  auto opened = Conversation::open(context_, who + " at " + where, where);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  slot = std::make_unique<Conversation>(*std::move(opened));
  return slot.get();
}

}  // namespace muster::cli
