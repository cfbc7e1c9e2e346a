#include "tests/node/pmi/played_nodes.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tests/node/pmi/played_daemon.hpp"

namespace muster::node {

using What = PlayedHeader::What;

struct PlayedNodes::Running {
  PlayedEnd result;
  PlayedStep step;
  std::string outputs;
  std::uint32_t ntasks{};
  std::map<PmiKind, std::pair<std::size_t, std::string>> round;  // how many nodes' data, and the data
  std::size_t taking_part{};                                     // nodes that have ranks
  bool ending{};
};
struct PlayedNodes::Message : PlayedMessage {};

std::vector<std::string> PlayedEnd::lines() const {
  std::vector<std::string> all;
  for (const auto& [rank, text] : outputs) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      all.push_back(line);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

bool PlayedEnd::all_exited_with(int code) const {
  return std::all_of(exits.begin(), exits.end(), [&](const auto& exit) { return exit.second == code; });
}

PlayedNodes::PlayedNodes(std::size_t count, std::uint32_t uid) : uid_(uid == 0 ? ::geteuid() : uid) {
  std::string name = (std::filesystem::temp_directory_path() / "muster-pmi-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("mkdtemp");
  }
  directory_ = name;
  ::chmod(directory_.c_str(), 0755);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string node = "n" + std::to_string(i + 1);
    const std::string own = directory_ + "/" + node;
    std::filesystem::create_directory(own);
    if (::chown(own.c_str(), uid_, uid_) != 0) {
      throw std::runtime_error("chown " + own);
    }
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      throw std::runtime_error("socketpair");
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (const Node& other : nodes_) {
        ::close(other.fd);
      }
      ::close(pair[0]);
      if (uid_ != ::geteuid() && (::setgid(uid_) != 0 || ::setuid(uid_) != 0)) {
        ::_exit(1);
      }
      play_daemon(pair[1], node, own, uid_);
    }
    ::close(pair[1]);
    nodes_.push_back({pid, pair[0]});
  }
}

PlayedNodes::~PlayedNodes() {
  for (const Node& node : nodes_) {
    ::close(node.fd);
  }
  for (const Node& node : nodes_) {
    ::waitpid(node.pid, nullptr, 0);
  }
  std::filesystem::remove_all(directory_);
}

std::vector<PlayedEnd> PlayedNodes::run(const std::vector<PlayedStep>& steps, std::chrono::seconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  std::map<std::uint32_t, Running> running;
  for (const PlayedStep& step : steps) {
    const std::uint32_t number = ++steps_begun_;
    Running& run = running[number];
    run.step = step;
    run.outputs = directory_ + "/step" + std::to_string(number);
    std::filesystem::create_directory(run.outputs);
    if (::chown(run.outputs.c_str(), uid_, uid_) != 0) {
      throw std::runtime_error("chown " + run.outputs);
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < step.layout.size(); ++i) {
      names.push_back("n" + std::to_string(i + 1));
      run.ntasks += static_cast<std::uint32_t>(step.layout[i].size());
      run.taking_part += step.layout[i].empty() ? 0 : 1;
    }
    std::vector<std::string> environment = step.environment;
    environment.insert(environment.end(), {"PATH=/usr/bin:/bin", "HOME=" + directory_, "TMPDIR=" + directory_ + "/n1"});
    nlohmann::json json{{"step", number}, {"name", "muster.1.0.1." + std::to_string(number)}, {"nodes", names},
                        {"layout", step.layout}, {"ntasks", run.ntasks}, {"command", step.command},
                        {"environment", environment}, {"pmix", step.pmix}, {"pmi1", step.pmi1}, {"outputs", run.outputs}};
    for (std::size_t i = 0; i < step.layout.size(); ++i) {
      if (!step.layout[i].empty()) {
        json["here"] = i;
        send_played(nodes_[i].fd, {.what = What::begin, .step = number}, json.dump());
      }
    }
  }
  auto busy = [&] {
    return std::any_of(running.begin(), running.end(), [](const auto& entry) {
      return entry.second.result.error.empty() && entry.second.result.exits.size() < entry.second.ntasks;
    });
  };
  bool late = false;
  while (busy()) {
    std::vector<pollfd> waiting;
    for (const Node& node : nodes_) {
      waiting.push_back({node.fd, POLLIN, 0});
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) <= 0) {
      if (late) {
        break;
      }
      late = true;
      for (auto& [number, run] : running) {
        run.result.in_time = run.result.exits.size() >= run.ntasks;
        end(number, run);
      }
      continue;
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (waiting[i].revents != 0) {
        auto message = receive_played(nodes_[i].fd);
        if (!message) {
          throw std::runtime_error("a played daemon has died");
        }
        on_message(i, Message{std::move(*message)}, running);
      }
    }
  }
  std::vector<PlayedEnd> results;
  for (auto& [number, run] : running) {
    end(number, run);
    for (const Node& node : nodes_) {
      send_played(node.fd, {.what = What::finish, .step = number});
    }
    for (std::uint32_t rank = 0; rank < run.ntasks; ++rank) {
      std::ifstream in(run.outputs + "/" + std::to_string(rank));
      std::stringstream text;
      text << in.rdbuf();
      run.result.outputs[rank] = text.str();
    }
    results.push_back(std::move(run.result));
  }
  return results;
}

