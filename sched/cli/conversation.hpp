// Conversation: questions to one daemon of the cluster, each over by its deadline. Owned by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"
#include "wire/socket/request_client.hpp"

namespace muster::cli {

class Conversation {
 public:
  // `who` for error texts: "the master", "the gang", "node n1".
  [[nodiscard]] static Result<Conversation> open(Context& context, const std::string& who, const std::string& endpoint);

  // Fills in the request number and (unless given) the deadline, sends, and waits for an `Answer`. Asks again when the daemon was
  // restarted meanwhile: a question may be repeated (a submit has its key, others change nothing or to a fixed
  // state), unless it is to be asked only `once`.
  //   Errc::unreachable, Errc::timed_out    as RequestClient::call
  //   Errc::refused, not_found, permission  the daemon's own words
  template <class Answer, class Question>
  [[nodiscard]] Result<typename Answer::NativeTableType> ask(typename Question::NativeTableType question,
                                                             Instant deadline, bool once = false) {
    question.request = next_request();
    if (question.deadline_ms == 0) {
      question.deadline_ms = milliseconds_until(deadline);
    }
    auto bytes = exchange(pack_frame<Question>({}, question), question.request, deadline,
                          fb::BodyTraits<Answer>::enum_value, once);
    if (!bytes) {
      return tl::unexpected(bytes.error());
    }
    typename Answer::NativeTableType answer;
    fb::GetFrame(bytes->data())->template body_as<Answer>()->UnPackTo(&answer);
    return answer;
  }

  // A descriptor that ends a wait early (Errc::timed_out).
  void interrupt_on(int fd) {
    interrupt_fd_ = fd;
    client_.interrupt_on(fd);
  }

 private:
  Conversation(std::string who, RequestClient client);
  [[nodiscard]] std::uint64_t next_request() { return ++last_request_; }
  [[nodiscard]] static std::uint32_t milliseconds_until(Instant deadline);
  [[nodiscard]] Result<FrameBytes> exchange(const FrameBytes& frame, std::uint64_t request, Instant deadline,
                                            fb::Body expected, bool once);
  [[nodiscard]] bool interrupted() const;

  std::string who_;
  RequestClient client_;
  int interrupt_fd_{-1};
  std::uint64_t last_request_{};
};

// A Refused as an error: the code's kind, the daemon's sentence. Pure.
[[nodiscard]] Error error_of(const fb::Refused& refused);

// "10 s", "500 ms".
[[nodiscard]] std::string span_text(Duration span);

}  // namespace muster::cli
