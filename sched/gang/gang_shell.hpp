// GangShell: the gang daemon around its core: sockets, store, clock, signals. Owned by the thread that calls run();
// the writer has a thread of its own.
//
//   users ⇄ ROUTER DIR/gang.ipc ⇄ [core] ⇄ DEALER ⇄ master          [core] → batch → [writer] SQLite → on_stored
//
// What came in while a batch was written is the next transaction.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sched/gang/gang_core.hpp"
#include "sched/gang/store_sqlite.hpp"
#include "sched/gang/store_writer.hpp"
#include "wire/daemon/link_refusals.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/signals.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/router.hpp"

namespace muster::gang {

struct GangPlan {
  std::string dir;                   // of the cluster
  Endpoint master;
  std::vector<Endpoint> listen;      // DIR/gang.ipc first
  KeyPair keys;                      // who this host is to a master elsewhere
  GangConfig config;                 // framework, incarnation and seed are the shell's
};

class GangShell {
 public:
  // Takes the lock, opens the store, binds. Errors name the file or endpoint and the way out.
  [[nodiscard]] static Result<std::unique_ptr<GangShell>> open(Context& context, GangPlan plan);
  // Until SIGTERM or SIGINT (Ok: running jobs go on), or an error of the store, which is final.
  [[nodiscard]] Status run(const SignalFd& signals);

 private:
  GangShell(GangPlan plan, LockFile lock, SqliteStore store, Wakeup stored, Dealer master, Router users);
  [[nodiscard]] Status start();
  void read_master();
  void read_users();
  [[nodiscard]] Status settle();       // flush, write, flush…
  [[nodiscard]] Status write(StoreBatch batch);
  [[nodiscard]] Status on_written(const StoreWriter::Done& done);
  void send_to_master();
  void send_to_users();
  void log_status();
  const std::string& name_of(std::uint32_t uid);
  [[nodiscard]] Now now() const { return clock_.now(); }

  GangPlan plan_;
  LockFile lock_;
  SqliteStore store_;
  StoreWriter writer_;
  Duration last_write_;                // how long the last small batch took
  Dealer master_;
  LinkRefusals refusals_;
  Router users_;
  SystemClock clock_;
  Poller poller_;
  std::unique_ptr<GangCore> core_;
  std::deque<FrameBytes> to_master_;
  std::deque<UserFrame> to_users_;
  bool users_blocked_{};
  Instant users_swept_;
  Instant status_logged_;
  std::string status_;
  FrameBytes buffer_;
  struct KnownUser {
    std::string name;
    Instant asked;
  };
  std::unordered_map<std::uint32_t, KnownUser> users_known_;  // by uid; looked up, never iterated
};

}  // namespace muster::gang
