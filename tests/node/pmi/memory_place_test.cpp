// Goal: nothing of an MPI step stays in shared memory, not even when its step daemon was killed. Method: places of this
// process and of one that ends without removing its own.
#include "node/pmi/memory_place.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace muster::node;

TEST_CASE("the shared-memory places of dead processes are swept, those of living ones stay") {
  const std::string name = "sweep." + std::to_string(::getpid());
  const auto mine = make_memory_place(name, "/tmp");
  REQUIRE(mine);
  CHECK(mine->environment.size() == 3);
  CHECK(std::filesystem::is_directory(mine->directory));
  const std::string parent = std::filesystem::path(mine->directory).parent_path();
  const pid_t child = ::fork();
  if (child == 0) {
    const auto place = make_memory_place(name, "/tmp");
    std::ofstream(place->directory + "/vader_segment") << "left behind";
    ::_exit(place ? 0 : 1);
  }
  const std::string left = parent + "/muster-mpi." + std::to_string(child) + "." + name;
  int status{};
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(std::filesystem::exists(left + "/vader_segment"));
  sweep_memory_places();
  if (parent == "/dev/shm") {
    CHECK_FALSE(std::filesystem::exists(left));
  }
  CHECK(std::filesystem::is_directory(mine->directory));
  CHECK_FALSE(make_memory_place(name, "/no/such/folder"));
  remove_memory_place(*mine);
  CHECK_FALSE(std::filesystem::exists(mine->directory));
  std::filesystem::remove_all(left);
}
