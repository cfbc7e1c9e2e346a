// What `muster` exits with. Documented in docs/cli.md and `muster help exit-codes`: keep the three alike.
#pragma once

#include "wire/base/result.hpp"

namespace muster::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;        // the command could not do its work; a job failed without a code of its own
inline constexpr int kUsage = 2;         // bad option or value: nothing was sent
inline constexpr int kNoCluster = 3;     // no cluster here, or it can't be reached
inline constexpr int kRefused = 4;       // the cluster said no: never fits, unknown job, not allowed
inline constexpr int kUnknown = 5;       // the deadline passed: the outcome is unknown
inline constexpr int kInterrupted = 130; // left by Ctrl-C

[[nodiscard]] constexpr int exit_code_of(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
    case Errc::out_of_range:
      return kUsage;
    case Errc::unreachable:
      return kNoCluster;
    case Errc::timed_out:
      return kUnknown;
    case Errc::refused:
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::exhausted:
    case Errc::conflict:
    case Errc::permission:
    case Errc::unsupported:
      return kRefused;
    case Errc::malformed:
    case Errc::io:
      break;
  }
  return kFailed;
}

}  // namespace muster::cli
