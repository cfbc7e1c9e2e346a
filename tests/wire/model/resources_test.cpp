// Goal: the resource algebra is exact: what is added can be taken off again to the unit, nothing
// goes below zero unnoticed, and the printed form reads back the same.
// Method: tables for the forms, a bit per port as the model of PortSet, seeded random vectors.
#include "wire/model/resources.hpp"

#include <bitset>
#include <catch2/catch.hpp>
#include <random>

using namespace muster;

namespace {

PortSet ports(const char* text) { return PortSet::parse(text).value(); }
Resources res(const char* text) { return parse_resources(text).value(); }

// Bits of a small universe of ports, as the model.
constexpr std::size_t kUniverse = 96;
using Bits = std::bitset<kUniverse>;

PortSet from_bits(const Bits& bits) {
  PortSet set;
  for (std::size_t i = 0; i < kUniverse; ++i) {
    if (bits[i]) {
      set.add(PortRange{static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i)});
    }
  }
  return set;
}

Bits random_bits(std::mt19937_64& random) {
  Bits bits;
  for (int run = static_cast<int>(random() % 6); run > 0; --run) {
    const std::size_t first = random() % kUniverse;
    for (std::size_t i = first; i < std::min(kUniverse, first + random() % 20); ++i) {
      bits.set(i);
    }
  }
  return bits;
}

Resources random_resources(std::mt19937_64& random, std::uint16_t port_base) {
  Resources r;
  r.cpus_milli = static_cast<MilliCpus>(random() % 256'000);
  r.gpus = static_cast<std::uint32_t>(random() % 9);
  r.memory_bytes = random() >> (8 + random() % 50);
  r.disk_bytes = random() >> (8 + random() % 50);
  if (random() % 2 == 0) {
    for (int i = static_cast<int>(random() % 4); i > 0; --i) {
      const auto first = static_cast<std::uint16_t>(port_base + random() % 500);
      r.ports.add(PortRange{first, static_cast<std::uint16_t>(first + random() % 400)});
    }
    for (int i = static_cast<int>(random() % 3); i > 0; --i) {
      r.set_count(std::string(1, static_cast<char>('a' + random() % 4)), random() % 1000);
    }
  }
  return r;
}

}  // namespace

TEST_CASE("port sets are merged, sorted and print as they are read") {
  CHECK(ports("40000,31000-32000").to_string() == "31000-32000,40000");
  CHECK(ports("5,1-3,4").to_string() == "1-5");
  CHECK(ports("1-10,3-4").to_string() == "1-10");
  CHECK(ports("").empty());
  CHECK(ports("0-65535").size() == 65536);
  CHECK(ports("65535,65534").to_string() == "65534-65535");
  CHECK(ports("10-20").take(3).to_string() == "10-12");
  CHECK(ports("10-11,20-29").take(5).to_string() == "10-11,20-22");
  CHECK(ports("10-11").take(5).to_string() == "10-11");
  CHECK(ports("10-11").take(0).empty());
  for (const char* bad : {",", "1,", ",1", "1-", "-1", "5-1", "65536", "1-65536", "a", "1 ,2", "1--2", "99999999999"}) {
    INFO(bad);
    auto set = PortSet::parse(bad);
    REQUIRE_FALSE(set);
    CHECK(set.error().text.find("ports: ") == 0);
  }
}

TEST_CASE("port sets agree with a set of bits under random operations") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 3000; ++i) {
    const Bits a = random_bits(random);
    const Bits b = random_bits(random);
    const PortSet sa = from_bits(a);
    const PortSet sb = from_bits(b);
    PortSet sum = sa;
    sum.add(sb);
    PortSet difference = sa;
    difference.remove(sb);
    REQUIRE(sum == from_bits(a | b));
    REQUIRE(difference == from_bits(a & ~b));
    REQUIRE(sa.intersection(sb) == from_bits(a & b));
    REQUIRE(sa.intersects(sb) == (a & b).any());
    REQUIRE(sa.contains(sb) == ((b & ~a).none()));
    REQUIRE(sa.size() == a.count());
    REQUIRE(PortSet::parse(sa.to_string()).value() == sa);
    const auto port = static_cast<std::uint16_t>(random() % kUniverse);
    REQUIRE(sa.contains(port) == a[port]);
    const std::size_t n = random() % (a.count() + 2);
    REQUIRE(sa.take(n).size() == std::min(n, a.count()));
    REQUIRE(sa.contains(sa.take(n)));
  }
}

TEST_CASE("resources are read and printed part by part") {
  const Resources r = res("license.matlab=3; ports=31000-32000;cpus=4;mem=4G;disk=10G;gpus=2");
  CHECK(r.cpus_milli == 4000);
  CHECK(r.memory_bytes == 4ULL << 30U);
  CHECK(r.disk_bytes == 10ULL << 30U);
  CHECK(r.gpus == 2);
  CHECK(r.ports.size() == 1001);
  CHECK(r.count_of("license.matlab") == 3);
  CHECK(r.count_of("license.other") == 0);
  CHECK(to_string(r) == "cpus=4;mem=4G;disk=10G;gpus=2;ports=31000-32000;license.matlab=3");
  CHECK(res("").is_zero());
  CHECK(res("cpus=1; ") == res("cpus=1"));  // a last semicolon is fine, an empty part is not
  CHECK_FALSE(parse_resources(" ; "));
}

