// Inside wire/socket only: what sockets are made of.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "wire/socket/dealer.hpp"
#include "wire/socket/router.hpp"

namespace muster {

// Owned by the thread of its Dealer.
struct Dealer::Impl {
  ~Impl();
  void read_monitor();

  void* socket{};
  void* monitor{};
  Endpoint endpoint;
  std::deque<LinkChange> changes;
  std::uint64_t dropped{};
  bool up{};
};

// Owned by the thread of its Router.
struct Router::Impl {
  struct Peer {
    std::string routing_id;
    PeerIdentity identity;
    Instant heard;
  };
  ~Impl();
  LinkId link_of(std::string_view routing_id, const PeerIdentity& identity, Instant now);
  void forget(LinkId link);

  void* socket{};
  std::vector<Endpoint> endpoints;
  std::unordered_map<std::string, LinkId> by_routing_id;  // looked up, never iterated
  std::unordered_map<LinkId, Peer> peers;
  std::uint64_t next_link{1};
  std::uint64_t link_stride{1};
  std::uint64_t dropped{};
};

}  // namespace muster
