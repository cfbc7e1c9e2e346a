// NodeCore and the job conversation: users who read output, executors that talk to their framework.
#include <algorithm>

#include "node/core/impl.hpp"

namespace muster::node {
namespace {

constexpr std::uint32_t kReadBytesMax = 1U << 20U;
constexpr std::size_t kMessagesMax = 1024;  // waiting for the master

std::string bytes_of(const flatbuffers::Vector<std::uint8_t>* data) {
  return data == nullptr ? std::string{} : std::string(reinterpret_cast<const char*>(data->data()), data->size());
}

}  // namespace

void NodeCore::Impl::refuse_user(LinkId to, Refusal refusal) {
  to_users.push_back({to, refused_frame(FrameHead{}, refusal)});
}

void NodeCore::Impl::take_user_frame(LinkId from, const fb::Frame& frame, Now /*now*/) {
  switch (frame.body_type()) {
    case fb::Body::ReadLog: take_read_log(from, *frame.body_as_ReadLog()); break;
    case fb::Body::ExecutorHello: take_executor_hello(from, *frame.body_as_ExecutorHello()); break;
    case fb::Body::StepdHello: take_stepd_hello(from, *frame.body_as_StepdHello()); break;
    case fb::Body::FindStepd: take_find_stepd(from, *frame.body_as_FindStepd()); break;
    case fb::Body::Message: take_executor_message(from, *frame.body_as_Message()); break;
    case fb::Body::Heartbeat:
    case fb::Body::Refused: break;
    default: {
      Refusal refusal;
      refusal.code = fb::RefusedCode::UnknownMessage;
      refusal.subject = fb::EnumNameBody(frame.body_type());
      refusal.text = refusal.subject + " is not part of the job conversation; a node takes ReadLog, FindStepd, StepdHello, ExecutorHello and Message";
      refuse_user(from, refusal);
    }
  }
}

// Can anything still write to the output of this job (element)?
bool NodeCore::Impl::output_may_grow(FrameworkId framework, JobId job, std::uint32_t element) const {
  const auto& tasks = book.tasks();
  for (auto at = tasks.lower_bound(CpuKey{framework, {}}); at != tasks.end() && at->first.framework == framework; ++at) {
    const Task& task = at->second;
    if (task.live() && task.job == job && task.facts.index == element) {
      return true;
    }
  }
  return false;
}

bool NodeCore::Impl::refuse_other_node(LinkId from, std::uint64_t request, std::string_view node) {
  if (node.empty() || node == config.name) {
    return false;
  }
  Refusal refusal;
  refusal.code = fb::RefusedCode::UnknownNode;
  refusal.request = request;
  refusal.subject = "node " + std::string(node);
  refusal.text = "this is node " + config.name + ", not " + std::string(node) + "; ask that node";
  refuse_user(from, refusal);
  return true;
}

void NodeCore::Impl::take_read_log(LinkId from, const fb::ReadLog& read) {
  if (refuse_other_node(from, read.request(), text_of(read.node()))) {
    return;
  }
  auto found = outputs.find({.job = JobId(read.job()),
                             .token_hi = read.token_hi(),
                             .token_lo = read.token_lo(),
                             .index = read.index(),
                             .rank = read.rank(),
                             .want_stderr = read.stream() == fb::LogStream::Err},
                            config.name);
  if (!found) {
    found.error().request = read.request();
    refuse_user(from, found.error());
    return;
  }
  LogRead ask;
  ask.link = from;
  ask.request = read.request();
  ask.path = found->path;
  ask.as_user = config.switch_user;
  ask.uid = found->uid;
  ask.gid = found->gid;
  ask.offset = read.offset();
  ask.max_bytes = std::clamp<std::uint32_t>(read.max_bytes(), 1, kReadBytesMax);
  // Judged before the read: what is read after the end is all there will be.
  ask.task_ended = !output_may_grow(found->framework, JobId(read.job()), read.index());
  log_reads.push_back(std::move(ask));
}

void NodeCore::Impl::take_executor_hello(LinkId from, const fb::ExecutorHello& hello) {
  Refusal refusal;
  if (hello.attempt() == nullptr) {
    refusal.code = fb::RefusedCode::BadRequest;
    refusal.subject = "ExecutorHello";
    refusal.text = "ExecutorHello names no attempt; take it from MUSTER_ATTEMPT";
    refuse_user(from, refusal);
    return;
  }
  const CpuKey key{FrameworkId(hello.framework()), from_fb(*hello.attempt())};
  const Task* task = book.find(key);
  refusal.subject = "attempt " + to_string(key.attempt);
  if (task == nullptr || !task->live()) {
    refusal.code = fb::RefusedCode::UnknownAttempt;
    refusal.text = refusal.subject + " does not run on node " + config.name;
  } else if (!task->facts.executor) {
    refusal.code = fb::RefusedCode::NotAllowed;
    refusal.text = refusal.subject + " was not launched as an executor; set `executor` in its task spec";
  } else if ((task->facts.token_hi == 0 && task->facts.token_lo == 0) ||
             hello.token_hi() != task->facts.token_hi || hello.token_lo() != task->facts.token_lo) {
    refusal.code = fb::RefusedCode::NotAllowed;
    refusal.text = "the token is not that of " + refusal.subject + "; take it from MUSTER_EXECUTOR_TOKEN";
  } else {
    flatbuffers::FlatBufferBuilder builder;
    to_users.push_back({from, finish_frame(builder, FrameHead{}, fb::CreateHeartbeat(builder))});  // welcome
    for (const std::string& data : executors.bind(key, from)) {
      send_message(from, key, data);
    }
    return;
  }
  refuse_user(from, refusal);
}

void NodeCore::Impl::send_message(LinkId to, const CpuKey& key, const std::string& data) {
  flatbuffers::FlatBufferBuilder builder;
  const auto bytes = builder.CreateVector(reinterpret_cast<const std::uint8_t*>(data.data()), data.size());
  const fb::AttemptId attempt = to_fb(key.attempt);
  to_users.push_back({to, finish_frame(builder, FrameHead{},
                                       fb::CreateMessage(builder, key.framework.value(), &attempt, index.value(), bytes))});
}

void NodeCore::Impl::take_executor_message(LinkId from, const fb::Message& message) {
  const auto key = executors.task_at(from);
  if (!key) {
    Refusal refusal;
    refusal.code = fb::RefusedCode::Unauthenticated;
    refusal.subject = "Message";
    refusal.text = "say ExecutorHello before the first Message";
    refuse_user(from, refusal);
    return;
  }
  if (messages.size() >= kMessagesMax) {
    ++messages_shed;
    Refusal refusal;
    refusal.code = fb::RefusedCode::Busy;
    refusal.subject = "Message";
    refusal.text = std::to_string(kMessagesMax);
    refusal.text += " messages wait for the master; send it again later";
    refuse_user(from, refusal);
    return;
  }
  messages.push_back({*key, bytes_of(message.data())});
}

void NodeCore::Impl::take_master_message(const fb::Message& message) {
  if (message.attempt() == nullptr) {
    return;
  }
  const CpuKey key{FrameworkId(message.framework()), from_fb(*message.attempt())};
  const Task* task = book.find(key);
  if (task == nullptr || !task->live() || !task->facts.executor) {
    ++messages_shed;
    return;
  }
  std::string data = bytes_of(message.data());
  if (const auto link_of_executor = executors.route(key, data)) {
    send_message(*link_of_executor, key, data);
  }
}

}  // namespace muster::node
