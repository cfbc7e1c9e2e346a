#include "node/exec/launcher_codec.hpp"

#include <type_traits>

namespace muster::node {
namespace {

// Hello frames are cut at this size, well below the limit.
constexpr std::size_t kHelloFrameBytes = std::size_t{1} << 20U;

enum class CommandTag : std::uint8_t { start = 1, go, release, kill, signal, forget, shutdown };
enum class EventTag : std::uint8_t { parked = 1, started, ended, unkillable };

ByteWriter begin_frame(FrameKind kind) {
  ByteWriter out;
  out.put(std::uint32_t{0});
  out.put(static_cast<std::uint8_t>(kind));
  return out;
}

std::string end_frame(ByteWriter& out) {
  out.patch_u32(0, static_cast<std::uint32_t>(out.size() - 4));
  return out.take();
}

template <class Tag>
void put_tag(ByteWriter& out, Tag tag) {
  out.put(static_cast<std::uint8_t>(tag));
}

void put_recovered(ByteWriter& out, const RecoveredTask& task) {
  put_task(out, task.task, false);
  put_tag(out, task.phase);
  put_processes(out, task.processes);
  out.put_i64(task.started.ns());
  if (task.phase == RecoveredTask::Phase::ended) {
    put_ended(out, task.end);
  }
}

RecoveredTask get_recovered(ByteReader& in) {
  RecoveredTask task;
  task.task = get_task(in);
  const auto phase = in.get<std::uint8_t>();
  if (phase > static_cast<std::uint8_t>(RecoveredTask::Phase::ended)) {
    in.fail();
  }
  task.phase = static_cast<RecoveredTask::Phase>(phase);
  task.processes = get_processes(in);
  task.started = WallTime::from_ns(in.get_i64());
  if (in.ok() && task.phase == RecoveredTask::Phase::ended) {
    task.end = get_ended(in);
  }
  return task;
}

tl::unexpected<Error> malformed(const char* what) {
  return fail(Errc::malformed, std::string("launcher socket: ") + what);
}

bool is_known(TaskState state) { return to_string(state) != "unknown"; }
bool is_known(TaskReason reason) { return to_string(reason) != "unknown reason"; }

}  // namespace

void put_attempt(ByteWriter& out, FrameworkId framework, const AttemptId& attempt) {
  out.put(framework.value());
  out.put(attempt.hi);
  out.put(attempt.lo);
}

void get_attempt(ByteReader& in, FrameworkId& framework, AttemptId& attempt) {
  framework = FrameworkId(in.get<std::uint64_t>());
  attempt.hi = in.get<std::uint64_t>();
  attempt.lo = in.get<std::uint64_t>();
}

void put_task(ByteWriter& out, const TaskStart& task, bool with_environment) {
  static const std::vector<std::string> kNone;
  put_attempt(out, task.framework, task.attempt);
  out.put(task.job.value());
  out.put_string(task.name);
  out.put_strings(task.argv);
  out.put_strings(with_environment ? task.environment : kNone);
  out.put_string(task.working_directory);
  out.put_string(task.stdin_path);
  out.put(task.uid);
  out.put(task.gid);
  out.put_bool(task.switch_user);
  out.put_bool(task.park);
  out.put(task.memory_limit_bytes);
  out.put(task.cpus_milli);
  out.put_u32s(task.cpus);
  out.put_bool(task.truncate_output);
  out.put_string(task.agent_note);
  out.put(static_cast<std::uint32_t>(task.ranks.size()));
  for (const RankStart& rank : task.ranks) {
    out.put(rank.rank);
    out.put_strings(with_environment ? rank.environment : kNone);
    out.put_u32s(rank.cpus);
    out.put_string(rank.stdout_path);
    out.put_string(rank.stderr_path);
  }
}

TaskStart get_task(ByteReader& in) {
  TaskStart task;
  get_attempt(in, task.framework, task.attempt);
  task.job = JobId(in.get<std::uint64_t>());
  task.name = in.get_string();
  task.argv = in.get_strings();
  task.environment = in.get_strings();
  task.working_directory = in.get_string();
  task.stdin_path = in.get_string();
  task.uid = in.get<std::uint32_t>();
  task.gid = in.get<std::uint32_t>();
  task.switch_user = in.get_bool();
  task.park = in.get_bool();
  task.memory_limit_bytes = in.get<std::uint64_t>();
  task.cpus_milli = in.get<std::uint32_t>();
  task.cpus = in.get_u32s();
  task.truncate_output = in.get_bool();
  task.agent_note = in.get_string();
  task.ranks.resize(in.get_count(20));
  for (RankStart& rank : task.ranks) {
    rank.rank = in.get<std::uint32_t>();
    rank.environment = in.get_strings();
    rank.cpus = in.get_u32s();
    rank.stdout_path = in.get_string();
    rank.stderr_path = in.get_string();
  }
  return task;
}

void put_processes(ByteWriter& out, const std::vector<RankProcess>& processes) {
  out.put(static_cast<std::uint32_t>(processes.size()));
  for (const RankProcess& process : processes) {
    out.put(process.rank);
    out.put_i32(process.pid);
    out.put(process.start_time_ticks);
  }
}

std::vector<RankProcess> get_processes(ByteReader& in) {
  std::vector<RankProcess> processes(in.get_count(16));
  for (RankProcess& process : processes) {
    process.rank = in.get<std::uint32_t>();
    process.pid = in.get_i32();
    process.start_time_ticks = in.get<std::uint64_t>();
  }
  return processes;
}

void put_ended(ByteWriter& out, const event::Ended& ended) {
  put_attempt(out, ended.framework, ended.attempt);
  put_tag(out, ended.state);
  put_tag(out, ended.reason);
  out.put_i32(ended.exit_code);
  out.put_i32(ended.signal);
  out.put_string(ended.text);
  out.put_i64(ended.started.ns());
  out.put_i64(ended.ended.ns());
  out.put(static_cast<std::uint32_t>(ended.ranks.size()));
  for (const RankEnd& rank : ended.ranks) {
    out.put(rank.rank);
    out.put_i32(rank.exit_code);
    out.put_i32(rank.signal);
  }
  out.put(ended.usage.cpu_time_us);
  out.put(ended.usage.memory_peak_bytes);
}

event::Ended get_ended(ByteReader& in) {
  event::Ended ended;
  get_attempt(in, ended.framework, ended.attempt);
  ended.state = static_cast<TaskState>(in.get<std::uint8_t>());
  ended.reason = static_cast<TaskReason>(in.get<std::uint8_t>());
  if (!is_known(ended.state) || !is_known(ended.reason)) {
    in.fail();
  }
  ended.exit_code = in.get_i32();
  ended.signal = in.get_i32();
  ended.text = in.get_string();
  ended.started = WallTime::from_ns(in.get_i64());
  ended.ended = WallTime::from_ns(in.get_i64());
  ended.ranks.resize(in.get_count(12));
  for (RankEnd& rank : ended.ranks) {
    rank.rank = in.get<std::uint32_t>();
    rank.exit_code = in.get_i32();
    rank.signal = in.get_i32();
  }
  ended.usage.cpu_time_us = in.get<std::uint64_t>();
  ended.usage.memory_peak_bytes = in.get<std::uint64_t>();
  return ended;
}

Result<std::string> encode_frame(const LauncherCommand& command) {
  ByteWriter out = begin_frame(FrameKind::command);
  std::visit(
      [&out](const auto& c) {
        using T = std::decay_t<decltype(c)>;
        if constexpr (std::is_same_v<T, command::Start>) {
          put_tag(out, CommandTag::start);
          put_task(out, c.task, true);
        } else if constexpr (std::is_same_v<T, command::Shutdown>) {
          put_tag(out, CommandTag::shutdown);
          out.put_bool(c.kill_tasks);
        } else {
          if constexpr (std::is_same_v<T, command::Go>) {
            put_tag(out, CommandTag::go);
          } else if constexpr (std::is_same_v<T, command::Release>) {
            put_tag(out, CommandTag::release);
          } else if constexpr (std::is_same_v<T, command::Kill>) {
            put_tag(out, CommandTag::kill);
          } else if constexpr (std::is_same_v<T, command::Signal>) {
            put_tag(out, CommandTag::signal);
          } else {
            static_assert(std::is_same_v<T, command::Forget>);
            put_tag(out, CommandTag::forget);
          }
          put_attempt(out, c.framework, c.attempt);
          if constexpr (std::is_same_v<T, command::Kill>) {
            out.put_i32(c.signal);
            out.put(c.grace_ms);
          } else if constexpr (std::is_same_v<T, command::Signal>) {
            out.put_i32(c.signal);
          }
        }
      },
      command);
  if (out.size() - 4 > kFrameBytesMax) {
    return fail(Errc::out_of_range, "start of a task takes " + std::to_string(out.size()) + " bytes, the limit is " +
                                        std::to_string(kFrameBytesMax) + "; make its environment smaller");
  }
  return end_frame(out);
}

Result<LauncherCommand> decode_command(std::string_view payload) {
  ByteReader in(payload);
  if (in.get<std::uint8_t>() != static_cast<std::uint8_t>(FrameKind::command)) {
    return malformed("not a command");
  }
  const auto tag = static_cast<CommandTag>(in.get<std::uint8_t>());
  LauncherCommand command;
  auto with_attempt = [&in]<class T>(T c) {
    get_attempt(in, c.framework, c.attempt);
    return c;
  };
  switch (tag) {
    case CommandTag::start: command = command::Start{get_task(in)}; break;
    case CommandTag::go: command = with_attempt(command::Go{}); break;
    case CommandTag::release: command = with_attempt(command::Release{}); break;
    case CommandTag::forget: command = with_attempt(command::Forget{}); break;
    case CommandTag::kill: {
      auto kill = with_attempt(command::Kill{});
      kill.signal = in.get_i32();
      kill.grace_ms = in.get<std::uint32_t>();
      command = kill;
      break;
    }
    case CommandTag::signal: {
      auto signal = with_attempt(command::Signal{});
      signal.signal = in.get_i32();
      command = signal;
      break;
    }
    case CommandTag::shutdown: command = command::Shutdown{in.get_bool()}; break;
    default: return malformed("unknown command");
  }
  if (!in.finished()) {
    return malformed("a command does not verify");
  }
  return command;
}

std::string encode_frame(const LauncherEvent& event) {
  ByteWriter out = begin_frame(FrameKind::event);
  std::visit(
      [&out](const auto& e) {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, event::Ended>) {
          put_tag(out, EventTag::ended);
          put_ended(out, e);
        } else if constexpr (std::is_same_v<T, event::Parked>) {
          put_tag(out, EventTag::parked);
          put_attempt(out, e.framework, e.attempt);
        } else if constexpr (std::is_same_v<T, event::Started>) {
          put_tag(out, EventTag::started);
          put_attempt(out, e.framework, e.attempt);
          out.put_i64(e.started.ns());
          put_processes(out, e.processes);
        } else {
          static_assert(std::is_same_v<T, event::Unkillable>);
          put_tag(out, EventTag::unkillable);
          put_attempt(out, e.framework, e.attempt);
          out.put_string(e.text);
        }
      },
      event);
  return end_frame(out);
}

