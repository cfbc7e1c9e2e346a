// Talker: one connection to a master that says a few things slowly, as a framework, a node or an operator. Owned by one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/frame_template.hpp"
#include "bench/raw/zmtp_stream.hpp"
#include "wire/schema/frame.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::bench {

class Talker {
 public:
  // Connects, within seconds.
  explicit Talker(std::uint16_t port);
  [[nodiscard]] bool is_open() const { return stream_.is_open(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

  // Opens a life and waits for the answer; false, nothing: see problem().
  [[nodiscard]] bool subscribe(std::uint64_t id, const std::string& name);
  [[nodiscard]] std::optional<std::uint32_t> enroll(const std::string& name);  // a node of one cpu; its index
  void request(std::uint64_t cpus_milli, std::uint32_t count, const std::vector<std::uint32_t>& nodes);
  void launch(std::uint64_t id, const fb::OfferRef& offer, std::uint32_t node);

  void send(const FrameBytes& frame);
  template <class BodyTable>
  void send_in_life(flatbuffers::FlatBufferBuilder& builder, flatbuffers::Offset<BodyTable> body) {
    send(finish_frame(builder, link_.next_head(epoch_), body));
  }
  void flush();
  [[nodiscard]] std::size_t pending() const { return stream_.pending(); }

  // take(frame) for each frame that has come.
  template <class Take>
  void read(Take&& take) {
    const auto got = stream_.read(buffer_, [&](std::span<const std::uint8_t> bytes) {
      const fb::Frame& frame = *fb::GetFrame(bytes.data());  // any alignment, unverified: the master is our own
      if (link_.is_open()) {
        (void)link_.take(frame);
        epoch_ = Epoch(frame.epoch());
      }
      take(frame);
    });
    if (got == ZmtpStream::Read::closed || got == ZmtpStream::Read::broken) {
      problem_ = "the master closed the connection";
    }
  }
  // Until done(frame), for seconds at most.
  template <class Done>
  bool read_until(Done&& done) {
    bool found = false;
    for (int ms = 0; ms < kPatienceMs && !found && problem_.empty(); ++ms) {
      flush();
      read([&](const fb::Frame& frame) { found = found || done(frame); });
      if (!found) {
        wait_a_bit();
      }
    }
    return found;
  }

 private:
  static constexpr int kPatienceMs = 5000;
  static void wait_a_bit();

  ZmtpStream stream_;
  ReadBuffer buffer_;
  LinkState link_;
  Epoch epoch_{};
  std::string problem_;
};

}  // namespace muster::bench
