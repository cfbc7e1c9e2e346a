#include "tests/system/ordinary_user.hpp"

#include <pwd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/system/harness.hpp"

namespace muster::system_test {

std::vector<std::string> as_nobody() {
  const passwd* nobody = ::getpwnam("nobody");
  REQUIRE(nobody != nullptr);
  return {"setpriv", "--reuid=" + std::to_string(nobody->pw_uid), "--regid=" + std::to_string(nobody->pw_gid),
          "--clear-groups"};
}

bool can_run(std::vector<std::string> as, const std::string& program) {
  as.insert(as.end(), {"test", "-x", program});
  Child child(as, {});
  return child.wait().exit_code == 0;
}

// The programs where everybody can reach them: here, or copies laid out as they are installed.
std::string reachable_program(const std::vector<std::string>& as, const std::string& folder) {
  const std::string build = MUSTER_BINARY_DIR;
  if (can_run(as, build + "/sched/muster") && can_run(as, build + "/node/muster-launcher")) {
    return build + "/sched/muster";
  }
  namespace fs = std::filesystem;
  fs::create_directories(folder + "/bin");
  fs::create_directories(folder + "/libexec/muster");
  fs::copy_file(build + "/sched/muster", folder + "/bin/muster");
  for (const char* daemon : {"master/muster-master", "node/muster-node", "node/muster-launcher", "node/muster-stepd",
                             "sched/muster-gang"}) {
    fs::copy_file(build + "/" + daemon, folder + "/libexec/muster/" + fs::path(daemon).filename().string());
  }
  return folder + "/bin/muster";
}

}  // namespace muster::system_test
