// A process with a connection to the master: a node's agent or a framework.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "tests/sim/role.hpp"

namespace muster::sim {

// Owned by one run.
class Client : public Role {
 public:
  Client(Cluster& cluster, std::string name, std::uint32_t id) : Role(cluster, std::move(name)), id_(id) {}

  [[nodiscard]] std::uint32_t id() const { return id_; }
  SharedConnection connection;   // present or last
  bool connecting{};             // an attempt is scheduled
  std::deque<SharedFrame> waiting;  // sent while there was no connection: some transports keep them

  // What the transport tells the core.
  virtual void link_up() = 0;
  virtual void link_down() = 0;
  // A frame arrives; `bytes` may be corrupt.
  virtual void receive(const Connection& from, const FrameBytes& bytes) = 0;

 protected:
  // Sends a frame to the master, through the checker.
  void send_to_master(FrameBytes bytes);

 private:
  std::uint32_t id_;
};

}  // namespace muster::sim
