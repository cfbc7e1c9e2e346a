#include "sched/cli/log_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace muster::cli {

Result<LogReader::Piece> LogReader::next(Session& session, Instant deadline) {
  if (!node_) {
    auto opened = Conversation::open(session.context(), "node " + source_.node, source_.endpoint);
    if (!opened) {
      return tl::unexpected(opened.error());
    }
    node_ = std::make_unique<Conversation>(*std::move(opened));
    if (interrupt_fd_ >= 0) {
      node_->interrupt_on(interrupt_fd_);
    }
  }
  fb::ReadLogT question;
  question.token_hi = source_.token_hi;
  question.token_lo = source_.token_lo;
  question.job = source_.job;
  question.index = source_.index;
  question.node = source_.node;
  question.rank = source_.rank;
  question.stream = source_.stream;
  question.offset = offset_;
  question.max_bytes = 256U << 10U;
  auto chunk = node_->ask<fb::LogChunk, fb::ReadLog>(std::move(question), deadline);
  if (!chunk) {
    return tl::unexpected(chunk.error());
  }
  if (!chunk->path.empty()) {
    path_ = chunk->path;
  }
  Piece piece;
  piece.at_end = chunk->at_end;
  piece.ended = chunk->ended;
  if (chunk->offset == offset_) {
    piece.data.assign(chunk->data.begin(), chunk->data.end());
    offset_ += chunk->data.size();
  }
  return piece;
}

std::vector<LogSource> log_sources(const fb::JobRowT& job, std::uint32_t index, fb::LogStream stream) {
  std::vector<LogSource> sources;
  const auto element = std::find_if(job.elements.begin(), job.elements.end(),
                                    [&](const auto& e) { return !job.is_array || e->index == index; });
  for (const auto& place : job.places) {
    const bool here = element == job.elements.end() || (*element)->nodes.empty() ||
                      std::find((*element)->nodes.begin(), (*element)->nodes.end(), place->node) != (*element)->nodes.end();
    if (here && !place->endpoint.empty()) {
      sources.push_back({.node = place->node,
                         .endpoint = place->endpoint,
                         .token_hi = job.token_hi,
                         .token_lo = job.token_lo,
                         .job = job.job,
                         .index = index,
                         .rank = -1,
                         .stream = stream});
    }
  }
  return sources;
}

bool is_same_file(const LogReader& a, const LogReader& b) {
  const auto is_here = [](const LogReader& r) { return r.source().endpoint.starts_with("ipc://"); };
  return !a.path().empty() && a.path() == b.path() && is_here(a) && is_here(b);
}

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return false;
    }
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace muster::cli
