#include "sched/cli/conversation.hpp"

#include <poll.h>

#include <algorithm>

#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

// A frame that a dying daemon took is answered by nobody: ask its successor.
constexpr Duration kAskAgain = Duration::from_seconds(3);

Instant now() { return SystemClock{}.now().mono; }

}  // namespace

Error error_of(const fb::Refused& refused) {
  std::string text(text_of(refused.text()));
  const std::string subject(text_of(refused.subject()));
  if (text.empty()) {
    text = std::string(to_string(refused.code()));
  }
  if (!subject.empty() && text.find(subject) == std::string::npos) {
    text.insert(0, subject + ": ");
  }
  switch (refused.code()) {
    case fb::RefusedCode::UnknownJob:
    case fb::RefusedCode::UnknownNode:
    case fb::RefusedCode::UnknownAttempt:
      return {Errc::not_found, text};
    case fb::RefusedCode::NotAllowed:
    case fb::RefusedCode::Unauthenticated:
      return {Errc::permission, text};
    case fb::RefusedCode::Unsupported:
      return {Errc::unsupported, text};
    case fb::RefusedCode::Busy:
      return {Errc::exhausted, text};
    default:
      return {Errc::refused, text};
  }
}

std::string span_text(Duration span) {
  return span.ms() % 1000 == 0 ? std::to_string(span.ms() / 1000) + " s" : std::to_string(span.ms()) + " ms";
}

Conversation::Conversation(std::string who, RequestClient client)
    : who_(std::move(who)), client_(std::move(client)), last_request_(random_u64() >> 1U) {}

Result<Conversation> Conversation::open(Context& context, const std::string& who, const std::string& endpoint) {
  auto parsed = parse_endpoint(endpoint);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  auto client = RequestClient::connect(context, *parsed);
  if (!client) {
    return tl::unexpected(client.error());
  }
  return Conversation(who, *std::move(client));
}

std::uint32_t Conversation::milliseconds_until(Instant deadline) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>((deadline - now()).ms(), 1, 86'400'000));
}

bool Conversation::interrupted() const {
  pollfd entry{.fd = interrupt_fd_, .events = POLLIN, .revents = 0};
  return interrupt_fd_ >= 0 && ::poll(&entry, 1, 0) == 1;
}

Result<FrameBytes> Conversation::exchange(const FrameBytes& frame, std::uint64_t request, Instant deadline,
                                          fb::Body expected, bool once) {
  const Instant begun = now();
  if (frame.size() > FrameLimits{}.frame_bytes_max) {
    return fail(Errc::out_of_range, "the request has " + std::to_string(frame.size()) + " bytes; at most " +
                                        std::to_string(FrameLimits{}.frame_bytes_max) +
                                        " can be sent: shorten the command or the environment (--export)");
  }
  bool left = false;  // once it has left, silence means that the outcome is unknown
  for (;;) {
    const Instant until = once ? deadline : std::min(deadline, now() + kAskAgain);
    auto answer = client_.call(frame, request, until);
    if (answer) {
      const fb::Frame* const reply = fb::GetFrame(answer->data());
      if (const auto* refused = reply->body_as_Refused()) {
        return tl::unexpected(error_of(*refused));
      }
      if (reply->body_type() != expected) {
        return fail(Errc::malformed, who_ + " answered with " + fb::EnumNameBody(reply->body_type()) +
                                         " to a question for " + fb::EnumNameBody(expected));
      }
      return answer;
    }
    if (answer.error().code != Errc::timed_out && answer.error().code != Errc::unreachable) {
      return answer;
    }
    left = left || answer.error().code == Errc::timed_out;
    if (interrupted()) {
      return fail(Errc::timed_out, "interrupted");
    }
    if (now() >= deadline || (once && left)) {
      const std::string waited = " within " + span_text(Duration::from_ms(((deadline - begun).ms() + 99) / 100 * 100));
      return left ? fail(Errc::timed_out, "no answer from " + who_ + waited)
                  : fail(Errc::unreachable, who_ + " can't be reached" + waited + "; if it has died, start it again: muster up");
    }
  }
}

}  // namespace muster::cli
