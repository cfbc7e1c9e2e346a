// LinkState: one end of a gapless link. Pure.
//
// The connecting side (node, framework, user) chooses an incarnation and opens with Register or Subscribe
// as sequence 1; the master echoes the incarnation. Each direction counts 1, 2, … Whoever sees a gap gives the
// life up: the connecting side opens again with a larger incarnation, and the difference is restated.
#pragma once

#include <cstdint>

#include "wire/base/ids.hpp"
#include "wire/schema/frame.hpp"

namespace muster {

class LinkState {
 public:
  enum class Verdict : std::uint8_t {
    deliver,            // the next one: take it
    duplicate,          // seen already: drop silently
    gap,                // something is missing: the link must open again
    other_incarnation,  // belongs to another life of the link: drop
  };

  // Starts a life: sequences begin at 1 both ways.
  void open(Incarnation incarnation) {
    incarnation_ = incarnation;
    sent_ = 0;
    received_ = 0;
    peer_received_ = 0;
    open_ = true;
  }
  void close() { open_ = false; }
  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] Incarnation incarnation() const { return incarnation_; }

  // The head of the next frame to send. Consumes a sequence number.
  [[nodiscard]] FrameHead next_head(Epoch epoch) { return {epoch, incarnation_, ++sent_, received_}; }

  // Judges an incoming frame and, when it is the next one, takes it into account.
  [[nodiscard]] Verdict take(const fb::Frame& frame) {
    if (!open_ || frame.incarnation() != incarnation_.value()) {
      return Verdict::other_incarnation;
    }
    if (frame.sequence() <= received_) {
      return Verdict::duplicate;
    }
    if (frame.sequence() != received_ + 1) {
      return Verdict::gap;
    }
    received_ = frame.sequence();
    if (frame.received() > peer_received_ && frame.received() <= sent_) {
      peer_received_ = frame.received();
    }
    return Verdict::deliver;
  }

  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  // Frames sent that the other side has not confirmed: what credit is counted against.
  [[nodiscard]] std::uint64_t in_flight() const { return sent_ - peer_received_; }

 private:
  Incarnation incarnation_{};
  std::uint64_t sent_{};
  std::uint64_t received_{};
  std::uint64_t peer_received_{};
  bool open_{};
};

}  // namespace muster
