// check(): for our own bugs only, on in release too. Never for a peer's or a user's data.
#pragma once

#include <source_location>

namespace muster {

[[noreturn]] void check_failed(const char* what, const std::source_location& where);

// Ends the process with file, line and `what` when `condition` is false.
constexpr void check(bool condition, const char* what,
                     const std::source_location& where = std::source_location::current()) {
  if (!condition) [[unlikely]] {
    check_failed(what, where);
  }
}

}  // namespace muster
