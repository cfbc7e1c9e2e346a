// FakeCluster: a MasterCore with nodes and frameworks made of a few lines each, which exchange verified frames
// with it under a clock that the test moves. Every frame of a life must come gapless, and the books must balance
// after every step.
#pragma once

#include "tests/master/core/fake_peers.hpp"

namespace muster::master::test {

class FakeCluster {
 public:
  explicit FakeCluster(const MasterConfig& config = {}, std::uint64_t epoch = 1, const MasterDefects& defects = {})
      : config_(config) {
    now_.mono = Instant::from_ns(1'000'000'000);
    now_.wall = WallTime::from_ns(1'700'000'000'000'000'000);
    core_ = std::make_unique<MasterCore>(config, Epoch{epoch}, now_, defects);
  }

  FakeNode& node(const std::string& name, const Resources& capacity) { return nodes({name}, capacity); }
  FakeNode& nodes(std::vector<std::string> names, const Resources& capacity) {
    auto node = std::make_unique<FakeNode>(*this, next_link(), std::move(names), capacity);
    FakeNode& out = *node;
    peers_.push_back(std::move(node));
    return out;
  }
  FakeFramework& framework(std::uint64_t id, const std::string& name) {
    auto framework = std::make_unique<FakeFramework>(*this, next_link(), id, name);
    FakeFramework& out = *framework;
    peers_.push_back(std::move(framework));
    return out;
  }
  FakeOperator& an_operator() {
    auto person = std::make_unique<FakeOperator>(*this, next_link());
    FakeOperator& out = *person;
    peers_.push_back(std::move(person));
    return out;
  }
  LinkId next_link() { return LinkId{++links_}; }

  void deliver(LinkId link, const Peer& peer, const FrameBytes& bytes) {
    const auto frame = verify_frame(bytes);
    if (frame) {
      core_->on_frame(link, peer, **frame, now_);
    } else {
      core_->on_bad_frame(link, peer, frame.error(), now_);
    }
    pump();
  }
  void pump() {
    if (hold_output) {
      return;
    }
    MasterOutputs out;
    core_->flush(now_, out);
    audit();
    for (const OutFrame& frame : out.frames) {
      for (const auto& peer : peers_) {
        if (peer->link() == frame.link) {
          peer->take(frame.bytes);
        }
      }
    }
  }
  void audit() {
    if (!auditing) {
      return;
    }
    const Status books = core_->audit();
    if (!books) {
      FAIL(books.error().text);
    }
  }
  void lose(FakePeer& peer) {
    core_->on_link_lost(peer.link(), now_);
    peer.state().close();
    peer.move_to(next_link());
    pump();
  }
  // Moves the clock; timers fire in order, everybody who beats sends a heartbeat each second.
  void advance(Duration by) {
    const Instant end = now_.mono + by;
    while (now_.mono < end) {
      const Instant next = std::min({end, std::max(core_->next_timer(), now_.mono), next_beat_});
      step_to(next);
      if (now_.mono >= next_beat_) {
        next_beat_ = now_.mono + Duration::from_seconds(1);
        for (const auto& peer : peers_) {
          if (peer->beating) {
            peer->beat();
          }
        }
      }
    }
  }
  // The clock jumps: one call sees every timer that is due, as after a machine slept.
  void jump(Duration by) { step_to(now_.mono + by); }
  void settle() {
    advance(config_.settle);
    REQUIRE(core_->settled());
  }
  // The master dies; its successor knows nothing.
  void restart(std::uint64_t epoch, const MasterDefects& defects = {}) {
    core_ = std::make_unique<MasterCore>(config_, Epoch{epoch}, now_, defects);
    for (const auto& peer : peers_) {
      peer->state().close();
      peer->move_to(next_link());
    }
  }
  [[nodiscard]] MasterCore& core() { return *core_; }
  [[nodiscard]] Now now() const { return now_; }
  [[nodiscard]] MasterCore::NodeBooks books(const std::string& name) {
    for (auto& row : core_->books()) {
      if (row.name == name) {
        return row;
      }
    }
    FAIL("no node " + name);
    return {};
  }
  bool hold_output{};
  bool auditing{true};

 private:
  void step_to(Instant at) {
    now_.wall = WallTime::from_ns(now_.wall.ns() + (at - now_.mono).ns());
    now_.mono = at;
    if (core_->next_timer() <= at) {
      core_->on_timer(now_);
    }
    pump();
  }
  MasterConfig config_;
  Now now_;
  Instant next_beat_{Instant::from_ns(1'500'000'000)};
  std::unique_ptr<MasterCore> core_;
  std::vector<std::unique_ptr<FakePeer>> peers_;
  std::uint64_t links_{100};
};

}  // namespace muster::master::test

#include "tests/master/core/fake_peers_frames.hpp"  // IWYU pragma: keep
