// What rings, parkers and published values are made of. The product uses StdAtomics, which costs nothing; tests put a
// model of memory in its place and run every order of a small program's steps.
#pragma once

#include <atomic>

namespace muster {

struct StdAtomics {
  template <class T>
  using Atomic = std::atomic<T>;
  // Plain memory that one thread hands to another: said so that a model can see races on it.
  static void wrote(const void*) {}
  static void reads(const void*) {}
};

}  // namespace muster
