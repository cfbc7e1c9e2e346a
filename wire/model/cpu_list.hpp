// Lists of cpu numbers as people and the kernel write them: "0-3,8". Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

// Above every cpu number that we accept: no text can ask for more memory than this many numbers.
inline constexpr std::uint32_t kCpuNumberEnd = 65536;

// Any order, repeats allowed; prints ascending and merged. {} → "".
[[nodiscard]] std::string format_cpu_list(std::span<const std::uint32_t> cpus);
// "0-3,8" → {0, 1, 2, 3, 8}, ascending and unique; "" → {}. A trailing newline, as in /sys files, is ignored.
[[nodiscard]] Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text);

}  // namespace muster
