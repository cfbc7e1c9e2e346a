#include "master/gateway/duties.hpp"

#include <algorithm>
#include <optional>

#include "wire/base/check.hpp"

namespace muster::master {
namespace {

constexpr Poller::Tag kRouter = 0;
constexpr Poller::Tag kParker = 1;
constexpr Poller::Tag kStop = 2;  // and above

Instant mono_now() { return SystemClock{}.now().mono; }

// The gateway's thread in dedicated mode. Owned by that thread.
class GatewayWait {
 public:
  GatewayWait(const Gateway& gateway, const Parker& parker) : gateway_(gateway) {
    poller_.add(gateway.router(), kRouter);
    poller_.add_fd(parker.fd(), kParker);
  }
  void operator()(Instant deadline) {
    poller_.watch_read(kRouter, !gateway_.is_holding());
    check(poller_.wait(deadline).has_value(), "gateway: poll");
  }

 private:
  const Gateway& gateway_;
  Poller poller_;
};

}  // namespace

Result<std::unique_ptr<Duties>> Duties::open(Context& context, std::span<const Endpoint> endpoints,
                                             const DutiesOptions& options) {
  auto out = std::unique_ptr<Duties>(new Duties);
  out->options_ = options;
  std::vector<std::vector<Endpoint>> groups(1);
  for (const Endpoint& endpoint : endpoints) {
    const bool own = options.threads == Threads::dedicated && endpoint.kind == Endpoint::Kind::tcp;
    if (own && !groups[0].empty()) {
      groups.push_back({endpoint});
    } else {
      groups[0].push_back(endpoint);
    }
  }
  const std::size_t parkers = options.threads == Threads::shared ? 1 : 1 + groups.size();
  for (std::size_t i = 0; i < parkers; ++i) {
    auto parker = Parker::open();
    if (!parker) {
      return tl::unexpected(parker.error());
    }
    out->parkers_.push_back(*std::move(parker));
  }
  Parker& core = *out->parkers_[0];
  for (std::size_t i = 0; i < groups.size(); ++i) {
    GatewayOptions one = options.gateway;
    one.first_link = i + 1;
    one.link_stride = groups.size();
    Parker& own = *out->parkers_[options.threads == Threads::shared ? 0 : 1 + i];
    auto gateway = Gateway::open(context, groups[i], one, core, own);
    if (!gateway) {
      return tl::unexpected(gateway.error());
    }
    for (const Endpoint& bound : (*gateway)->endpoints()) {
      out->endpoints_.push_back(bound);
    }
    out->gateways_.push_back(*std::move(gateway));
  }
  out->desk_ = std::make_unique<ViewDesk>([&core] { core.wake(); });
  return out;
}

Duties::~Duties() = default;

std::vector<Gateway*> Duties::gateway_pointers() const {
  std::vector<Gateway*> out;
  for (const auto& gateway : gateways_) {
    out.push_back(gateway.get());
  }
  return out;
}

Result<std::size_t> Duties::run(MasterCore& core, std::span<const int> stop_fds) {
  CoreDuty duty(core, gateway_pointers(), *desk_);
  return options_.threads == Threads::shared ? run_shared(duty, stop_fds) : run_dedicated(duty, stop_fds);
}

Result<std::size_t> Duties::run_shared(CoreDuty& core, std::span<const int> stop_fds) {
  Parker& parker = *parkers_[0];
  Poller poller;
  for (std::size_t i = 0; i < gateways_.size(); ++i) {
    poller.add(gateways_[i]->router(), kRouter);
  }
  poller.add_fd(parker.fd(), kParker);
  for (std::size_t i = 0; i < stop_fds.size(); ++i) {
    poller.add_fd(stop_fds[i], kStop + static_cast<Poller::Tag>(i));
  }
  std::optional<std::size_t> stopped;
  Status broken;
  const auto poll = [&](Instant deadline) {
    const auto events = poller.wait(deadline);
    if (!events) {
      broken = tl::unexpected(events.error());
      return;
    }
    for (const Poller::Event& event : *events) {
      if (event.tag >= kStop && !stopped) {
        stopped = event.tag - kStop;
      }
    }
  };
  // Busy rounds don't sleep, so they look for a stop now and then.
  constexpr std::uint32_t kBusyRoundsMax = 64;
  std::uint32_t busy = 0;
  const SystemClock clock;
  while (!stopped && broken) {
    const Now now = clock.now();
    std::size_t done = 0;
    for (const auto& gateway : gateways_) {
      done += gateway->do_work(now.mono);
    }
    done += core.do_work(now);
    const auto has_work = [&] {
      return core.has_work() || std::any_of(gateways_.begin(), gateways_.end(), [](const auto& g) {
               return g->has_work() || g->is_holding();
             });
    };
    if (done > 0 && ++busy < kBusyRoundsMax) {
      continue;
    }
    busy = 0;
    if (done > 0) {
      poll(Instant{});
      continue;
    }
    Instant timer = core.next_timer();
    for (const auto& gateway : gateways_) {
      timer = std::min(timer, gateway->next_timer());
    }
    parker.park(has_work, [&] { poll(timer); });
  }
  if (!broken) {
    return tl::unexpected(broken.error());
  }
  return *stopped;
}

Result<std::size_t> Duties::run_dedicated(CoreDuty& core, std::span<const int> stop_fds) {
  Poller poller;
  for (std::size_t i = 0; i < stop_fds.size(); ++i) {
    poller.add_fd(stop_fds[i], static_cast<Poller::Tag>(i));
  }
  const SystemClock clock;
  std::vector<std::unique_ptr<DutyThread>> threads;
  for (std::size_t i = 0; i < gateways_.size(); ++i) {
    Gateway* const gateway = gateways_[i].get();
    Parker& parker = *parkers_[1 + i];
    auto wait = std::make_shared<GatewayWait>(*gateway, parker);
    threads.push_back(std::make_unique<DutyThread>(
        DutyHooks{.do_work = [gateway] { return gateway->do_work(mono_now()); },
                  .has_work = [gateway] { return gateway->has_work(); },
                  .next_timer = [gateway] { return gateway->next_timer(); },
                  .wait = [wait](Instant deadline) { (*wait)(deadline); }},
        DutyOptions{.name = "gateway " + std::to_string(i), .spins_max = options_.spins_max}, parker));
  }
  threads.push_back(std::make_unique<DutyThread>(
      DutyHooks{.do_work = [&] { return core.do_work(clock.now()); },
                .has_work = [&] { return core.has_work(); },
                .next_timer = [&] { return core.next_timer(); }},
      DutyOptions{.name = "core", .spins_max = options_.spins_max}, *parkers_[0]));
  for (;;) {
    const auto events = poller.wait(Instant::never());
    if (!events) {
      return tl::unexpected(events.error());
    }
    if (!events->empty()) {
      return events->front().tag;
    }
  }
}

}  // namespace muster::master
