// Goal: endpoints are taken in exactly the forms people write, and refused with the way out. Method: tables of texts.
#include <catch2/catch.hpp>

#include "wire/socket/endpoint.hpp"

using namespace muster;

TEST_CASE("endpoints parse and print the same") {
  for (const char* text : {"ipc:///tmp/x/master.ipc", "tcp://127.0.0.1:5051", "tcp://node7:0", "tcp://[::1]:80"}) {
    const auto endpoint = parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(endpoint->to_string() == text);
  }
  CHECK(parse_endpoint("tcp://127.0.0.1:*")->port == 0);
}

TEST_CASE("an endpoint knows whether others can reach it") {
  for (const char* text : {"ipc:///x", "tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1", "tcp://[::1]:1"}) {
    CHECK(parse_endpoint(text)->is_local());
  }
  for (const char* text : {"tcp://0.0.0.0:1", "tcp://*:1", "tcp://10.0.0.1:1", "tcp://node1:1", "tcp://[::]:1"}) {
    CHECK_FALSE(parse_endpoint(text)->is_local());
  }
}

TEST_CASE("a bad endpoint is refused with what is wrong and the way out") {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"", "must begin with ipc:// or tcp://"},  {"127.0.0.1:5", "must begin with"},
      {"tcp://host", "needs a host and a port"}, {"tcp://:5", "needs a host and a port"},
      {"tcp://h:x", "'x' is no port"},           {"tcp://h:65536", "'65536' is no port"},
      {"tcp://h:", "'' is no port"},             {"tcp://::1:5", "in brackets"},
      {"tcp://a b:5", "is no host"},             {"ipc://", "needs a path"},
      {"tcp://h:-1", "'-1' is no port"},
  };
  for (const auto& c : cases) {
    const auto endpoint = parse_endpoint(c.text);
    REQUIRE_FALSE(endpoint);
    CHECK_THAT(endpoint.error().text, Catch::Contains(c.says));
  }
}

TEST_CASE("a socket path that is too long is named with its length") {
  CHECK(ipc_endpoint(std::string(107, 'x')));
  const auto endpoint = ipc_endpoint("/" + std::string(107, 'x'));
  REQUIRE_FALSE(endpoint);
  CHECK(endpoint.error().code == Errc::out_of_range);
  CHECK_THAT(endpoint.error().text, Catch::Contains("108 bytes") && Catch::Contains("at most 107") &&
                                        Catch::Contains("choose a shorter --dir"));
}
