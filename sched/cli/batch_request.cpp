#include "sched/cli/batch_request.hpp"

#include <algorithm>

#include "sched/cli/directives.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

constexpr std::size_t kScriptBytesMax = 4U << 20U;

// "--mem: …" is about --mem.
std::string_view option_in(std::string_view text) {
  if (!text.starts_with("--")) {
    return "";
  }
  const std::string_view name = text.substr(2);
  return name.substr(0, name.find_first_of(":= "));
}

}  // namespace

Result<BatchRequest> make_batch_request(const JobOptions& options, const BatchScript& script, const Surroundings& here) {
  if (auto status = check_script(script.content, script.file); !status) {
    return tl::unexpected(status.error());
  }
  if (script.content.size() > kScriptBytesMax) {
    return fail(Errc::out_of_range, script.file + " has " + format_bytes_short(script.content.size()) + "; a batch script may have " +
                                        format_bytes_short(kScriptBytesMax));
  }
  auto directives = read_directives(script.content, script.file);
  if (!directives) {
    return tl::unexpected(directives.error());
  }
  const JobOptions said = merged(options_of_environment(here.environment), options);
  const JobOptions all = merged(directives->options(), said);
  auto request = make_job_request(all, here, fb::TaskKind::Batch);
  if (!request) {
    const std::string_view name = option_in(request.error().text);
    const JobOption* const option = find_job_option(name, kInScript);
    const std::uint32_t line = option == nullptr || is_set(*option, said) ? 0 : directives->line_of(name);
    return fail(request.error().code,
                (line == 0 ? "" : script.file + ":" + std::to_string(line) + ": ") + request.error().text);
  }
  fb::JobSpecT& spec = request->spec;
  spec.script.assign(script.content.begin(), script.content.end());
  request->warnings.insert(request->warnings.begin(), directives->warnings.begin(), directives->warnings.end());
  return BatchRequest{std::move(*request), all.wait};
}

std::string wrapped(const std::string& command) {
  return "#!/bin/sh\n# Made by muster batch --wrap.\n\n" + command + "\n";
}

}  // namespace muster::cli
