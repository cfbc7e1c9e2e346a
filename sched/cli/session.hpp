// Session: one run of `muster` against one cluster: where it is, what is known of it, who is asked. One thread.
#pragma once

#include <memory>
#include <string>

#include "sched/cli/cluster.hpp"
#include "sched/cli/command_line.hpp"
#include "sched/cli/conversation.hpp"
#include "sched/cli/exit_codes.hpp"
#include "wire/socket/context.hpp"

namespace muster::cli {

class Session {
 public:
  // Errc::unreachable when there is no cluster.
  [[nodiscard]] static Result<std::unique_ptr<Session>> open(const CommonOptions& common);

  [[nodiscard]] const CommonOptions& common() const { return common_; }
  [[nodiscard]] const ClusterPlace& place() const { return place_; }
  [[nodiscard]] const ClusterRecord& record() const { return record_; }
  [[nodiscard]] Context& context() { return context_; }
  // The end of this call: --timeout from its beginning.
  [[nodiscard]] Instant deadline() const { return deadline_; }
  // --timeout from now, for commands that ask many times.
  [[nodiscard]] Instant fresh_deadline() const;

  // Errc::unreachable at once when the daemon's process is known to be gone and its socket does not answer either.
  [[nodiscard]] Result<Conversation*> master() { return conversation(master_, "master", "the master"); }
  [[nodiscard]] Result<Conversation*> gang() { return conversation(gang_, "gang", "the batch scheduler"); }

 private:
  Session(const CommonOptions& common, ClusterPlace place, ClusterRecord record);
  [[nodiscard]] Result<Conversation*> conversation(std::unique_ptr<Conversation>& slot, const std::string& daemon,
                                                   const std::string& who);

  CommonOptions common_;
  ClusterPlace place_;
  ClusterRecord record_;
  Instant deadline_;
  Context context_;
  std::unique_ptr<Conversation> master_;
  std::unique_ptr<Conversation> gang_;
};

// "muster: text\n" on standard error.
void complain(const std::string& text);
// Complains and returns the exit code.
int complain(const Error& error);
// Text to standard output.
void say(const std::string& text);

[[nodiscard]] Instant mono_now();
// Sleeps until `fd` is readable or the instant has come.
void wait_readable(int fd, Instant until);
// The place for these options, from the process's environment.
// `up` and `down` are not for installed clusters: says so.
[[nodiscard]] int complain_installed(const ClusterPlace& place);
[[nodiscard]] Result<ClusterPlace> place_of(const CommonOptions& common);

}  // namespace muster::cli
