// NodeCore::flush: everything that is due leaves, from the tables.
#include <algorithm>
#include <iterator>

#include "node/core/impl.hpp"
#include "wire/base/check.hpp"

namespace muster::node {
namespace {
constexpr std::size_t kRecordsPerFrameMax = 4096;
constexpr std::size_t kUpdateBytes = std::size_t{1} << 20U;  // a frame with so much takes no more: reports are large
constexpr std::uint64_t kCreditFrames = 256;  // sent and not confirmed; then output waits in the tables

// Absent when there are none.
flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> bytes_in(flatbuffers::FlatBufferBuilder& builder,
                                                                const std::string& bytes) {
  return bytes.empty() ? flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>>{}
                       : builder.CreateVector(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}
}  // namespace

FrameHead NodeCore::Impl::next_head() { return link.next_head(memory.highest_epoch); }

bool NodeCore::Impl::has_credit() const { return link.in_flight() < kCreditFrames; }

void NodeCore::Impl::send(FrameBytes bytes, Now now, NodeOutputs& out) {
  last_sent = now.mono;
  confirmed_at_send = link.received();
  sent_at.push_back({link.sent(), now.mono});
  out.to_master.push_back(std::move(bytes));
}

void NodeCore::Impl::flush(Now now, NodeOutputs& out) {
  tell_fence();
  if (pool_grew) {
    rebind_pool(false);
  }
  reserve_incarnation();
  flush_link(now, out);
  if (memory_changed) {
    out.memory = memory;
    memory_changed = false;
  }
  const auto move_all = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  };
  move_all(output_records, out.output_records);
  move_all(to_launcher, out.to_launcher);
  move_all(to_users, out.to_users);
  move_all(log_reads, out.log_reads);
}

void NodeCore::Impl::flush_link(Now now, NodeOutputs& out) {
  for (RefusalOut& refusal : refusals) {
    if (!refusal.in_life) {
      out.to_master.push_back(refused_frame(refusal.head, refusal.refusal));
    }
  }
  std::erase_if(refusals, [](const RefusalOut& refusal) { return !refusal.in_life; });
  if (!transport_up) {
    return;
  }
  if (phase == Phase::opening && register_pending) {
    register_pending = false;
    send(build_register(), now, out);
    return;
  }
  if (phase != Phase::up) {
    return;
  }
  for (const RefusalOut& refusal : refusals) {
    send(refused_frame(next_head(), refusal.refusal), now, out);
  }
  refusals.clear();
  if (!prepared_news.empty() && has_credit()) {
    std::vector<fb::AttemptRef> attempts;
    std::vector<std::uint64_t> frameworks;
    for (const CpuKey& key : prepared_news) {
      const Task* task = book.find(key);
      if (task != nullptr && task->state == TaskState::prepared) {
        attempts.emplace_back(to_fb(key.attempt), index.value(), 0U);
        frameworks.push_back(key.framework.value());
      }
    }
    prepared_news.clear();
    if (!attempts.empty()) {
      flatbuffers::FlatBufferBuilder builder;
      const auto vector = builder.CreateVectorOfStructs(attempts);
      const auto whose = builder.CreateVector(frameworks);
      send(finish_frame(builder, next_head(), fb::CreatePrepared(builder, vector, whose)), now, out);
    }
  }
  flush_updates(now, out);
  while (!messages.empty() && has_credit()) {
    const MessageOut& message = messages.front();
    flatbuffers::FlatBufferBuilder builder;
    const auto data =
        builder.CreateVector(reinterpret_cast<const std::uint8_t*>(message.data.data()), message.data.size());
    const fb::AttemptId attempt = to_fb(message.key.attempt);
    send(finish_frame(builder, next_head(),
                      fb::CreateMessage(builder, message.key.framework.value(), &attempt, index.value(), data)),
         now, out);
    messages.pop_front();
  }
  if (idle_too_long(now)) {
    flatbuffers::FlatBufferBuilder builder;
    send(finish_frame(builder, next_head(), fb::CreateHeartbeat(builder)), now, out);
  }
}

void NodeCore::Impl::flush_updates(Now now, NodeOutputs& out) {
  if (!outbox.has_unsent()) {
    gather_until = Instant::never();
    gathered_ends = 0;
    return;
  }
  if (book.queued() > 2 * gathered_ends) {
    if (gather_until == Instant::never()) {
      gather_until = now.mono + config.updates_gather;
    }
    if (now.mono < gather_until) {
      return;
    }
  }
  gather_until = Instant::never();
  gathered_ends = 0;
  while (has_credit()) {
    const auto due = outbox.take(kRecordsPerFrameMax);
    if (due.empty()) {
      return;
    }
    flatbuffers::FlatBufferBuilder builder(due.size() * 128);
    std::vector<fb::UpdateEntry> entries;
    entries.reserve(due.size());
    std::vector<flatbuffers::Offset<fb::UpdateDetail>> details;
    std::vector<std::uint64_t> frameworks;
    const auto send_batch = [&] {
      const auto entry_vector = builder.CreateVectorOfStructs(entries);
      const auto detail_vector = builder.CreateVector(details);
      const auto framework_vector = builder.CreateVector(frameworks);
      send(finish_frame(builder, next_head(), fb::CreateUpdate(builder, entry_vector, detail_vector, framework_vector)),
           now, out);
      entries.clear();
      details.clear();
      frameworks.clear();
    };
    for (const StatusOutbox::Acked& next : due) {
      if (builder.GetSize() > kUpdateBytes) {
        send_batch();
      }
      const Task* task = book.find(next.key);
      check(task != nullptr && task->seq == next.seq, "outbox: an update without its task");
      if (frameworks.empty() || frameworks.back() != next.key.framework.value()) {
        frameworks.push_back(next.key.framework.value());
      }
      std::uint16_t detail = 0;
      std::string text = task->text;
      if (text.empty() && task->state == TaskState::running) {
        text = task->facts.binding_text;
      }
      if (!task->facts.cpus_text.empty() || !text.empty() || task->usage.cpu_time_us != 0 ||
          task->usage.memory_peak_bytes != 0 || task->failed_rank >= 0 || !task->report.empty()) {
        const auto cpus = builder.CreateSharedString(task->facts.cpus_text);
        const auto words = text.empty() ? flatbuffers::Offset<flatbuffers::String>{} : builder.CreateSharedString(text);
        const auto report = bytes_in(builder, task->report);
        details.push_back(fb::CreateUpdateDetail(builder, cpus, words, task->usage.cpu_time_us,
                                                 task->usage.memory_peak_bytes, task->failed_rank, report));
        detail = static_cast<std::uint16_t>(details.size());
      }
      entries.emplace_back(to_fb(next.key.attempt), next.seq, task->started.ns(), task->ended.ns(), index.value(),
                           task->exit_code, static_cast<std::uint16_t>(frameworks.size() - 1), detail,
                           static_cast<std::uint8_t>(task->state), static_cast<std::uint8_t>(task->reason),
                           static_cast<std::uint8_t>(task->signal), std::uint8_t{0});
    }
    send_batch();
  }
}

}  // namespace muster::node
