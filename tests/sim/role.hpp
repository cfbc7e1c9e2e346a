// A process of the simulated cluster: a core, its timer, its flushes, its crashes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/network.hpp"
#include "tests/sim/world.hpp"
#include "wire/base/result.hpp"

namespace muster::sim {

class Cluster;

// Owned by one run.
class Role {
 public:
  Role(Cluster& cluster, std::string name) : cluster_(cluster), name_(std::move(name)) {}
  virtual ~Role() = default;
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] std::uint64_t life() const { return life_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // A new process with a new core. REQUIRES: not up.
  void start();
  // kill -9. What it had sent stays sent.
  void crash();

 protected:
  virtual void make_core() = 0;
  virtual void drop_core() = 0;
  [[nodiscard]] virtual Instant next_timer() const = 0;
  virtual void on_timer() = 0;
  [[nodiscard]] virtual Status audit() const = 0;
  // The core's outputs as steps that are carried out one by one; a crash may come between two.
  virtual void collect(std::vector<std::function<void()>>& actions) = 0;
  // Who starts it again, after how long.
  virtual void on_crashed_in_flush() = 0;

  // After every input to the core: checks, arms the timer, and has the outputs collected a moment later.
  void after_input();

  Cluster& cluster_;

 private:
  void flush();
  void arm();
  void check_audit() const;

  std::string name_;
  bool up_{};
  std::uint64_t life_{};
  bool flush_waits_{};
  Instant timer_at_ = Instant::never();
  Instant spin_second_;
  std::uint32_t spins_{};
};

}  // namespace muster::sim
