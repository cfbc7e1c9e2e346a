#include "tests/sim/options.hpp"

namespace muster::sim {
namespace {

using SetDefect = void (*)(Defects&);
struct NamedDefect {
  const char* name;
  SetDefect set;
};

const NamedDefect kDefects[] = {
    {"master.skip_epoch_check", [](Defects& d) { d.master.skip_epoch_check = true; }},
    {"master.skip_generation_check", [](Defects& d) { d.master.skip_generation_check = true; }},
    {"master.double_release", [](Defects& d) { d.master.double_release = true; }},
    {"master.go_before_all_prepared", [](Defects& d) { d.master.go_before_all_prepared = true; }},
    {"master.partial_accept", [](Defects& d) { d.master.partial_accept = true; }},
    {"master.never_seen_too_early", [](Defects& d) { d.master.never_seen_too_early = true; }},
    {"master.offer_before_settled", [](Defects& d) { d.master.offer_before_settled = true; }},
    {"master.forget_lease_expiry_release", [](Defects& d) { d.master.forget_lease_expiry_release = true; }},
    {"master.free_what_is_handed_over", [](Defects& d) { d.master.free_what_is_handed_over = true; }},
    {"node.start_successor_early", [](Defects& d) { d.node.start_successor_early = true; }},
    {"node.skip_epoch_check", [](Defects& d) { d.node.skip_epoch_check = true; }},
    {"node.rerun_known_attempt", [](Defects& d) { d.node.rerun_known_attempt = true; }},
    {"node.drop_outbox_on_register", [](Defects& d) { d.node.drop_outbox_on_register = true; }},
    {"node.exec_without_go", [](Defects& d) { d.node.exec_without_go = true; }},
    {"node.forget_before_ack", [](Defects& d) { d.node.forget_before_ack = true; }},
    {"gang.acknowledge_before_commit", [](Defects& d) { d.gang.acknowledge_before_commit = true; }},
    {"gang.accept_before_commit", [](Defects& d) { d.gang.accept_before_commit = true; }},
    {"gang.reuse_attempt_id", [](Defects& d) { d.gang.reuse_attempt_id = true; }},
    {"gang.requeue_on_node_silence", [](Defects& d) { d.gang.requeue_on_node_silence = true; }},
    {"gang.ignore_submit_key", [](Defects& d) { d.gang.ignore_submit_key = true; }},
    {"gang.end_on_first_member", [](Defects& d) { d.gang.end_on_first_member = true; }},
};

std::vector<Profile> make_profiles() {
  std::vector<Profile> profiles;
  profiles.push_back({.name = "calm"});
  profiles.push_back({.name = "network",
                      .may_be_unordered = true,
                      .loss_ppm = 10'000,
                      .duplicate_ppm = 10'000,
                      .reorder_ppm = 20'000,
                      .corrupt_ppm = 1'000,
                      .partitions = 6,
                      .resets = 6,
                      .drains = 1});
  profiles.push_back({.name = "crash",
                      .resets = 2,
                      .master_crashes = 3,
                      .gang_crashes = 3,
                      .agent_crashes = 5,
                      .launcher_crashes = 2,
                      .rival_crashes = 2,
                      .crash_in_flush_ppm = 400});
  profiles.push_back({.name = "power",
                      .partitions = 1,
                      .master_crashes = 1,
                      .gang_crashes = 1,
                      .node_power_losses = 4,
                      .gang_power_losses = 2});
  profiles.push_back({.name = "all",
                      .may_be_unordered = true,
                      .loss_ppm = 5'000,
                      .duplicate_ppm = 5'000,
                      .reorder_ppm = 10'000,
                      .corrupt_ppm = 500,
                      .partitions = 4,
                      .resets = 3,
                      .master_crashes = 2,
                      .gang_crashes = 2,
                      .agent_crashes = 3,
                      .launcher_crashes = 1,
                      .rival_crashes = 1,
                      .failovers = 1,
                      .crash_in_flush_ppm = 200,
                      .node_power_losses = 1,
                      .gang_power_losses = 1,
                      .drains = 1});
  return profiles;
}

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = make_profiles();
  return all;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += text.empty() ? name : ", " + name;
  }
  return text;
}

}  // namespace

Result<Profile> profile_named(std::string_view name) {
  for (const Profile& profile : profiles()) {
    if (profile.name == name) {
      return profile;
    }
  }
  return fail(Errc::not_found, "no profile '" + std::string(name) + "': there are " + joined(profile_names()));
}

const std::vector<std::string>& profile_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Profile& profile : profiles()) {
      all.push_back(profile.name);
    }
    return all;
  }();
  return names;
}

Result<Defects> defect_named(std::string_view name) {
  for (const NamedDefect& defect : kDefects) {
    if (name == defect.name) {
      Defects defects;
      defect.set(defects);
      return defects;
    }
  }
  return fail(Errc::not_found, "no defect '" + std::string(name) + "': there are " + joined(defect_names()));
}

const std::vector<std::string>& defect_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const NamedDefect& defect : kDefects) {
      all.emplace_back(defect.name);
    }
    return all;
  }();
  return names;
}

}  // namespace muster::sim
