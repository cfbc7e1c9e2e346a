// muster-launcher: the parent of a node's tasks. Started by muster-node, which it outlives.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "node/exec/launcher.hpp"

namespace {

constexpr const char* kUsage =
    "usage: muster-launcher --dir DIR [--containment auto|plain] [--idle-seconds N]\n"
    "                       [--unkillable-seconds N] [--daemonize]\n"
    "Runs the tasks of one node. muster-node starts it; it is not meant to be started by hand.\n";

int misuse(const std::string& text) {
  std::fprintf(stderr, "muster-launcher: %s\n%s", text.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  muster::node::Launcher::Options options;
  bool daemonize = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option(argv[i]);
    if (option == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (option == "--daemonize") {
      daemonize = true;
      continue;
    }
    if (i + 1 == argc) {
      return misuse("option '" + std::string(option) + "' is unknown or needs a value");
    }
    const std::string value(argv[++i]);
    if (option == "--dir") {
      options.directory = value;
    } else if (option == "--containment" && (value == "auto" || value == "plain")) {
      options.plain = value == "plain";
    } else if (option == "--idle-seconds" && std::atoll(value.c_str()) > 0) {
      options.idle_limit = muster::Duration::from_seconds(std::atoll(value.c_str()));
    } else if (option == "--unkillable-seconds" && std::atoll(value.c_str()) > 0) {
      options.unkillable_after = muster::Duration::from_seconds(std::atoll(value.c_str()));
    } else {
      return misuse("option '" + std::string(option) + " " + value + "' is not understood");
    }
  }
  if (options.directory.empty()) {
    return misuse("--dir is missing");
  }
  if (char* absolute = ::realpath(options.directory.c_str(), nullptr)) {
    options.directory = absolute;
    std::free(absolute);
  } else {
    std::fprintf(stderr, "muster-launcher: directory '%s': %s\n", options.directory.c_str(), std::strerror(errno));
    return 1;
  }
  if (daemonize && ::daemon(0, 1) != 0) {
    std::perror("muster-launcher: daemon");
    return 1;
  }
  // Descriptors of whoever started us must not stay open as long as the tasks run; 0 to 2 must be
  // something, so that no file of ours becomes one of them.
  ::close_range(3, ~0U, 0);
  while (true) {
    const int fd = ::dup(STDERR_FILENO);
    if (fd > 2) {
      ::close(fd);
      break;
    }
    if (fd < 0 && std::freopen("/dev/null", "r+", stderr) == nullptr) {
      return 1;
    }
  }
  if (::chdir("/") != 0) {
    return 1;
  }
  auto launcher = muster::node::Launcher::create(options);
  if (!launcher) {
    std::fprintf(stderr, "muster-launcher: %s\n", launcher.error().text.c_str());
    return launcher.error().code == muster::Errc::conflict ? 3 : 1;
  }
  (*launcher)->run();
  return 0;
}