std::string encode_hello_begin(const LauncherHello& hello) {
  ByteWriter out = begin_frame(FrameKind::hello_begin);
  out.put_string(hello.boot_id);
  out.put_string(hello.containment);
  out.put_strings(hello.not_enforced);
  return end_frame(out);
}

std::string encode_hello_tasks(const std::vector<const RecoveredTask*>& tasks) {
  std::string frames;
  std::size_t next = 0;
  while (next < tasks.size()) {
    ByteWriter out = begin_frame(FrameKind::hello_tasks);
    const std::size_t count_at = out.size();
    out.put(std::uint32_t{0});
    std::uint32_t count = 0;
    while (next < tasks.size() && out.size() < kHelloFrameBytes) {
      put_recovered(out, *tasks[next++]);
      ++count;
    }
    out.patch_u32(count_at, count);
    frames += end_frame(out);
  }
  return frames;
}

std::string encode_hello_end() {
  ByteWriter out = begin_frame(FrameKind::hello_end);
  return end_frame(out);
}

std::string encode_hello(const LauncherHello& hello, const std::vector<const RecoveredTask*>& tasks) {
  return encode_hello_begin(hello) + encode_hello_tasks(tasks) + encode_hello_end();
}

namespace {

Result<LauncherEvent> decode_event(ByteReader& in) {
  LauncherEvent event;
  switch (static_cast<EventTag>(in.get<std::uint8_t>())) {
    case EventTag::parked: {
      event::Parked parked;
      get_attempt(in, parked.framework, parked.attempt);
      event = parked;
      break;
    }
    case EventTag::started: {
      event::Started started;
      get_attempt(in, started.framework, started.attempt);
      started.started = WallTime::from_ns(in.get_i64());
      started.processes = get_processes(in);
      event = std::move(started);
      break;
    }
    case EventTag::ended: event = get_ended(in); break;
    case EventTag::unkillable: {
      event::Unkillable unkillable;
      get_attempt(in, unkillable.framework, unkillable.attempt);
      unkillable.text = in.get_string();
      event = std::move(unkillable);
      break;
    }
    default: return malformed("unknown event");
  }
  if (!in.finished()) {
    return malformed("an event does not verify");
  }
  return event;
}

}  // namespace

