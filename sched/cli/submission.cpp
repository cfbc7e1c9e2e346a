#include "sched/cli/submission.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

#include "sched/cli/table.hpp"
#include "sched/cli/waiting.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

bool is_regular_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_on_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  for (const std::string& folder : split(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (is_regular_file(candidate) && ::access(candidate.c_str(), X_OK) == 0) {
      return true;
    }
  }
  return false;
}

std::string head_of(const std::string& path) {
  std::array<char, 16384> buffer{};
  std::ifstream file(path, std::ios::binary);
  file.read(buffer.data(), buffer.size());
  return {buffer.data(), static_cast<std::size_t>(file.gcount())};
}

}  // namespace

Result<Surroundings> surroundings() {
  Surroundings here;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    here.environment.emplace_back(*entry);
  }
  char* const directory = ::getcwd(nullptr, 0);
  if (directory == nullptr) {
    return fail_errno(errno, "the current directory");
  }
  here.working_directory = directory;
  std::free(directory);
  here.uid = ::geteuid();
  here.gid = ::getegid();
  if (const passwd* entry = ::getpwuid(here.uid)) {
    here.user = entry->pw_name;
    here.home = entry->pw_dir;
    here.shell = entry->pw_shell;
  } else {
    here.user = std::to_string(here.uid);
    here.home = "/";
    here.shell = "/bin/sh";
  }
  here.host = host_name();
  return here;
}

Status check_program(const JobOptions& job, const std::string& subcommand) {
  const std::string& program = job.command.front();
  const std::string folder = job.chdir ? *job.chdir + "/" : "";
  const std::string path = program.starts_with('/') ? program : folder + program;
  if (!is_regular_file(path)) {
    return {};
  }
  const bool by_name = program.find('/') == std::string::npos;
  if (by_name && is_on_path(program)) {
    return {};
  }
  const std::string head = head_of(path);
  if (const std::string directive = first_directive(head); !directive.empty()) {
    return fail(Errc::invalid_argument, subcommand + ": " + program + " is a batch script ('" + printable(directive) +
                                       "'): muster batch " + shell_words({program}) +
                                       "; to run it as a program, without its directives, name its interpreter: muster " +
                                       subcommand + " [OPTIONS] -- " + interpreter_of(head) + " " + shell_words({program}));
  }
  if (by_name) {
    return fail(Errc::invalid_argument,
                subcommand + ": " + program + " is not on PATH; for the file in this directory write ./" + program);
  }
  return {};
}

bool names_a_file(const std::string& word) {
  return is_regular_file(word) && (word.find('/') != std::string::npos || !is_on_path(word));
}

Result<SubmitKey> submit_key(const std::optional<std::string>& text) {
  if (!text) {
    return SubmitKey{random_u64(), random_u64()};
  }
  const auto bad = [&] { return fail(Errc::invalid_argument, "--key: '" + *text + "' is not 1 to 32 hex digits, not all zero"); };
  if (text->empty() || text->size() > 32 || text->find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    return bad();
  }
  const std::string padded = std::string(32 - text->size(), '0') + *text;
  SubmitKey key;
  std::from_chars(padded.data(), padded.data() + 16, key.hi, 16);
  std::from_chars(padded.data() + 16, padded.data() + 32, key.lo, 16);
  if (key.hi == 0 && key.lo == 0) {
    return bad();
  }
  return key;
}

std::string to_string(const SubmitKey& key) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(key.hi),
                static_cast<unsigned long long>(key.lo));
  return text.data();
}

Result<fb::SubmittedT> hand_in(Session& session, JobRequest request, const SubmitKey& key, const std::string& subcommand) {
  for (const std::string& warning : request.warnings) {
    complain(warning);
  }
  auto gang = session.gang();
  if (!gang) {
    return tl::unexpected(gang.error());
  }
  fb::SubmitT question;
  question.key_hi = key.hi;
  question.key_lo = key.lo;
  const std::string name = request.spec.name;
  question.spec = std::make_unique<fb::JobSpecT>(std::move(request.spec));
  auto answer = (*gang)->ask<fb::Submitted, fb::Submit>(std::move(question), session.deadline());
  if (!answer && answer.error().code == Errc::timed_out) {
    return fail(Errc::timed_out, answer.error().text + ": job '" + printable(name) +
                                     "' may be queued or not. Look: muster queue" + session.place().hint() +
                                     ". Or submit again with its key, which never queues it twice: muster " + subcommand +
                                     session.place().hint() + " --key " + to_string(key) + " …");
  }
  if (answer) {
    for (const std::string& warning : answer->warnings) {
      complain(warning);
    }
  }
  return answer;
}

int queue_job(Session& session, Result<JobRequest> request, const QueueHow& how) {
  if (!request) {
    complain(how.subcommand + ": " + request.error().text);
    return kUsage;
  }
  auto key = submit_key(how.key);
  if (!key) {
    complain(how.subcommand + ": " + key.error().text);
    return kUsage;
  }
  const bool array = !request->spec.array.empty();
  auto submitted = hand_in(session, *std::move(request), *key, how.subcommand);
  if (!submitted) {
    return complain(submitted.error());
  }
  const std::string job = std::to_string(submitted->job);
  if (session.common().json) {
    const nlohmann::ordered_json json = {{"job_id", submitted->job},
                                         {"duplicate", submitted->duplicate},
                                         {"key", to_string(*key)},
                                         {"warnings", submitted->warnings}};
    say(json.dump(2) + "\n");
  } else if (how.parsable) {
    say(job + "\n");
  } else {
    say("Submitted " + std::string(array ? "array " : "job ") + job + (submitted->duplicate ? " (it was known already)" : "") +
        "\n");
  }
  std::fflush(stdout);
  if (!how.wait) {
    return kOk;
  }
  return wait_for_jobs(session, {submitted->job}, {.quiet = how.parsable || session.common().json});
}

}  // namespace muster::cli
