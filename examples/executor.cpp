// The executor of executor_framework: squares every number it is sent, until it is told to quit.
#include <cstdio>
#include <string>

#include "sched/client/executor.hpp"

int main() {
  using namespace muster;
  auto executor = client::Executor::connect();
  if (!executor) {
    std::fprintf(stderr, "executor: %s\n", executor.error().text.c_str());
    return 1;
  }
  if (!executor->send("ready")) {
    return 1;
  }
  for (;;) {
    const auto message = executor->receive(Duration::from_seconds(30));
    if (!message || !*message) {
      std::fprintf(stderr, "executor: %s\n", message ? "nothing to do for 30 s" : message.error().text.c_str());
      return 1;
    }
    if (**message == "quit") {
      return 0;
    }
    const long n = std::stol(**message);
    if (!executor->send(**message + " " + std::to_string(n * n))) {
      return 1;
    }
  }
}
