// A whole framework: asks for two pieces of any nodes, runs a command in each, says how they end.
//
//   muster up && hello_framework
#include <cstdio>

#include "sched/client/driver.hpp"
#include "wire/base/units.hpp"

using namespace muster;
using namespace muster::client;

namespace {

constexpr std::uint32_t kTasks = 2;

class Hello : public Framework {
 public:
  void on_registered(Epoch epoch, Now) override {
    std::printf("registered in epoch %llu\n", static_cast<unsigned long long>(epoch.value()));
    ask();
  }

  void on_offers(std::span<const Offer> offers, Now) override {
    for (const Offer& offer : offers) {
      const NodeInfo* node = link().node(offer.node);
      std::printf("offered %s of %s\n", to_string(offer.resources).c_str(), node == nullptr ? "?" : node->name.c_str());
      AcceptRequest accept{.offers = {offer.id}, .launches = {}, .specs = {}};
      accept.specs.push_back(command_spec({"/bin/sh", "-c", "echo hello"}, {.name = "hello", .stdout_path = "hello-%N.out"}));
      const auto fits = piece().multiples_in(offer.resources);
      for (std::uint64_t i = 0; i < fits && launched_ < kTasks; ++i) {
        accept.launches.push_back({.attempt = {1, ++launched_}, .node = offer.node, .resources = piece()});
      }
      if (accept.launches.empty()) {
        link().decline(accept.offers, Duration::from_seconds(5));
      } else {
        link().accept(accept);
      }
    }
  }

  void on_accepted(const AcceptAnswer& answer, Now) override {
    if (answer.code != fb::RefusedCode::None) {
      std::printf("refused: %s\n", answer.text.c_str());
      launched_ = ended_;  // the offers were gone: ask again
      ask();
    }
  }

  void on_update(std::span<const TaskUpdate> updates, Now) override {
    for (const TaskUpdate& update : updates) {
      std::printf("task %llu on %s is %s%s%s\n", static_cast<unsigned long long>(update.attempt.lo),
                  update.node_name.c_str(), std::string(to_string(update.state)).c_str(),
                  update.cpus.empty() ? "" : " on cpus ", update.cpus.c_str());
      ended_ += is_terminal(update.state) ? 1U : 0U;
    }
    if (ended_ >= kTasks) {
      stop();
    }
  }

 private:
  static Resources piece() { return *parse_resources("cpus=1;mem=64M"); }
  void ask() { link().request({{.shape = piece(), .count = kTasks - launched_, .whole_rest = false, .nodes = {}}}); }

  std::uint32_t launched_{};
  std::uint32_t ended_{};
};

}  // namespace

int main() {
  Hello hello;
  const auto done = run(hello, {.name = "hello"});
  if (!done) {
    std::fprintf(stderr, "hello_framework: %s\n", done.error().text.c_str());
  }
  return done ? 0 : 1;
}
