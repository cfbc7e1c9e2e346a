// AgentNote: what the core needs of a task after the agent has restarted. Travels through the launcher's run
// log as TaskStart::agent_note. Pure value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/model/resources.hpp"

namespace muster::node {

struct AgentNote {
  Resources shape;                    // charged in the books
  std::vector<std::uint32_t> cpus;    // granted, as advertised
  std::uint32_t cpus_per_rank_milli{};
  std::uint32_t index{};              // array element
  std::uint32_t first_rank{};
  std::uint32_t ranks{};
  bool gang{};                        // member of a gang over several nodes: parks until Go
  bool requeueable{};
  bool executor{};
  std::uint64_t token_hi{};
  std::uint64_t token_lo{};
  std::uint64_t time_limit_ms{};      // 0 = none
  std::uint32_t kill_grace_ms{};
  std::uint32_t uid{};                // whom it runs as
  std::string cpus_text;              // what running updates say: "0-3"
  std::string binding_text;           // "4 advertised cpus on 2 real ones", or ""
  bool operator==(const AgentNote&) const = default;
};

[[nodiscard]] std::string encode_note(const AgentNote& note);
// malformed: not written by encode_note of this version.
[[nodiscard]] Result<AgentNote> decode_note(std::string_view bytes);

}  // namespace muster::node
