// The parts of a task's story as bytes: for the launcher's socket and for the run log. Pure.
#pragma once

#include <vector>

#include "node/exec/codec.hpp"
#include "node/exec/launcher_messages.hpp"

namespace muster::node {

// Of a run log. What they lack: 1 requeueable and processes_max; 2 what a step daemon has and leaves.
inline constexpr std::uint32_t kTaskVersion = 3;

// With `with_environment` false the environments and the input are left out.
void put_task(ByteWriter& out, const TaskStart& task, bool with_environment);
[[nodiscard]] TaskStart get_task(ByteReader& in, std::uint32_t version = kTaskVersion);
void put_processes(ByteWriter& out, const std::vector<RankProcess>& processes);
[[nodiscard]] std::vector<RankProcess> get_processes(ByteReader& in);
void put_ended(ByteWriter& out, const event::Ended& ended);
[[nodiscard]] event::Ended get_ended(ByteReader& in, std::uint32_t version = kTaskVersion);
void put_attempt(ByteWriter& out, FrameworkId framework, const AttemptId& attempt);
void get_attempt(ByteReader& in, FrameworkId& framework, AttemptId& attempt);
void put_attempts(ByteWriter& out, const std::vector<AttemptKey>& attempts);
[[nodiscard]] std::vector<AttemptKey> get_attempts(ByteReader& in);

}  // namespace muster::node
