// libpmix and what it calls back. It has one server per process and gives its callbacks no place for an object of
// ours, so what they need is here, once.
#pragma once

#include <pmix_server.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "node/pmi/event_queue.hpp"
#include "node/pmi/pmix_server.hpp"

namespace muster::node {

// Whom libpmix wants the outcome to be told.
struct PmixReply {
  pmix_modex_cbfunc_t function{};
  void* data{};
  void give(pmix_status_t status, const std::string& blob) const;  // any thread, without the lock
};

// libpmix's thread and the step daemon's thread; all but `events` under `lock`, which nobody holds while libpmix works.
struct PmixLibrary {
  struct Round {
    PmixReply reply;
    std::string blob;  // of this node
  };
  struct Space {
    std::uint32_t step{};
    std::uint32_t ntasks{};
    std::deque<Round> rounds;  // the first is with the daemon, the others wait for their turn
  };
  struct Question {
    std::string space;
    PmixReply reply;
  };

  PmiEventQueue events;
  std::mutex lock;
  std::map<std::string, Space, std::less<>> spaces;  // by the step's name, which is the PMIx namespace
  std::map<std::uint64_t, Question> questions;
  std::uint64_t last_question{};
};

// Of this process. Made at the first call and never destroyed: libpmix's thread may be the last to use it.
[[nodiscard]] PmixLibrary& pmix_library();
[[nodiscard]] pmix_server_module_t pmix_callbacks();
// Its owner here, said to be libpmix's: "PMIx_generate_ppn: ERROR STRING"
[[nodiscard]] tl::unexpected<Error> fail_pmix(const std::string& what, pmix_status_t status);

}  // namespace muster::node
