// NodeClasses: the nodes that have something free, by how many cpus. Pure.
// Class k holds nodes with 2^k … 2^(k+1)-1 thousandths free (class 0: less than 2), so a search for a shape
// skips all that are too small. Within a class nodes come in order of their index.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/units.hpp"

namespace muster::master {

class NodeClasses {
 public:
  static constexpr std::uint32_t kClasses = 32;
  static constexpr std::uint8_t kAbsent = 0xff;

  [[nodiscard]] static std::uint8_t class_of(MilliCpus cpus_milli) {
    return static_cast<std::uint8_t>(cpus_milli == 0 ? 0 : std::bit_width(cpus_milli) - 1);
  }
  // Puts the node into its class; kAbsent takes it out.
  void put(NodeIndex node, std::uint8_t to) {
    const std::uint32_t at = node.value();
    if (at >= class_.size()) {
      class_.resize(at + 1, kAbsent);
    }
    if (class_[at] == to) {
      return;
    }
    if (class_[at] != kAbsent) {
      bits_[class_[at]].clear(at);
    }
    class_[at] = to;
    if (to != kAbsent) {
      bits_[to].set(at);
    }
  }
  // The first node of class `c` at or after `from`, or kNone.
  [[nodiscard]] std::uint32_t next(std::uint32_t c, std::uint32_t from) const { return bits_[c].next(from); }

 private:
  // Bits in three levels: a word above says which words below hold any.
  class Bits {
   public:
    void set(std::uint32_t at) {
      for (auto& level : levels_) {
        const std::uint32_t word = at / 64;
        if (word >= level.size()) {
          level.resize(word + 1, 0);
        }
        level[word] |= std::uint64_t{1} << (at % 64);
        at = word;
      }
    }
    void clear(std::uint32_t at) {
      for (auto& level : levels_) {
        const std::uint32_t word = at / 64;
        level[word] &= ~(std::uint64_t{1} << (at % 64));
        if (level[word] != 0) {
          return;
        }
        at = word;
      }
    }
    [[nodiscard]] std::uint32_t next(std::uint32_t from) const { return next_at(0, from); }

   private:
    // The first bit set at or after `from` of this level.
    [[nodiscard]] std::uint32_t next_at(std::size_t level, std::uint32_t from) const {
      const auto& words = levels_[level];
      std::uint32_t word = from / 64;
      if (word >= words.size()) {
        return kNone;
      }
      const std::uint64_t here = words[word] & (~std::uint64_t{0} << (from % 64));
      if (here != 0) {
        return word * 64 + static_cast<std::uint32_t>(std::countr_zero(here));
      }
      if (level + 1 == levels_.size()) {
        for (++word; word < words.size(); ++word) {
          if (words[word] != 0) {
            return word * 64 + static_cast<std::uint32_t>(std::countr_zero(words[word]));
          }
        }
        return kNone;
      }
      word = next_at(level + 1, word + 1);
      return word == kNone ? kNone : word * 64 + static_cast<std::uint32_t>(std::countr_zero(words[word]));
    }
    std::array<std::vector<std::uint64_t>, 3> levels_;
  };
  std::array<Bits, kClasses> bits_;
  std::vector<std::uint8_t> class_;
};

}  // namespace muster::master
