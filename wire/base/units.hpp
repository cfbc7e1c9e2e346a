// Units: thousandths of a cpu and bytes, as exact integers, with the forms people write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster {

using MilliCpus = std::uint32_t;
using Bytes = std::uint64_t;

// "4" → 4000, "0.5" → 500, "1.25" → 1250. At most three decimals; no sign; ≤ 4,000,000 cpus.
[[nodiscard]] Result<MilliCpus> parse_cpus(std::string_view text);
// 4000 → "4", 500 → "0.5".
[[nodiscard]] std::string format_cpus(MilliCpus cpus_milli);

// "4G", "512M", "1.5T", "1024K"; a bare number is megabytes, as in Slurm's --mem; "100B" is bytes.
// Powers of 1024. "GB", "GiB" and lower case are taken too.
[[nodiscard]] Result<Bytes> parse_bytes(std::string_view text);
// The largest unit that is exact: 4294967296 → "4G", 1536 MiB → "1536M".
[[nodiscard]] std::string format_bytes(Bytes bytes);
// For people: at most one decimal, "1.5G".
[[nodiscard]] std::string format_bytes_short(Bytes bytes);

// Slurm's time forms: "90" (minutes), "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM", "D-HH:MM:SS";
// "UNLIMITED"/"INFINITE" → Duration{} (0 = no limit).
[[nodiscard]] Result<Duration> parse_time_limit(std::string_view text);
// "1-02:30:00", "00:05:00"; 0 → "UNLIMITED".
[[nodiscard]] std::string format_time_limit(Duration limit);
// Elapsed time the way squeue prints it: "0:07", "1:02:03", "2-00:00:01".
[[nodiscard]] std::string format_elapsed(Duration elapsed);

}  // namespace muster
