// A scheduler with an executor of its own: one task, several pieces of work in it, messages both ways.
//
//   muster up && executor_framework [path of executor]
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <random>
#include <string>

#include "sched/client/driver.hpp"
#include "wire/base/units.hpp"

using namespace muster;
using namespace muster::client;

namespace {

class Squares : public Framework {
 public:
  explicit Squares(std::string executor) : executor_(std::move(executor)) {}

  void on_registered(Epoch, Now) override {
    if (!launched_) {
      link().request({{.shape = *parse_resources("cpus=1;mem=64M"), .count = 1, .whole_rest = false, .nodes = {}}});
    }
  }

  void on_offers(std::span<const Offer> offers, Now) override {
    for (const Offer& offer : offers) {
      if (launched_) {
        link().decline(std::vector{offer.id}, Duration{});
        continue;
      }
      launched_ = true;
      std::random_device random;
      AcceptRequest accept{.offers = {offer.id}, .launches = {}, .specs = {}};
      accept.specs.push_back(command_spec(
          {executor_}, {.name = "squares", .executor = true, .token_hi = random() | 1U, .token_lo = random()}));
      accept.launches.push_back({.attempt = {1, 1}, .node = offer.node, .resources = offer.resources});
      link().accept(accept);
    }
  }

  // "ready" from the executor, then "<n> <n squared>" for each piece of work.
  void on_message(const AttemptId& attempt, NodeIndex node, std::span<const std::uint8_t> data, Now) override {
    const std::string text(data.begin(), data.end());
    std::printf("executor says: %s\n", text.c_str());
    answers_ += text == "ready" ? 0 : 1;
    const std::string next = answers_ < 5 ? std::to_string(answers_ + 1) : "quit";
    link().send_message(attempt, node, std::span(reinterpret_cast<const std::uint8_t*>(next.data()), next.size()));
  }

  void on_update(std::span<const TaskUpdate> updates, Now) override {
    for (const TaskUpdate& update : updates) {
      std::printf("task is %s %s\n", std::string(to_string(update.state)).c_str(), update.text.c_str());
      if (is_terminal(update.state)) {
        stop();
      }
    }
  }

  [[nodiscard]] bool all_answered() const { return answers_ == 5; }

 private:
  std::string executor_;
  bool launched_{};
  int answers_{};
};

// The executor is built beside this program.
std::string beside_me(const char* name) {
  char path[PATH_MAX];
  const auto size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return self.substr(0, self.rfind('/') + 1) + name;
}

}  // namespace

int main(int argc, char** argv) {
  Squares squares(argc > 1 ? argv[1] : beside_me("executor"));
  const auto done = run(squares, {.name = "squares"});
  if (!done) {
    std::fprintf(stderr, "executor_framework: %s\n", done.error().text.c_str());
  }
  return done && squares.all_answered() ? 0 : 1;
}
