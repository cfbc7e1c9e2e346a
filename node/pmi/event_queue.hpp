// Events on their way to the step daemon's thread.
#pragma once

#include <mutex>
#include <vector>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

// Any thread may push; the step daemon's thread takes. A lock is fine here: a handful of events per rank and step.
class PmiEventQueue {
 public:
  PmiEventQueue();
  ~PmiEventQueue();
  PmiEventQueue(const PmiEventQueue&) = delete;
  PmiEventQueue& operator=(const PmiEventQueue&) = delete;

  [[nodiscard]] Status ready() const;        // the error of the constructor
  [[nodiscard]] int fd() const { return fd_; }  // readable while there is something to take
  void push(PmiEvent event);
  [[nodiscard]] std::vector<PmiEvent> take();

 private:
  const int fd_;
  const int error_;
  std::mutex lock_;
  std::vector<PmiEvent> events_;  // under lock_
};

}  // namespace muster::node
