// LinkRefusals: says in the log, at most once a minute, that the other side refuses a link. Owned by the link's thread.
#pragma once

#include <cstdint>
#include <string>

#include "wire/schema/frame.hpp"
#include "wire/socket/dealer.hpp"

namespace muster {

class LinkRefusals {
 public:
  // After every wake-up of the link.
  void look(const Dealer& link, Instant now);
  // Of each frame from the other side: a Refused that says who we are may not do this.
  void hear(const fb::Frame& frame, Instant now);

 private:
  void say(const std::string& text, Instant now);
  std::uint64_t seen_{};
  std::string text_;
  Instant said_ = Instant::from_ns(-1'000'000'000'000);
};

}  // namespace muster
