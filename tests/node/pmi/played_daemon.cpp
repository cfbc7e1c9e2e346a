#include "tests/node/pmi/played_daemon.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "node/pmi/pmi1_server.hpp"
#include "node/pmi/pmix_server.hpp"

namespace muster::node {
namespace {

using What = PlayedHeader::What;

// Owned by the only thread of a played daemon.
class PlayedDaemon {
 public:
  PlayedDaemon(int fd, std::string node, std::string directory, std::uint32_t uid)
      : fd_(fd), node_(std::move(node)), directory_(std::move(directory)), uid_(uid) {}

  void run() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, nullptr);
    const int signals = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
      std::vector<pollfd> waiting{{fd_, POLLIN, 0}, {signals, POLLIN, 0}};
      for (const auto& [kind, server] : servers_) {
        waiting.push_back({server->fd(), POLLIN, 0});
      }
      ::poll(waiting.data(), waiting.size(), -1);
      if ((waiting[1].revents & POLLIN) != 0) {
        signalfd_siginfo info{};
        while (::read(signals, &info, sizeof info) > 0) {
        }
        reap();
      }
      pass_events();
      if (waiting[0].revents != 0) {
        const auto message = receive_played(fd_);
        if (!message) {
          break;
        }
        obey(*message);
      }
    }
    for (const auto& [pid, who] : ranks_) {
      ::kill(pid, SIGKILL);
    }
    servers_.clear();
    finish_pmix();
  }

 private:
  void obey(const PlayedMessage& message) {
    const PlayedHeader& header = message.header;
    switch (header.what) {
      case What::begin: begin(nlohmann::json::parse(message.data)); break;
      case What::end:
        for (const auto& [pid, who] : ranks_) {
          if (who.first == header.step) {
            ::kill(pid, SIGKILL);
          }
        }
        break;
      case What::finish:
        for (const auto& [kind, server] : servers_) {
          server->end_step(header.step);
        }
        break;
      case What::exchange: servers_.at(header.kind)->answer_exchange(header.step, header.ok, message.data); break;
      case What::modex: servers_.at(header.kind)->serve_modex(header.step, header.rank, header.question); break;
      case What::modex_answer: servers_.at(header.kind)->answer_modex(header.question, header.number, message.data); break;
      default: break;
    }
  }

  bool said_no(std::uint32_t step, const Status& status) {
    if (!status) {
      send_played(fd_, {.what = What::error, .step = step}, status.error().text);
    }
    return !status;
  }

  void begin(const nlohmann::json& json) {
    PmiStep step;
    step.step = json.at("step");
    step.name = json.at("name");
    step.uid = uid_;
    step.gid = uid_;
    step.nodes = json.at("nodes").get<std::vector<std::string>>();
    step.ranks = json.at("layout").get<std::vector<std::vector<std::uint32_t>>>();
    step.here = json.at("here");
    step.ntasks = json.at("ntasks");
    step.directory = directory_;
    step.crowded = true;  // tests share their cpus with other tests
    std::vector<PmiServer*> servers;
    for (const auto& [name, kind] : {std::pair{"pmix", PmiKind::pmix}, std::pair{"pmi1", PmiKind::pmi1}}) {
      if (!json.at(name).get<bool>()) {
        continue;
      }
      if (!servers_.contains(kind)) {
        auto made = kind == PmiKind::pmix ? make_pmix_server({node_, directory_}) : make_pmi1_server();
        if (!made) {
          said_no(step.step, tl::unexpected<Error>(made.error()));
          return;
        }
        servers_[kind] = std::move(*made);
      }
      servers.push_back(servers_[kind].get());
      if (said_no(step.step, servers.back()->begin_step(step))) {
        return;
      }
    }
    for (const std::uint32_t rank : step.ranks[step.here]) {
      start(step.step, rank, servers, json);
    }
  }

  void start(std::uint32_t step, std::uint32_t rank, const std::vector<PmiServer*>& servers, const nlohmann::json& json) {
    std::vector<std::string> environment = json.at("environment").get<std::vector<std::string>>();
    std::vector<int> kept;
    std::string variables;
    for (PmiServer* server : servers) {
      auto prepared = server->prepare_rank(step, rank);
      if (!prepared) {
        said_no(step, tl::unexpected<Error>(prepared.error()));
        return;
      }
      for (const auto& inherit : prepared->inherit) {
        prepared->environment.push_back(inherit.variable + "=" + std::to_string(inherit.fd));
        kept.push_back(inherit.fd);
      }
      for (const std::string& variable : prepared->environment) {
        environment.push_back(variable);
        variables += variable + "\n";
      }
    }
    send_played(fd_, {.what = What::variables, .step = step, .rank = rank}, variables);
    std::vector<std::string> command = json.at("command").get<std::vector<std::string>>();
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (std::string& word : command) {
      argv.push_back(word.data());
    }
    for (std::string& variable : environment) {
      envp.push_back(variable.data());
    }
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    const std::string out = json.at("outputs").get<std::string>() + "/" + std::to_string(rank);
    const int out_fd = ::open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(out_fd, 1);
      ::dup2(out_fd, 2);
      for (const int fd : kept) {
        ::fcntl(fd, F_SETFD, 0);
      }
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      if (uid_ != ::geteuid() && (::setgid(uid_) != 0 || ::setuid(uid_) != 0)) {
        ::_exit(126);
      }
      ::execve(argv[0], argv.data(), envp.data());
      ::_exit(127);
    }
    ::close(out_fd);
    ranks_[pid] = {step, rank};
    for (PmiServer* server : servers) {
      server->on_rank_started(step, rank);
    }
  }

  void reap() {
    int status{};
    for (pid_t pid{}; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = ranks_.find(pid);
      if (found == ranks_.end()) {
        continue;
      }
      const auto [step, rank] = found->second;
      ranks_.erase(found);
      for (const auto& [kind, server] : servers_) {
        server->on_rank_ended(step, rank);
      }
      pass_events();
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      send_played(fd_, {.what = What::exited, .step = step, .rank = rank, .number = code});
    }
  }

  void pass_events() {
    for (const auto& [kind, server] : servers_) {
      for (const PmiEvent& event : server->take_events()) {
        std::visit([this, kind = kind](const auto& e) { pass(kind, e); }, event);
      }
    }
  }
  void pass(PmiKind kind, const pmi_event::Exchange& e) {
    send_played(fd_, {.what = What::exchange, .kind = kind, .step = e.step}, e.data);
  }
  void pass(PmiKind kind, const pmi_event::Modex& e) {
    send_played(fd_, {.what = What::modex, .kind = kind, .step = e.step, .rank = e.rank, .question = e.question});
  }
  void pass(PmiKind kind, const pmi_event::ModexServed& e) {
    send_played(fd_, {.what = What::modex_answer, .kind = kind, .number = e.status, .question = e.question}, e.data);
  }
  void pass(PmiKind kind, const pmi_event::Connected& e) {
    send_played(fd_, {.what = What::connected, .kind = kind, .step = e.step, .rank = e.rank});
  }
  void pass(PmiKind kind, const pmi_event::Finalized& e) {
    send_played(fd_, {.what = What::finalized, .kind = kind, .step = e.step, .rank = e.rank});
  }
  void pass(PmiKind kind, const pmi_event::Aborted& e) {
    send_played(fd_, {.what = What::aborted, .kind = kind, .step = e.step, .rank = static_cast<std::uint32_t>(e.rank), .number = e.exit_code},
                e.text);
  }
  void pass(PmiKind kind, const pmi_event::Unsupported& e) {
    send_played(fd_, {.what = What::unsupported, .kind = kind, .step = e.step, .rank = e.rank}, e.text);
  }

  const int fd_;
  const std::string node_;
  const std::string directory_;
  const std::uint32_t uid_;
  std::map<PmiKind, std::unique_ptr<PmiServer>> servers_;
  std::map<pid_t, std::pair<std::uint32_t, std::uint32_t>> ranks_;  // step and rank
};

}  // namespace

void send_played(int fd, PlayedHeader header, const std::string& data) {
  header.bytes = data.size();
  std::string all(reinterpret_cast<const char*>(&header), sizeof header);
  all += data;
  for (std::size_t sent = 0; sent < all.size();) {
    const ssize_t n = ::send(fd, all.data() + sent, all.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) {
      return;
    }
    sent += static_cast<std::size_t>(n);
  }
}

std::optional<PlayedMessage> receive_played(int fd) {
  PlayedMessage message;
  if (::recv(fd, &message.header, sizeof message.header, MSG_WAITALL) != static_cast<ssize_t>(sizeof message.header)) {
    return std::nullopt;
  }
  message.data.resize(message.header.bytes);
  if (message.header.bytes > 0 &&
      ::recv(fd, message.data.data(), message.data.size(), MSG_WAITALL) != static_cast<ssize_t>(message.data.size())) {
    return std::nullopt;
  }
  return message;
}

void play_daemon(int fd, const std::string& node, const std::string& directory, std::uint32_t uid) {
  PlayedDaemon(fd, node, directory, uid).run();
  ::_exit(0);
}

}  // namespace muster::node
