// muster-stepd: runs the steps of one job on one node. Started by muster-launcher as the job's user, with a StepdPlan on its
// standard input; leaves a StepReport on its standard output.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "node/pmi/pmix_server.hpp"
#include "node/stepd_shell.hpp"
#include "wire/daemon/log.hpp"

namespace {

using muster::FrameBytes;

FrameBytes read_all(int fd) {
  FrameBytes bytes;
  std::size_t used = 0;
  for (;;) {
    bytes.resize(used + (64U << 10U));
    const ssize_t n = ::read(fd, bytes.data() + used, bytes.size() - used);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      bytes.resize(used);
      return bytes;
    }
    used += static_cast<std::size_t>(n);
  }
}

void write_report(int fd, const FrameBytes& report) {
  std::size_t written = 0;
  while (written < report.size()) {
    const ssize_t n = ::write(fd, report.data() + written, report.size() - written);
    if (n < 0 && errno != EINTR) {
      return;
    }
    written += static_cast<std::size_t>(n > 0 ? n : 0);
  }
}

int give_up(int report_fd, const std::string& text) {
  muster::fb::StepReportT report;
  report.text = text;
  report.exit_code = 1;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(muster::fb::StepReport::Pack(builder, &report));
  write_report(report_fd, {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()});
  std::fprintf(stderr, "muster-stepd: %s\n", text.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** /*argv*/) {
  if (argc > 1 || ::isatty(STDIN_FILENO) == 1) {
    std::fputs("usage: muster-stepd < PLAN > REPORT\n"
               "Runs the steps of one job on one node. muster-launcher starts it; it is not meant to be started by hand.\n",
               argc > 1 ? stdout : stderr);
    return 2;
  }
  ::umask(022);
  const FrameBytes input = read_all(STDIN_FILENO);
  // What libraries print must not end up in the report, nor may ranks hold it open.
  const int report_fd = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 64);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null_fd, STDIN_FILENO);
  ::close(null_fd);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  muster::node::raise_open_files();
  auto plan = muster::node::read_step_plan(input);
  if (!plan) {
    return give_up(report_fd, plan.error().text);
  }
  // All others are the ranks' affair: a signal for the whole task must not end us.
  auto signals = muster::SignalFd::open({SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                                         SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO});
  if (!signals) {
    return give_up(report_fd, signals.error().text);
  }
  muster::node::StepdShell::Outcome outcome;
  {
    auto shell = muster::node::StepdShell::create(*std::move(plan), *signals);
    if (!shell) {
      return give_up(report_fd, shell.error().text);
    }
    outcome = (*shell)->run();
  }
  muster::node::finish_pmix();
  write_report(report_fd, outcome.report);
  return outcome.exit_code & 0xff;
}
