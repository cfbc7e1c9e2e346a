// muster batch: a script of the user's, from a file, standard input or the command line.
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "sched/cli/actions.hpp"
#include "sched/cli/batch_request.hpp"
#include "sched/cli/submission.hpp"
#include "sched/cli/table.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr std::size_t kReadMax = 8U << 20U;  // more is refused further on

Result<std::string> read_input() {
  if (::isatty(STDIN_FILENO) == 1) {
    complain("the script is read from this terminal; end it with Ctrl-D");
  }
  std::string content;
  char buffer[65536];
  std::size_t got = 0;
  while (content.size() <= kReadMax && (got = std::fread(buffer, 1, sizeof buffer, stdin)) > 0) {
    content.append(buffer, got);
  }
  return content;
}

Result<std::string> read_script(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return fail_errno(errno, "the script " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::invalid_argument, path + " is no file; name a batch script");
  }
  std::ifstream file(path, std::ios::binary);
  std::string content(std::min<std::size_t>(static_cast<std::size_t>(info.st_size), kReadMax), '\0');
  if (!file.read(content.data(), static_cast<std::streamsize>(content.size()))) {
    return fail_errno(errno, "the script " + path);
  }
  return content;
}

Result<BatchScript> script_of(const BatchCommand& command) {
  if (command.wrap) {
    return BatchScript{"--wrap", wrapped(*command.wrap)};
  }
  const auto& words = command.job.command;
  const bool input = words.empty() || words.front() == "-";
  auto content = input ? read_input() : read_script(words.front());
  if (!content) {
    return tl::unexpected(content.error());
  }
  return BatchScript{input ? "standard input" : words.front(), std::move(*content)};
}

}  // namespace

int batch(Session& session, const BatchCommand& command) {
  auto here = surroundings();
  if (!here) {
    return complain(here.error());
  }
  auto script = script_of(command);
  if (!script) {
    complain("batch: " + script.error().text);
    return kUsage;
  }
  JobOptions options = command.job;
  if (command.wrap) {
    options.command = {"wrap"};
  } else if (options.command.empty()) {
    options.command = {"batch"};
  } else if (options.command.front() == "-") {
    options.command.front() = "batch";
  }
  auto request = make_batch_request(options, *script, *here);
  const bool wait = command.wait || (request && request->wait);
  return queue_job(session, std::move(request).map([](BatchRequest&& made) { return std::move(made.job); }),
                   {"batch", command.job.key, command.parsable, wait});
}

}  // namespace muster::cli
