#include "sched/gang/record_codec.hpp"

#include <algorithm>

namespace muster::gang {
namespace {

constexpr std::uint32_t kEntriesMax = 1'000'000;
constexpr std::uint32_t kCancelledBit = 1U << 16U;  // of a member's state

void put32(FrameBytes& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void put_text(FrameBytes& out, const std::string& text) {
  put32(out, static_cast<std::uint32_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
}

// Reads until something is missing; then everything is zero and good() is false.
class Reader {
 public:
  explicit Reader(const FrameBytes& bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint32_t u32() {
    if (bytes_.size() - at_ < 4) {
      good_ = false;
      return 0;
    }
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
      value |= std::uint32_t{bytes_[at_ + i]} << (8 * i);
    }
    at_ += 4;
    return value;
  }
  [[nodiscard]] std::string text() {
    const std::uint32_t size = u32();
    if (!good_ || bytes_.size() - at_ < size) {
      good_ = false;
      return {};
    }
    std::string text(size, '\0');
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), size, text.begin());
    at_ += size;
    return text;
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool done() const { return good_ && at_ == bytes_.size(); }

 private:
  const FrameBytes& bytes_;
  std::size_t at_{};
  bool good_{true};
};

}  // namespace

FrameBytes pack_places(const AttemptRecord& attempt) {
  FrameBytes out;
  put32(out, static_cast<std::uint32_t>(attempt.nodes.size()));
  for (std::size_t i = 0; i < attempt.nodes.size(); ++i) {
    put_text(out, attempt.nodes[i]);
    put32(out, i < attempt.ranks.size() ? attempt.ranks[i] : 0);
  }
  for (std::size_t i = 0; i < attempt.nodes.size(); ++i) {
    put32(out, i < attempt.boots.size() ? attempt.boots[i] : 0);
  }
  return out;
}

bool unpack_places(const FrameBytes& bytes, AttemptRecord& attempt) {
  Reader reader(bytes);
  const std::uint32_t count = reader.u32();
  if (count > kEntriesMax) {
    return false;
  }
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    attempt.nodes.push_back(reader.text());
    attempt.ranks.push_back(reader.u32());
  }
  attempt.boots.resize(attempt.nodes.size());  // an earlier version wrote none
  if (!reader.done()) {
    for (std::uint32_t& boot : attempt.boots) {
      boot = reader.u32();
    }
  }
  return reader.done();
}

FrameBytes pack_ends(const std::vector<MemberEnd>& ends) {
  FrameBytes out;
  if (ends.empty()) {
    return out;
  }
  put32(out, static_cast<std::uint32_t>(ends.size()));
  for (const MemberEnd& end : ends) {
    put32(out, end.member);
    put32(out, static_cast<std::uint32_t>(end.state) | (end.cancelled ? kCancelledBit : 0U));
    put32(out, static_cast<std::uint32_t>(end.reason));
    put32(out, static_cast<std::uint32_t>(end.exit_code));
    put32(out, static_cast<std::uint32_t>(end.signal));
    put_text(out, end.text);
  }
  return out;
}

bool unpack_ends(const FrameBytes& bytes, std::vector<MemberEnd>& ends) {
  if (bytes.empty()) {
    return true;
  }
  Reader reader(bytes);
  const std::uint32_t count = reader.u32();
  if (count > kEntriesMax) {
    return false;
  }
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    MemberEnd end;
    end.member = reader.u32();
    const std::uint32_t state = reader.u32();
    end.state = static_cast<TaskState>(state & ~kCancelledBit);
    end.cancelled = (state & kCancelledBit) != 0;
    end.reason = static_cast<TaskReason>(reader.u32());
    end.exit_code = static_cast<std::int32_t>(reader.u32());
    end.signal = static_cast<std::int32_t>(reader.u32());
    end.text = reader.text();
    ends.push_back(std::move(end));
  }
  return reader.done();
}

}  // namespace muster::gang
