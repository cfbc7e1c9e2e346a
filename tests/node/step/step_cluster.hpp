// The step daemons of one job in one process: cores, and a network that delivers at once.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/step/step_core.hpp"

namespace muster::node {

class StepCluster {
 public:
  static constexpr std::uint64_t kTokenHi = 11;
  static constexpr std::uint64_t kTokenLo = 22;
  static constexpr LinkId kUser{1};

  struct Shape {
    std::uint32_t members{1};
    std::uint32_t ranks_each{2};
    fb::TaskKind kind{fb::TaskKind::Run};
    fb::StepSpecT step;
  };
  using RankKey = std::pair<std::uint32_t, std::uint32_t>;  // step, rank

  explicit StepCluster(const Shape& shape) {
    for (std::uint32_t member = 0; member < shape.members; ++member) {
      StepPlan plan;
      plan.spec.job = 7;
      plan.spec.kind = shape.kind;
      plan.spec.token_hi = kTokenHi;
      plan.spec.token_lo = kTokenLo;
      plan.spec.ntasks = shape.members * shape.ranks_each;
      plan.spec.cpus_per_rank_milli = 1000;
      plan.spec.kill_grace_ms = 2000;
      plan.spec.working_directory = "/";
      plan.spec.try_number = 1;
      plan.spec.step = std::make_unique<fb::StepSpecT>(shape.step);
      plan.spec.argv = {"app"};
      for (std::uint32_t i = 0; i < shape.members; ++i) {
        plan.spec.nodes.push_back("n" + std::to_string(i + 1));
        plan.spec.ranks_by_member.push_back(shape.ranks_each);
      }
      plan.facts.member = member;
      plan.facts.ranks = shape.ranks_each;
      plan.facts.node = plan.spec.nodes[member];
      for (std::uint32_t cpu = 0; cpu < shape.ranks_each; ++cpu) {
        plan.facts.cpus.push_back(cpu);
        plan.facts.os_cpus.push_back(cpu + 100);
      }
      plan.attempt = {1, std::uint64_t{member} << 32U};
      cores_.push_back(std::make_unique<StepCore>(std::move(plan), std::vector<std::string>{"ipc:///s"}, now_));
    }
  }

  // All members find their parents.
  void join() {
    for (std::uint32_t member = 1; member < cores_.size(); ++member) {
      hello(member);
    }
    settle();
  }
  void hello(std::uint32_t member) {
    fb::StepHelloT hello;
    hello.role = fb::StepRole::Member;
    hello.member = member;
    hello.job = 7;
    hello.attempt = std::make_unique<fb::AttemptId>(1, std::uint64_t{member} << 32U);
    hello.token_hi = kTokenHi;
    hello.token_lo = kTokenLo;
    to_core((member - 1) / 32, link_of(member), pack_frame<fb::StepHello>({}, hello));
  }
  void user_hello(LinkId link = kUser, std::uint64_t token_lo = kTokenLo) {
    fb::StepHelloT hello;
    hello.role = fb::StepRole::User;
    hello.job = 7;
    hello.token_hi = kTokenHi;
    hello.token_lo = token_lo;
    to_core(0, link, pack_frame<fb::StepHello>({}, hello));
    settle();
  }
  template <class Body>
  void say(const typename Body::NativeTableType& body, LinkId link = kUser) {
    to_core(0, link, pack_frame<Body>({}, body));
    settle();
  }

  // Carries out everything until nothing is left to do.
  void settle() {
    for (bool more = true; more;) {
      more = false;
      for (std::uint32_t member = 0; member < cores_.size(); ++member) {
        if (cut_.contains(member) && !cores_[member]) {
          continue;
        }
        for (StepOutput& order : cores_[member]->take()) {
          more = true;
          carry_out(member, order);
        }
      }
    }
  }
  void advance(Duration by) {
    const Instant until = now_.mono + by;
    while (now_.mono < until) {
      now_.mono = now_.mono + Duration::from_ms(100);
      now_.wall = WallTime::from_ns(now_.wall.ns() + Duration::from_ms(100).ns());
      for (auto& core : cores_) {
        core->on_timer(now_);
      }
      settle();
    }
  }
  void end_rank(std::uint32_t step, std::uint32_t rank, std::int32_t code = 0, std::int32_t signal = 0) {
    const std::uint32_t member = running_.at({step, rank});
    running_.erase({step, rank});
    cores_[member]->on_rank_ended({step, rank}, {.exit_code = code, .signal = signal, .cpu_time_us = 5}, now_);
    settle();
  }
  void end_all(std::uint32_t step) {
    std::vector<RankKey> keys;
    for (const auto& [key, member] : running_) {
      if (key.first == step) {
        keys.push_back(key);
      }
    }
    for (const auto& [number, rank] : keys) {
      end_rank(number, rank);
    }
  }
  void pmi(std::uint32_t member, const PmiEvent& event) {
    cores_[member]->on_pmi(PmiKind::pmix, event, now_);
    settle();
  }
  // No frame from or to this member any more.
  void cut(std::uint32_t member) { cut_.insert(member); }

