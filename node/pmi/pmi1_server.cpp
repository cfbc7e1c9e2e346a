#include "node/pmi/pmi1_server.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <utility>

#include "node/pmi/event_queue.hpp"
#include "node/pmi/pmi1_protocol.hpp"
#include "node/pmi/step_layout.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kUnreadAnswersMax = 1 << 20;  // of a rank that asks and never reads
constexpr std::uint64_t kQueueTag = ~std::uint64_t{0};

std::uint64_t tag_of(std::uint32_t step, std::uint32_t rank) { return std::uint64_t{step} << 32 | rank; }

// Owned by the step daemon's thread.
class Pmi1Server final : public PmiServer {
 public:
  ~Pmi1Server() override {
    while (!steps_.empty()) {
      end_step(steps_.begin()->first);
    }
    if (epoll_fd_ >= 0) {
      ::close(epoll_fd_);
    }
  }

  Status open() {
    if (const Status ready = queue_.ready(); !ready) {
      return ready;
    }
    epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0 || !watch(queue_.fd(), kQueueTag, EPOLL_CTL_ADD, EPOLLIN)) {
      return fail_errno(errno, "epoll for PMI-1");
    }
    return {};
  }

  [[nodiscard]] PmiKind kind() const override { return PmiKind::pmi1; }
  [[nodiscard]] int fd() const override { return epoll_fd_; }

  [[nodiscard]] std::vector<PmiEvent> take_events() override {
    std::array<epoll_event, 64> ready{};
    for (;;) {
      const int count = ::epoll_wait(epoll_fd_, ready.data(), static_cast<int>(ready.size()), 0);
      bool progress = false;
      for (int i = 0; i < count; ++i) {
        const std::uint64_t tag = ready[static_cast<std::size_t>(i)].data.u64;
        if (tag != kQueueTag) {
          serve(static_cast<std::uint32_t>(tag >> 32), static_cast<std::uint32_t>(tag));
          progress = true;
        }
      }
      if (!progress) {
        return queue_.take();
      }
    }
  }

  [[nodiscard]] Status begin_step(const PmiStep& step) override {
    if (const Status sound = check_layout(step); !sound) {
      return sound;
    }
    if (!steps_.try_emplace(step.step, Step{Pmi1Step(step), step.ranks[step.here], {}}).second) {
      return fail(Errc::already_exists, "step " + std::to_string(step.step) + " has begun already");
    }
    return {};
  }

  [[nodiscard]] Result<PmiRank> prepare_rank(std::uint32_t step, std::uint32_t rank) override {
    const auto found = steps_.find(step);
    const std::string who = "rank " + std::to_string(rank) + " of step " + std::to_string(step);
    if (found == steps_.end() || found->second.protocol.closed(rank)) {
      return fail(Errc::not_found, who + " is not on this node");
    }
    auto& lines = found->second.lines;
    if (lines.contains(rank)) {
      return fail(Errc::already_exists, who + " has been prepared already");
    }
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      return fail_errno(errno, "socketpair for " + who);
    }
    ::fcntl(pair[0], F_SETFL, O_NONBLOCK);  // ours only: the rank's end is expected to block
    lines[rank] = Line{pair[0], pair[1], {}, {}, false, false};
    if (!watch(pair[0], tag_of(step, rank), EPOLL_CTL_ADD, EPOLLIN)) {
      const int error = errno;
      close_line(found->second, rank);
      return fail_errno(error, "epoll for " + who);
    }
    const auto& here = found->second.ranks;
    const auto place = std::lower_bound(here.begin(), here.end(), rank) - here.begin();
    return PmiRank{{"PMI_RANK=" + std::to_string(rank), "PMI_SIZE=" + std::to_string(found->second.protocol.ntasks()),
                    "MPI_LOCALRANKID=" + std::to_string(place), "MPI_LOCALNRANKS=" + std::to_string(here.size())},
                   {{pair[1], "PMI_FD"}}};
  }

  void on_rank_started(std::uint32_t step, std::uint32_t rank) override {
    if (Line* line = find(step, rank); line != nullptr && line->theirs >= 0) {
      ::close(std::exchange(line->theirs, -1));
    }
  }

  void on_rank_ended(std::uint32_t step, std::uint32_t rank) override {
    on_rank_started(step, rank);
    if (find(step, rank) != nullptr) {
      serve(step, rank);  // its last words, an abort perhaps, may still lie in the socket
    }
    if (const auto found = steps_.find(step); found != steps_.end()) {
      close_line(found->second, rank);
    }
  }

  void answer_exchange(std::uint32_t step, bool ok, const std::string& data) override {
    if (const auto found = steps_.find(step); found != steps_.end()) {
      act(step, 0, found->second.protocol.on_exchanged(ok, data));
    }
  }

  void answer_modex(std::uint64_t, int, const std::string&) override {}  // PMI-1 has no such question
  void serve_modex(std::uint32_t, std::uint32_t, std::uint64_t question) override {
    queue_.push(pmi_event::ModexServed{question, -1, {}});
  }

  void end_step(std::uint32_t step) override {
    const auto found = steps_.find(step);
    if (found == steps_.end()) {
      return;
    }
    while (!found->second.lines.empty()) {
      close_line(found->second, found->second.lines.begin()->first);
    }
    steps_.erase(found);
  }

 private:
  struct Line {
    int ours{-1};
    int theirs{-1};       // until the rank has it
    std::string heard;    // of a line that has no end yet
    std::string to_send;  // what the socket did not take
    bool ended{};         // nothing more will be heard
    bool behind{};        // we are told when it takes more
  };
  struct Step {
    Pmi1Step protocol;
    std::vector<std::uint32_t> ranks;  // of this node
    std::map<std::uint32_t, Line> lines;
  };

  bool watch(int fd, std::uint64_t tag, int operation, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return ::epoll_ctl(epoll_fd_, operation, fd, &event) == 0;
  }

  Line* find(std::uint32_t step, std::uint32_t rank) {
    const auto found = steps_.find(step);
    if (found == steps_.end()) {
      return nullptr;
    }
    const auto line = found->second.lines.find(rank);
    return line == found->second.lines.end() ? nullptr : &line->second;
  }

  // Closing removes it from the epoll set: our end has no copies.
  static void close_line(Step& step, std::uint32_t rank) {
    if (const auto found = step.lines.find(rank); found != step.lines.end()) {
      for (const int fd : {found->second.ours, found->second.theirs}) {
        if (fd >= 0) {
          ::close(fd);
        }
      }
      step.lines.erase(found);
    }
  }

  void serve(std::uint32_t step, std::uint32_t rank) {
    std::array<char, 4096> bytes{};
    for (;;) {
      Line* line = find(step, rank);
      if (line == nullptr) {
        return;
      }
      send(step, rank, *line);
      const ssize_t got = ::recv(line->ours, bytes.data(), bytes.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
      }
      if (got <= 0) {
        line->ended = true;
        // A rank that is gone is the daemon's to notice; its line must not wake us for ever.
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, line->ours, nullptr);
        return;
      }
      line->heard.append(bytes.data(), static_cast<std::size_t>(got));
      hear(step, rank);
    }
  }

  void hear(std::uint32_t step, std::uint32_t rank) {
    for (;;) {
      Line* line = find(step, rank);
      if (line == nullptr) {
        return;
      }
      const std::size_t end = line->heard.find('\n');
      if (end == std::string::npos) {
        if (line->heard.size() > Pmi1Step::kLineBytesMax) {
          act(step, rank, steps_.at(step).protocol.on_nonsense(rank, "sent a PMI-1 line of more than " +
                                                                   std::to_string(Pmi1Step::kLineBytesMax) + " bytes"));
        }
        return;
      }
      const std::string text = line->heard.substr(0, end);
      line->heard.erase(0, end + 1);
      act(step, rank, steps_.at(step).protocol.on(rank, text));
    }
  }

  void act(std::uint32_t step, std::uint32_t speaker, const Pmi1Step::Output& output) {
    for (const Pmi1Step::Answer& answer : output.answers) {
      if (Line* line = find(step, answer.rank); line != nullptr) {
        line->to_send += answer.line;
        send(step, answer.rank, *line);
      }
    }
    for (const PmiEvent& event : output.events) {
      queue_.push(event);
    }
    if (output.close) {
      close_line(steps_.at(step), speaker);
    }
  }

  void send(std::uint32_t step, std::uint32_t rank, Line& line) {
    if (line.to_send.empty() || line.ended) {
      return;
    }
    const ssize_t sent = ::send(line.ours, line.to_send.data(), line.to_send.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      line.to_send.erase(0, static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      line.to_send.clear();  // it is gone
    }
    if (line.to_send.size() > kUnreadAnswersMax) {
      line.to_send.clear();
      ::shutdown(line.ours, SHUT_RDWR);  // the end of the line is what it hears next
    }
    if (line.behind == line.to_send.empty()) {
      line.behind = !line.behind;
      watch(line.ours, tag_of(step, rank), EPOLL_CTL_MOD, line.behind ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
  }

  int epoll_fd_{-1};
  PmiEventQueue queue_;
  std::map<std::uint32_t, Step> steps_;
};

}  // namespace

Result<std::unique_ptr<PmiServer>> make_pmi1_server() {
  auto server = std::make_unique<Pmi1Server>();
  if (const Status opened = server->open(); !opened) {
    return tl::unexpected<Error>(opened.error());
  }
  return std::unique_ptr<PmiServer>(std::move(server));
}

}  // namespace muster::node
