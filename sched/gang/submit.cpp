// Submit: one key, one job, and an answer only once it is on record.
#include "sched/gang/impl.hpp"
#include "sched/gang/token.hpp"

namespace muster::gang {
namespace {

// While nodes are still arriving, nothing is refused because of what has not arrived.
constexpr Duration kInventoryQuiet = Duration::from_ms(500);

}  // namespace

void GangCore::Impl::on_submit(LinkId from, const Peer& peer, const fb::Submit& submit, Now now) {
  const auto submitted = [&](const Job& job, bool duplicate) {
    fb::SubmittedT done;
    done.request = submit.request();
    done.job = job.id.value();
    done.duplicate = duplicate;
    answer(from, pack_frame<fb::Submitted>(FrameHead{}, done));
  };
  if (config.owner_only && peer.uid != config.owner_uid) {
    refuse(from, submit.request(),
           {fb::RefusedCode::NotAllowed, "submit",
            "this cluster runs its owner's jobs only (user " + std::to_string(config.owner_uid) +
                "); you are user " + std::to_string(peer.uid) + ": start your own with 'muster up'"});
    return;
  }
  if (!config.owner_only && peer.uid == 0 && !config.allow_root) {
    refuse(from, submit.request(),
           {fb::RefusedCode::NotAllowed, "submit",
            "root's jobs are refused here: submit as an ordinary user, or start muster-gang with --allow-root"});
    return;
  }
  if (!defect(&GangDefects::ignore_submit_key)) {
    if (const Job* known = queue.find_key(peer.uid, submit.key_hi(), submit.key_lo())) {
      submitted(*known, true);
      return;
    }
  }
  if (const auto fault = find_fault(*submit.spec(), {.array_elements_max = config.array_elements_max})) {
    refuse(from, submit.request(), *fault);
    return;
  }
  std::unique_ptr<fb::JobSpecT> spec(submit.spec()->UnPack());
  spec->uid = peer.uid;  // whoever the submitter claims to be
  spec->gid = peer.gid;
  if (!peer.user.empty()) {
    spec->user = peer.user;
  }
  if (inventory_known && !capacities.empty()) {
    if (const auto fault = find_never_fits(shape_of(*submit.spec()), memory_per_cpu, capacities)) {
      const Instant due = inventory_changed + kInventoryQuiet;
      if (now.mono < due) {
        flatbuffers::FlatBufferBuilder builder;
        const std::unique_ptr<fb::SubmitT> copy(submit.UnPack());
        builder.Finish(fb::Submit::Pack(builder, copy.get()));
        late_submits.push_back(
            {due, from, peer, FrameBytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize())});
        return;
      }
      refuse(from, submit.request(), *fault);
      return;
    }
  }
  JobRecord record;
  record.job = JobId(next_job++);
  record.key_hi = submit.key_hi();
  record.key_lo = submit.key_lo();
  record.spec = pack_job_spec(*spec);
  record.submitted = now.wall;
  std::tie(record.token_hi, record.token_lo) = job_token(config.seed, record.job);
  record.held = spec->held;
  put(op::PutJob{record});
  Job& job = queue.add(std::move(record), now);
  queue.refresh(job);
  touch(job);
  submitted(job, false);
  plan_due = wants_due = true;
}

void GangCore::Impl::retry_late_submits(Now now) {
  std::vector<LateSubmit> due;
  std::erase_if(late_submits, [&](LateSubmit& late) {
    const bool now_due = late.due <= now.mono;
    if (now_due) {
      due.push_back(std::move(late));
    }
    return now_due;
  });
  for (const LateSubmit& late : due) {
    on_submit(late.from, late.peer, *flatbuffers::GetRoot<fb::Submit>(late.bytes.data()), now);
  }
}

// Pending jobs against the nodes as they are now. Jobs of one shape are judged once.
void GangCore::Impl::check_fits() {
  std::map<GangShape, std::string> judged;
  for (const QueueKey& key : queue.pending()) {
    Job& job = *queue.find(key.job);
    auto known = judged.find(job.shape);
    if (known == judged.end()) {
      const auto fault = capacities.empty() ? std::nullopt : find_never_fits(job.shape, memory_per_cpu, capacities);
      known = judged.emplace(job.shape, fault ? fault->text : std::string()).first;
    }
    if (known->second != job.never_fits) {
      job.never_fits = known->second;
      touch(job);
    }
  }
}

}  // namespace muster::gang
