// Peer: one hostile or clumsy end of a link to the master under test. Pure.
#pragma once

#include <cstdint>

#include "tests/fuzz/messages.hpp"

namespace muster::fuzz {

class Peer {
 public:
  Peer(LinkId link, Identity who) : link_(link), who_(std::move(who)) {}

  // The next frame it sends; may be no frame at all.
  [[nodiscard]] FrameBytes next(Random& random, const Learnt& shared);
  // Takes a frame from the master; keeps the sequence and learns from it. False: it does not verify.
  [[nodiscard]] bool take(const FrameBytes& bytes, Learnt& shared);
  [[nodiscard]] LinkId link() const { return link_; }
  void move_to(LinkId link) {
    link_ = link;
    alive_ = false;
  }

 private:
  void learn(const fb::Frame& frame, Learnt& shared);

  LinkId link_;
  Identity who_;
  std::vector<fb::OfferEntry> offers_;  // the newest ones it was made
  std::vector<fb::AttemptRef> tasks_;   // the newest ones it was told to start
  std::uint64_t update_seq_{1};
  bool alive_{};  // a life was opened
  std::uint64_t incarnation_{};
  std::uint64_t sent_{};
  std::uint64_t received_{};
};

}  // namespace muster::fuzz
