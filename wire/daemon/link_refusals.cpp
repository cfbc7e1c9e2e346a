#include "wire/daemon/link_refusals.hpp"

#include "wire/daemon/log.hpp"

namespace muster {
namespace {

constexpr Duration kSayEvery = Duration::from_seconds(60);

}  // namespace

void LinkRefusals::look(const Dealer& link, Instant now) {
  const std::uint64_t refusals = link.refusals();
  if (refusals != seen_) {
    seen_ = refusals;
    say(link.refusal(), now);
  }
}

void LinkRefusals::hear(const fb::Frame& frame, Instant now) {
  const auto* const refused = frame.body_as_Refused();
  if (refused != nullptr && (refused->code() == fb::RefusedCode::NotAllowed || refused->code() == fb::RefusedCode::Unauthenticated)) {
    say("the master refuses: " + std::string(text_of(refused->text())), now);
  }
}

void LinkRefusals::say(const std::string& text, Instant now) {
  if (text != text_ || now - said_ >= kSayEvery) {
    text_ = text;
    said_ = now;
    log::error(text);
  }
}

}  // namespace muster
