#include "node/exec/containment.hpp"

#include <unistd.h>

#include <cerrno>

#include "node/exec/cgroup_places.hpp"
#include "node/exec/system_files.hpp"

namespace muster::node {

void Containment::detect_v1(const std::string& controller, const std::string& own) {
  const std::string root = own + "/muster-" + options_.launcher_id;
  if (!make_dir(root)) {
    return;
  }
  if (controller == "freezer") {
    if (is_file(root + "/freezer.state")) {
      tracking_root_ = root;
      return;
    }
  } else if (controller == "memory") {
    if (is_file(root + "/memory.limit_in_bytes")) {
      memory_root_ = root;
      return;
    }
  } else if (controller == "pids") {
    // The root of the hierarchy has no limit of its own, its groups do.
    if (is_file(root + "/pids.max")) {
      pids_root_ = root;
      return;
    }
  } else if (controller == "cpuset") {
    // Empty at first; nothing can enter before both are set, cpus and mems.
    bool ok = true;
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      auto value = read_file(own + file);
      ok = ok && value && write_existing(root + file, without_newline(*value)).has_value();
    }
    if (ok) {
      cpuset_root_ = root;
      return;
    }
  }
  ::rmdir(root.c_str());
}

void Containment::detect_v2(const std::string& mount, const std::string& own) {
  struct Candidate {
    std::string root;
    bool memory{};
    bool cpuset{};
    bool pids{};
    bool clone_into{};
    [[nodiscard]] int score() const { return 1 + (memory ? 1 : 0) + (cpuset ? 1 : 0) + (pids ? 1 : 0); }
  };
  const bool probe = options_.root.empty();
  const bool want_memory = memory_root_.empty();
  const bool want_cpuset = cpuset_root_.empty();
  const bool want_pids = pids_root_.empty();
  const int best_score = 1 + (want_memory ? 1 : 0) + (want_cpuset ? 1 : 0) + (want_pids ? 1 : 0);
  Candidate best;
  // The own group first, then its parents: a group that holds processes can't pass controllers on, but a
  // parent (a delegated slice, or for root the top) may. Only the own group's settings are changed.
  for (std::string group = own;; group.erase(group.rfind('/'))) {
    Candidate candidate;
    candidate.root = group + "/muster-" + options_.launcher_id;
    if (make_dir(candidate.root)) {
      const bool may_enable = group == own;
      candidate.memory =
          want_memory && passes_on(group, "memory", may_enable) && passes_on(candidate.root, "memory", true);
      candidate.cpuset =
          want_cpuset && passes_on(group, "cpuset", may_enable) && passes_on(candidate.root, "cpuset", true);
      candidate.pids = want_pids && passes_on(group, "pids", may_enable) && passes_on(candidate.root, "pids", true);
      bool enters = true;
      if (const std::string trial = candidate.root + "/trial"; probe) {
        enters = false;
        if (make_dir(trial)) {
          const int error = probe_clone_into(trial);
          candidate.clone_into = error == 0;
          // Kernels before 5.7 don't know the call; there a process enters by itself, which root may.
          enters = error == 0 || ((error == ENOSYS || error == EINVAL || error == E2BIG) && ::geteuid() == 0);
          ::rmdir(trial.c_str());
        }
      }
      if (enters && (best.root.empty() || candidate.score() > best.score())) {
        if (!best.root.empty()) {
          ::rmdir(best.root.c_str());
        }
        best = candidate;
      } else {
        ::rmdir(candidate.root.c_str());
      }
    }
    if (group.size() <= mount.size() || (!best.root.empty() && best.score() == best_score)) {
      break;
    }
  }
  if (best.root.empty()) {
    return;
  }
  if (!tracking_root_.empty()) {
    ::rmdir(tracking_root_.c_str());  // the freezer is not needed: v2 kills better
  }
  tracking_root_ = best.root;
  tracking_v2_ = true;
  clone_into_ = best.clone_into;
  if (best.memory) {
    memory_root_ = best.root;
    memory_v2_ = true;
  }
  if (best.cpuset) {
    cpuset_root_ = best.root;
    cpuset_v2_ = true;
  }
  if (best.pids) {
    pids_root_ = best.root;
    pids_v2_ = true;
  }
}

