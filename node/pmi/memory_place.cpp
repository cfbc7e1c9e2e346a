#include "node/pmi/memory_place.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

namespace muster::node {
namespace {

constexpr const char* kShared = "/dev/shm";
constexpr std::string_view kPrefix = "muster-mpi.";  // then our process id, a point and the step's name

// The components of Open MPI 4 that make such files.
constexpr const char* kVariables[] = {"OMPI_MCA_btl_vader_backing_directory", "OMPI_MCA_osc_rdma_backing_directory",
                                      "OMPI_MCA_osc_sm_backing_directory"};

}  // namespace

Result<MemoryPlace> make_memory_place(const std::string& name, const std::string& fallback) {
  const std::string own = std::string(kPrefix) + std::to_string(::getpid()) + "." + name;
  int error = ENOENT;
  for (const std::string& parent : {std::string(kShared), fallback}) {
    MemoryPlace place{parent + "/" + own, {}};
    if (::mkdir(place.directory.c_str(), 0700) == 0) {
      for (const char* variable : kVariables) {
        place.environment.push_back(variable + ("=" + place.directory));
      }
      return place;
    }
    error = errno;
  }
  return fail_errno(error, "mkdir " + own + " in " + kShared + " and in " + fallback);
}

void remove_memory_place(const MemoryPlace& place) {
  std::error_code ignored;
  if (!place.directory.empty()) {
    std::filesystem::remove_all(place.directory, ignored);
  }
}

void sweep_memory_places() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kShared, error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid{};
    struct stat status {};
    if (!name.starts_with(kPrefix) || ::lstat(entry.path().c_str(), &status) != 0 || status.st_uid != ::geteuid()) {
      continue;
    }
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), pid);
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) {
      std::error_code ignored;
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
}

}  // namespace muster::node
