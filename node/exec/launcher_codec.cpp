#include "node/exec/launcher_codec.hpp"

#include <algorithm>
#include <type_traits>

namespace muster::node {
namespace {

// Hello frames are cut at this size, well below the limit.
constexpr std::size_t kHelloFrameBytes = std::size_t{1} << 20U;

// Begins a hello: what the two programs say to each other is of this version.
constexpr std::uint32_t kConversation = 0x6d750003;

enum class CommandTag : std::uint8_t { start = 1, go, release, kill, signal, forget, rebind, fence, shutdown };
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

Status check_size(const ByteWriter& out) {
  if (out.size() - 4 > kFrameBytesMax) {
    return fail(Errc::out_of_range, "start of a task takes " + std::to_string(out.size()) + " bytes, the limit is " +
                                        std::to_string(kFrameBytesMax) + "; make its environment smaller");
  }
  return {};
}

}  // namespace

Result<std::string> CommandWriter::frames_of(const LauncherCommand& command) {
  std::string frames;
  std::uint8_t place = 0;  // of the shared environment, from 1; 0 = none
  if (const auto* start = std::get_if<command::Start>(&command); start != nullptr && start->task.shared_environment) {
    const SharedEnvironmentPtr& shared = start->task.shared_environment;
    auto sent = std::find_if(sent_.begin(), sent_.end(), [&](const Sent& s) { return s.environment == shared; });
    if (sent == sent_.end()) {
      sent = std::min_element(sent_.begin(), sent_.end(), [](const Sent& a, const Sent& b) { return a.used < b.used; });
      ByteWriter out = begin_frame(FrameKind::environment);
      out.put(static_cast<std::uint8_t>(sent - sent_.begin()));
      out.put_strings(shared->lines());
      if (auto fits = check_size(out); !fits) {
        return tl::unexpected(fits.error());
      }
      frames = end_frame(out);
      sent->environment = shared;
    }
    sent->used = ++uses_;
    place = static_cast<std::uint8_t>(sent - sent_.begin() + 1);
  }
  ByteWriter out = begin_frame(FrameKind::command);
  std::visit(
      [&out, place](const auto& c) {
        using T = std::decay_t<decltype(c)>;
        if constexpr (std::is_same_v<T, command::Start>) {
          put_tag(out, CommandTag::start);
          out.put(place);
          put_task(out, c.task, true);
        } else if constexpr (std::is_same_v<T, command::Shutdown>) {
          put_tag(out, CommandTag::shutdown);
          out.put_bool(c.kill_tasks);
        } else if constexpr (std::is_same_v<T, command::Fence>) {
          put_tag(out, CommandTag::fence);
          out.put_i64(c.at.ns());
        } else {
          if constexpr (std::is_same_v<T, command::Go>) {
            put_tag(out, CommandTag::go);
          } else if constexpr (std::is_same_v<T, command::Release>) {
            put_tag(out, CommandTag::release);
          } else if constexpr (std::is_same_v<T, command::Kill>) {
            put_tag(out, CommandTag::kill);
          } else if constexpr (std::is_same_v<T, command::Signal>) {
            put_tag(out, CommandTag::signal);
          } else if constexpr (std::is_same_v<T, command::Rebind>) {
            put_tag(out, CommandTag::rebind);
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
          } else if constexpr (std::is_same_v<T, command::Rebind>) {
            out.put_u32s(c.cpus);
          }
        }
      },
      command);
  if (auto fits = check_size(out); !fits) {
    return tl::unexpected(fits.error());
  }
  return frames.empty() ? end_frame(out) : frames + end_frame(out);
}

Result<std::optional<LauncherCommand>> CommandReader::add(std::string_view payload) {
  ByteReader in(payload);
  const auto kind = in.get<std::uint8_t>();
  if (kind == static_cast<std::uint8_t>(FrameKind::environment)) {
    const auto place = in.get<std::uint8_t>();
    auto shared = std::make_shared<const SharedEnvironment>(in.get_strings());
    if (!in.finished() || place >= environments_.size()) {
      return malformed("an environment does not verify");
    }
    environments_[place] = std::move(shared);
    return std::optional<LauncherCommand>{};
  }
  if (kind != static_cast<std::uint8_t>(FrameKind::command)) {
    return malformed("not a command");
  }
  const auto tag = static_cast<CommandTag>(in.get<std::uint8_t>());
  LauncherCommand command;
  auto with_attempt = [&in]<class T>(T c) {
    get_attempt(in, c.framework, c.attempt);
    return c;
  };
  switch (tag) {
    case CommandTag::start: {
      const auto place = in.get<std::uint8_t>();
      command::Start start{get_task(in)};
      if (place > environments_.size() || (place != 0 && environments_[place - 1U] == nullptr)) {
        return malformed("a task has an environment that was never sent");
      }
      start.task.shared_environment = place == 0 ? nullptr : environments_[place - 1U];
      command = std::move(start);
      break;
    }
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
    case CommandTag::rebind: {
      auto rebind = with_attempt(command::Rebind{});
      rebind.cpus = in.get_u32s();
      command = std::move(rebind);
      break;
    }
    case CommandTag::fence: command = command::Fence{Instant::from_ns(in.get_i64())}; break;
    case CommandTag::shutdown: command = command::Shutdown{in.get_bool()}; break;
    default: return malformed("unknown command");
  }
  if (!in.finished()) {
    return malformed("a command does not verify");
  }
  return std::optional(std::move(command));
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
  out.put(kConversation);
  out.put_string(hello.boot_id);
  out.put_string(hello.containment);
  out.put_strings(hello.not_enforced);
  put_attempts(out, hello.forgotten);
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
      if (in.get<std::uint32_t>() != kConversation) {
        return fail(Errc::conflict, "the node's running launcher is of another version of muster: drain the node with the "
                                    "version that started it, and start this one when its tasks have ended");
      }
      LauncherHello hello;
      hello.boot_id = in.get_string();
      hello.containment = in.get_string();
      hello.not_enforced = in.get_strings();
      hello.forgotten = get_attempts(in);
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
    case FrameKind::command:
    case FrameKind::environment: break;
  }
  return malformed("unknown frame");
}

}  // namespace muster::node
