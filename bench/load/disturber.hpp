// Disturber: somebody who treats a master badly, beside the load whose throughput is watched. Owned by the thread that makes it;
// works on a thread of its own until destroyed.
//
//   web        8 clients ask for the largest pages and read nothing
//   poll       one client reads the state page again and again
//   queries    10,000 operators' queries a second over one connection; the answers are read
//   framework  subscribes, takes offers, sends 1,000 Accepts a second of offers that are not there, and reads nothing
//   node       registers, is given a task and 1,000 messages a second of 4 KiB by a framework of its own, and reads nothing
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include "wire/base/result.hpp"

namespace muster::bench {

enum class Disturbance : std::uint8_t { web, poll, queries, framework, node };

[[nodiscard]] std::string_view to_string(Disturbance kind);

struct DisturberOptions {
  Disturbance kind{};
  std::uint16_t port{};       // of the master's tcp endpoint
  std::uint16_t http_port{};  // of its pages
  std::uint32_t number{};     // tells disturbers of one master apart
};

class Disturber {
 public:
  explicit Disturber(const DisturberOptions& options);
  ~Disturber();  // hangs up
  Disturber(const Disturber&) = delete;
  Disturber& operator=(const Disturber&) = delete;

  // What it has done: requests sent, answers read, answers that said to come again later.
  struct Done {
    std::uint64_t sent{}, answered{}, refused{};
  };
  [[nodiscard]] Done done() const { return {sent_.load(), answered_.load(), refused_.load()}; }
  // "" while all is as it should be.
  [[nodiscard]] std::string problem() const { return failed_.load() ? problem_ : std::string(); }

 private:
  void work();
  void pause_pages();
  void poll_pages();
  void flood_queries();
  void deaf_framework();
  void deaf_node();
  void fail(const std::string& what);

  DisturberOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  std::string problem_;  // written before failed_
  std::atomic<std::uint64_t> sent_{0}, answered_{0}, refused_{0};
  std::thread thread_;
};

// The body of one page of a master; "" when it can't be had.
[[nodiscard]] std::string read_page(std::uint16_t http_port, const std::string& path);

}  // namespace muster::bench
