// GangCore: the batch framework's single-writer state machine. Pure: owned by the shell's only thread (or by
// the simulator, or by replay).
//
//   user frames + master frames + store completions + timers → user answers, master frames, store batches
//
// Rules it keeps: an answer or an Accept leaves only after the batch it depends on is committed; an attempt is on
// record before its Accept leaves; an update is acknowledged after its effect is committed; a gang starts whole or
// not at all; a job has one recorded end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sched/gang/store.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::gang {

struct GangConfig {
  FrameworkId framework;
  std::string name = "gang";
  std::string role = "default";
  Incarnation first_incarnation;      // larger than every earlier one
  std::uint64_t seed{};               // of the tokens; from the shell's random source
  Duration default_time_limit{};      // 0 = none
  Duration go_silence = Duration::from_seconds(10);   // gang accepted → all running, seen from here
  std::uint32_t running_max = 100'000;                // live attempts
  std::uint32_t done_jobs_kept = 10'000;              // in memory
  bool next_in_line{true};                            // launch behind what runs, so that slots are refilled at once
  Duration line_patience = Duration::from_ms(20);     // before that: what is free comes as an offer by then
  std::uint32_t standing_pieces{64};                  // cpus kept offered while nothing waits; 0 = none
  std::uint32_t array_elements_max = 10'000'000;
  std::string policy = "fifo";
  std::vector<std::uint32_t> operators;               // uids that may touch every job
  std::uint32_t owner_uid{};                          // of the cluster: an operator
  bool owner_only{true};                              // refuse other users' jobs
  bool allow_root{};                                  // when it takes other users' jobs: root's too
};

struct Peer {
  bool local{};
  std::uint32_t uid{};
  std::uint32_t pid{};
  std::uint32_t gid{};
  std::string user{};   // of a Submit: the name of `uid`; empty = the submitter's word stands
};

struct UserFrame {
  LinkId link;
  FrameBytes bytes;
};

struct GangOutputs {
  std::vector<FrameBytes> to_master;
  std::vector<UserFrame> to_users;
  std::optional<StoreBatch> store;    // commit, then call on_stored
};

struct GangDefects {
  bool acknowledge_before_commit{};
  bool accept_before_commit{};
  bool reuse_attempt_id{};            // a retry keeps the try number
  bool requeue_on_node_silence{};     // does not wait for NodeLost
  bool ignore_submit_key{};
  bool end_on_first_member{};         // a gang's end is recorded when its first member ends
};

class GangCore {
 public:
  GangCore(const GangConfig& config, const LoadedState& loaded, Now now, const GangDefects& defects = {});
  ~GangCore();
  GangCore(const GangCore&) = delete;
  GangCore& operator=(const GangCore&) = delete;

  void on_user_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now);
  void on_bad_user_frame(LinkId link, const FrameError& error, Now now);
  void on_user_lost(LinkId link, Now now);
  void on_master_link_up(Now now);
  void on_master_link_down(Now now);
  void on_master_frame(const fb::Frame& frame, Now now);
  void on_stored(std::uint64_t batch_number, Now now);
  void on_timer(Now now);
  [[nodiscard]] Instant next_timer() const;
  // At most one batch is out at a time; while it is, further ops gather for the next (group commit).
  void flush(Now now, GangOutputs& out);

  [[nodiscard]] Status audit() const;
  [[nodiscard]] std::string status_text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::gang
