#include "node/step/step_core.hpp"

#include <algorithm>

#include "node/step/impl.hpp"

namespace muster::node {

StepCore::Impl::Impl(StepPlan plan_, std::vector<std::string> endpoints_, Now now, const StepTimes& times_)
    : plan(std::move(plan_)),
      endpoints(std::move(endpoints_)),
      times(times_),
      parent_heard(now.mono),
      last_heartbeat(now.mono),
      last_timer(now.mono),
      join_by(now.mono + times_.join),
      busy_cpus(plan.members(), 0),
      cpu_users(plan.facts.cpus.size(), 0) {
  if (plan.spec.kind == fb::TaskKind::Run && plan.spec.step) {
    truncate_shared(own_step());
  }
  if (is_root()) {
    member_joined(0, now);
  }
}

void StepCore::Impl::refuse(LinkId to, std::uint64_t request, fb::RefusedCode code, std::string subject,
                            std::string sentence) {
  Refusal refusal;
  refusal.code = code;
  refusal.request = request;
  refusal.subject = std::move(subject);
  refusal.text = std::move(sentence);
  send(to, refused_frame({}, refusal));
}

void StepCore::Impl::pass_down(const FrameBytes& frame) {
  const bool last = fb::GetFrame(frame.data())->body_type() == fb::Body::FinishJob;
  for (const auto& [member, link] : child_links) {
    send(link, frame);
    if (const auto child = links.find(link); last && child != links.end()) {
      ++child->second.owes;
    }
  }
}

namespace {

// A frame's bytes again, to pass it on.
FrameBytes copy_of(const fb::Frame& frame) {
  fb::FrameT object;
  frame.UnPackTo(&object);
  flatbuffers::FlatBufferBuilder builder;
  fb::FinishFrameBuffer(builder, fb::Frame::Pack(builder, &object));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

}  // namespace

// From below (or from here) to the root.
void StepCore::Impl::take_upward(const fb::Frame& frame, Now now) {
  if (frame.body_type() == fb::Body::StepModex) {
    pass_towards(frame.body_as_StepModex()->to_member(), frame, now);
    return;
  }
  if (!is_root()) {
    out.emplace_back(step_out::SendUp{copy_of(frame)});
    return;
  }
  switch (frame.body_type()) {
    case fb::Body::StepSpawned: take_spawned(*frame.body_as_StepSpawned(), now); break;
    case fb::Body::StepRanksEnded: take_ranks_ended(*frame.body_as_StepRanksEnded(), now); break;
    case fb::Body::StepAbort: take_abort(*frame.body_as_StepAbort(), now); break;
    case fb::Body::StepOutput: take_output(frame, now); break;
    case fb::Body::StepExchange: take_exchange(*frame.body_as_StepExchange(), now); break;
    default: break;
  }
}

// From the root to here; what goes to everybody has been passed on already.
void StepCore::Impl::take_downward(const fb::Frame& frame, Now now) {
  switch (frame.body_type()) {
    case fb::Body::SpawnStep: take_spawn(*frame.body_as_SpawnStep(), now); break;
    case fb::Body::SignalStep: signal_local(frame.body_as_SignalStep()->step(), frame.body_as_SignalStep()->signal()); break;
    case fb::Body::StepInput: feed(*frame.body_as_StepInput()); break;
    case fb::Body::StepWindow: {
      const auto& window = *frame.body_as_StepWindow();
      out.emplace_back(step_out::ResizeRank{window.step(), window.rows(), window.columns()});
      break;
    }
    case fb::Body::StepExchange: exchanged(*frame.body_as_StepExchange()); break;
    case fb::Body::FinishJob:
      if (!is_root()) {
        out.emplace_back(step_out::SendUp{pack<fb::Done>({})});
        ending = true;
        exit_code = 0;  // how the job ends is the root's to say
        leave_if_done(now);
      }
      break;
    default: break;
  }
}

void StepCore::Impl::pass_towards(std::uint32_t member, const fb::Frame& frame, Now now) {
  if (member == here()) {
    take_modex(*frame.body_as_StepModex(), now);
    return;
  }
  const std::uint32_t hop = next_hop(here(), member);
  if (hop == here()) {
    out.emplace_back(step_out::SendUp{copy_of(frame)});
  } else if (const auto link = child_links.find(hop); link != child_links.end()) {
    send(link->second, copy_of(frame));
  }
}

void StepCore::Impl::dispatch_user(LinkId link, const fb::Frame& frame, Now now) {
  switch (frame.body_type()) {
    case fb::Body::StartStep: take_start(link, *frame.body_as_StartStep(), now); break;
    case fb::Body::AttachStep: take_attach(link, *frame.body_as_AttachStep(), now); break;
    case fb::Body::SignalStep: take_signal(link, *frame.body_as_SignalStep(), now); break;
    case fb::Body::StepInput: take_input(*frame.body_as_StepInput(), now); break;
    case fb::Body::StepWindow: {
      fb::StepWindowT window;
      frame.body_as_StepWindow()->UnPackTo(&window);
      flood<fb::StepWindow>(window, now);
      break;
    }
    case fb::Body::QuerySteps: query_steps(link, *frame.body_as_QuerySteps()); break;
    case fb::Body::FinishJob: {
      const auto& finish = *frame.body_as_FinishJob();
      fb::DoneT done;
      done.request = finish.request();
      done.count = 1;
      send(link, pack<fb::Done>(done));
      end_job(finish.exit_code(), 0, std::string(text_of(finish.text())), now);
      break;
    }
    case fb::Body::Heartbeat:
    case fb::Body::Refused: break;
    default:
      refuse(link, 0, fb::RefusedCode::UnknownMessage, fb::EnumNameBody(frame.body_type()),
             std::string(fb::EnumNameBody(frame.body_type())) + " is not part of the conversation with a step daemon");
  }
}

StepCore::StepCore(StepPlan plan, std::vector<std::string> endpoints, Now now, const StepTimes& times)
    : impl_(std::make_unique<Impl>(std::move(plan), std::move(endpoints), now, times)) {}
StepCore::~StepCore() = default;

void StepCore::on_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now) {
  if (frame.body_type() == fb::Body::StepHello) {
    impl_->take_hello(link, peer, *frame.body_as_StepHello(), now);
    return;
  }
  const auto known = impl_->links.find(link);
  if (known == impl_->links.end()) {
    impl_->refuse(link, 0, fb::RefusedCode::Unauthenticated, fb::EnumNameBody(frame.body_type()),
                  "say StepHello with the job's token first");
    return;
  }
  known->second.heard = now.mono;
  if (frame.body_type() == fb::Body::Done) {
    known->second.owes -= std::min(known->second.owes, 1U);
    impl_->leave_if_done(now);
    return;
  }
  if (known->second.role == fb::StepRole::User) {
    impl_->dispatch_user(link, frame, now);
    return;
  }
  impl_->child_heard[known->second.member] = now.mono;
  if (frame.body_type() != fb::Body::Heartbeat) {
    impl_->take_upward(frame, now);
  }
}

void StepCore::on_link_lost(LinkId link, Now now) { impl_->lose_link(link, now); }

void StepCore::on_parent_frame(const fb::Frame& frame, Now now) {
  impl_->parent_heard = now.mono;
  if (frame.body_type() == fb::Body::StepWelcome) {
    impl_->take_welcome(*frame.body_as_StepWelcome(), now);
    return;
  }
  if (frame.body_type() == fb::Body::StepModex) {
    impl_->pass_towards(frame.body_as_StepModex()->to_member(), frame, now);
    return;
  }
  if (frame.body_type() == fb::Body::Heartbeat || frame.body_type() == fb::Body::Refused) {
    return;
  }
  if (!impl_->child_links.empty()) {
    impl_->pass_down(copy_of(frame));
  }
  impl_->take_downward(frame, now);
}

void StepCore::on_ending(Now now) {
  Impl& i = *impl_;
  i.cancelled = true;
  if (i.is_root()) {
    i.end_job(128 + 15, 15, "", now);
  } else {
    i.ending = true;
    i.leave_if_done(now);
  }
}

void StepCore::on_timer(Now now) {
  Impl& i = *impl_;
  if (now.mono - i.last_timer > Duration::from_seconds(1)) {  // we were not run: others may well have spoken
    const Duration gap = now.mono - i.last_timer;
    i.parent_heard = i.parent_heard + gap;
    for (auto& [member, heard] : i.child_heard) {
      heard = heard + gap;
    }
  }
  i.last_timer = now.mono;
  i.heartbeat(now);
  i.check_members(now);
  if (i.is_root()) {
    i.step_timers(now);
  }
  i.leave_if_done(now);
}

Instant StepCore::next_timer() const {
  const Impl& i = *impl_;
  Instant next = i.last_timer + i.times.heartbeat;
  for (const auto& [number, step] : i.steps) {
    next = std::min({next, step.kill_at, step.others_until, step.limit_at});
  }
  return std::min(next, i.leave_by);
}

std::vector<StepOutput> StepCore::take() { return std::exchange(impl_->out, {}); }

}  // namespace muster::node
