// Goal: over tcp a peer is who it authenticated as; who is not welcome is refused, is told so, and disturbs nobody.
// Method: real sockets on 127.0.0.1 with CURVE; waits poll with a deadline.
#include <catch2/catch.hpp>

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/wire/temp_dir.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/router.hpp"

using namespace muster;
using muster::test::TempDir;

namespace {

Instant now() { return SystemClock{}.now().mono; }

template <class Done>
bool eventually(Done done, std::int64_t ms = 20'000) {
  const Instant deadline = now() + Duration::from_ms(ms);
  while (!done()) {
    if (now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

FrameBytes heartbeat(std::uint64_t sequence) {
  return pack_frame<fb::Heartbeat>({Epoch(1), Incarnation(2), sequence, 0}, fb::HeartbeatT{});
}

Endpoint any_port() { return *parse_endpoint("tcp://127.0.0.1:*"); }

bool there_and_back(Dealer& dealer, Router& router, Incoming& in) {
  FrameBytes bytes;
  return eventually([&] { return *dealer.send(heartbeat(1)) == SendOutcome::sent; }) &&
         eventually([&] { return *router.receive(in, now()); }) &&
         *router.send(in.link, heartbeat(2)) == SendOutcome::sent && eventually([&] { return *dealer.receive(bytes); });
}

// What a router has refused.
struct Words {
  std::mutex mutex;
  std::vector<std::string> said;
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return said.size();
  }
  std::string first() {
    const std::lock_guard lock(mutex);
    return said.empty() ? "" : said.front();
  }
};

struct Keyed {
  KeyPair master = *make_key_pair();
  KeyPair friendly = *make_key_pair();
  KeyPair stranger = *make_key_pair();
  std::shared_ptr<AllowedKeys> allowed =
      std::make_shared<AllowedKeys>(std::vector<PublicKey>{*parse_public_key(friendly.public_key)});
  Words words;
  TempDir dir;
  Context context;

  Router bind(bool listed) {
    RouterOptions options;
    options.socket.keys = master;
    options.allowed = listed ? allowed : nullptr;
    options.on_refused = [this](const std::string& text) {
      const std::lock_guard lock(words.mutex);
      words.said.push_back(text);
    };
    const Endpoint places[] = {any_port(), *ipc_endpoint(dir / "r.ipc")};
    auto router = Router::bind(context, places, options);
    REQUIRE(router);
    return *std::move(router);
  }
  Dealer connect(const Endpoint& place, const KeyPair& keys) {
    SocketOptions options;
    options.keys = keys;
    auto dealer = Dealer::connect(context, place, options);
    REQUIRE(dealer);
    return *std::move(dealer);
  }
};

}  // namespace

TEST_CASE("a router with keys tells where to connect, and knows its peers by their keys") {
  Keyed k;
  Router router = k.bind(true);
  const Endpoint place = router.endpoints()[0];
  CHECK(place.port != 0);
  CHECK(place.key == k.master.public_key);
  CHECK(*parse_endpoint(place.to_string()) == place);
  Incoming in;
  Dealer dealer = k.connect(place, k.friendly);
  REQUIRE(there_and_back(dealer, router, in));
  CHECK(in.peer.key.text() == k.friendly.public_key);
  CHECK_FALSE(in.peer.local);
  // Local peers are the kernel's to name, and need no key.
  Dealer local = k.connect(router.endpoints()[1], {});
  REQUIRE(there_and_back(local, router, in));
  CHECK(in.peer.local);
  CHECK(in.peer.key.empty());
  CHECK(k.words.count() == 0);
}

TEST_CASE("an unknown key is refused and told so, said once, and others go on") {
  Keyed k;
  Router router = k.bind(true);
  const Endpoint place = router.endpoints()[0];
  Dealer stranger = k.connect(place, k.stranger);
  Dealer nameless = k.connect(place, {});
  Dealer known = k.connect(place, k.friendly);
  Incoming in;
  REQUIRE(there_and_back(known, router, in));
  REQUIRE(eventually([&] { return stranger.refusals() > 1; }));
  CHECK_FALSE(stranger.is_up());
  CHECK_FALSE(nameless.is_up());
  CHECK_THAT(stranger.refusal(), Catch::Contains(k.stranger.public_key) && Catch::Contains("refuses our key"));
  REQUIRE(there_and_back(known, router, in));
  CHECK(k.words.count() == 1);  // and not again within the minute
  CHECK_THAT(k.words.first(), Catch::Contains("not in the list of keys") && Catch::Contains("127.0.0.1"));
  CHECK_FALSE(*stranger.send(heartbeat(1)) == SendOutcome::sent);
  CHECK_FALSE(*router.receive(in, now()));
}

TEST_CASE("a list that is read again lets in whom it now names") {
  Keyed k;
  Router router = k.bind(true);
  Dealer stranger = k.connect(router.endpoints()[0], k.stranger);
  REQUIRE(eventually([&] { return stranger.refusals() > 0; }));
  k.allowed->replace({*parse_public_key(k.stranger.public_key)});
  Incoming in;
  REQUIRE(there_and_back(stranger, router, in));
  CHECK(in.peer.key.text() == k.stranger.public_key);
}

TEST_CASE("a peer without keys, or with a wrong key of the router, does not come through and is noted") {
  Keyed k;
  const bool listed = GENERATE(true, false);
  Router router = k.bind(listed);
  Endpoint plain = router.endpoints()[0];
  plain.key.clear();
  Endpoint wrong = router.endpoints()[0];
  wrong.key = k.stranger.public_key;
  Dealer first = k.connect(plain, {});
  Dealer second = k.connect(wrong, k.friendly);
  REQUIRE(eventually([&] { return first.refusals() > 0 && second.refusals() > 0; }));
  CHECK_FALSE(first.is_up());
  CHECK_FALSE(second.is_up());
  CHECK_THAT(first.refusal(), Catch::Contains("it may want keys"));
  CHECK_THAT(second.refusal(), Catch::Contains("another than " + k.stranger.public_key));
  REQUIRE(eventually([&] { return k.words.count() > 0; }));
  CHECK_THAT(k.words.first(), Catch::Contains("without a key"));
  Incoming in;
  CHECK_FALSE(*router.receive(in, now()));
}

TEST_CASE("a router without a list takes any key, and vouches for none") {
  Keyed k;
  Router router = k.bind(false);
  Dealer dealer = k.connect(router.endpoints()[0], {});
  Incoming in;
  REQUIRE(there_and_back(dealer, router, in));
  CHECK(in.peer.key.empty());
}

TEST_CASE("many strangers do not slow a known peer") {
  // Method: 64 strangers try on and on; a known peer's round trips go on beside them.
  Keyed k;
  Router router = k.bind(true);
  std::vector<Dealer> strangers;
  for (int i = 0; i < 64; ++i) {
    strangers.push_back(k.connect(router.endpoints()[0], {}));
  }
  Dealer known = k.connect(router.endpoints()[0], k.friendly);
  Incoming in;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(there_and_back(known, router, in));
    REQUIRE(in.peer.key.text() == k.friendly.public_key);
  }
  CHECK(router.links() == 1);
}

TEST_CASE("without keys nothing that other hosts could reach is listened on or connected to") {
  Context context;
  const Endpoint open[] = {*parse_endpoint("tcp://*:0")};
  const auto router = Router::bind(context, open);
  REQUIRE_FALSE(router);
  CHECK(router.error().code == Errc::unsupported);
  CHECK_THAT(router.error().text, Catch::Contains("tcp://*:0") && Catch::Contains("muster keygen"));
  const auto dealer = Dealer::connect(context, *parse_endpoint("tcp://192.0.2.1:5051"));
  REQUIRE_FALSE(dealer);
  CHECK(dealer.error().code == Errc::unsupported);
  CHECK_THAT(dealer.error().text, Catch::Contains("tcp://192.0.2.1:5051#KEY"));
}

TEST_CASE("keys are checked, and a secret is never shown") {
  const KeyPair pair = *make_key_pair();
  REQUIRE(key_pair_of(pair.secret_key));
  CHECK(key_pair_of(pair.secret_key)->public_key == pair.public_key);
  const auto bad = key_pair_of("secret-but-short");
  REQUIRE_FALSE(bad);
  CHECK_THAT(bad.error().text, !Catch::Contains("secret-but-short"));
  CHECK(parse_public_key(pair.public_key)->text() == pair.public_key);
  CHECK_THAT(parse_public_key("abc").error().text, Catch::Contains("'abc' is no key") && Catch::Contains("this has 3"));
  CHECK_THAT(parse_public_key(std::string(40, '~')).error().text, Catch::Contains("not of Z85"));
  CHECK_FALSE(parse_endpoint("tcp://10.0.0.1:5051#short"));
}
