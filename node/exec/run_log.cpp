#include "node/exec/run_log.hpp"

#include <map>
#include <optional>
#include <utility>

#include "node/exec/crc32c.hpp"
#include "node/exec/launcher_codec.hpp"  // kFrameBytesMax

namespace muster::node::run_log {
namespace {

constexpr std::size_t kHeaderBytes = 16;
constexpr std::uint64_t kMagic = 0x474f4c4e55525453ULL;  // "STRUNLOG"
// A head record may say this much; a task's record is bounded by the socket's frames.
constexpr std::size_t kPayloadBytesMax = kFrameBytesMax;

enum class Type : std::uint8_t { head = 1, intent, started, ended, forgotten, all_forgotten };

ByteWriter begin_record(Type type) {
  ByteWriter out;
  out.put(std::uint32_t{0});
  out.put(static_cast<std::uint8_t>(type));
  out.put(std::uint8_t{0});
  out.put(std::uint16_t{0});
  out.put(std::uint64_t{0});
  return out;
}

std::string end_record(ByteWriter& out) {
  const std::string_view bytes(out.bytes());
  const std::uint32_t payload_crc = crc32c(bytes.substr(kHeaderBytes));
  out.patch_u32(0, static_cast<std::uint32_t>(bytes.size() - kHeaderBytes));
  out.patch_u32(8, payload_crc);
  out.patch_u32(12, crc32c(bytes.substr(0, 12)));
  return out.take();
}

// Pure. Folds records into what is known about each attempt.
class Fold {
 public:
  // False: the payload does not verify.
  bool add(Type type, ByteReader& in, Contents& contents) {
    FrameworkId framework;
    AttemptId attempt;
    switch (type) {
      case Type::head: {
        if (in.get<std::uint64_t>() != kMagic) {
          return false;
        }
        version_ = in.get<std::uint32_t>();
        if (version_ == 0 || version_ > kTaskVersion) {
          return false;
        }
        contents.head.boot_id = in.get_string();
        contents.head.launcher_id = in.get_string();
        contents.head.roots.resize(in.get_count(8));
        for (ContainmentRoot& root : contents.head.roots) {
          root.kind = in.get_string();
          root.path = in.get_string();
        }
        break;
      }
      case Type::intent: {
        TaskStart task = get_task(in, version_);
        if (!in.finished()) {
          return false;
        }
        const AttemptKey key{task.framework, task.attempt};
        if (!index_.contains(key)) {
          index_[key] = tasks_.size();
          tasks_.emplace_back(LoggedTask{});
          tasks_.back()->known.task = std::move(task);
        }
        break;
      }
      case Type::started: {
        get_attempt(in, framework, attempt);
        const WallTime started = WallTime::from_ns(in.get_i64());
        std::vector<RankProcess> processes = get_processes(in);
        std::string group = in.get_string();
        if (LoggedTask* task = find(framework, attempt); in.finished() && task != nullptr) {
          if (task->known.phase != RecoveredTask::Phase::ended) {
            task->known.phase = RecoveredTask::Phase::started;
          }
          task->known.started = started;
          task->known.processes = std::move(processes);
          task->group = std::move(group);
        }
        break;
      }
      case Type::ended: {
        event::Ended ended = get_ended(in, version_);
        if (LoggedTask* task = find(ended.framework, ended.attempt); in.finished() && task != nullptr) {
          task->known.phase = RecoveredTask::Phase::ended;
          task->known.end = std::move(ended);
        }
        break;
      }
      case Type::forgotten: {
        get_attempt(in, framework, attempt);
        if (!in.finished()) {
          return false;
        }
        if (auto it = index_.find(AttemptKey{framework, attempt}); it != index_.end()) {
          tasks_[it->second].reset();
          index_.erase(it);
        }
        contents.forgotten.emplace_back(framework, attempt);
        break;
      }
      case Type::all_forgotten: {
        const std::vector<AttemptKey> attempts = get_attempts(in);
        contents.forgotten.insert(contents.forgotten.end(), attempts.begin(), attempts.end());
        break;
      }
      default: return false;
    }
    return in.finished();
  }

  void finish(Contents& contents) {
    for (auto& task : tasks_) {
      if (task) {
        contents.tasks.push_back(std::move(*task));
      }
    }
    if (auto& forgotten = contents.forgotten; forgotten.size() > kForgottenMax) {
      forgotten.erase(forgotten.begin(), forgotten.end() - static_cast<std::ptrdiff_t>(kForgottenMax));
    }
  }

 private:
  LoggedTask* find(FrameworkId framework, const AttemptId& attempt) {
    auto it = index_.find(AttemptKey{framework, attempt});
    return it == index_.end() ? nullptr : &*tasks_[it->second];
  }