TEST_CASE("bad resources are refused by part") {
  const auto text = [](const char* bad) { return parse_resources(bad).error().text; };
  CHECK(text("cpus") == "resources: 'cpus' is not name=value; write cpus=4;mem=4G;ports=31000-32000");
  CHECK(text("cpus=4;cpus=5") == "resources: 'cpus' is given twice");
  CHECK(text("mem=1G;memory=1G") == "resources: 'mem' is given twice");
  CHECK(text("cpus=x").find("cpus: 'x'") == 0);
  CHECK(text("gpus=-1").find("gpus: '-1'") == 0);
  CHECK(text("gpus=4294967296").find("gpus: '4294967296' is more than") == 0);
  CHECK(text("ports=9-1").find("ports: ") == 0);
  CHECK(text("9lives=1").find("resources: '9lives' is not a name") == 0);
  CHECK(text("=1").find("resources: '' is not a name") == 0);
  CHECK(text("a=1;;b=2").find("resources: '' is not name=value") == 0);
  CHECK(text("lic=many").find("lic: 'many'") == 0);
}

TEST_CASE("a shortfall names the first part, what is wanted and what is there") {
  const Resources room = res("cpus=4;mem=4G;disk=1G;gpus=1;ports=10-20;lic=2");
  CHECK(res("cpus=8").shortfall(room) == "cpus: wants 8, has 4");
  CHECK(res("mem=8G").shortfall(room) == "mem: wants 8G, has 4G");
  CHECK(res("disk=2G").shortfall(room) == "disk: wants 2G, has 1G");
  CHECK(res("gpus=2").shortfall(room) == "gpus: wants 2, has 1");
  CHECK(res("ports=15-25").shortfall(room) == "ports: wants 15-25, lacks 21-25");
  CHECK(res("lic=3").shortfall(room) == "lic: wants 3, has 2");
  CHECK(res("other=1").shortfall(room) == "other: wants 1, has 0");
  CHECK(room.shortfall(room).empty());
}

TEST_CASE("multiples and products count whole shares") {
  const Resources room = res("cpus=10;mem=4G;lic=7");
  CHECK(res("cpus=3").multiples_in(room) == 3);
  CHECK(res("cpus=1;mem=2G").multiples_in(room) == 2);
  CHECK(res("cpus=1;lic=2").multiples_in(room) == 3);
  CHECK(res("gpus=1").multiples_in(room) == 0);
  CHECK(res("ports=5").multiples_in(room) == 0);
  CHECK(res("ports=5").multiples_in(res("ports=1-9")) == 1);
  CHECK(Resources{}.multiples_in(room) == std::numeric_limits<std::uint64_t>::max());
  CHECK(res("cpus=1.5;mem=1G;lic=2").times(3) == res("cpus=4.5;mem=3G;lic=6"));
  CHECK(res("cpus=1;lic=2").times(0).is_zero());
  CHECK(res("cpus=1;ports=7").times(1) == res("cpus=1;ports=7"));
}

TEST_CASE("sums that overflow or overlap are foreseen by can_add") {
  CHECK_FALSE(res("cpus=4000000").can_add(res("cpus=4000000")));
  CHECK_FALSE(res("mem=16000000T").can_add(res("mem=16000000T")));
  CHECK_FALSE(res("lic=18446744073709551615").can_add(res("lic=1")));
  CHECK_FALSE(res("ports=1-5").can_add(res("ports=5-9")));
  CHECK(res("ports=1-5;lic=1").can_add(res("ports=6-9;lic=1")));
}

TEST_CASE("random sums come apart again to the unit") {
  std::mt19937_64 random(23);
  for (int i = 0; i < 20'000; ++i) {
    const Resources a = random_resources(random, 1000);
    const Resources b = random_resources(random, 30000);
    REQUIRE(a.can_add(b));
    const Resources sum = a + b;
    REQUIRE(sum == b + a);
    REQUIRE(a.fits_in(sum));
    REQUIRE(b.fits_in(sum));
    REQUIRE(sum - a == b);
    REQUIRE(sum - b == a);
    REQUIRE((sum - sum).is_zero());
    REQUIRE(a.fits_in(b) == a.shortfall(b).empty());
    REQUIRE(parse_resources(to_string(sum)).value() == sum);
  }
}

TEST_CASE("a node carved into random shares is whole again when all are returned") {
  std::mt19937_64 random(31);
  for (int round = 0; round < 200; ++round) {
    const Resources capacity = res("cpus=64;mem=256G;disk=1T;gpus=8;ports=31000-31999;lic=100");
    Resources free = capacity;
    std::vector<Resources> used;
    for (int i = 0; i < 60; ++i) {
      if (!used.empty() && random() % 3 == 0) {
        const auto at = static_cast<std::ptrdiff_t>(random() % used.size());
        free += used[static_cast<std::size_t>(at)];
        used.erase(used.begin() + at);
      } else {
        Resources share;
        share.cpus_milli = static_cast<MilliCpus>(random() % 4000);
        share.memory_bytes = random() % (8ULL << 30U);
        share.ports = free.ports.take(random() % 30);
        share.set_count("lic", random() % 5);
        if (share.fits_in(free)) {
          free -= share;
          used.push_back(share);
        }
      }
      Resources sum = free;
      for (const Resources& share : used) {
        sum += share;
      }
      REQUIRE(sum == capacity);
    }
  }
}