Containment Containment::detect(const Options& options) {
  Containment containment;
  containment.options_ = options;
  if (options.plain) {
    return containment;
  }
  auto mountinfo = read_file(options.root + "/proc/self/mountinfo");
  auto self_cgroup = read_file(options.root + "/proc/self/cgroup");
  if (!mountinfo || !self_cgroup) {
    return containment;
  }
  const CgroupPlaces places = parse_cgroup_places(*mountinfo, *self_cgroup);
  for (const char* controller : {"freezer", "memory", "cpuset", "pids"}) {
    if (const auto it = places.v1.find(controller); it != places.v1.end()) {
      containment.detect_v1(controller, options.root + it->second.own);
    }
  }
  if (places.v2) {
    containment.detect_v2(options.root + places.v2->mount, options.root + places.v2->own);
  }
  return containment;
}

std::string Containment::describe() const {
  std::string v1;
  std::string v2;
  auto add = [&](bool there, bool in_v2, const char* name) {
    if (there) {
      std::string& list = in_v2 ? v2 : v1;
      list += (list.empty() ? "" : " ") + std::string(name);
    }
  };
  add(!cpuset_root_.empty(), cpuset_v2_, "cpuset");
  add(!memory_root_.empty(), memory_v2_, "memory");
  add(!pids_root_.empty(), pids_v2_, "pids");
  add(!tracking_root_.empty(), tracking_v2_, tracking_v2_ ? "kill" : "freezer");
  if (v1.empty() && v2.empty()) {
    return "plain (affinity, sessions and /proc)";
  }
  if (v1.empty()) {
    return "cgroup v2 (" + v2 + ")";
  }
  return "cgroup v1 (" + v1 + ")" + (v2.empty() ? "" : ", v2 (" + v2 + ")");
}

std::vector<std::string> Containment::not_enforced() const {
  std::vector<std::string> list;
  if (memory_root_.empty()) {
    list.emplace_back("memory limits");
  }
  if (pids_root_.empty()) {
    list.emplace_back("limits on the number of processes");
  }
  if (cpuset_root_.empty()) {
    list.emplace_back("cpu binding of processes that change their own affinity");
  }
  if (tracking_root_.empty()) {
    list.emplace_back("the end of processes that leave their session, their parents and their environment");
  }
  return list;
}

std::vector<run_log::ContainmentRoot> Containment::roots() const {
  std::vector<run_log::ContainmentRoot> roots;
  if (!tracking_root_.empty()) {
    roots.push_back({tracking_v2_ ? "v2" : "freezer", tracking_root_});
  }
  if (!memory_root_.empty() && !memory_v2_) {
    roots.push_back({"memory", memory_root_});
  }
  if (!pids_root_.empty() && !pids_v2_) {
    roots.push_back({"pids", pids_root_});
  }
  if (!cpuset_root_.empty() && !cpuset_v2_) {
    roots.push_back({"cpuset", cpuset_root_});
  }
  return roots;
}

TaskGroup Containment::adopt(const std::vector<run_log::ContainmentRoot>& roots, const std::string& directory) {
  TaskGroup group;
  for (const run_log::ContainmentRoot& root : roots) {
    if ((root.kind == "v2" || root.kind == "freezer") && directory.starts_with(root.path + "/") && is_dir(root.path)) {
      group.tracking_ = std::make_unique<TrackingGroup>();
      group.tracking_->dir = directory;
      group.tracking_->v2 = root.kind == "v2";
    }
  }
  return group;
}

void Containment::remove_roots(const std::vector<run_log::ContainmentRoot>& roots) {
  for (const run_log::ContainmentRoot& root : roots) {
    remove_group(root.path);
  }
}

}  // namespace muster::node
