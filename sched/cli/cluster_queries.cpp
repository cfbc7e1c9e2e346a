#include "sched/cli/cluster_queries.hpp"

#include <algorithm>

namespace muster::cli {
namespace {

constexpr std::uint32_t kRowsAtOnce = 5000;

template <class Row>
void move_rows(std::vector<std::unique_ptr<Row>>& from, std::vector<std::unique_ptr<Row>>& to) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

}  // namespace

Result<fb::OperatorReplyT> fetch_rows(Session& session, fb::Subject subject, const std::string& name) {
  auto master = session.master();
  if (!master) {
    return tl::unexpected(master.error());
  }
  fb::OperatorReplyT all;
  std::uint64_t after = 0;
  for (bool first = true;; first = false) {
    fb::OperatorQueryT question;
    question.subject = subject;
    question.name = name;
    question.after = after;
    question.limit = kRowsAtOnce;
    auto reply = (*master)->ask<fb::OperatorReply, fb::OperatorQuery>(std::move(question), session.deadline());
    if (!reply) {
      return reply;
    }
    const bool more = reply->more && reply->next_after != after;
    after = reply->next_after;
    if (first) {
      all = *std::move(reply);
    } else {
      move_rows(reply->nodes, all.nodes);
      move_rows(reply->frameworks, all.frameworks);
      move_rows(reply->offers, all.offers);
      move_rows(reply->tasks, all.tasks);
    }
    if (!more) {
      return all;
    }
  }
}

}  // namespace muster::cli
