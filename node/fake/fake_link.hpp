// FakeLink: one link to the master that speaks for many nodes: its lives, epochs, credit and contact. Pure.
//
//   closed ── open() ──► opening ── Registered ──► up ── gap, refusal, silence ──► closed, for a moment
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::node {

// How a link behaves; the master's Registered changes it.
struct LinkTerms {
  Duration register_retry;
  Duration heartbeat;
  Duration master_silence;
  Duration fence;
  Duration prepare_silence;
};

class FakeLink {
 public:
  enum class Phase : std::uint8_t { closed, opening, up };
  enum class Took : std::uint8_t {
    nothing,     // it was the link's own affair
    registered,  // the answer to our Register: the link is up
    message,     // for the nodes
  };

  FakeLink(const LinkTerms& terms, Epoch epoch, Incarnation incarnation, Now now)
      : terms_(terms), epoch_(epoch), incarnation_(incarnation), last_contact_(now.mono) {}

  void transport(bool up, Now now);
  [[nodiscard]] bool wants_life(Now now) const;  // then open(), and send a Register
  void open(Now now);
  void close(Now now, Duration wait);
  [[nodiscard]] Took take(const fb::Frame& frame, Now now);
  void take_bad(const FrameError& error, Now now);
  // Said within the life.
  void refuse(Refusal refusal) { refusals_.push_back(std::move(refusal)); }

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool is_up() const { return phase_ == Phase::up; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  [[nodiscard]] const LinkTerms& terms() const { return terms_; }
  [[nodiscard]] const std::string& refused_text() const { return refused_text_; }
  // When we sent the newest frame that a master has confirmed.
  [[nodiscard]] Instant last_contact() const { return last_contact_; }
  // Sequences of updates must start above what any earlier life of this name may have used.
  [[nodiscard]] Incarnation incarnation() const { return incarnation_; }
  [[nodiscard]] Instant next_timer() const;

  // Sent and not confirmed; beyond that output waits in the tables.
  [[nodiscard]] bool has_credit() const { return state_.in_flight() < kCreditFrames; }
  template <class BodyTable>
  void send(flatbuffers::FlatBufferBuilder& builder, flatbuffers::Offset<BodyTable> body, Now now) {
    sent(finish_frame(builder, state_.next_head(epoch_), body), now);
  }
  // Refusals, and a heartbeat if it is time.
  void send_own(Now now);
  // What has been said since.
  [[nodiscard]] std::vector<FrameBytes> take_frames() { return std::exchange(frames_, {}); }

 private:
  static constexpr std::uint64_t kCreditFrames = 256;

  void take_refused(const fb::Frame& frame, const fb::Refused& refused, Now now);
  void take_terms(const fb::Registered& registered);
  void confirm_contact();
  void sent(FrameBytes bytes, Now now);

  LinkTerms terms_;
  LinkState state_;
  Epoch epoch_;              // the highest seen here
  Incarnation incarnation_;  // of the last life
  Phase phase_{Phase::closed};
  bool transport_up_{};
  std::uint32_t stale_incarnations_{};
  Instant reopen_at_ = Instant::never();
  Instant last_heard_;
  Instant last_sent_;
  Instant last_contact_;
  std::uint64_t confirmed_at_send_{};
  struct SentAt {
    std::uint64_t sequence{};
    Instant at;
  };
  std::deque<SentAt> sent_at_;
  std::vector<Refusal> refusals_;
  std::vector<FrameBytes> frames_;
  std::string refused_text_;
};

}  // namespace muster::node