Result<std::optional<LauncherMessage>> MessageAssembler::add(std::string_view payload) {
  ByteReader in(payload);
  const auto kind = static_cast<FrameKind>(in.get<std::uint8_t>());
  switch (kind) {
    case FrameKind::event: {
      auto event = decode_event(in);
      if (!event) {
        return tl::unexpected(event.error());
      }
      return LauncherMessage(std::move(*event));
    }
    case FrameKind::hello_begin: {
      LauncherHello hello;
      hello.boot_id = in.get_string();
      hello.containment = in.get_string();
      hello.not_enforced = in.get_strings();
      if (!in.finished()) {
        return malformed("a hello does not verify");
      }
      hello_ = std::move(hello);
      return std::optional<LauncherMessage>{};
    }
    case FrameKind::hello_tasks: {
      const auto count = in.get_count(60);
      if (!hello_) {
        return malformed("tasks of a hello that never began");
      }
      for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        hello_->tasks.push_back(get_recovered(in));
      }
      if (!in.finished()) {
        return malformed("the tasks of a hello do not verify");
      }
      return std::optional<LauncherMessage>{};
    }
    case FrameKind::hello_end: {
      if (!hello_ || !in.finished()) {
        return malformed("end of a hello that never began");
      }
      LauncherMessage message(std::move(*hello_));
      hello_.reset();
      return message;
    }
    case FrameKind::command: break;
  }
  return malformed("unknown frame");
}

}  // namespace muster::node
