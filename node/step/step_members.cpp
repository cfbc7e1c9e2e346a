// StepCore: who is there. Members speak at least twice a second; who is silent for three seconds has failed the job.
#include <algorithm>

#include "node/step/impl.hpp"

namespace muster::node {

void StepCore::Impl::take_hello(LinkId link, const Peer& peer, const fb::StepHello& hello, Now now) {
  const bool right_token = hello.token_hi() == plan.spec.token_hi && hello.token_lo() == plan.spec.token_lo &&
                           (plan.spec.token_hi != 0 || plan.spec.token_lo != 0);
  if (!right_token || hello.job() != plan.spec.job) {
    refuse(link, 0, fb::RefusedCode::NotAllowed, "job " + std::to_string(hello.job()),
           "the token is not that of job " + plan.job_name_text());
    return;
  }
  if (hello.role() == fb::StepRole::Member) {
    const bool mine = hello.member() > 0 && hello.member() < plan.members() && parent_of(hello.member()) == here();
    if (!mine || hello.attempt() == nullptr || (from_fb(*hello.attempt()).hi != plan.attempt.hi)) {
      refuse(link, 0, fb::RefusedCode::NotAllowed, "member " + std::to_string(hello.member()),
             "member " + std::to_string(hello.member()) + " does not belong here; it may be of another attempt");
      return;
    }
    if (const auto old = child_links.find(hello.member()); old != child_links.end() && old->second != link) {
      links.erase(old->second);
    }
    child_links[hello.member()] = link;
    child_heard[hello.member()] = now.mono;
  } else if (!is_root()) {
    refuse(link, 0, fb::RefusedCode::BadRequest, "node " + plan.facts.node,
           "steps are started from node " + plan.node_of(0) + ", the first of the job; this is " + plan.facts.node);
    return;
  }
  links[link] = {hello.role(), hello.member(), peer.pid, now.mono};
  fb::StepWelcomeT welcome;
  welcome.member = here();
  welcome.members = plan.members();
  welcome.attempt = std::make_unique<fb::AttemptId>(to_fb(plan.attempt));
  welcome.steps_begun = steps_begun;
  send(link, pack<fb::StepWelcome>(welcome));
}

void StepCore::Impl::take_welcome(const fb::StepWelcome& /*welcome*/, Now now) {
  if (welcomed) {
    return;
  }
  welcomed = true;
  fb::StepSpawnedT there;
  there.step = kNoStep;
  there.member = here();
  send_root<fb::StepSpawned>(there, now);
}

void StepCore::Impl::member_joined(std::uint32_t member, Now now) {
  joined.insert(member);
  if (joined.size() == plan.members()) {
    join_by = Instant::never();
    begin_job(now);
  }
}

void StepCore::Impl::heartbeat(Now now) {
  if (finished || now.mono - last_heartbeat < times.heartbeat) {
    return;
  }
  last_heartbeat = now.mono;
  flatbuffers::FlatBufferBuilder builder;
  const FrameBytes beat = finish_frame(builder, FrameHead{}, fb::CreateHeartbeat(builder));
  pass_down(beat);
  if (welcomed) {
    out.emplace_back(step_out::SendUp{beat});
  }
}

void StepCore::Impl::check_members(Now now) {
  if (ending) {
    return;
  }
  if (is_root() && now.mono >= join_by) {
    for (std::uint32_t member = 0; member < plan.members(); ++member) {
      if (!joined.contains(member)) {
        end_job(1, 0, "node " + plan.node_of(member) + " did not join its job within " +
                          std::to_string(times.join.ms() / 1000) + " s", now);
        return;
      }
    }
  }
  for (const auto& [member, heard] : child_heard) {
    if (now.mono - heard > times.silence) {
      fb::StepAbortT lost;
      lost.step = kNoStep;
      lost.rank = -1;
      lost.exit_code = 1;
      lost.text = "node " + plan.node_of(member) + " was not heard for " + std::to_string(times.silence.ms() / 1000) + " s";
      child_heard.erase(member);
      send_root<fb::StepAbort>(lost, now);
      return;
    }
  }
  if (here() != 0) {
    const Duration patience = welcomed ? times.silence : times.join;
    if (now.mono - parent_heard > patience) {
      lost_parent("no contact with node " + plan.node_of(parent_of(here())) + " for " +
                      std::to_string(patience.ms() / 1000) + " s",
                  now);
    }
  }
  if (is_root()) {
    std::vector<LinkId> silent;
    for (const auto& [link, who] : links) {
      if (who.role == fb::StepRole::User && who.pid == 0 && now.mono - who.heard > times.user_silence) {
        silent.push_back(link);
      }
    }
    for (const LinkId link : silent) {
      lose_link(link, now);
    }
  }
}

void StepCore::Impl::lose_link(LinkId link, Now now) {
  const auto known = links.find(link);
  if (known == links.end()) {
    return;
  }
  const bool user = known->second.role == fb::StepRole::User;
  links.erase(known);
  out.emplace_back(step_out::Forget{link});
  if (user) {
    detach(link, now);
  }
}

// The others have lost this node in the same moment: the attempt has failed, whatever is done here.
void StepCore::Impl::lost_parent(const std::string& why, Now now) {
  ending = true;
  exit_code = 1;
  if (text.empty()) {
    text = why;
  }
  for (const auto& [number, local] : locals) {
    signal_local(number, 9);
  }
  leave_if_done(now);
}

}  // namespace muster::node
