// Files that survive a crash whole: old content or new, never half. No thread; blocks for the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.hpp"

namespace muster {

struct DurableOptions {
  bool sync = true;           // false: atomic, but a power cut may undo it
  std::uint32_t mode = 0600;
};

// Writes beside `path`, fsyncs, renames over it, fsyncs the directory. An fsync error is Errc::io and must not be retried.
[[nodiscard]] Status write_durably(const std::string& path, std::string_view content, const DurableOptions& options = {});
// Errc::not_found if it does not exist; Errc::out_of_range above `bytes_max`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max = 64U << 20U);
// Every user of this machine may connect to the socket `path`; who they are the kernel says. Errc::permission when its folder
// is closed to them.
[[nodiscard]] Status open_to_all(const std::string& path);
// Creates the folder and its parents; an existing one is fine.
[[nodiscard]] Status make_directory(const std::string& path, std::uint32_t mode = 0700);

}  // namespace muster
