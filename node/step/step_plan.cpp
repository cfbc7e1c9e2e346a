#include "node/step/step_plan.hpp"

#include <algorithm>

namespace muster::node {
namespace {

tl::unexpected<Error> bad(const std::string& what) { return fail(Errc::malformed, "the plan of the step daemon " + what); }

}  // namespace

std::uint32_t StepPlan::ranks_on(std::uint32_t member) const {
  if (member < spec.ranks_by_member.size()) {
    return spec.ranks_by_member[member];
  }
  return member == facts.member ? facts.ranks : 1;
}

std::uint32_t StepPlan::cpus_on(std::uint32_t member) const {
  if (member == facts.member && !facts.cpus.empty()) {
    return static_cast<std::uint32_t>(facts.cpus.size());
  }
  const std::uint64_t milli = std::uint64_t{ranks_on(member)} * spec.cpus_per_rank_milli;
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, (milli + 999) / 1000));
}

std::string StepPlan::job_name_text() const {
  return std::to_string(spec.job) + (spec.is_array ? "_" + std::to_string(facts.index) : "");
}

Result<StepPlan> read_step_plan(std::span<const std::uint8_t> bytes) {
  FrameBytes aligned(bytes.begin(), bytes.end());
  flatbuffers::Verifier verifier(aligned.data(), aligned.size(), 16, 200'000);
  if (aligned.size() < sizeof(flatbuffers::uoffset_t) || !verifier.VerifyBuffer<fb::StepdPlan>(nullptr)) {
    return bad("does not verify");
  }
  StepPlan plan;
  flatbuffers::GetRoot<fb::StepdPlan>(aligned.data())->UnPackTo(&plan.facts);
  FrameBytes storage;
  const auto spec = verify_spec(plan.facts.spec, storage);
  if (!spec) {
    return tl::unexpected(spec.error());
  }
  (*spec)->UnPackTo(&plan.spec);
  plan.facts.spec.clear();
  if (plan.facts.attempt == nullptr) {
    return bad("names no attempt");
  }
  plan.attempt = from_fb(*plan.facts.attempt);
  if (plan.spec.nodes.empty()) {
    plan.spec.nodes.push_back(plan.facts.node);
  }
  if (plan.facts.member >= plan.members()) {
    return bad("is for member " + std::to_string(plan.facts.member) + " of " + std::to_string(plan.members()));
  }
  if (plan.facts.topology) {
    for (const fb::PuPlace& pu : plan.facts.topology->pus) {
      plan.topology.pus.push_back({pu.os(), pu.core(), pu.l3(), pu.numa(), pu.package()});
    }
  }
  return plan;
}

fb::StepSpecT inherit(const fb::StepSpecT& step, const StepPlan& plan) {
  fb::StepSpecT full = step;
  if (plan.spec.step) {
    const fb::StepSpecT& from = *plan.spec.step;
    const auto take = [](auto& to, const auto& value) {
      if (to == std::decay_t<decltype(to)>{}) {
        to = value;
      }
    };
    take(full.cpus_per_task, from.cpus_per_task);
    take(full.threads_per_core, from.threads_per_core);
    take(full.distribution, from.distribution);
    take(full.cpu_bind, from.cpu_bind);
    take(full.mem_bind, from.mem_bind);
    take(full.mpi, from.mpi);
    take(full.gpus_per_task, from.gpus_per_task);
    take(full.gres, from.gres);
    take(full.kill_on_bad_exit, from.kill_on_bad_exit);
    take(full.kill_wait_ms, from.kill_wait_ms);
  }
  if (full.cpus_per_task == 0) {
    full.cpus_per_task = std::max(1U, (plan.spec.cpus_per_rank_milli + 999) / 1000);
  }
  if (full.kill_wait_ms == 0) {
    full.kill_wait_ms = plan.spec.kill_grace_ms;
  }
  if (full.working_directory.empty()) {
    full.working_directory = plan.spec.working_directory.empty() ? "/" : plan.spec.working_directory;
  }
  if (full.name.empty() && !full.argv.empty()) {
    const auto slash = full.argv.front().find_last_of('/');
    full.name = full.argv.front().substr(slash == std::string::npos ? 0 : slash + 1);
  }
  return full;
}

}  // namespace muster::node
