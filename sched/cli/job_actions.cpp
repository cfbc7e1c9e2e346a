// submit, cancel, hold, release; drain and undrain: what changes something.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sched/cli/actions.hpp"
#include "sched/cli/submission.hpp"
#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

std::vector<std::unique_ptr<fb::JobRangeT>> ranges_from(const std::vector<JobName>& names) {
  std::vector<std::unique_ptr<fb::JobRangeT>> ranges;
  for (const JobName& name : names) {
    auto range = std::make_unique<fb::JobRangeT>();
    range->job = name.job;
    range->first = name.first ? *name.first : 1;
    range->last = name.first ? name.last : 0;
    ranges.push_back(std::move(range));
  }
  return ranges;
}

int report(Session& session, const Result<fb::DoneT>& done, const std::string& verb) {
  if (!done) {
    return complain(done.error());
  }
  if (session.common().json) {
    const nlohmann::ordered_json json = {{"count", done->count}, {"text", done->text}};
    say(json.dump(2) + "\n");
  } else {
    say(done->text.empty() ? verb + " " + counted(done->count, "job") + "\n" : printable(done->text) + "\n");
  }
  return kOk;
}

}  // namespace

int submit(Session& session, const SubmitCommand& command) {
  if (command.bare && names_a_file(command.job.command.front())) {
    return batch(session, {command.job, std::nullopt, command.parsable, command.wait});
  }
  if (auto status = check_program(command.job, "submit"); !status) {
    return complain(status.error());
  }
  auto here = surroundings();
  if (!here) {
    return complain(here.error());
  }
  return queue_job(session, make_job_request(command.job, *here), {"submit", command.job.key, command.parsable, command.wait});
}

int cancel(Session& session, const CancelCommand& command) {
  auto gang = session.gang();
  if (!gang) {
    return complain(gang.error());
  }
  fb::CancelT question;
  question.jobs = ranges_from(command.jobs);
  question.all_of_uid = command.all || (command.jobs.empty() && !command.name.empty());
  question.name = command.name;
  question.signal = static_cast<std::uint8_t>(command.signal);
  const bool once = command.signal != 0;  // a signal sent twice is two signals
  auto done = (*gang)->ask<fb::Done, fb::Cancel>(std::move(question), session.deadline(), once);
  return report(session, done, command.signal != 0 ? "signalled" : "cancelled");
}

int hold(Session& session, const HoldCommand& command) {
  auto gang = session.gang();
  if (!gang) {
    return complain(gang.error());
  }
  if (command.release) {
    fb::ReleaseJobT question;
    question.jobs = ranges_from(command.jobs);
    return report(session, (*gang)->ask<fb::Done, fb::ReleaseJob>(std::move(question), session.deadline()), "released");
  }
  fb::HoldJobT question;
  question.jobs = ranges_from(command.jobs);
  return report(session, (*gang)->ask<fb::Done, fb::HoldJob>(std::move(question), session.deadline()), "held");
}

int drain(Session& session, const DrainCommand& command) {
  auto master = session.master();
  if (!master) {
    return complain(master.error());
  }
  auto here = surroundings();
  int exit_code = kOk;
  for (const std::string& node : command.nodes) {
    fb::DrainNodeT question;
    question.node = node;
    question.undrain = command.undrain;
    question.reason = command.reason.empty() ? "drained by " + (here ? here->user : "somebody") : command.reason;
    auto done = (*master)->ask<fb::OperatorDone, fb::DrainNode>(std::move(question), session.deadline());
    if (!done) {
      exit_code = complain(done.error());
    } else {
      say(done->text.empty() ? "node " + node + (command.undrain ? " takes work again\n" : " gets no new work\n")
                             : printable(done->text) + "\n");
    }
  }
  return exit_code;
}

}  // namespace muster::cli
