// Where Open MPI's ranks of one step on one node keep the files of their shared memory. By default they lie in
// /dev/shm under names made of the host, the job and the local rank: nodes that share a machine would write into each
// other's, and those of killed ranks would stay.
#pragma once

#include <string>
#include <vector>

#include "wire/base/result.hpp"

namespace muster::node {

struct MemoryPlace {
  std::string directory;                 // "" = none
  std::vector<std::string> environment;  // for the ranks
};

// Below /dev/shm, else below `fallback`. `name` tells it from others of this process.
[[nodiscard]] Result<MemoryPlace> make_memory_place(const std::string& name, const std::string& fallback);
void remove_memory_place(const MemoryPlace& place);
// Removes what killed processes of this user have left.
void sweep_memory_places();

}  // namespace muster::node
