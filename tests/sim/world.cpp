#include "tests/sim/world.hpp"

#include <cstdio>
#include <cstring>

namespace muster::sim {

void Trace::mix(std::span<const std::uint8_t> bytes) {
  mix(bytes.size());
  std::size_t place = 0;
  for (; place + 8 <= bytes.size(); place += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + place, 8);
    hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29U;
  }
  std::uint64_t rest = 0;
  for (; place < bytes.size(); ++place) {
    rest = rest << 8U | bytes[place];
  }
  mix(rest);
}

void Trace::mix(const std::string& text) {
  mix(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void Trace::line(Instant now, const std::string& text) {
  char head[32];
  std::snprintf(head, sizeof head, "%12.6f  ", static_cast<double>(now.ns()) * 1e-9);
  if (print_) {
    std::printf("%s%s\n", head, text.c_str());
  }
  if (lines_kept_ != 0) {
    lines_.push_back(head + text);
    if (lines_.size() > lines_kept_) {
      lines_.pop_front();
    }
  }
}

bool World::step(Instant until) {
  if (queue_.next_at() > until) {
    now_ = std::max(now_, until);
    return false;
  }
  auto [at, action] = queue_.pop();
  now_ = at;
  ++steps_;
  action();
  return true;
}

void World::note(const char* what, std::uint64_t who, const std::function<std::string()>& detail) {
  trace.mix(static_cast<std::uint64_t>(now_.ns()));
  trace.mix(std::span(reinterpret_cast<const std::uint8_t*>(what), std::strlen(what)));
  trace.mix(who);
  if (trace.wants_text()) {
    trace.line(now_, std::string(what) + " " + std::to_string(who) + (detail ? "  " + detail() : ""));
  }
}

}  // namespace muster::sim
