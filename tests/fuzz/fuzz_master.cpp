// Goal: whatever authenticated peers send, in any order, the master core neither crashes nor miscounts, and sends only valid
// frames. Method: peers of every role make messages at random, some bent bit by bit, some bytes that are no frame at all; links
// break and time jumps. After every flush all books are audited. One seed is one run.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "master/core/master_core.hpp"
#include "master/view/cluster_view.hpp"
#include "tests/fuzz/peer.hpp"

namespace {

using namespace muster;
using namespace muster::fuzz;

struct Tally {
  std::uint64_t frames{};
  std::uint64_t bad{};
  std::uint64_t out{};
  std::uint64_t accepts{};
  std::uint64_t updates{};
};

class Run {
 public:
  explicit Run(std::uint64_t seed)
      : random_(seed), core_(config(), Epoch(1), now()) {
    peers_.emplace_back(LinkId(1), Identity{Role::node, 0, {"n0"}});
    peers_.emplace_back(LinkId(2), Identity{Role::node, 0, {"n1", "n2"}});
    peers_.emplace_back(LinkId(3), Identity{Role::framework, 101, {}});
    peers_.emplace_back(LinkId(4), Identity{Role::framework, 102, {}});
    peers_.emplace_back(LinkId(5), Identity{Role::operator_, 0, {}});
  }

  // The first thing that went wrong; "" if nothing did.
  std::string step() {
    pass_time();
    // The operator (the last) speaks seldom.
    fuzz::Peer& peer = peers_[random_.below(peers_.size() - (random_.one_in(5) ? 0 : 1))];
    if (random_.one_in(300)) {
      core_.on_link_lost(peer.link(), now());
      peer.move_to(LinkId(next_link_++));
    }
    send(peer);
    if (random_.one_in(3)) {
      return flush();
    }
    return {};
  }
  std::string finish() {
    (void)core_.view(now());
    const auto view = core_.view(now());
    tally.accepts = view->probe.accepts;
    tally.updates = view->probe.updates;
    return flush();
  }
  Tally tally;

 private:
  static master::MasterConfig config() {
    master::MasterConfig c;
    c.settle = Duration::from_ms(100);
    c.lease = Duration::from_ms(3000);
    c.fence = Duration::from_ms(20'000);
    return c;
  }
  [[nodiscard]] Now now() const { return {Instant::from_ns(now_ns_), WallTime::from_ns(now_ns_ + 1'000'000'000'000)}; }

  void pass_time() {
    now_ns_ += static_cast<std::int64_t>(random_.one_in(1500) ? 35'000'000'000ULL : random_.one_in(300) ? 4'000'000'000ULL : random_.below(20'000'000));
    if (now().mono >= core_.next_timer()) {
      core_.on_timer(now());
    }
  }

  void send(fuzz::Peer& peer) {
    FrameBytes bytes = peer.next(random_, learnt_);
    const master::Peer identity{true, random_.one_in(100) ? 1000U : 0U, 7};
    const auto frame = verify_frame(bytes);
    if (frame) {
      ++tally.frames;
      core_.on_frame(peer.link(), identity, **frame, now());
    } else {
      ++tally.bad;
      core_.on_bad_frame(peer.link(), identity, frame.error(), now());
    }
    // What the core still points to must not be the caller's frame.
    std::memset(bytes.data(), 0xa5, bytes.size());
  }

  std::string flush() {
    master::MasterOutputs out;
    core_.flush(now(), out);
    for (const master::OutFrame& frame : out.frames) {
      ++tally.out;
      for (fuzz::Peer& peer : peers_) {
        if (peer.link() == frame.link && !peer.take(frame.bytes, learnt_)) {
          return "the master sent a frame that does not verify";
        }
      }
    }
    const auto audit = core_.audit();
    return audit ? std::string() : audit.error().text;
  }

  Random random_;
  std::int64_t now_ns_{1'000'000'000};
  master::MasterCore core_;
  std::vector<fuzz::Peer> peers_;
  Learnt learnt_;
  std::uint64_t next_link_{100};
};

bool run_seed(std::uint64_t seed, std::uint64_t steps, bool talk) {
  Run run(seed);
  for (std::uint64_t step = 0; step <= steps; ++step) {
    const std::string wrong = step == steps ? run.finish() : run.step();
    if (!wrong.empty()) {
      std::fprintf(stderr, "seed %llu step %llu: %s\n", static_cast<unsigned long long>(seed),
                   static_cast<unsigned long long>(step), wrong.c_str());
      return false;
    }
  }
  if (talk) {
    std::printf("seed %llu: %llu frames, %llu bad, %llu sent, %llu accepts taken, %llu updates\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(run.tally.frames),
                static_cast<unsigned long long>(run.tally.bad), static_cast<unsigned long long>(run.tally.out),
                static_cast<unsigned long long>(run.tally.accepts), static_cast<unsigned long long>(run.tally.updates));
  }
  return true;
}

}  // namespace

// fuzz_master [--seeds A-B] [--steps N] [--talk]
int main(int argc, char** argv) {
  std::uint64_t first = 1;
  std::uint64_t last = 10;
  std::uint64_t steps = 1000;
  bool talk = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--seeds" && *value != '\0') {
      char* rest = nullptr;
      first = std::strtoull(value, &rest, 10);
      last = *rest == '-' ? std::strtoull(rest + 1, nullptr, 10) : first;
      ++i;
    } else if (option == "--steps" && *value != '\0') {
      steps = std::strtoull(value, nullptr, 10);
      ++i;
    } else if (option == "--talk") {
      talk = true;
    } else {
      std::fprintf(stderr, "usage: fuzz_master [--seeds A-B] [--steps N] [--talk]\n");
      return 2;
    }
  }
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    if (!run_seed(seed, steps, talk)) {
      return 1;
    }
  }
  std::printf("%llu seeds of %llu steps: nothing broke\n", static_cast<unsigned long long>(last - first + 1),
              static_cast<unsigned long long>(steps));
  return 0;
}
