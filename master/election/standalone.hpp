// StandaloneElection: the only master of a folder, by a file lock; the epoch in a file beside it. Owned by the
// daemon's main thread.
//
// Errors of open() and lead(): Errc::conflict when another master holds the folder; Errc::malformed or Errc::not_found when
// the epoch file is damaged or gone (nodes refuse epochs below the highest they have seen, so none is guessed).
#pragma once

#include <memory>
#include <string>

#include "master/election/election.hpp"
#include "wire/daemon/lock_file.hpp"

namespace muster::master {

class StandaloneElection final : public Election {
 public:
  // `folder` exists. The lock is held from here on. `epoch_min`: the new epoch is at least this, and a damaged or missing
  // file is then no error; 0 = as the file says.
  [[nodiscard]] static Result<std::unique_ptr<StandaloneElection>> open(const std::string& folder, Epoch epoch_min);
  [[nodiscard]] Result<Epoch> lead() override;
  [[nodiscard]] int lost_fd() const override { return -1; }

 private:
  StandaloneElection(std::string folder, Epoch epoch_min, LockFile lock)
      : folder_(std::move(folder)), epoch_min_(epoch_min), lock_(std::move(lock)) {}
  [[nodiscard]] Result<Epoch> last_epoch() const;

  std::string folder_;
  Epoch epoch_min_;
  LockFile lock_;
};

}  // namespace muster::master
