// Inside wire/socket only. KeyGuard: judges who may connect to the routers of a context. Has a thread of its own.
//
// It answers ZAP (ZeroMQ's question, RFC 27, whether a peer's key is welcome), hears of handshakes that fail before
// that question, and says both at most once a minute for each router. A refusal is answered late, so that a peer that
// tries on and on costs little.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "wire/base/time.hpp"
#include "wire/ring/wakeup.hpp"
#include "wire/socket/curve.hpp"

namespace muster {

using RefusedSink = std::function<void(const std::string& text)>;

class KeyGuard {
 public:
  [[nodiscard]] static Result<std::unique_ptr<KeyGuard>> start(zmq::context_t& context);
  ~KeyGuard();
  KeyGuard(const KeyGuard&) = delete;
  KeyGuard& operator=(const KeyGuard&) = delete;

  // Any thread. From now on `domain` is judged by `allowed` (null: everybody is welcome), and what is
  // refused is told to `sink` (may be empty) from the guard's thread. `monitor` is an inproc endpoint with the
  // router's events.
  void admit(const std::string& domain, std::shared_ptr<const AllowedKeys> allowed, RefusedSink sink,
             const std::string& monitor);
  void leave(const std::string& domain);

 private:
  struct Ward {
    std::shared_ptr<const AllowedKeys> allowed;
    RefusedSink sink;
    std::map<std::string, std::uint64_t> refused;  // what since the last word, how often
    Instant said = Instant::from_ns(-1'000'000'000'000);
  };
  struct Watched {
    std::string domain;
    zmq::socket_t monitor;
  };
  struct Delayed {
    Instant due;
    std::vector<zmq::message_t> parts;
  };

  KeyGuard(zmq::context_t& context, Wakeup wakeup, zmq::socket_t zap);
  void run();
  void watch_new();
  void answer_one();
  void send(std::vector<zmq::message_t> parts);
  bool read_monitor(Watched& watched);  // false: its router has gone
  void note(Ward& ward, const std::string& what);
  Instant say(Instant now);  // when there is something to say next

  zmq::context_t& context_;
  Wakeup wakeup_;
  std::mutex mutex_;
  // Under the mutex.
  std::map<std::string, Ward> wards_;
  std::vector<std::pair<std::string, std::string>> to_watch_;  // domain, monitor endpoint
  bool stop_{};
  // The thread's.
  zmq::socket_t zap_;
  std::vector<Watched> watched_;
  std::vector<Delayed> delayed_;  // in order
  std::thread thread_;
};

}  // namespace muster
