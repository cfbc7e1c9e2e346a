// ReturnStack: where any thread gives things back and one takes them all at once. No lock; nobody waits.
//
// The owner takes the whole stack, never one thing of it, so the same thing coming back in between harms nobody.
#pragma once

#include "wire/ring/atomics.hpp"

namespace muster {

// Owned by the thread that takes; any thread gives. `Node` has a member `next` of type Node*.
template <class Node, class Atomics = StdAtomics>
class ReturnStack {
 public:
  void give(Node* node) {
    Node* top = top_.load(std::memory_order_relaxed);
    do {
      Atomics::wrote(&node->next);
      node->next = top;
    } while (!top_.compare_exchange_strong(top, node, std::memory_order_acq_rel));
  }
  // The owner: all that was given, newest first, linked by `next`; null: nothing.
  [[nodiscard]] Node* take_all() {
    return top_.load(std::memory_order_relaxed) == nullptr ? nullptr : top_.exchange(nullptr, std::memory_order_acq_rel);
  }

 private:
  typename Atomics::template Atomic<Node*> top_{nullptr};
};

}  // namespace muster
