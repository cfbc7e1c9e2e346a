// Job tokens: what a user shows a node to read a job's output. Pure.
#pragma once

#include <cstdint>
#include <utility>

#include "wire/base/ids.hpp"

namespace muster::gang {

// A keyed one-way function (SipHash-2-4) of the job: who holds one token learns neither the key nor another token.
[[nodiscard]] std::uint64_t keyed_hash(std::uint64_t key_hi, std::uint64_t key_lo, std::uint64_t value);

[[nodiscard]] inline std::pair<std::uint64_t, std::uint64_t> job_token(std::uint64_t seed, JobId job) {
  const std::uint64_t key_lo = mix64(seed ^ 0x6d75737465722d31ULL);
  return {keyed_hash(seed, key_lo, job.value() * 2), keyed_hash(seed, key_lo, job.value() * 2 + 1)};
}

}  // namespace muster::gang
