#include "node/exec/cpu_affinity.hpp"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>
#include <string>

namespace muster::node {
namespace {

constexpr int kPassesMax = 4;

// A set of `cpus` cpus, freed with its owner.
class CpuSet {
 public:
  explicit CpuSet(std::uint32_t cpus) : set_(CPU_ALLOC(cpus)), bytes_(CPU_ALLOC_SIZE(cpus)) { CPU_ZERO_S(bytes_, set_); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;
  ~CpuSet() { CPU_FREE(set_); }
  void add(std::uint32_t cpu) { CPU_SET_S(cpu, bytes_, set_); }
  [[nodiscard]] bool has(std::uint32_t cpu) const { return CPU_ISSET_S(cpu, bytes_, set_); }
  [[nodiscard]] cpu_set_t* get() const { return set_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  cpu_set_t* set_;
  std::size_t bytes_;
};

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  DIR* const handle = ::opendir(("/proc/" + std::to_string(pid) + "/task").c_str());
  if (handle == nullptr) {
    return threads;
  }
  while (const dirent* entry = ::readdir(handle)) {
    pid_t thread = 0;
    const char* const name = static_cast<const char*>(entry->d_name);
    if (std::from_chars(name, name + std::strlen(name), thread).ec == std::errc{}) {
      threads.push_back(thread);
    }
  }
  ::closedir(handle);
  return threads;
}

}  // namespace

int set_affinity(pid_t thread, const std::vector<std::uint32_t>& cpus) {
  CpuSet set(*std::max_element(cpus.begin(), cpus.end()) + 1);
  for (const std::uint32_t cpu : cpus) {
    set.add(cpu);
  }
  return ::sched_setaffinity(thread, set.bytes(), set.get()) == 0 ? 0 : errno;
}

int set_process_affinity(pid_t pid, const std::vector<std::uint32_t>& cpus) {
  std::set<pid_t> bound;
  int failure = 0;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    bool is_new = false;
    for (const pid_t thread : threads_of(pid)) {
      if (bound.insert(thread).second) {
        is_new = true;
        if (const int error = set_affinity(thread, cpus); error != 0 && error != ESRCH) {
          failure = error;
        }
      }
    }
    if (!is_new) {
      break;
    }
  }
  return failure;
}

std::vector<std::uint32_t> own_cpus() {
  constexpr std::uint32_t kCpusMax = 8192;
  std::vector<std::uint32_t> cpus;
  const CpuSet set(kCpusMax);
  if (::sched_getaffinity(0, set.bytes(), set.get()) == 0) {
    for (std::uint32_t cpu = 0; cpu < kCpusMax; ++cpu) {
      if (set.has(cpu)) {
        cpus.push_back(cpu);
      }
    }
  }
  return cpus;
}

}  // namespace muster::node
