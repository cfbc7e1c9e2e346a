// Goal: a resource vector survives the wire exactly, and a peer's bad one is refused by name. Method: round trips of
// random vectors; shapes built by hand against each rule.
#include <catch2/catch.hpp>

#include <random>

#include "wire/schema/shapes.hpp"

using namespace muster;

namespace {

Resources through_wire(const Resources& r) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(to_fb(builder, r));
  const auto back = from_fb(*flatbuffers::GetRoot<fb::Shape>(builder.GetBufferPointer()));
  REQUIRE(back);
  return *back;
}

Result<Resources> from_object(const fb::ShapeT& object) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::Shape::Pack(builder, &object));
  return from_fb(*flatbuffers::GetRoot<fb::Shape>(builder.GetBufferPointer()));
}

fb::ShapeT object_with_counts(std::vector<std::pair<std::string, std::uint64_t>> counts) {
  fb::ShapeT out = to_shape_object({});
  for (auto& [name, count] : counts) {
    auto entry = std::make_unique<fb::NamedCountT>();
    entry->name = name;
    entry->count = count;
    out.counts.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

TEST_CASE("resource vectors come back from the wire as they were") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200; ++i) {
    Resources r;
    r.cpus_milli = static_cast<MilliCpus>(random());
    r.gpus = static_cast<std::uint32_t>(random() % 9);
    r.memory_bytes = random();
    r.disk_bytes = random();
    for (int p = static_cast<int>(random() % 4); p > 0; --p) {
      const auto first = static_cast<std::uint16_t>(random() % 60000);
      r.ports.add({first, static_cast<std::uint16_t>(first + random() % 5000)});
    }
    for (int c = static_cast<int>(random() % 4); c > 0; --c) {
      r.set_count("licence." + std::to_string(random() % 50), 1 + random() % 9);
    }
    CHECK(through_wire(r) == r);
    const auto object = from_object(to_shape_object(r));
    REQUIRE(object);
    CHECK(*object == r);
  }
}

TEST_CASE("shapes out of order are refused by name") {
  auto ports = to_shape_object({});
  ports.ports = {fb::PortRange(20, 10)};
  CHECK_THAT(from_object(ports).error().text, Catch::Contains("20-10"));
  ports.ports = {fb::PortRange(10, 20), fb::PortRange(20, 30)};
  CHECK_THAT(from_object(ports).error().text, Catch::Contains("20-30"));
  ports.ports = {fb::PortRange(0, 65535), fb::PortRange(0, 1)};
  CHECK_FALSE(from_object(ports));
  ports.ports = {fb::PortRange(10, 20), fb::PortRange(21, 30)};
  CHECK(from_object(ports)->ports.size() == 21);
  CHECK_THAT(from_object(object_with_counts({{"b", 1}, {"a", 1}})).error().text, Catch::Contains("'a'"));
  CHECK_THAT(from_object(object_with_counts({{"a", 1}, {"a", 1}})).error().text, Catch::Contains("'a'"));
  CHECK_THAT(from_object(object_with_counts({{"a", 0}})).error().text, Catch::Contains("'a'"));
  CHECK_THAT(from_object(object_with_counts({{"cpus", 1}})).error().text, Catch::Contains("'cpus'"));
  CHECK_THAT(from_object(object_with_counts({{"", 1}})).error().text, Catch::Contains("''"));
}

TEST_CASE("a shape table holds each vector once, in order of arrival") {
  ShapeTable table;
  Resources a;
  a.cpus_milli = 1000;
  Resources b = a;
  b.ports = PortSet({{1, 2}});
  CHECK(table.place_of(a) == 0);
  CHECK(table.place_of(b) == 1);
  CHECK(table.place_of(a) == 0);
  flatbuffers::FlatBufferBuilder builder;
  const auto shapes = table.build(builder);
  fb::OffersBuilder offers(builder);
  offers.add_shapes(shapes);
  builder.Finish(offers.Finish());
  const auto* built = flatbuffers::GetRoot<fb::Offers>(builder.GetBufferPointer());
  REQUIRE(built->shapes()->size() == 2);
  CHECK(*from_fb(*built->shapes()->Get(1)) == b);
  table.clear();
  CHECK(table.place_of(b) == 0);
}
