// Shapes: resource vectors between wire (fb::Shape, named by place in a frame) and model (Resources).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster {

// Fails when ports or counts are not in order (sorted, disjoint, no duplicates, no zero).
[[nodiscard]] Result<Resources> from_fb(const fb::Shape& shape);
[[nodiscard]] flatbuffers::Offset<fb::Shape> to_fb(flatbuffers::FlatBufferBuilder& builder, const Resources& resources);
[[nodiscard]] fb::ShapeT to_shape_object(const Resources& resources);

// Collects the distinct shapes of a frame under construction. Pure. At most 65,535 per frame.
class ShapeTable {
 public:
  // The place of `resources`, added if new.
  [[nodiscard]] std::uint16_t place_of(const Resources& resources);
  [[nodiscard]] bool full() const { return shapes_.size() >= 65'535; }
  [[nodiscard]] flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>> build(
      flatbuffers::FlatBufferBuilder& builder) const;
  void clear();

 private:
  std::vector<Resources> shapes_;
  std::uint16_t last_{};  // asked for: mostly the next one too
  std::unordered_map<std::uint64_t, std::vector<std::uint16_t>> by_hash_;  // looked up, never iterated
};

}  // namespace muster
