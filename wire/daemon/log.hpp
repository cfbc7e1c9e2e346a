// Logging for daemons. Thread-safe. Before open() (and in tests) it is silent below warn and writes to stderr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.hpp"

namespace muster::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };

struct Options {
  std::string daemon;                     // "master": in every line
  std::string path;                       // a file; empty = stderr
  Level level = Level::info;
  std::size_t rotate_bytes = 16U << 20U;  // then path → path.1 → …
  std::size_t files_kept = 3;
};

// Errc::io naming the path when it can't be opened.
[[nodiscard]] Status open(const Options& options);
// "debug" → Level::debug.
[[nodiscard]] Result<Level> parse_level(std::string_view text);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view text);
void flush();

inline void debug(std::string_view text) { write(Level::debug, text); }
inline void info(std::string_view text) { write(Level::info, text); }
inline void warn(std::string_view text) { write(Level::warn, text); }
inline void error(std::string_view text) { write(Level::error, text); }

}  // namespace muster::log
