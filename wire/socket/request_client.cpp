#include "wire/socket/request_client.hpp"

#include "wire/socket/poller.hpp"

namespace muster {
namespace {

constexpr Poller::Tag kSocket = 0;
constexpr Poller::Tag kInterrupt = 1;

struct Wait {
  bool interrupted{};
};

// Sleeps until the socket can go on, or the deadline.
Result<Wait> wait_for(const Dealer& dealer, int interrupt_fd, bool to_write, Instant deadline) {
  Poller poller;
  poller.add(dealer, kSocket);
  poller.watch_write(kSocket, to_write);
  if (interrupt_fd >= 0) {
    poller.add_fd(interrupt_fd, kInterrupt);
  }
  auto events = poller.wait(deadline);
  if (!events) {
    return tl::unexpected(events.error());
  }
  Wait out;
  for (const Poller::Event& event : *events) {
    out.interrupted |= event.tag == kInterrupt;
  }
  return out;
}

}  // namespace

Result<RequestClient> RequestClient::connect(Context& context, const Endpoint& endpoint,
                                             const SocketOptions& options) {
  auto dealer = Dealer::connect(context, endpoint, options);
  if (!dealer) {
    return tl::unexpected(dealer.error());
  }
  return RequestClient(*std::move(dealer));
}

Status RequestClient::send(std::span<const std::uint8_t> frame, Instant deadline) {
  for (;;) {
    // A connection is only proven by its handshake: what is sent before may never leave.
    while (dealer_.next_change()) {
    }
    if (dealer_.is_up()) {
      const auto outcome = dealer_.send(frame);
      if (!outcome) {
        return tl::unexpected(outcome.error());
      }
      if (*outcome == SendOutcome::sent) {
        return {};
      }
    }
    const bool late = SystemClock{}.now().mono >= deadline;
    const auto waited = late ? Result<Wait>(Wait{}) : wait_for(dealer_, interrupt_fd_, dealer_.is_up(), deadline);
    if (!waited) {
      return tl::unexpected(waited.error());
    }
    if (late || waited->interrupted) {
      return fail(Errc::unreachable, "nobody answers at " + dealer_.endpoint().to_string());
    }
  }
}

Result<FrameBytes> RequestClient::receive(Instant deadline) {
  FrameBytes buffer;
  for (;;) {
    const auto got = dealer_.receive(buffer);
    if (!got) {
      return tl::unexpected(got.error());
    }
    if (*got) {
      const auto frame = verify_frame(buffer);
      if (!frame) {
        return fail(Errc::malformed, "answer from " + dealer_.endpoint().to_string() + ": " + frame.error().text);
      }
      return buffer;
    }
    bool down = false;
    while (const auto change = dealer_.next_change()) {
      down = *change == LinkChange::down;
    }
    if (down) {
      return fail(Errc::timed_out, "the connection to " + dealer_.endpoint().to_string() + " broke before the answer");
    }
    const bool late = SystemClock{}.now().mono >= deadline;
    const auto waited = late ? Result<Wait>(Wait{}) : wait_for(dealer_, interrupt_fd_, false, deadline);
    if (!waited) {
      return tl::unexpected(waited.error());
    }
    if (late || waited->interrupted) {
      return fail(Errc::timed_out, "no answer from " + dealer_.endpoint().to_string() + " in time");
    }
  }
}

Result<FrameBytes> RequestClient::call(std::span<const std::uint8_t> frame, std::uint64_t request, Instant deadline) {
  if (const auto sent = send(frame, deadline); !sent) {
    return tl::unexpected(sent.error());
  }
  for (;;) {
    auto answer = receive(deadline);
    if (!answer || request == 0) {
      return answer;
    }
    const std::uint64_t number = request_number(*fb::GetFrame(answer->data()));
    if (number == request || number == 0) {
      return answer;
    }
  }
}

std::uint64_t request_number(const fb::Frame& frame) {
  switch (frame.body_type()) {
    case fb::Body::Refused: return frame.body_as_Refused()->request();
    case fb::Body::Submit: return frame.body_as_Submit()->request();
    case fb::Body::Submitted: return frame.body_as_Submitted()->request();
    case fb::Body::Cancel: return frame.body_as_Cancel()->request();
    case fb::Body::HoldJob: return frame.body_as_HoldJob()->request();
    case fb::Body::ReleaseJob: return frame.body_as_ReleaseJob()->request();
    case fb::Body::Done: return frame.body_as_Done()->request();
    case fb::Body::QueryJobs: return frame.body_as_QueryJobs()->request();
    case fb::Body::JobList: return frame.body_as_JobList()->request();
    case fb::Body::Watch: return frame.body_as_Watch()->request();
    case fb::Body::GangStatusQuery: return frame.body_as_GangStatusQuery()->request();
    case fb::Body::GangStatus: return frame.body_as_GangStatus()->request();
    case fb::Body::OperatorQuery: return frame.body_as_OperatorQuery()->request();
    case fb::Body::OperatorReply: return frame.body_as_OperatorReply()->request();
    case fb::Body::DrainNode: return frame.body_as_DrainNode()->request();
    case fb::Body::SetWeight: return frame.body_as_SetWeight()->request();
    case fb::Body::SetQuota: return frame.body_as_SetQuota()->request();
    case fb::Body::OperatorDone: return frame.body_as_OperatorDone()->request();
    case fb::Body::ReadLog: return frame.body_as_ReadLog()->request();
    case fb::Body::LogChunk: return frame.body_as_LogChunk()->request();
    case fb::Body::FindStepd: return frame.body_as_FindStepd()->request();
    case fb::Body::StepdPlace: return frame.body_as_StepdPlace()->request();
    case fb::Body::StartStep: return frame.body_as_StartStep()->request();
    case fb::Body::StepStarted: return frame.body_as_StepStarted()->request();
    case fb::Body::AttachStep: return frame.body_as_AttachStep()->request();
    case fb::Body::SignalStep: return frame.body_as_SignalStep()->request();
    case fb::Body::FinishJob: return frame.body_as_FinishJob()->request();
    case fb::Body::QuerySteps: return frame.body_as_QuerySteps()->request();
    case fb::Body::StepList: return frame.body_as_StepList()->request();
    default: return 0;
  }
}

}  // namespace muster
