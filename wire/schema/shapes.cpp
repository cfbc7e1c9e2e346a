#include "wire/schema/shapes.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster {
namespace {

constexpr std::size_t kSearched = 8;  // up to so many shapes are searched, more are looked up

std::uint64_t hash_of(const Resources& r) {
  std::uint64_t h = mix64(r.memory_bytes) + 0x9e3779b97f4a7c15ULL * r.cpus_milli;
  h = mix64(h ^ r.disk_bytes) + r.gpus;
  for (const PortRange& range : r.ports.ranges()) {
    h = mix64(h ^ ((std::uint64_t{range.first} << 16U) | range.last));
  }
  for (const NamedCount& c : r.counts) {
    h = mix64(h ^ std::hash<std::string>{}(c.name)) + c.count;
  }
  return mix64(h);
}

}  // namespace

Result<Resources> from_fb(const fb::Shape& shape) {
  Resources out;
  const fb::Amounts& amounts = *shape.amounts();
  out.cpus_milli = amounts.cpus_milli();
  out.gpus = amounts.gpus();
  out.memory_bytes = amounts.memory_bytes();
  out.disk_bytes = amounts.disk_bytes();
  if (shape.ports() != nullptr) {
    std::vector<PortRange> ranges;
    ranges.reserve(shape.ports()->size());
    for (const fb::PortRange* range : *shape.ports()) {
      if (range->first() > range->last() || (!ranges.empty() && range->first() <= ranges.back().last)) {
        return fail(Errc::malformed, "ports: ranges must ascend without overlap; " + std::to_string(range->first()) +
                                         "-" + std::to_string(range->last()) + " does not");
      }
      ranges.push_back({range->first(), range->last()});
    }
    out.ports = PortSet(std::move(ranges));
  }
  if (shape.counts() != nullptr) {
    out.counts.reserve(shape.counts()->size());
    for (const fb::NamedCount* count : *shape.counts()) {
      const std::string_view name = text_of(count->name());
      if (!is_count_name(name)) {
        return fail(Errc::malformed, "counts: '" + std::string(name.substr(0, 64)) + "' is no name for a count");
      }
      if (count->count() == 0 || (!out.counts.empty() && name <= out.counts.back().name)) {
        return fail(Errc::malformed, "counts: names must ascend, each with more than 0; '" + std::string(name) +
                                         "' does not");
      }
      out.counts.push_back({std::string(name), count->count()});
    }
  }
  return out;
}

flatbuffers::Offset<fb::Shape> to_fb(flatbuffers::FlatBufferBuilder& builder, const Resources& resources) {
  flatbuffers::Offset<flatbuffers::Vector<const fb::PortRange*>> ports;
  if (!resources.ports.empty()) {
    std::vector<fb::PortRange> ranges;
    ranges.reserve(resources.ports.ranges().size());
    for (const PortRange& range : resources.ports.ranges()) {
      ranges.emplace_back(range.first, range.last);
    }
    ports = builder.CreateVectorOfStructs(ranges);
  }
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<fb::NamedCount>>> counts;
  if (!resources.counts.empty()) {
    std::vector<flatbuffers::Offset<fb::NamedCount>> entries;
    entries.reserve(resources.counts.size());
    for (const NamedCount& c : resources.counts) {
      entries.push_back(fb::CreateNamedCount(builder, builder.CreateString(c.name), c.count));
    }
    counts = builder.CreateVector(entries);
  }
  const fb::Amounts amounts(resources.memory_bytes, resources.disk_bytes, resources.cpus_milli, resources.gpus);
  return fb::CreateShape(builder, &amounts, ports, counts);
}

fb::ShapeT to_shape_object(const Resources& resources) {
  fb::ShapeT out;
  out.amounts = std::make_unique<fb::Amounts>(resources.memory_bytes, resources.disk_bytes, resources.cpus_milli,
                                              resources.gpus);
  for (const PortRange& range : resources.ports.ranges()) {
    out.ports.emplace_back(range.first, range.last);
  }
  for (const NamedCount& c : resources.counts) {
    auto entry = std::make_unique<fb::NamedCountT>();
    entry->name = c.name;
    entry->count = c.count;
    out.counts.push_back(std::move(entry));
  }
  return out;
}

std::uint16_t ShapeTable::place_of(const Resources& resources) {
  if (!shapes_.empty() && shapes_[last_] == resources) {
    return last_;
  }
  const auto fresh = static_cast<std::uint16_t>(shapes_.size());
  if (shapes_.size() < kSearched) {
    last_ = static_cast<std::uint16_t>(std::find(shapes_.begin(), shapes_.end(), resources) - shapes_.begin());
    if (last_ == fresh) {
      shapes_.push_back(resources);
    }
    return last_;
  }
  if (by_hash_.empty()) {
    for (std::uint16_t place = 0; place < fresh; ++place) {
      by_hash_[hash_of(shapes_[place])].push_back(place);
    }
  }
  auto& places = by_hash_[hash_of(resources)];
  for (const std::uint16_t place : places) {
    if (shapes_[place] == resources) {
      return last_ = place;
    }
  }
  check(!full(), "shape table: more than 65,535 shapes in one frame");
  shapes_.push_back(resources);
  places.push_back(fresh);
  return last_ = fresh;
}

flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>> ShapeTable::build(
    flatbuffers::FlatBufferBuilder& builder) const {
  if (shapes_.size() == 1) {
    const auto only = to_fb(builder, shapes_.front());
    return builder.CreateVector(&only, 1);
  }
  std::vector<flatbuffers::Offset<fb::Shape>> offsets;
  offsets.reserve(shapes_.size());
  for (const Resources& shape : shapes_) {
    offsets.push_back(to_fb(builder, shape));
  }
  return builder.CreateVector(offsets);
}

void ShapeTable::clear() {
  shapes_.clear();
  by_hash_.clear();
  last_ = 0;
}

}  // namespace muster