  std::uint32_t version_{kTaskVersion};  // of the file: the next rewrite is of ours
  std::vector<std::optional<LoggedTask>> tasks_;
  std::map<AttemptKey, std::size_t> index_;
};

bool all_zero_from(std::string_view bytes, std::size_t at) {
  return bytes.find_first_not_of('\0', at) == std::string_view::npos;
}

}  // namespace

std::string encode_head(const Head& head) {
  ByteWriter out = begin_record(Type::head);
  out.put(kMagic);
  out.put(kTaskVersion);
  out.put_string(head.boot_id);
  out.put_string(head.launcher_id);
  out.put(static_cast<std::uint32_t>(head.roots.size()));
  for (const ContainmentRoot& root : head.roots) {
    out.put_string(root.kind);
    out.put_string(root.path);
  }
  return end_record(out);
}

std::string encode_intent(const TaskStart& task) {
  ByteWriter out = begin_record(Type::intent);
  put_task(out, task, false);
  return end_record(out);
}

std::string encode_started(FrameworkId framework, const AttemptId& attempt, WallTime started,
                           const std::vector<RankProcess>& processes, const std::string& group) {
  ByteWriter out = begin_record(Type::started);
  put_attempt(out, framework, attempt);
  out.put_i64(started.ns());
  put_processes(out, processes);
  out.put_string(group);
  return end_record(out);
}

void complete_started(std::string& record, WallTime started, const RankProcess& process) {
  const auto patch = [&record](std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      record[at + i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8U * i)));
    }
  };
  constexpr std::size_t kTime = kHeaderBytes + 24;      // behind the attempt
  constexpr std::size_t kProcess = kTime + 8 + 4;       // behind the number of processes
  patch(kTime, static_cast<std::uint64_t>(started.ns()), 8);
  patch(kProcess, process.rank, 4);
  patch(kProcess + 4, static_cast<std::uint32_t>(process.pid), 4);
  patch(kProcess + 8, process.start_time_ticks, 8);
  const std::string_view bytes(record);
  patch(8, crc32c(bytes.substr(kHeaderBytes)), 4);
  patch(12, crc32c(bytes.substr(0, 12)), 4);
}

std::string encode_ended(const event::Ended& ended) {
  ByteWriter out = begin_record(Type::ended);
  put_ended(out, ended);
  return end_record(out);
}

std::string encode_forgotten(FrameworkId framework, const AttemptId& attempt) {
  ByteWriter out = begin_record(Type::forgotten);
  put_attempt(out, framework, attempt);
  return end_record(out);
}

std::string encode_file(const Head& head, const std::vector<const LoggedTask*>& tasks,
                        const std::vector<AttemptKey>& forgotten, std::size_t& records) {
  std::string bytes = encode_head(head);
  records = 1;
  if (!forgotten.empty()) {
    ByteWriter out = begin_record(Type::all_forgotten);
    put_attempts(out, forgotten);
    bytes += end_record(out);
    ++records;
  }
  for (const LoggedTask* task : tasks) {
    const RecoveredTask& known = task->known;
    bytes += encode_intent(known.task);
    ++records;
    if (known.phase == RecoveredTask::Phase::started ||
        (known.phase == RecoveredTask::Phase::ended && !known.processes.empty())) {
      bytes += encode_started(known.task.framework, known.task.attempt, known.started, known.processes, task->group);
      ++records;
    }
    if (known.phase == RecoveredTask::Phase::ended) {
      bytes += encode_ended(known.end);
      ++records;
    }
  }
  return bytes;
}

Result<Contents> decode(std::string_view bytes, const std::string& file) {
  Contents contents;
  Fold fold;
  std::size_t offset = 0;
  auto corrupt = [&](const char* what) {
    return fail(Errc::malformed, "run log " + file + " is damaged at offset " + std::to_string(offset) + ": " + what +
                                     "; end what still runs and move the file away to start afresh");
  };
  while (offset < bytes.size()) {
    const std::string_view rest = bytes.substr(offset);
    if (rest.size() < kHeaderBytes) {
      break;  // torn
    }
    ByteReader header(rest.substr(0, kHeaderBytes));
    const auto payload_bytes = header.get<std::uint32_t>();
    const auto type = header.get<std::uint8_t>();
    header.get<std::uint8_t>();
    header.get<std::uint16_t>();
    const auto payload_crc = header.get<std::uint32_t>();
    if (header.get<std::uint32_t>() != crc32c(rest.substr(0, 12)) || payload_bytes > kPayloadBytesMax) {
      if (all_zero_from(rest, kHeaderBytes)) {
        break;  // a power cut: the file was extended, but its end was never filled
      }
      return corrupt("the record's header does not match its checksum");
    }
    if (rest.size() - kHeaderBytes < payload_bytes) {
      break;  // torn
    }
    const std::string_view payload = rest.substr(kHeaderBytes, payload_bytes);
    if (crc32c(payload) != payload_crc) {
      if (all_zero_from(rest, kHeaderBytes + payload_bytes)) {
        break;  // torn within the last record
      }
      return corrupt("the record does not match its checksum");
    }
    if ((offset == 0) != (static_cast<Type>(type) == Type::head)) {
      return corrupt(offset == 0 ? "it does not begin with a head record" : "a second head record");
    }
    ByteReader in(payload);
    if (!fold.add(static_cast<Type>(type), in, contents)) {
      return corrupt(offset == 0 ? "this is no run log, or of another version" : "the record does not verify");
    }
    ++contents.records;
    offset += kHeaderBytes + payload_bytes;
  }
  contents.bytes_valid = offset;
  fold.finish(contents);
  return contents;
}

void end_by_reboot(Contents& contents, std::string_view boot_id, WallTime now) {
  if (contents.head.boot_id == boot_id) {
    return;
  }
  for (LoggedTask& logged : contents.tasks) {
    RecoveredTask& task = logged.known;
    if (task.phase == RecoveredTask::Phase::ended) {
      continue;
    }
    task.phase = RecoveredTask::Phase::ended;
    task.end.framework = task.task.framework;
    task.end.attempt = task.task.attempt;
    // INTENT alone proves nothing here: the log is not synced, and a power cut may have dropped STARTED.
    task.end.state = TaskState::lost;
    task.end.reason = TaskReason::node_rebooted;
    task.end.text = "the node rebooted";
    task.end.started = task.started;
    task.end.ended = now;
  }
}

}  // namespace muster::node::run_log
