// StepdShell: what a batch script finds beside itself: host lists and a remote shell, so that mpirun and mpiexec work in it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>

#include "node/stepd_shell.hpp"

namespace muster::node {
namespace {

Status write_file(const std::string& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
  if (fd < 0) {
    return fail_errno(errno, "'" + path + "'");
  }
  std::size_t written = 0;
  int error = 0;
  while (written < content.size() && error == 0) {
    const ssize_t n = ::write(fd, content.data() + written, content.size() - written);
    error = n < 0 && errno != EINTR ? errno : 0;
    written += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  }
  if (::close(fd) != 0 && error == 0) {
    error = errno;
  }
  return error == 0 ? Status() : fail_errno(error, "'" + path + "'");
}

// The `muster` that was built or installed with this program; "" if it is not there.
std::string muster_program() {
  std::array<char, PATH_MAX> self{};
  const ssize_t n = ::readlink("/proc/self/exe", self.data(), self.size());
  if (n <= 0) {
    return {};
  }
  const std::string path(self.data(), static_cast<std::size_t>(n));
  const std::string folder = path.substr(0, path.rfind('/'));
  for (const char* place : {"/../../bin/muster", "/../sched/muster", "/../../../bin/muster"}) {
    std::array<char, PATH_MAX> real{};
    if (::realpath((folder + place).c_str(), real.data()) != nullptr && ::access(real.data(), X_OK) == 0) {
      return real.data();
    }
  }
  return {};
}

}  // namespace

Status StepdShell::prepare_script(const step_out::StartRank& order, RankExtras& extras) {
  const std::string& folder = plan_.facts.directory;
  script_path_ = folder + "/script";
  if (auto written = write_file(script_path_, {reinterpret_cast<const char*>(order.script->data()), order.script->size()}); !written) {
    return fail(Errc::io, "the script can't be kept: " + written.error().text);
  }
  extras.script_path = script_path_;
  std::string open_mpi;
  std::string hydra;
  for (std::uint32_t member = 0; member < plan_.members(); ++member) {
    const std::string slots = std::to_string(std::max(1U, plan_.ranks_on(member)));
    open_mpi += plan_.node_of(member) + " slots=" + slots + "\n";
    hydra += plan_.node_of(member) + ":" + slots + "\n";
  }
  const std::string muster = muster_program();
  const std::string shell = folder + "/muster-rsh";  // `muster` by this name is `muster exec`
  if (muster.empty() || (::symlink(muster.c_str(), shell.c_str()) != 0 && errno != EEXIST) ||
      !write_file(folder + "/hosts.openmpi", open_mpi) || !write_file(folder + "/hosts.hydra", hydra)) {
    return {};  // only mpirun misses them
  }
  extras.environment.insert(extras.environment.end(),
                            {"OMPI_MCA_plm=rsh", "OMPI_MCA_plm_rsh_agent=" + shell, "OMPI_MCA_plm_rsh_no_tree_spawn=1", "OMPI_MCA_orte_leave_session_attached=1",
                             "OMPI_MCA_ras=^slurm", "OMPI_MCA_orte_default_hostfile=" + folder + "/hosts.openmpi",
                             "HYDRA_LAUNCHER=rsh", "HYDRA_LAUNCHER_EXEC=" + shell, "HYDRA_RMK=user",
                             "HYDRA_HOST_FILE=" + folder + "/hosts.hydra"});
  return {};
}

}  // namespace muster::node
