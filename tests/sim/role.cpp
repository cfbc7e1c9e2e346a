#include "tests/sim/role.hpp"

#include <algorithm>

#include "tests/sim/cluster.hpp"

namespace muster::sim {

void Role::start() {
  up_ = true;
  ++life_;
  flush_waits_ = false;
  timer_at_ = Instant::never();
  cluster_.world().note("start of", life_, [&] { return name_; });
  make_core();
  after_input();
}

void Role::crash() {
  if (!up_) {
    return;
  }
  cluster_.world().note("crash of", life_, [&] { return name_; });
  cluster_.count_crash();
  up_ = false;
  ++life_;
  drop_core();
}

void Role::check_audit() const {
  if (const Status status = audit(); !status) {
    violated("audit of the " + name_.substr(0, name_.find(' ')), name_ + ": " + status.error().text);
  }
}

void Role::after_input() {
  if (!up_) {
    return;
  }
  check_audit();
  arm();
  if (!flush_waits_) {
    flush_waits_ = true;
    World& world = cluster_.world();
    const Duration delay = world.prng.percent(2) ? world.prng.between(Duration::from_us(1), Duration::from_ms(20))
                                                 : world.prng.between(Duration::from_us(1), Duration::from_us(200));
    world.after(delay, [this, life = life_] {
      if (up_ && life_ == life) {
        flush();
      }
    });
  }
}

void Role::flush() {
  flush_waits_ = false;
  std::vector<std::function<void()>> actions;
  collect(actions);
  check_audit();
  World& world = cluster_.world();
  std::size_t carried_out = actions.size();
  const bool crashes = world.prng.chance_ppm(cluster_.crash_in_flush_ppm()) && !actions.empty();
  if (crashes) {
    carried_out = world.prng.below(actions.size() + 1);
  }
  for (std::size_t i = 0; i < carried_out; ++i) {
    actions[i]();
  }
  if (crashes) {
    crash();
    on_crashed_in_flush();
    return;
  }
  arm();
}

void Role::arm() {
  const Instant next = next_timer();
  if (next == Instant::never() || next >= timer_at_) {
    return;
  }
  World& world = cluster_.world();
  // A shell's timer is a little late.
  const Instant at = std::max(next, world.now()) + world.prng.between(Duration::from_us(1), Duration::from_ms(1));
  timer_at_ = at;
  world.at(at, [this, life = life_, at] {
    if (!up_ || life_ != life || timer_at_ != at) {
      return;
    }
    timer_at_ = Instant::never();
    const World& w = cluster_.world();
    if (w.now() - spin_second_ > Duration::from_seconds(1)) {
      spin_second_ = w.now();
      spins_ = 0;
    }
    if (++spins_ > 3000) {
      violated("spinning timer", name_ + " asks for its timer again and again");
    }
    if (next_timer() <= w.now()) {
      on_timer();
      after_input();
    } else {
      arm();
    }
  });
}

}  // namespace muster::sim
