#include "node/core/file_pattern.hpp"

#include <algorithm>
#include <optional>

namespace muster::node {
namespace {

constexpr std::size_t kPadMax = 20;

// Calls `plain(text)` for what stands for itself and `field(letter, pad, text)` for each %-field.
template <class Plain, class Field>
void walk(std::string_view pattern, Plain plain, Field field) {
  while (!pattern.empty()) {
    const auto percent = pattern.find('%');
    plain(pattern.substr(0, percent));
    if (percent == std::string_view::npos) {
      return;
    }
    std::size_t end = percent + 1;
    std::size_t pad = 0;
    while (end < pattern.size() && pattern[end] >= '0' && pattern[end] <= '9') {
      pad = std::min(kPadMax, pad * 10 + static_cast<std::size_t>(pattern[end] - '0'));
      ++end;
    }
    if (end == pattern.size()) {
      plain(pattern.substr(percent));
      return;
    }
    field(pattern[end], pad, pattern.substr(percent, end + 1 - percent));
    pattern.remove_prefix(end + 1);
  }
}

std::string padded(std::uint64_t number, std::size_t pad) {
  std::string text = std::to_string(number);
  return text.size() < pad ? std::string(pad - text.size(), '0') + text : text;
}

// A name that can't leave its directory.
std::string file_part(std::string_view text) {
  std::string part(text);
  std::replace(part.begin(), part.end(), '/', '_');
  return part;
}

std::optional<std::string> value_of(char letter, std::size_t pad, const PatternValues& v) {
  switch (letter) {
    case '%': return "%";
    case 'J':  // Slurm's job.step; these files are the job's
    case 'j':
      return v.is_array ? std::to_string(v.job.value()) + "_" + std::to_string(v.index) : padded(v.job.value(), pad);
    case 'A': return padded(v.job.value(), pad);
    case 'a': return padded(v.index, pad);
    case 'x': return file_part(v.job_name);
    case 'N': return file_part(v.node_name);
    case 'n': return padded(v.node_rank, pad);
    case 't': return padded(v.rank, pad);
    case 'u': return file_part(v.user);
    default: return std::nullopt;
  }
}

}  // namespace

PatternValues pattern_values(std::string_view node_name, const fb::TaskSpec& spec, const fb::LaunchEntry& entry) {
  return {.job = JobId(spec.job()),
          .is_array = spec.is_array(),
          .index = entry.index(),
          .job_name = text_of(spec.name()),
          .user = text_of(spec.user()),
          .node_name = node_name,
          .node_rank = entry.member()};
}

std::string expand_pattern(std::string_view pattern, const PatternValues& values) {
  std::string out;
  walk(
      pattern, [&](std::string_view text) { out += text; },
      [&](char letter, std::size_t pad, std::string_view text) {
        const auto value = value_of(letter, pad, values);
        if (value) {
          out += *value;
        } else {
          out += text;
        }
      });
  return out;
}

bool names_rank(std::string_view pattern) {
  bool found = false;
  walk(
      pattern, [](std::string_view) {}, [&](char letter, std::size_t, std::string_view) { found |= letter == 't'; });
  return found;
}

std::string absolute_path(std::string_view path, std::string_view directory) {
  if (path.empty() || path.front() == '/') {
    return std::string(path);
  }
  std::string out(directory.empty() ? std::string_view("/") : directory);
  if (out.back() != '/') {
    out += '/';
  }
  return out += path;
}

std::string_view default_output_pattern(bool is_array) { return is_array ? "muster-%A_%a.out" : "muster-%j.out"; }

}  // namespace muster::node
