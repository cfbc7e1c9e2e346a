#include "wire/socket/raw_zmq.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "wire/base/sampling.hpp"

namespace muster {
namespace {

constexpr int kPollMs = 50;  // how soon a thread sees that it should end

// A folder for an ipc socket that goes with it.
class SocketFolder {
 public:
  SocketFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-raw-XXXXXX").string();
    path_ = mkdtemp(name.data()) != nullptr ? name : ".";
  }
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  ~SocketFolder() {
    std::error_code ignored;
    if (path_ != ".") {
      std::filesystem::remove_all(path_, ignored);
    }
  }
  [[nodiscard]] std::string endpoint(const std::string& transport) const {
    return transport == "ipc" ? "ipc://" + path_ + "/s" : "tcp://127.0.0.1:*";
  }

 private:
  std::string path_;
};

// Both ends, each with a context (and so an I/O thread) of its own, as two processes would have.
struct Pair {
  SocketFolder folder;
  zmq::context_t router_context{1};
  zmq::context_t dealer_context{1};
  zmq::socket_t router{router_context, zmq::socket_type::router};
  zmq::socket_t dealer{dealer_context, zmq::socket_type::dealer};

  explicit Pair(const std::string& transport) {
    for (zmq::socket_t* socket : {&router, &dealer}) {
      socket->set(zmq::sockopt::linger, 0);
      socket->set(zmq::sockopt::rcvtimeo, kPollMs);
      socket->set(zmq::sockopt::sndtimeo, kPollMs);
    }
    router.bind(folder.endpoint(transport));
    dealer.connect(router.get(zmq::sockopt::last_endpoint));
  }
};

template <class F>
auto guarded(F measure) -> Result<decltype(measure())> {
  try {
    return measure();
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("bare ZeroMQ can't be measured: ") + error.what());
  }
}

}  // namespace

Result<RawRate> measure_rate(const std::string& transport, std::size_t frame_bytes, double seconds) {
  return guarded([&] {
    Pair pair(transport);
    std::atomic<bool> stop{false};
    std::thread sender([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        // Allocated and sent as a program does with each frame; a full queue waits in send().
        zmq::message_t frame(frame_bytes);
        (void)pair.dealer.send(frame, zmq::send_flags::none);
      }
    });
    zmq::message_t identity;
    zmq::message_t body;
    const auto receive = [&] {
      return pair.router.recv(identity).has_value() && pair.router.recv(body).has_value();
    };
    for (int warm = 0; warm < 1000;) {
      warm += receive() ? 1 : 0;
    }
    std::uint64_t frames = 0;
    const double begun = seconds_now();
    double now = begun;
    while (now < begun + seconds) {
      for (int i = 0; i < 64; ++i) {
        frames += receive() ? 1 : 0;
      }
      now = seconds_now();
    }
    stop = true;
    sender.join();
    const double rate = static_cast<double>(frames) / (now - begun);
    return RawRate{rate, rate * static_cast<double>(frame_bytes)};
  });
}

Result<RawRoundTrip> measure_round_trip(const std::string& transport, double seconds) {
  return guarded([&] {
    Pair pair(transport);
    std::atomic<bool> stop{false};
    std::thread echo([&] {
      zmq::message_t identity;
      zmq::message_t body;
      while (!stop.load(std::memory_order_relaxed)) {
        if (pair.router.recv(identity) && pair.router.recv(body)) {
          (void)pair.router.send(identity, zmq::send_flags::sndmore);
          (void)pair.router.send(body, zmq::send_flags::none);
        }
      }
    });
    const std::array<char, 64> bytes{};
    std::vector<double> samples;
    zmq::message_t answer;
    int warm = 100;
    for (double end = seconds_now() + seconds; samples.empty() || seconds_now() < end;) {
      const double begun = seconds_now();
      (void)pair.dealer.send(zmq::buffer(bytes), zmq::send_flags::none);
      while (!pair.dealer.recv(answer)) {
      }
      if (warm > 0) {
        --warm;
        end = seconds_now() + seconds;
      } else {
        samples.push_back((seconds_now() - begun) * 1e3);
      }
    }
    stop = true;
    echo.join();
    RawRoundTrip trip{sample_percentile(samples, 0.50), sample_percentile(samples, 0.99), {}};
    trip.samples_ms = std::move(samples);
    return trip;
  });
}

}  // namespace muster
