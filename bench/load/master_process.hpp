// MasterProcess: a muster-master of this build in a folder of its own, and what the kernel says of it. Owned by one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wire/base/result.hpp"

namespace muster::bench {

// Seconds of cpu used so far, by the name of the thread.
using ThreadSeconds = std::map<std::string, double>;

class MasterProcess {
 public:
  // Starts `program` listening on a free TCP port and waits until it does. It ends with this process, however that ends.
  // Without pages, unless an argument names their port.
  [[nodiscard]] Status start(const std::string& program, const std::vector<std::string>& more_arguments);
  MasterProcess() = default;
  ~MasterProcess() { stop(); }
  MasterProcess(const MasterProcess&) = delete;
  MasterProcess& operator=(const MasterProcess&) = delete;

  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }  // 0: none
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_running();
  [[nodiscard]] ThreadSeconds thread_seconds() const;
  [[nodiscard]] std::uint64_t resident_bytes() const;
  // The end of its log, for errors.
  [[nodiscard]] std::string last_words() const;
  // Says on stderr why `program` ends, and whether the master has ended too; stops it and exits with 1.
  [[noreturn]] void give_up(const char* program, const std::string& what);

 private:
  std::string folder_;
  pid_t pid_{};
  std::uint16_t port_{};
  std::uint16_t http_port_{};
};

}  // namespace muster::bench
