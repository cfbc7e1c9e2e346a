// People at their terminals: they submit with a key until they are answered, cancel, hold, release and look.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/network.hpp"
#include "tests/sim/store.hpp"
#include "tests/sim/world.hpp"

namespace muster::sim {

class Cluster;

// Owned by one run.
class Users {
 public:
  explicit Users(Cluster& cluster) : cluster_(cluster) {}

  // Draws `jobs` submissions over `span` and what happens to them.
  void plan(std::uint32_t jobs, Duration span);
  // One job with this spec, now.
  void submit(const fb::JobSpecT& spec);
  // No more holds; what is held is released.
  void wind_down();

  void answer(LinkId link, const FrameBytes& bytes);
  void gang_gone();

  [[nodiscard]] bool done() const;        // every submission has been answered, every release too
  [[nodiscard]] std::string undone_text() const;
  // What was acknowledged is there, and once.
  void check(const SimStore& store) const;
  [[nodiscard]] std::uint64_t jobs() const { return submissions_.size(); }

 private:
  struct Submission {
    fb::JobSpecT spec;
    std::uint64_t key{};
    std::uint64_t job{};         // once acknowledged
    bool refused{};
    bool released{true};
    bool cancel_asked{};
    bool last_state_known{};
    fb::JobState last_state{};
  };
  enum class Ask : std::uint8_t { submit, cancel, hold, release, query };
  struct Request {
    Ask ask{};
    std::size_t submission{};
  };

  [[nodiscard]] fb::JobSpecT draw_spec();
  void send_submit(std::size_t place);
  void send_ask(Ask ask, std::size_t place);
  void send(const Request& request, FrameBytes bytes);
  void query_soon();

  Cluster& cluster_;
  std::vector<Submission> submissions_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t next_request_{};
  LinkId link_;
  bool connected_{};
  bool winding_down_{};
};

}  // namespace muster::sim
