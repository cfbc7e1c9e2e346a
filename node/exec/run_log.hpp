// The run log's format, shared by its writer (the launcher; a rank just before its exec) and its readers.
// Pure: bytes in, values out.
//
//   record = u32 payload bytes · u8 type, 3 zero bytes · u32 crc32c(payload) · u32 crc32c(the 12 bytes before)
//            · payload
//   file   = head (magic, version, boot id, launcher id, containment roots), then per attempt
//            INTENT(task) → STARTED(pids, start times, wall time) → ENDED(end) → FORGOTTEN
//            (a rewritten file has one record of all forgotten attempts after its head)
//
// INTENT without STARTED proves that no rank executed anything: a rank execs only after STARTED is written.
// (Within one boot. Nothing is synced, so after a power cut STARTED may be missing: see end_by_reboot.)
// A record that the file's end cuts off is dropped, also when zeros fill the file up behind it (a power cut); a bad record
// before the end is an error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "node/exec/launcher_messages.hpp"
#include "wire/base/result.hpp"

namespace muster::node::run_log {

// A directory that holds the groups of the launcher's tasks: kind "v2", "freezer", "memory", "cpuset".
struct ContainmentRoot {
  std::string kind;
  std::string path;
  bool operator==(const ContainmentRoot&) const = default;
};

struct Head {
  std::string boot_id;
  std::string launcher_id;  // names the launcher's groups and marks its tasks' environments
  std::vector<ContainmentRoot> roots;
};

// An attempt as the log keeps it.
struct LoggedTask {
  RecoveredTask known;  // without environments
  std::string group;    // directory of the control group that tracks its processes; "" = none
};

struct Contents {
  Head head;
  std::vector<LoggedTask> tasks;  // all that are not forgotten, in start order
  std::vector<AttemptKey> forgotten;  // the last kForgottenMax, oldest first
  std::size_t records{};
  std::size_t bytes_valid{};  // smaller than the file when its last record is torn
};

[[nodiscard]] std::string encode_head(const Head& head);
[[nodiscard]] std::string encode_intent(const TaskStart& task);
[[nodiscard]] std::string encode_started(FrameworkId framework, const AttemptId& attempt, WallTime started,
                                         const std::vector<RankProcess>& processes, const std::string& group);
// Writes the time and the process into an encoded STARTED of one process; allocates nothing.
void complete_started(std::string& record, WallTime started, const RankProcess& process);
[[nodiscard]] std::string encode_ended(const event::Ended& ended);
[[nodiscard]] std::string encode_forgotten(FrameworkId framework, const AttemptId& attempt);
// A whole file that decodes to the same tasks.
[[nodiscard]] std::string encode_file(const Head& head, const std::vector<const LoggedTask*>& tasks,
                                      const std::vector<AttemptKey>& forgotten, std::size_t& records);

// malformed: a bad record before the end; the text names `file` and the offset.
// An empty file (or one torn within its head) has an empty boot id and no tasks.
[[nodiscard]] Result<Contents> decode(std::string_view bytes, const std::string& file);

// The ends of attempts that a power cut or reboot ended: boot_id is of the present boot. Changes
// every unended task to ended (lost, node_rebooted) when the head's boot id is another.
void end_by_reboot(Contents& contents, std::string_view boot_id, WallTime now);

}  // namespace muster::node::run_log
