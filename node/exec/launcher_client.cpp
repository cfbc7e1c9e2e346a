#include "node/exec/launcher_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

// Double fork: the launcher is init's child and leads a session of its own. Only async-signal-safe
// calls after the first fork, because the agent has threads.
Status start_launcher(const LauncherClient::Options& options) {
  const std::string log = options.directory + "/launcher.log";
  std::vector<std::string> words{options.launcher_path, "--dir", options.directory};
  if (options.plain) {
    words.insert(words.end(), {"--containment", "plain"});
  }
  if (!options.idle_seconds.empty()) {
    words.insert(words.end(), {"--idle-seconds", options.idle_seconds});
  }
  if (!options.unkillable_seconds.empty()) {
    words.insert(words.end(), {"--unkillable-seconds", options.unkillable_seconds});
  }
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  const int log_fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) {
    return fail_errno(errno, log);
  }
  const int null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int error = errno;
    ::close(log_fd);
    ::close(null_fd);
    return fail_errno(error, "launcher can't be started");
  }
  if (pid == 0) {
    ::setsid();
    if (::fork() != 0) {
      ::_exit(0);
    }
    ::dup2(null_fd, 0);
    ::dup2(log_fd, 1);
    ::dup2(log_fd, 2);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execv(arguments[0], arguments.data());
    constexpr char kText[] = "muster-launcher: the program can't be executed\n";
    [[maybe_unused]] const ssize_t n = ::write(2, kText, sizeof(kText) - 1);
    ::_exit(127);
  }
  ::close(log_fd);
  ::close(null_fd);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return {};
}

std::string last_words(const std::string& log) {
  auto text = read_file(log);
  while (text && !text->empty() && text->back() == '\n') {
    text->pop_back();
  }
  if (!text || text->empty()) {
    return "its log " + log + " is empty";
  }
  return "the last line of " + log + " is: " + text->substr(text->rfind('\n') + 1);
}

// A connection counts when its hello arrives: the socket of a killed launcher may live on for a moment
// in children that had not yet exec'ed.
bool answers(int fd, Duration limit) {
  pollfd poll_for{fd, POLLIN, 0};
  const std::int64_t limit_ms = std::clamp<std::int64_t>(limit.ms(), 1, 60'000);
  char first = 0;
  return ::poll(&poll_for, 1, static_cast<int>(limit_ms)) == 1 &&
         ::recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

}  // namespace

Result<LauncherClient> LauncherClient::connect(const Options& options) {
  if (!options.launcher_path.empty() && ::access(options.launcher_path.c_str(), X_OK) != 0) {
    return fail_errno(errno, "launcher program " + options.launcher_path);
  }
  const SystemClock clock;
  const Instant deadline = clock.now().mono + options.timeout;
  std::optional<Instant> started;
  while (true) {
    auto fd = connect_in(options.directory);
    if (fd && answers(*fd, deadline - clock.now().mono)) {
      return LauncherClient(*fd);
    }
    if (fd) {
      ::close(*fd);
    }
    const Instant now = clock.now().mono;
    if (options.launcher_path.empty() || now >= deadline) {
      return fail(Errc::unreachable, "the node's launcher does not answer" + (fd ? "" : ": " + fd.error().text) +
                                         "; " + last_words(options.directory + "/launcher.log"));
    }
    // One that is just ending, or that holds the lock of a dead one, may make the first start fail.
    if (!started || now - *started > Duration::from_seconds(3)) {
      if (auto done = start_launcher(options); !done) {
        return tl::unexpected(done.error());
      }
      started = now;
    }
    ::usleep(1000);
  }
}

Status LauncherClient::queue(const LauncherCommand& command) {
  auto frames = writer_.frames_of(command);
  if (!frames) {
    return tl::unexpected(frames.error());
  }
  stream_.queue(*frames);
  return {};
}

Status LauncherClient::flush() { return stream_.flush(); }

Status LauncherClient::send(const LauncherCommand& command) {
  if (auto done = queue(command); !done) {
    return done;
  }
  return flush();
}

Status LauncherClient::receive(std::vector<LauncherMessage>& messages) {
  const Status filled = stream_.fill();
  while (true) {
    auto frame = stream_.next();
    if (!frame) {
      return tl::unexpected(frame.error());
    }
    if (!*frame) {
      return filled;
    }
    auto message = assembler_.add(**frame);
    if (!message) {
      return tl::unexpected(message.error());
    }
    if (*message) {
      messages.push_back(std::move(**message));
    }
  }
}

}  // namespace muster::node
