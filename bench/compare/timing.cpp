// timing: runs commands and says how long they took, for the comparisons. The same clock and the same spawn for every peer.
//
//   timing raw SECONDS                          posix_spawn + waitpid of /bin/true on two threads: one line, runs per second
//   timing repeat N PAUSE_MS COMMAND…           N runs one after the other: a line of milliseconds each
//   timing rate CLIENTS N COMMAND…              N runs by CLIENTS clients: one line, runs per second
//   timing start N PAUSE_MS FIFO COMMAND…       runs COMMAND, then reads a line with the nanoseconds of CLOCK_REALTIME from
//                                               FIFO, which the job that COMMAND submits writes first of all: a line of
//                                               milliseconds from before COMMAND to that time each
//
// Pauses are random, up to twice PAUSE_MS, so that no run keeps step with anybody's timer. A COMMAND that fails ends it.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "wire/base/sampling.hpp"
#include "wire/daemon/raw_spawn.hpp"

extern char** environ;

namespace {

using muster::seconds_now;

[[noreturn]] void give_up(const std::string& text) {
  std::fprintf(stderr, "timing: %s\n", text.c_str());
  std::exit(1);
}

void run(char** command) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, command[0], &actions, nullptr, command, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    give_up(std::string(command[0]) + ": " + std::strerror(error));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    give_up(std::string(command[0]) + " failed with status " + std::to_string(status));
  }
}

void pause(std::mt19937& random, int most_ms) {
  usleep(static_cast<useconds_t>(std::uniform_int_distribution<int>(0, most_ms * 2000)(random)));
}

int number(const char* text, const char* what) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > 100'000'000) {
    give_up(std::string(what) + " '" + text + "' is no number");
  }
  return static_cast<int>(value);
}

void print_starts(int count, int pause_ms, const char* fifo, char** command) {
  std::mt19937 random(1);
  const int in = open(fifo, O_RDWR);  // never at its end
  if (in < 0) {
    give_up(std::string(fifo) + ": " + std::strerror(errno));
  }
  for (int i = 0; i < count; ++i) {
    const auto begun = std::chrono::system_clock::now().time_since_epoch();
    run(command);
    char line[64]{};
    if (read(in, line, sizeof line - 1) <= 0) {
      give_up("nothing came from the job");
    }
    const double started_ms = std::strtod(line, nullptr) / 1e6;
    std::printf("%.3f\n", started_ms - std::chrono::duration<double, std::milli>(begun).count());
    pause(random, pause_ms);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "raw" && argc == 3) {
    const auto per_second = muster::measure_spawn_rate(2, number(argv[2], "seconds"));
    if (!per_second) {
      give_up(per_second.error().text);
    }
    std::printf("%.1f\n", *per_second);
  } else if (what == "repeat" && argc > 4) {
    std::mt19937 random(1);
    for (int i = number(argv[2], "count"); i > 0; --i) {
      const double begun = seconds_now();
      run(argv + 4);
      std::printf("%.3f\n", (seconds_now() - begun) * 1000);
      pause(random, number(argv[3], "pause"));
    }
  } else if (what == "rate" && argc > 4) {
    const int clients = number(argv[2], "clients");
    const int count = number(argv[3], "count");
    std::atomic<int> next{0};
    std::vector<std::thread> threads;
    const double begun = seconds_now();
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([&] {
        while (next.fetch_add(1) < count) {
          run(argv + 4);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    std::printf("%.2f\n", count / (seconds_now() - begun));
  } else if (what == "start" && argc > 5) {
    print_starts(number(argv[2], "count"), number(argv[3], "pause"), argv[4], argv + 5);
  } else {
    std::fprintf(stderr, "usage: timing raw SECONDS | repeat N PAUSE_MS COMMAND… | rate CLIENTS N COMMAND… | "
                         "start N PAUSE_MS FIFO COMMAND…\n");
    return 2;
  }
  return 0;
}
