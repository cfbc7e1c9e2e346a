// How far jobs are: a bar for terminals, lines for files. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::cli {

// Elements of all the jobs that are waited for.
struct Progress {
  std::uint64_t total{};
  std::uint64_t ended{};
  std::uint64_t failed{};   // ended otherwise than COMPLETED
  std::uint64_t running{};  // and COMPLETING
  std::uint64_t pending{};
  bool operator==(const Progress&) const = default;
};
[[nodiscard]] Progress progress_of(const std::vector<fb::JobRowT>& jobs);

// "[#####.....] 512/1000  50 running, 3 failed, about 0:12 left", at most `columns` wide.
[[nodiscard]] std::string progress_bar(const Progress& progress, Duration elapsed, std::size_t columns);
// "512 of 1000 ended, 50 running, 438 pending, 3 failed"
[[nodiscard]] std::string progress_line(const Progress& progress);
// "job 7: COMPLETED", "job 8: FAILED (exit code 3)", "job 9: 1000 elements: 997 COMPLETED, 3 FAILED"
[[nodiscard]] std::string ending_line(const fb::JobRowT& job);

}  // namespace muster::cli
