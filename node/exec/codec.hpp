// Little-endian bytes with bounds checks: what the run log and the launcher's socket are made of.
// Pure.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace muster::node {

// Pure. Appends fixed-width integers, and strings as u32 length + bytes.
class ByteWriter {
 public:
  template <std::unsigned_integral T>
  void put(T value) {
    char bytes[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8U * i)));
    }
    out_.append(bytes, sizeof(T));
  }
  void put_bool(bool value) { put(static_cast<std::uint8_t>(value ? 1 : 0)); }
  void put_i32(std::int32_t value) { put(static_cast<std::uint32_t>(value)); }
  void put_i64(std::int64_t value) { put(static_cast<std::uint64_t>(value)); }
  void put_string(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  void put_strings(const std::vector<std::string>& texts) {
    put(static_cast<std::uint32_t>(texts.size()));
    for (const std::string& text : texts) {
      put_string(text);
    }
  }
  void put_u32s(const std::vector<std::uint32_t>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (std::uint32_t value : values) {
      put(value);
    }
  }
  // Overwrites four bytes written before. REQUIRES: offset + 4 <= size().
  void patch_u32(std::size_t offset, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) {
      out_[offset + i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8U * i)));
    }
  }
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] const std::string& bytes() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Pure. Reads what ByteWriter wrote. After the first failure ok() is false and all reads give zeros;
// counts are checked against the bytes that remain, so hostile lengths can't make it allocate much.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T get() {
    if (rest_.size() < sizeof(T)) {
      fail();
      return T{};
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= std::uint64_t{static_cast<std::uint8_t>(rest_[i])} << (8U * i);
    }
    rest_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }
  bool get_bool() {
    const auto value = get<std::uint8_t>();
    if (value > 1) {
      fail();
    }
    return value == 1;
  }
  std::int32_t get_i32() { return static_cast<std::int32_t>(get<std::uint32_t>()); }
  std::int64_t get_i64() { return static_cast<std::int64_t>(get<std::uint64_t>()); }
  std::string get_string() {
    const auto length = get<std::uint32_t>();
    if (length > rest_.size()) {
      fail();
      return {};
    }
    std::string text(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return text;
  }
  // A count of elements that take at least `bytes_each` each.
  std::uint32_t get_count(std::size_t bytes_each) {
    const auto count = get<std::uint32_t>();
    if (count > rest_.size() / bytes_each) {
      fail();
      return 0;
    }
    return count;
  }
  std::vector<std::string> get_strings() {
    std::vector<std::string> texts(get_count(4));
    for (std::string& text : texts) {
      text = get_string();
    }
    return texts;
  }
  std::vector<std::uint32_t> get_u32s() {
    std::vector<std::uint32_t> values(get_count(4));
    for (std::uint32_t& value : values) {
      value = get<std::uint32_t>();
    }
    return values;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  // All read, nothing left over.
  [[nodiscard]] bool finished() const { return ok_ && rest_.empty(); }
  [[nodiscard]] std::size_t remaining() const { return rest_.size(); }
  void fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::string_view rest_;
  bool ok_{true};
};

}  // namespace muster::node
