// ParallelFor: spreads a pass over many rows over threads. Pure for who uses it: the parts of a pass don't depend on each other,
// and where each result stands follows from its number, so the outcome is the same for any number of threads.
//
// For long passes only: waking threads costs system calls. The core is given one by its shell; without one, all is serial.
#pragma once

#include <cstddef>
#include <functional>

namespace muster::master {

// Calls part(i) once for each i below `count`, in any order and on any thread, and returns when all have.
using ParallelFor = std::function<void(std::size_t count, const std::function<void(std::size_t)>& part)>;

// On `threads` threads of oneTBB, the caller's among them. 1: a plain loop.
[[nodiscard]] ParallelFor parallel_for_on(unsigned threads);

}  // namespace muster::master
