#include "node/core/agent_note.hpp"

#include "node/exec/codec.hpp"

namespace muster::node {
namespace {
constexpr std::uint8_t kNoteVersion = 2;
}

std::string encode_note(const AgentNote& note) {
  ByteWriter out;
  out.put(kNoteVersion);
  out.put_string(to_string(note.shape));
  out.put_u32s(note.cpus);
  out.put(note.cpus_per_rank_milli);
  out.put(note.index);
  out.put(note.first_rank);
  out.put(note.ranks);
  out.put_bool(note.gang);
  out.put_bool(note.requeueable);
  out.put_bool(note.executor);
  out.put(note.token_hi);
  out.put(note.token_lo);
  out.put(note.time_limit_ms);
  out.put(note.kill_grace_ms);
  out.put(note.uid);
  out.put_string(note.cpus_text);
  out.put_string(note.binding_text);
  return out.take();
}

Result<AgentNote> decode_note(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.get<std::uint8_t>() != kNoteVersion) {
    return fail(Errc::malformed, "agent note of another version");
  }
  auto shape = parse_resources(in.get_string());
  AgentNote note;
  note.cpus = in.get_u32s();
  note.cpus_per_rank_milli = in.get<std::uint32_t>();
  note.index = in.get<std::uint32_t>();
  note.first_rank = in.get<std::uint32_t>();
  note.ranks = in.get<std::uint32_t>();
  note.gang = in.get_bool();
  note.requeueable = in.get_bool();
  note.executor = in.get_bool();
  note.token_hi = in.get<std::uint64_t>();
  note.token_lo = in.get<std::uint64_t>();
  note.time_limit_ms = in.get<std::uint64_t>();
  note.kill_grace_ms = in.get<std::uint32_t>();
  note.uid = in.get<std::uint32_t>();
  note.cpus_text = in.get_string();
  note.binding_text = in.get_string();
  if (!in.finished() || !shape) {
    return fail(Errc::malformed, "agent note does not decode");
  }
  note.shape = *std::move(shape);
  return note;
}

}  // namespace muster::node
