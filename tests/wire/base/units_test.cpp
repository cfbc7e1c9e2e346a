// Goal: what people write becomes exact integers and comes back the same; bad input is refused by name.
// Method: tables of forms, then seeded random round trips.
#include "wire/base/units.hpp"

#include <catch2/catch.hpp>
#include <random>

using namespace muster;

TEST_CASE("cpus are read in thousandths and printed back") {
  CHECK(parse_cpus("4").value() == 4000);
  CHECK(parse_cpus("0.5").value() == 500);
  CHECK(parse_cpus("1.25").value() == 1250);
  CHECK(parse_cpus("0.001").value() == 1);
  CHECK(parse_cpus("2.000000").value() == 2000);
  CHECK(parse_cpus("0").value() == 0);
  CHECK(parse_cpus("4000000").value() == 4'000'000'000U);
  CHECK(format_cpus(4000) == "4");
  CHECK(format_cpus(500) == "0.5");
  CHECK(format_cpus(1) == "0.001");
  CHECK(format_cpus(0) == "0");
  CHECK(format_cpus(1250) == "1.25");
}

TEST_CASE("bad cpus are refused with the text that was given") {
  for (const char* bad : {"", " ", "-1", "+1", "1.", ".5", "x", "1x", "1.2.3", "0.0001", "1.00000000000000000000001", "1,5",
                          "0x10", "1e3", "nan"}) {
    INFO(bad);
    auto cpus = parse_cpus(bad);
    REQUIRE_FALSE(cpus);
    CHECK(cpus.error().text.find("'" + std::string(bad) + "'") != std::string::npos);
  }
  CHECK(parse_cpus("4000001").error().code == Errc::out_of_range);
  CHECK(parse_cpus("99999999999999999999").error().code != Errc{});
  CHECK(parse_cpus("18446744073709551.616").error().code == Errc::out_of_range);
}

TEST_CASE("sizes are powers of 1024, bare numbers megabytes") {
  CHECK(parse_bytes("4G").value() == 4ULL << 30U);
  CHECK(parse_bytes("512M").value() == 512ULL << 20U);
  CHECK(parse_bytes("512").value() == 512ULL << 20U);
  CHECK(parse_bytes("1024K").value() == 1ULL << 20U);
  CHECK(parse_bytes("100B").value() == 100);
  CHECK(parse_bytes("2GiB").value() == 2ULL << 30U);
  CHECK(parse_bytes("2gb").value() == 2ULL << 30U);
  CHECK(parse_bytes("0").value() == 0);
  // Decimals are exact: 1.5 is one and a half, not one and five times a truncated tenth.
  CHECK(parse_bytes("1.5T").value() == (3ULL << 39U));
  CHECK(parse_bytes("1.5K").value() == 1536);
  CHECK(parse_bytes("0.25K").value() == 256);
  CHECK(parse_bytes("0.3K").value() == 307);  // down to a whole byte
  CHECK(format_bytes(4ULL << 30U) == "4G");
  CHECK(format_bytes(1536ULL << 20U) == "1536M");
  CHECK(format_bytes(3ULL << 50U) == "3072T");
  CHECK(format_bytes(1000) == "1000B");
  CHECK(format_bytes(0) == "0B");
  CHECK(format_bytes_short(1536ULL << 20U) == "1.5G");
  CHECK(format_bytes_short(4ULL << 30U) == "4G");
  CHECK(format_bytes_short((1ULL << 20U) - 1) == "1M");
  CHECK(format_bytes_short(0) == "0B");
}

TEST_CASE("bad sizes are refused with the text that was given") {
  for (const char* bad : {"", "G", "-4G", "4X", "4GG", "4G4", "1e3", "4 G", "1.2.3M", "1.M", ".5G", "4PB"}) {
    INFO(bad);
    auto size = parse_bytes(bad);
    REQUIRE_FALSE(size);
    CHECK(size.error().code == Errc::invalid_argument);
    CHECK(size.error().text.find("'" + std::string(bad) + "'") != std::string::npos);
  }
  CHECK(parse_bytes("16777216T").error().code == Errc::out_of_range);
  CHECK(parse_bytes("16777215.99T"));
  CHECK_FALSE(parse_bytes("99999999999999999999"));
}

TEST_CASE("time limits take Slurm's forms") {
  const auto seconds = [](const char* text) { return parse_time_limit(text).value().ns() / 1'000'000'000; };
  CHECK(seconds("90") == 90 * 60);
  CHECK(seconds("5:30") == 330);
  CHECK(seconds("1:00:00") == 3600);
  CHECK(seconds("1-02") == 26 * 3600);
  CHECK(seconds("1-02:30") == 26 * 3600 + 1800);
  CHECK(seconds("1-02:30:07") == 26 * 3600 + 1807);
  CHECK(parse_time_limit("UNLIMITED").value() == Duration{});
  CHECK(parse_time_limit("infinite").value() == Duration{});
  CHECK(parse_time_limit("-1").value() == Duration{});
  CHECK(format_time_limit(Duration::from_seconds(26 * 3600 + 1800)) == "1-02:30:00");
  CHECK(format_time_limit(Duration::from_seconds(300)) == "00:05:00");
  CHECK(format_time_limit(Duration{}) == "UNLIMITED");
  for (const char* bad : {"", "0", "0:00", "-5", "1-", "-", ":", "1:", ":1", "1:2:3:4", "1-2:3:4:5", "x", "1h", "1--2", "1.5",
                          "1-2-3", "99999999999", "36601-00", " 5"}) {
    INFO(bad);
    auto limit = parse_time_limit(bad);
    REQUIRE_FALSE(limit);
    CHECK(limit.error().text.find("'" + std::string(bad) + "'") != std::string::npos);
  }
}

TEST_CASE("elapsed time prints as squeue does") {
  const auto elapsed = [](std::int64_t s) { return format_elapsed(Duration::from_seconds(s)); };
  CHECK(elapsed(7) == "0:07");
  CHECK(elapsed(3723) == "1:02:03");
  CHECK(elapsed(36000) == "10:00:00");
  CHECK(elapsed(2 * 86400 + 1) == "2-00:00:01");
  CHECK(elapsed(-5) == "0:00");
}

TEST_CASE("random units survive print and parse") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto cpus = static_cast<MilliCpus>(random() % 4'000'000'001ULL);
    REQUIRE(parse_cpus(format_cpus(cpus)).value() == cpus);
    const Bytes bytes = (random() >> (random() % 64)) << (random() % 8 * 5);
    REQUIRE(parse_bytes(format_bytes(bytes)).value() == bytes);
    const Duration limit = Duration::from_seconds(1 + static_cast<std::int64_t>(random() % 100'000'000));
    REQUIRE(parse_time_limit(format_time_limit(limit)).value() == limit);
  }
}
