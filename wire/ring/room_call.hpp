// RoomCall: a producer whose ring is full asks to be woken when there is room, and no call is lost. The producer's thread
// tries and asks, the consumer's answers.
//
// The producer sleeps on its Parker, whose `ready` must say !asked(): an answer that came before the producer lay down
// would find nobody to wake.
#pragma once

#include "wire/ring/atomics.hpp"

namespace muster {

template <class Atomics>
class BasicRoomCall {
 public:
  // Producer. False: `attempt()` (to put something in) has failed, and the consumer knows.
  template <class Attempt>
  [[nodiscard]] bool try_or_ask(Attempt&& attempt) {
    if (attempt()) {
      return true;
    }
    asked_.exchange(true, std::memory_order_seq_cst);
    return attempt();  // there may be room since, made by who could not know yet that somebody waits
  }
  // Producer: nobody has answered yet.
  [[nodiscard]] bool asked() const { return asked_.load(std::memory_order_acquire); }
  // Consumer, after it has made room. True: the producer is to be woken.
  [[nodiscard]] bool answer() { return asked_.exchange(false, std::memory_order_seq_cst); }

 private:
  typename Atomics::template Atomic<bool> asked_{false};
};

using RoomCall = BasicRoomCall<StdAtomics>;

}  // namespace muster
