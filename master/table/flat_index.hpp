// FlatIndex: hash → dense index by open addressing. Pure. Looked up, never iterated.
// It keeps half of the hash only; the caller's rows hold the keys and say whether a candidate is the one.
#pragma once

#include <cstdint>
#include <vector>

#include "master/table/ids.hpp"

namespace muster::master {

class FlatIndex {
 public:
  // The value for which same(value) holds, or kNone.
  template <class Same>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Same&& same) const {
    if (entries_.empty()) {
      return kNone;
    }
    const std::uint32_t tag = tag_of(hash);
    for (std::size_t at = tag & mask_;; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.value == kNone) {
        return kNone;
      }
      if (entry.tag == tag && same(entry.value)) {
        return entry.value;
      }
    }
  }
  // REQUIRES: the key is not there yet.
  void insert(std::uint64_t hash, std::uint32_t value) {
    if ((count_ + 1) * 4 > entries_.size() * 3) {
      grow();
    }
    place(Entry{value, tag_of(hash)});
    ++count_;
  }
  // REQUIRES: `value` was inserted with `hash`.
  void erase(std::uint64_t hash, std::uint32_t value) {
    std::size_t hole = tag_of(hash) & mask_;
    while (entries_[hole].value != value) {
      hole = (hole + 1) & mask_;
    }
    // Entries behind the hole move up, so that no search stops early.
    for (std::size_t at = (hole + 1) & mask_; entries_[at].value != kNone; at = (at + 1) & mask_) {
      const std::size_t home = entries_[at].tag & mask_;
      if (((at - home) & mask_) >= ((at - hole) & mask_)) {
        entries_[hole] = entries_[at];
        hole = at;
      }
    }
    entries_[hole].value = kNone;
    --count_;
  }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  struct Entry {
    std::uint32_t value{kNone};
    std::uint32_t tag{};
  };
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash); }
  void place(const Entry& entry) {
    std::size_t at = entry.tag & mask_;
    while (entries_[at].value != kNone) {
      at = (at + 1) & mask_;
    }
    entries_[at] = entry;
  }
  void grow() {
    std::vector<Entry> old(entries_.empty() ? 16 : entries_.size() * 2);
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    for (const Entry& entry : old) {
      if (entry.value != kNone) {
        place(entry);
      }
    }
  }

  std::vector<Entry> entries_;
  std::size_t mask_{};
  std::size_t count_{};
};

}  // namespace muster::master