void PlayedNodes::on_message(std::size_t node, const Message& message, std::map<std::uint32_t, Running>& running) {
  const PlayedHeader& header = message.header;
  if (header.what == What::modex_answer) {  // `question` is the asker's number, its node in the upper half
    const auto asker = static_cast<std::size_t>(header.question >> 32);
    PlayedHeader down = header;
    down.question &= 0xffffffff;
    send_played(nodes_[asker].fd, down, message.data);
    return;
  }
  const auto found = running.find(header.step);
  if (found == running.end()) {
    return;
  }
  Running& run = found->second;
  PlayedEnd& result = run.result;
  switch (header.what) {
    case What::exchange: {
      auto& [count, data] = run.round[header.kind];
      data += message.data;
      if (++count == run.taking_part) {
        ++result.exchanges;
        for (std::size_t i = 0; i < run.step.layout.size(); ++i) {
          if (!run.step.layout[i].empty()) {
            send_played(nodes_[i].fd, {.what = What::exchange, .kind = header.kind, .step = header.step}, data);
          }
        }
        count = 0;
        data.clear();
      }
      break;
    }
    case What::modex: {
      ++result.questions;
      for (std::size_t i = 0; i < run.step.layout.size(); ++i) {
        const auto& ranks = run.step.layout[i];
        if (std::find(ranks.begin(), ranks.end(), header.rank) != ranks.end()) {
          PlayedHeader down = header;
          down.question |= std::uint64_t{node} << 32;
          send_played(nodes_[i].fd, down);
        }
      }
      break;
    }
    case What::connected: result.connected[header.kind].insert(header.rank); break;
    case What::finalized: result.finalized[header.kind].insert(header.rank); break;
    case What::aborted:
      result.aborted.push_back({header.step, static_cast<std::int32_t>(header.rank), header.number, message.data});
      end(header.step, run);
      break;
    case What::unsupported: result.refused.push_back(message.data); break;
    case What::variables:
      if (header.rank == 0) {
        std::istringstream in(message.data);
        for (std::string line; std::getline(in, line);) {
          result.variables.push_back(line);
        }
      }
      break;
    case What::error: result.error = message.data; end(header.step, run); break;
    case What::exited: {
      result.exits[header.rank] = header.number;
      const bool orderly = std::none_of(result.connected.begin(), result.connected.end(), [&](const auto& entry) {
        return entry.second.contains(header.rank) && !result.finalized[entry.first].contains(header.rank);
      });
      if (!orderly || header.number != 0) {
        end(header.step, run);
      }
      break;
    }
    default: break;
  }
}

void PlayedNodes::end(std::uint32_t step, Running& running) {
  if (std::exchange(running.ending, true)) {
    return;
  }
  for (const Node& node : nodes_) {
    send_played(node.fd, {.what = What::end, .step = step});
  }
}

std::string mpi_program(const std::string& mpi, const std::string& name) {
  const std::string path = std::string(MUSTER_MPI_PROGRAMS) + "/" + mpi + "/" + name;
  return ::access(path.c_str(), X_OK) == 0 ? path : "";
}

}  // namespace muster::node