  [[nodiscard]] StepCore& core(std::uint32_t member) { return *cores_[member]; }
  [[nodiscard]] Now now() const { return now_; }

  // ---- what happened
  std::map<RankKey, std::uint32_t> running_;                      // → member
  std::map<RankKey, step_out::StartRank> started_;
  std::map<std::uint32_t, step_out::Finish> finished_;            // by member
  std::map<LinkId, std::deque<FrameBytes>> said_;                 // to users
  std::map<std::uint32_t, std::vector<step_out::PmiAnswer>> answers_;
  std::map<std::uint32_t, std::vector<step_out::PmiModexServe>> asked_;
  std::map<std::uint32_t, std::vector<step_out::PmiModexAnswer>> served_;
  std::vector<std::string> missing_{"missing"};                   // commands that are not there
  bool stubborn_{};                                               // ranks ignore SIGTERM

  // The frames of this kind that a user has got.
  template <class Body>
  [[nodiscard]] std::vector<typename Body::NativeTableType> heard(LinkId link = kUser) {
    std::vector<typename Body::NativeTableType> found;
    for (const FrameBytes& bytes : said_[link]) {
      if (const auto* body = fb::GetFrame(bytes.data())->body_as<Body>()) {
        found.emplace_back();
        body->UnPackTo(&found.back());
      }
    }
    return found;
  }
  [[nodiscard]] fb::StepReportT report(std::uint32_t member) {
    fb::StepReportT report;
    flatbuffers::GetRoot<fb::StepReport>(finished_.at(member).report.data())->UnPackTo(&report);
    return report;
  }

 private:
  static LinkId link_of(std::uint32_t member) { return LinkId(1000 + member); }
  void to_core(std::uint32_t member, LinkId link, const FrameBytes& bytes) {
    cores_[member]->on_frame(link, {}, *fb::GetFrame(bytes.data()), now_);
  }
  void carry_out(std::uint32_t member, StepOutput& order) {
    StepCore& core = *cores_[member];
    if (auto* start = std::get_if<step_out::StartRank>(&order)) {
      const bool found = std::find(missing_.begin(), missing_.end(), start->argv.front()) == missing_.end();
      const StepCore::Process who{start->step, start->rank};
      started_[{start->step, start->rank}] = std::move(*start);
      if (found) {
        running_[{who.step, who.rank}] = member;
        core.on_rank_started(who, now_);
      } else {
        core.on_rank_not_started(who, 127, "command 'missing' was not found", now_);
      }
    } else if (auto* signal = std::get_if<step_out::SignalRanks>(&order)) {
      if (signal->signal == 9 || (signal->signal == 15 && !stubborn_)) {
        for (auto at = running_.begin(); at != running_.end();) {
          const auto [key, where] = *at;
          at = key.first == signal->step && where == member ? running_.erase(at) : std::next(at);
          if (key.first == signal->step && where == member) {
            core.on_rank_ended({key.first, key.second}, {.exit_code = 128 + signal->signal, .signal = signal->signal}, now_);
          }
        }
      }
    } else if (auto* up = std::get_if<step_out::SendUp>(&order)) {
      const std::uint32_t parent = (member - 1) / 32;
      if (!cut_.contains(member) && !cut_.contains(parent)) {
        to_core(parent, link_of(member), up->frame);
      }
    } else if (auto* to = std::get_if<step_out::SendTo>(&order)) {
      if (to->link.value() < 1000) {
        said_[to->link].push_back(std::move(to->frame));
        return;
      }
      const auto child = static_cast<std::uint32_t>(to->link.value() - 1000);
      if (!cut_.contains(member) && !cut_.contains(child)) {
        cores_[child]->on_parent_frame(*fb::GetFrame(to->frame.data()), now_);
      }
    } else if (auto* answer = std::get_if<step_out::PmiAnswer>(&order)) {
      answers_[member].push_back(std::move(*answer));
    } else if (auto* serve = std::get_if<step_out::PmiModexServe>(&order)) {
      asked_[member].push_back(*serve);
    } else if (auto* served = std::get_if<step_out::PmiModexAnswer>(&order)) {
      served_[member].push_back(std::move(*served));
    } else if (auto* finish = std::get_if<step_out::Finish>(&order)) {
      finished_[member] = std::move(*finish);
    }
  }

  Now now_{Instant::from_ns(1'000'000'000), WallTime::from_ns(1'000'000'000'000)};
  std::vector<std::unique_ptr<StepCore>> cores_;
  std::set<std::uint32_t> cut_;
};

}  // namespace muster::node
