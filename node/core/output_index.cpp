#include "node/core/output_index.hpp"

#include "node/core/file_pattern.hpp"
#include "node/exec/codec.hpp"

namespace muster::node {
namespace {
constexpr std::uint8_t kRecordVersion = 2;
}

JobOutput output_of(FrameworkId framework, const fb::TaskSpec& spec, const fb::LaunchEntry& entry) {
  JobOutput out;
  out.framework = framework;
  out.job = JobId(spec.job());
  out.token_hi = spec.token_hi();
  out.token_lo = spec.token_lo();
  out.name = text_of(spec.name());
  out.user = text_of(spec.user());
  out.uid = spec.uid();
  out.gid = spec.gid();
  out.directory = text_of(spec.working_directory());
  out.stdout_pattern = text_of(spec.stdout_path()).empty() ? default_output_pattern(spec.is_array())
                                                           : text_of(spec.stdout_path());
  out.stderr_pattern = text_of(spec.stderr_path());
  out.is_array = spec.is_array();
  out.array_min = spec.array_min();
  out.array_max = spec.array_max();
  out.node_rank = entry.member();
  out.first_rank = entry.first_rank();
  out.ranks = entry.ranks();
  return out;
}

std::string encode_output(const JobOutput& output) {
  ByteWriter out;
  out.put(kRecordVersion);
  out.put(output.framework.value());
  out.put(output.job.value());
  out.put(output.token_hi);
  out.put(output.token_lo);
  out.put_string(output.name);
  out.put_string(output.user);
  out.put(output.uid);
  out.put(output.gid);
  out.put_string(output.directory);
  out.put_string(output.stdout_pattern);
  out.put_string(output.stderr_pattern);
  out.put_bool(output.is_array);
  out.put(output.array_min);
  out.put(output.array_max);
  out.put(output.node_rank);
  out.put(output.first_rank);
  out.put(output.ranks);
  return out.take();
}

Result<JobOutput> decode_output(std::string_view record) {
  ByteReader in(record);
  if (in.get<std::uint8_t>() != kRecordVersion) {
    return fail(Errc::malformed, "output record of another version");
  }
  JobOutput out;
  out.framework = FrameworkId(in.get<std::uint64_t>());
  out.job = JobId(in.get<std::uint64_t>());
  out.token_hi = in.get<std::uint64_t>();
  out.token_lo = in.get<std::uint64_t>();
  out.name = in.get_string();
  out.user = in.get_string();
  out.uid = in.get<std::uint32_t>();
  out.gid = in.get<std::uint32_t>();
  out.directory = in.get_string();
  out.stdout_pattern = in.get_string();
  out.stderr_pattern = in.get_string();
  out.is_array = in.get_bool();
  out.array_min = in.get<std::uint32_t>();
  out.array_max = in.get<std::uint32_t>();
  out.node_rank = in.get<std::uint32_t>();
  out.first_rank = in.get<std::uint32_t>();
  out.ranks = in.get<std::uint32_t>();
  if (!in.finished()) {
    return fail(Errc::malformed, "output record does not decode");
  }
  return out;
}

bool OutputIndex::put(const JobOutput& output) {
  const Key key{output.job, output.framework};
  const auto [at, fresh] = outputs_.try_emplace(key, output);
  if (!fresh) {
    if (at->second == output) {
      return false;
    }
    at->second = output;
    return true;
  }
  order_.push_back(key);
  while (order_.size() > jobs_max_) {
    outputs_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

tl::expected<OutputIndex::Found, Refusal> OutputIndex::find(const Query& query, std::string_view node_name) const {
  const std::string job_text = "job " + std::to_string(query.job.value());
  const auto refuse = [&](fb::RefusedCode code, std::string subject, std::string text) {
    Refusal refusal;
    refusal.code = code;
    refusal.subject = std::move(subject);
    refusal.text = std::move(text);
    return tl::unexpected(std::move(refusal));
  };
  const JobOutput* found = nullptr;
  bool job_known = false;
  for (auto at = outputs_.lower_bound(Key{query.job, FrameworkId(0)});
       at != outputs_.end() && at->first.first == query.job; ++at) {
    job_known = true;
    const JobOutput& output = at->second;
    const bool has_token = output.token_hi != 0 || output.token_lo != 0;
    if (has_token && output.token_hi == query.token_hi && output.token_lo == query.token_lo) {
      found = &output;
      break;
    }
  }
  if (found == nullptr) {
    if (!job_known) {
      return refuse(fb::RefusedCode::UnknownJob, job_text,
                    job_text + " has no output that node " + std::string(node_name) +
                        " knows of; ask the node it ran on, or read the file itself");
    }
    return refuse(fb::RefusedCode::NotAllowed, job_text,
                  "the token does not open the output of " + job_text + "; ask its framework for the right one");
  }
  if (found->is_array && (query.index < found->array_min || query.index > found->array_max)) {
    return refuse(fb::RefusedCode::BadRequest, job_text,
                  job_text + " has no element " + std::to_string(query.index) + "; its elements are " +
                      std::to_string(found->array_min) + "-" + std::to_string(found->array_max));
  }
  const std::string_view pattern =
      query.want_stderr && !found->stderr_pattern.empty() ? found->stderr_pattern : found->stdout_pattern;
  const std::uint64_t rank = query.rank < 0 ? found->first_rank : static_cast<std::uint64_t>(query.rank);
  if (names_rank(pattern) && (rank < found->first_rank || rank >= std::uint64_t{found->first_rank} + found->ranks)) {
    return refuse(fb::RefusedCode::BadRequest, "rank " + std::to_string(rank),
                  "rank " + std::to_string(rank) + " of " + job_text + " is not on node " + std::string(node_name) +
                      "; ranks " + std::to_string(found->first_rank) + "-" +
                      std::to_string(std::uint64_t{found->first_rank} + found->ranks - 1) + " are");
  }
  const PatternValues values{.job = found->job,
                             .is_array = found->is_array,
                             .index = query.index,
                             .job_name = found->name,
                             .user = found->user,
                             .node_name = node_name,
                             .node_rank = found->node_rank,
                             .rank = static_cast<std::uint32_t>(rank)};
  return Found{found->framework, found->uid, found->gid, absolute_path(expand_pattern(pattern, values), found->directory)};
}

}  // namespace muster::node
