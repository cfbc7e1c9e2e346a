#include "sched/client/executor.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "wire/schema/frame.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"

namespace muster::client {
namespace {

[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

[[nodiscard]] Result<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') {
    return fail(Errc::invalid_argument, std::string(name) + " is not set: start this program as a task whose spec says `executor`");
  }
  return std::string(value);
}

}  // namespace

struct Executor::Impl {
  fb::ExecutorHelloT hello;
  AttemptId attempt;
  Context context;
  std::optional<Dealer> dealer;
  std::optional<Poller> poller;
  SystemClock clock;
  bool welcome{};

  [[nodiscard]] Status push(const FrameBytes& bytes) {
    const Instant give_up = clock.now().mono + Duration::from_seconds(5);
    for (;;) {
      const auto sent = dealer->send(bytes);
      if (!sent) {
        return tl::unexpected(sent.error());
      }
      if (*sent == SendOutcome::sent) {
        return {};
      }
      if (clock.now().mono >= give_up) {
        return fail(Errc::unreachable, "the node at " + dealer->endpoint().to_string() + " takes nothing");
      }
      if (const auto waited = poller->wait(clock.now().mono + Duration::from_ms(20)); !waited) {
        return tl::unexpected(waited.error());
      }
    }
  }
  [[nodiscard]] Status say_hello() { return push(pack_frame<fb::ExecutorHello>(FrameHead{}, hello)); }

  // One frame, if there is one: a message's data.
  [[nodiscard]] Result<std::optional<std::string>> take() {
    while (const auto change = dealer->next_change()) {
      if (*change == LinkChange::up && welcome) {
        welcome = false;
        if (auto said = say_hello(); !said) {
          return tl::unexpected(said.error());
        }
      }
    }
    FrameBytes buffer;
    for (;;) {
      const auto got = dealer->receive(buffer);
      if (!got) {
        return tl::unexpected(got.error());
      }
      if (!*got) {
        return std::nullopt;
      }
      const auto frame = verify_frame(buffer);
      if (!frame) {
        continue;
      }
      if ((*frame)->body_type() == fb::Body::Heartbeat) {
        welcome = true;
      } else if (const auto* refused = (*frame)->body_as_Refused()) {
        if (refused->code() == fb::RefusedCode::Unauthenticated) {
          if (auto said = say_hello(); !said) {
            return tl::unexpected(said.error());
          }
        } else if (refused->code() != fb::RefusedCode::Busy) {
          return fail(Errc::refused, std::string(text_of(refused->text())));
        }
      } else if (const auto* message = (*frame)->body_as_Message()) {
        welcome = true;
        const auto* data = message->data();
        return data == nullptr ? std::string() : std::string(data->begin(), data->end());
      }
    }
  }
};

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executor::~Executor() = default;
Executor::Executor(Executor&&) noexcept = default;
Executor& Executor::operator=(Executor&&) noexcept = default;

Result<Executor> Executor::connect(Duration patience) {
  const auto socket = variable("MUSTER_EXECUTOR_SOCKET");
  const auto token = variable("MUSTER_EXECUTOR_TOKEN");
  const auto framework = variable("MUSTER_FRAMEWORK");
  const auto attempt = variable("MUSTER_ATTEMPT");
  for (const auto* needed : {&socket, &token, &framework, &attempt}) {
    if (!*needed) {
      return tl::unexpected(needed->error());
    }
  }
  const auto colon = attempt->find(':');
  const auto hi = number(std::string_view(*attempt).substr(0, std::min(colon, attempt->size())), 10);
  const auto lo = colon == std::string::npos ? std::nullopt : number(std::string_view(*attempt).substr(colon + 1), 10);
  const auto id = number(*framework, 10);
  const auto token_hi = number(std::string_view(*token).substr(0, std::min<std::size_t>(16, token->size())), 16);
  const auto token_lo = token->size() == 32 ? number(std::string_view(*token).substr(16), 16) : std::nullopt;
  if (!hi || !lo || !id || !token_hi || !token_lo) {
    return fail(Errc::invalid_argument, "MUSTER_ATTEMPT, MUSTER_FRAMEWORK or MUSTER_EXECUTOR_TOKEN was changed on its way here");
  }
  const auto endpoint = parse_endpoint(*socket);
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  auto impl = std::make_unique<Impl>();
  impl->attempt = {*hi, *lo};
  impl->hello.framework = *id;
  impl->hello.attempt = std::make_unique<fb::AttemptId>(to_fb(impl->attempt));
  impl->hello.token_hi = *token_hi;
  impl->hello.token_lo = *token_lo;
  auto dealer = Dealer::connect(impl->context, *endpoint);
  if (!dealer) {
    return tl::unexpected(dealer.error());
  }
  impl->dealer = *std::move(dealer);
  impl->poller.emplace();
  impl->poller->add(*impl->dealer, 1);
  Executor executor(std::move(impl));
  Impl& e = *executor.impl_;
  const Instant give_up = e.clock.now().mono + patience;
  if (auto said = e.say_hello(); !said) {
    return tl::unexpected(said.error());
  }
  // The node may refuse a hello that comes before it has heard of its own task's start: ask again until then.
  while (!e.welcome) {
    const auto none = e.take();
    if (e.welcome) {
      break;
    }
    if (e.clock.now().mono >= give_up) {
      return none ? fail(Errc::unreachable, "the node at " + endpoint->to_string() + " does not answer")
                  : tl::unexpected(none.error());
    }
    if (!none) {
      if (auto said = e.say_hello(); !said) {
        return tl::unexpected(said.error());
      }
    }
    if (const auto waited = e.poller->wait(e.clock.now().mono + Duration::from_ms(50)); !waited) {
      return tl::unexpected(waited.error());
    }
  }
  return executor;
}

Status Executor::send(std::string_view data) {
  fb::MessageT message;
  message.framework = impl_->hello.framework;
  message.attempt = std::make_unique<fb::AttemptId>(to_fb(impl_->attempt));
  message.data.assign(data.begin(), data.end());
  return impl_->push(pack_frame<fb::Message>(FrameHead{}, message));
}

Result<std::optional<std::string>> Executor::receive(Duration wait) {
  const Instant give_up = impl_->clock.now().mono + wait;
  for (;;) {
    auto message = impl_->take();
    if (!message || message->has_value()) {
      return message;
    }
    if (impl_->clock.now().mono >= give_up) {
      return std::nullopt;
    }
    if (const auto waited = impl_->poller->wait(give_up); !waited) {
      return tl::unexpected(waited.error());
    }
  }
}

const AttemptId& Executor::attempt() const { return impl_->attempt; }

}  // namespace muster::client
