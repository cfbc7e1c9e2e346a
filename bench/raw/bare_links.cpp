#include "bench/raw/bare_links.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bench/raw/zmtp_stream.hpp"
#include "wire/base/sampling.hpp"

namespace muster::bench {
namespace {

constexpr std::uint32_t kDealersPerProcess = 4000;  // two descriptors each
constexpr double kConnectSeconds = 5;

struct Variant {
  const char* name;
  int router_threads;
  int dealer_threads;
  int high_water;
  std::uint32_t burst;  // frames on a link before the next one
  bool lean;
};

constexpr Variant kVariants[] = {
    {"one I/O thread, high water 1000, 1 frame a turn", 1, 1, 1000, 1, false},
    {"one I/O thread, high water 1000, 32 frames a turn", 1, 1, 1000, 32, false},
    {"one I/O thread, high water 100000, 32 frames a turn", 1, 1, 100'000, 32, false},
    {"two I/O threads at the router, high water 1000, 32 frames a turn", 2, 1, 1000, 32, false},
    {"two I/O threads at both ends, high water 10000, 32 frames a turn", 2, 2, 10'000, 32, false},
    {"lean peers, one I/O thread, high water 1000", 1, 0, 1000, 32, true},
};

void keep(void*, void*) {}

// A process of DEALERs that send until it is killed. Messages are views of one buffer: nothing is allocated or copied
// for large frames.
[[noreturn]] void send_dealers(const Variant& variant, std::uint32_t links, const std::vector<std::uint32_t>& sizes,
                               std::uint16_t port) {
  void* context = zmq_ctx_new();
  zmq_ctx_set(context, ZMQ_IO_THREADS, variant.dealer_threads);
  zmq_ctx_set(context, ZMQ_MAX_SOCKETS, static_cast<int>(links) + 16);
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  std::vector<void*> sockets;
  for (std::uint32_t i = 0; i < links; ++i) {
    void* socket = zmq_socket(context, ZMQ_DEALER);
    const int wait_ms = 50;
    if (socket == nullptr || zmq_setsockopt(socket, ZMQ_SNDHWM, &variant.high_water, sizeof variant.high_water) != 0 ||
        zmq_setsockopt(socket, ZMQ_SNDTIMEO, &wait_ms, sizeof wait_ms) != 0 || zmq_connect(socket, endpoint.c_str()) != 0) {
      std::_Exit(1);
    }
    sockets.push_back(socket);
  }
  std::vector<std::uint8_t> bytes(*std::max_element(sizes.begin(), sizes.end()));
  std::size_t turn = 0;
  for (;;) {
    bool any = false;
    for (void* socket : sockets) {
      for (std::uint32_t i = 0; i < variant.burst; ++i) {
        const std::size_t size = sizes[turn];
        zmq_msg_t message;
        if (size <= 512) {
          zmq_msg_init_size(&message, size);
          std::memcpy(zmq_msg_data(&message), bytes.data(), size);
        } else {
          zmq_msg_init_data(&message, bytes.data(), size, keep, nullptr);
        }
        if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT) < 0) {
          zmq_msg_close(&message);
          break;
        }
        any = true;
        turn = turn + 1 == sizes.size() ? 0 : turn + 1;
      }
    }
    if (!any) {
      zmq_send(sockets[turn % sockets.size()], bytes.data(), sizes[turn], 0);  // waits
    }
  }
}

[[noreturn]] void send_lean(const Variant& variant, std::uint32_t links, const std::vector<std::uint32_t>& sizes,
                            std::uint16_t port) {
  std::vector<std::unique_ptr<ZmtpStream>> streams;
  std::vector<pollfd> polls;
  for (std::uint32_t i = 0; i < links; ++i) {
    streams.push_back(std::make_unique<ZmtpStream>());
    if (!streams.back()->connect(port)) {
      std::_Exit(1);
    }
    polls.push_back({streams.back()->fd(), POLLIN | POLLOUT, 0});
  }
  ReadBuffer buffer;
  std::size_t turn = 0;
  for (;;) {
    ::poll(polls.data(), polls.size(), 50);
    for (std::uint32_t i = 0; i < links; ++i) {
      ZmtpStream& stream = *streams[i];
      if ((polls[i].revents & POLLIN) != 0) {
        (void)stream.read(buffer, [](std::span<const std::uint8_t>) {});
        polls[i].events = stream.is_open() ? POLLOUT : POLLIN;
      }
      if ((polls[i].revents & POLLOUT) != 0) {
        if (stream.is_open()) {
          for (std::uint32_t n = 0; n < variant.burst && stream.pending() < (256U << 10U); ++n) {
            std::uint8_t* frame = stream.append(sizes[turn]);
            std::memset(frame, 1, sizes[turn]);
            turn = turn + 1 == sizes.size() ? 0 : turn + 1;
          }
        }
        (void)stream.flush();
        if (!stream.is_open() && stream.pending() == 0) {
          polls[i].events = POLLIN;
        }
      }
    }
  }
}

// Children that end with this object, or with this process.
class Senders {
 public:
  // They wait for the port. False: a process can't be made.
  bool start(const Variant& variant, std::uint32_t links, const std::vector<std::uint32_t>& sizes) {
    const std::uint32_t most = variant.lean ? 16'000 : kDealersPerProcess;
    for (std::uint32_t left = links; left > 0;) {
      const std::uint32_t mine = std::min(left, most);
      left -= mine;
      int ends[2];
      if (::pipe(ends) != 0) {
        return false;
      }
      const pid_t parent = ::getpid();
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(ends[1]);
        std::uint16_t port = 0;
        if (::getppid() != parent || ::read(ends[0], &port, sizeof port) != sizeof port) {
          std::_Exit(1);
        }
        if (variant.lean) {
          send_lean(variant, mine, sizes, port);
        }
        send_dealers(variant, mine, sizes, port);
      }
      ::close(ends[0]);
      pipes_.push_back(ends[1]);
      if (pid < 0) {
        return false;
      }
      pids_.push_back(pid);
    }
    return true;
  }
  void tell(std::uint16_t port) {
    for (const int pipe : pipes_) {
      (void)!::write(pipe, &port, sizeof port);
    }
  }
  ~Senders() {
    for (const int pipe : pipes_) {
      ::close(pipe);
    }
    for (const pid_t pid : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  Senders() = default;
  Senders(const Senders&) = delete;
  Senders& operator=(const Senders&) = delete;

 private:
  std::vector<int> pipes_;
  std::vector<pid_t> pids_;
};

struct Router {
  void* context = zmq_ctx_new();
  void* socket{};
  std::uint16_t port{};
  explicit Router(const Variant& variant) {
    zmq_ctx_set(context, ZMQ_IO_THREADS, variant.router_threads);
    socket = zmq_socket(context, ZMQ_ROUTER);
    const int zero = 0;
    const int wait_ms = 50;
    const int backlog = 4096;
    zmq_setsockopt(socket, ZMQ_RCVHWM, &variant.high_water, sizeof variant.high_water);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog);
    char last[128]{};
    std::size_t size = sizeof last;
    if (zmq_bind(socket, "tcp://127.0.0.1:*") == 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, last, &size) == 0) {
      port = static_cast<std::uint16_t>(std::atoi(std::strrchr(last, ':') + 1));
    }
  }
  ~Router() {
    zmq_close(socket);
    zmq_ctx_term(context);
  }
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;
};

BareRate measure(const Variant& variant, std::uint32_t links, const std::vector<std::uint32_t>& sizes, double seconds) {
  BareRate out{variant.name, 0, 0, variant.lean};
  Senders senders;  // made before this process has threads of ZeroMQ
  if (!senders.start(variant, links, sizes)) {
    return out;
  }
  Router router(variant);
  senders.tell(router.port);
  zmq_msg_t part;
  zmq_msg_init(&part);
  const auto receive = [&]() -> std::size_t {
    if (zmq_msg_recv(&part, router.socket, 0) < 0) {
      return 0;
    }
    return zmq_msg_recv(&part, router.socket, 0) < 0 ? 0 : zmq_msg_size(&part);
  };
  // Warm when all links have had time to connect.
  const double connect_until = seconds_now() + kConnectSeconds;
  for (std::uint64_t warm = 0; warm < 20'000 + 4ULL * links && seconds_now() < connect_until;) {
    warm += receive() > 0 ? 1 : 0;
  }
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  const double begun = seconds_now();
  double now = begun;
  while (now < begun + seconds) {
    for (int i = 0; i < 256; ++i) {
      const std::size_t got = receive();
      bytes += got;
      frames += got > 0 ? 1 : 0;
      if (got == 0) {
        break;
      }
    }
    now = seconds_now();
  }
  zmq_msg_close(&part);
  out.frames_per_second = static_cast<double>(frames) / (now - begun);
  out.bytes_per_second = static_cast<double>(bytes) / (now - begun);
  return out;
}

}  // namespace

std::vector<BareRate> measure_bare_links(std::uint32_t links, const std::vector<std::uint32_t>& sizes, double seconds) {
  std::vector<BareRate> out;
  for (const Variant& variant : kVariants) {
    // Thousands of sockets take seconds to open: then only the variants that have been best.
    if (links > 1000 && (variant.burst == 1 || variant.router_threads > 1)) {
      continue;
    }
    out.push_back(measure(variant, links, sizes, seconds));
  }
  return out;
}

}  // namespace muster::bench
