// Election: who is master, and in which epoch. Owned by the daemon's main thread.
#pragma once

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"

namespace muster::master {

class Election {
 public:
  virtual ~Election() = default;
  // Becomes the leader of a new term; blocks as long as that takes. The epoch is larger than every earlier one and on
  // durable record when this returns: frames may be sent with it.
  [[nodiscard]] virtual Result<Epoch> lead() = 0;
  // Readable once leadership is lost: the daemon must stop at once. -1 = it can't be lost while the process lives.
  [[nodiscard]] virtual int lost_fd() const = 0;
};

}  // namespace muster::master
