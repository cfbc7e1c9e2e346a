// Questions to the master, page by page. One thread.
#pragma once

#include <string>

#include "sched/cli/session.hpp"

namespace muster::cli {

// All rows of a subject; with a name only that node's or framework's. Over by the session's deadline.
[[nodiscard]] Result<fb::OperatorReplyT> fetch_rows(Session& session, fb::Subject subject, const std::string& name);

}  // namespace muster::cli
