#include "sched/client/driver.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <random>

#include "wire/base/time.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"

namespace muster::client {
namespace {

constexpr int kBatchMax = 256;  // frames per wake-up

[[nodiscard]] Result<Endpoint> master_endpoint(const DriverOptions& options) {
  if (!options.master.empty()) {
    return parse_endpoint(options.master);
  }
  const auto environment = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string dir = !options.dir.empty() ? options.dir : environment("MUSTER_DIR");
  if (dir.empty()) {
    const std::string home = environment("HOME");
    if (home.empty()) {
      return fail(Errc::unreachable, "no cluster's folder: set MUSTER_DIR");
    }
    dir = home + "/.muster";
  }
  return ipc_endpoint(dir + "/master.ipc");
}

[[nodiscard]] std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U | device()) | 1U;
}

}  // namespace

// Owned by the thread that calls run().
class Driver {
 public:
  Driver(Framework& framework, const DriverOptions& options, Dealer dealer)
      : framework_(framework), options_(options), dealer_(std::move(dealer)), link_(config(options), framework) {
    framework_.link_ = &link_;
    framework_.stopped_ = false;
    poller_.add(dealer_, 1);
    if (options_.wake_fd >= 0) {
      poller_.add_fd(options_.wake_fd, 2);
    }
  }
  ~Driver() { framework_.link_ = nullptr; }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  [[nodiscard]] Status run() {
    const Instant give_up = clock_.now().mono + options_.connect_timeout;
    bool reached = false;
    for (;;) {
      const Instant turn = options_.on_turn ? options_.on_turn(clock_.now()) : Instant::never();
      if (auto sent = send(); !sent) {
        return sent;
      }
      if (framework_.stopped_) {
        return {};
      }
      reached = reached || link_.connected();
      const Now now = clock_.now();
      if (!reached && now.mono >= give_up) {
        return fail(Errc::unreachable, "no master answers at " + dealer_.endpoint().to_string() +
                                           "; start a cluster with 'muster up', or set MUSTER_DIR");
      }
      const Instant deadline = std::min(turn, reached ? link_.next_timer() : std::min(link_.next_timer(), give_up));
      if (const auto events = poller_.wait(deadline); !events) {
        return tl::unexpected(events.error());
      }
      if (auto received = receive(); !received) {
        return received;
      }
      if (link_.next_timer() <= clock_.now().mono) {
        link_.on_timer(clock_.now());
      }
    }
  }

 private:
  [[nodiscard]] static LinkConfig config(const DriverOptions& options) {
    LinkConfig config;
    config.framework = options.framework.value() != 0 ? options.framework : FrameworkId(random_id());
    config.name = options.name;
    config.role = options.role;
    config.failover_timeout = options.failover_timeout;
    config.first_incarnation = options.incarnation;
    config.auto_acknowledge = options.auto_acknowledge;
    return config;
  }

  [[nodiscard]] Status send() {
    std::vector<FrameBytes> frames;
    link_.flush(clock_.now(), frames);
    std::move(frames.begin(), frames.end(), std::back_inserter(waiting_));
    while (!waiting_.empty()) {
      const auto sent = dealer_.send(waiting_.front());
      if (!sent) {
        return tl::unexpected(sent.error());
      }
      if (*sent == SendOutcome::would_block) {
        break;
      }
      waiting_.pop_front();
    }
    poller_.watch_write(1, !waiting_.empty() && dealer_.is_up());
    return {};
  }

  [[nodiscard]] Status receive() {
    while (const auto change = dealer_.next_change()) {
      if (*change == LinkChange::up) {
        link_.on_link_up(clock_.now());
      } else {
        waiting_.clear();
        link_.on_link_down(clock_.now());
      }
    }
    FrameBytes buffer;
    for (int i = 0; i < kBatchMax && !framework_.stopped_; ++i) {
      const auto got = dealer_.receive(buffer);
      if (!got) {
        return tl::unexpected(got.error());
      }
      if (!*got) {
        break;
      }
      if (const auto frame = verify_frame(buffer)) {
        link_.on_frame(**frame, clock_.now());
      }
    }
    return {};
  }

  Framework& framework_;
  DriverOptions options_;
  Dealer dealer_;
  MasterLink link_;
  SystemClock clock_;
  Poller poller_;
  std::deque<FrameBytes> waiting_;
};

Status run(Framework& framework, const DriverOptions& options) {
  const auto endpoint = master_endpoint(options);
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  Context context;
  if (auto ok = context.ok(); !ok) {
    return ok;
  }
  auto dealer = Dealer::connect(context, *endpoint);
  if (!dealer) {
    return tl::unexpected(dealer.error());
  }
  return Driver(framework, options, *std::move(dealer)).run();
}

FrameBytes command_spec(const std::vector<std::string>& argv, const CommandOptions& options) {
  fb::TaskSpecT spec;
  spec.name = options.name;
  spec.argv = argv;
  spec.environment = options.environment;
  spec.working_directory = options.working_directory;
  if (spec.working_directory.empty()) {
    std::error_code failed;
    const auto here = std::filesystem::current_path(failed);
    spec.working_directory = failed ? "/" : here.string();
  }
  spec.stdout_path = options.stdout_path;
  spec.ntasks = 1;
  spec.try_number = 1;
  spec.kill_grace_ms = 5000;
  spec.executor = options.executor;
  spec.token_hi = options.token_hi;
  spec.token_lo = options.token_lo;
  return pack_spec(spec);
}

}  // namespace muster::client
