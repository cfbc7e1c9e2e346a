// What users submit, checked and translated. Pure functions over const specs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sched/gang/array_state.hpp"
#include "sched/gang/store.hpp"
#include "wire/schema/frame.hpp"

namespace muster::gang {

// Why a request is refused: code, the option it is about, and a sentence with the way out.
struct Complaint {
  fb::RefusedCode code{};
  std::string subject;
  std::string text;
};

struct SpecLimits {
  std::uint32_t array_elements_max = 10'000'000;
  std::uint32_t ntasks_max = 1'000'000;
  std::size_t bytes_max = 1U << 20U;   // of command, environment and paths together
  std::size_t script_bytes_max = 4U << 20U;
};

// Nothing when the spec makes sense. Knows nothing of the cluster.
[[nodiscard]] std::optional<Complaint> find_fault(const fb::JobSpec& spec, const SpecLimits& limits);

// REQUIRES a spec without fault.
[[nodiscard]] ArrayIndexes indexes_of(const fb::JobSpec& spec);

// What the nodes need to run a try of it. All that differs between elements is in the launch entry.
struct TaskSpecInput {
  const JobRecord& job;
  std::uint32_t try_number{1};
  std::vector<std::string> nodes;      // by member
  std::vector<std::string> endpoints;  // by member; of their job conversations
  std::vector<std::uint32_t> ranks;    // by member
  std::string_view cluster;
  Duration default_time_limit{};
};
[[nodiscard]] FrameBytes task_spec_bytes(const TaskSpecInput& input);

[[nodiscard]] inline const fb::JobSpec& spec_in(const FrameBytes& bytes) {
  return *flatbuffers::GetRoot<fb::JobSpec>(bytes.data());
}
// The bytes of a spec as records keep them.
[[nodiscard]] FrameBytes pack_job_spec(const fb::JobSpecT& spec);
// For bytes that come from a disk.
[[nodiscard]] bool verifies_as_job_spec(const FrameBytes& bytes);

}  // namespace muster::gang
