#include "node/pmi/pmix_library.hpp"

#include <pmix.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

namespace muster::node {
namespace {

// All callbacks run on libpmix's thread, which serves every rank here: they note and return.

std::optional<std::uint32_t> step_of(const pmix_proc_t* proc) {
  PmixLibrary& library = pmix_library();
  const std::lock_guard<std::mutex> guard(library.lock);
  const auto found = library.spaces.find(std::string_view(proc->nspace));
  return found == library.spaces.end() ? std::nullopt : std::optional(found->second.step);
}

pmix_status_t on_connected(const pmix_proc_t* proc, void*, pmix_op_cbfunc_t, void*) {
  const auto step = step_of(proc);
  if (!step) {
    return PMIX_ERR_NOT_FOUND;
  }
  pmix_library().events.push(pmi_event::Connected{*step, proc->rank});
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t on_finalized(const pmix_proc_t* proc, void*, pmix_op_cbfunc_t, void*) {
  if (const auto step = step_of(proc)) {
    pmix_library().events.push(pmi_event::Finalized{*step, proc->rank});
  }
  return PMIX_OPERATION_SUCCEEDED;
}

// Whichever ranks it names: the step is ended as a whole.
pmix_status_t on_abort(const pmix_proc_t* proc, void*, int status, const char* text, pmix_proc_t*, std::size_t,
                       pmix_op_cbfunc_t, void*) {
  if (const auto step = step_of(proc)) {
    std::string message = "rank " + std::to_string(proc->rank) + " called abort with code " + std::to_string(status);
    if (text != nullptr && *text != '\0' && std::string_view(text) != "N/A") {
      message += std::string(": ") + text;
    }
    pmix_library().events.push(
        pmi_event::Aborted{*step, static_cast<std::int32_t>(proc->rank), status, std::move(message)});
  }
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t refuse(const pmix_proc_t* proc, const char* what) {
  if (const auto step = proc == nullptr ? std::nullopt : step_of(proc)) {
    pmix_library().events.push(pmi_event::Unsupported{*step, proc->rank, std::string("PMIx ") + what});
  }
  return PMIX_ERR_NOT_SUPPORTED;
}

// REQUIRES: the lock. The namespace of all `procs` if they are the whole of it.
PmixLibrary::Space* whole_space(PmixLibrary& library, const pmix_proc_t* procs, std::size_t count) {
  const auto found = count == 0 ? library.spaces.end() : library.spaces.find(std::string_view(procs[0].nspace));
  if (found == library.spaces.end()) {
    return nullptr;
  }
  std::set<pmix_rank_t> ranks;
  for (std::size_t i = 0; i < count; ++i) {
    if (found->first != procs[i].nspace) {
      return nullptr;
    }
    if (procs[i].rank == PMIX_RANK_WILDCARD) {
      return count == 1 ? &found->second : nullptr;
    }
    ranks.insert(procs[i].rank);
  }
  const bool whole = ranks.size() == found->second.ntasks && *ranks.rbegin() == found->second.ntasks - 1;
  return whole ? &found->second : nullptr;
}

pmix_status_t on_fence(const pmix_proc_t* procs, std::size_t count, const pmix_info_t*, std::size_t, char* data,
                       std::size_t bytes, pmix_modex_cbfunc_t function, void* function_data) {
  std::string blob;
  if (data != nullptr) {
    blob.assign(data, bytes);
    std::free(data);  // ours, whatever the header says
  }
  PmixLibrary& library = pmix_library();
  {
    const std::lock_guard<std::mutex> guard(library.lock);
    if (PmixLibrary::Space* space = whole_space(library, procs, count)) {
      space->rounds.push_back({{function, function_data}, std::move(blob)});
      if (space->rounds.size() == 1) {
        library.events.push(pmi_event::Exchange{space->step, space->rounds.front().blob});
      }
      return PMIX_SUCCESS;
    }
  }
  return refuse(count == 0 ? nullptr : &procs[0], "fence over a part of the ranks");
}

pmix_status_t on_modex(const pmix_proc_t* proc, const pmix_info_t*, std::size_t, pmix_modex_cbfunc_t function,
                       void* function_data) {
  PmixLibrary& library = pmix_library();
  const std::lock_guard<std::mutex> guard(library.lock);
  const auto found = library.spaces.find(std::string_view(proc->nspace));
  if (found == library.spaces.end() || proc->rank >= found->second.ntasks) {
    return PMIX_ERR_NOT_FOUND;
  }
  const std::uint64_t question = ++library.last_question;
  library.questions[question] = {found->first, {function, function_data}};
  library.events.push(pmi_event::Modex{found->second.step, proc->rank, question});
  return PMIX_SUCCESS;
}

pmix_status_t on_publish(const pmix_proc_t* proc, const pmix_info_t*, std::size_t, pmix_op_cbfunc_t, void*) {
  return refuse(proc, "publish");
}
pmix_status_t on_lookup(const pmix_proc_t* proc, char**, const pmix_info_t*, std::size_t, pmix_lookup_cbfunc_t, void*) {
  return refuse(proc, "lookup");
}
pmix_status_t on_unpublish(const pmix_proc_t* proc, char**, const pmix_info_t*, std::size_t, pmix_op_cbfunc_t, void*) {
  return refuse(proc, "unpublish");
}
pmix_status_t on_spawn(const pmix_proc_t* proc, const pmix_info_t*, std::size_t, const pmix_app_t*, std::size_t,
                       pmix_spawn_cbfunc_t, void*) {
  return refuse(proc, "spawn");
}
pmix_status_t on_connect(const pmix_proc_t* procs, std::size_t count, const pmix_info_t*, std::size_t, pmix_op_cbfunc_t,
                         void*) {
  return refuse(count == 0 ? nullptr : procs, "connect");
}
pmix_status_t on_disconnect(const pmix_proc_t* procs, std::size_t count, const pmix_info_t*, std::size_t,
                            pmix_op_cbfunc_t, void*) {
  return refuse(count == 0 ? nullptr : procs, "disconnect");
}

}  // namespace

void PmixReply::give(pmix_status_t status, const std::string& blob) const {
  if (function == nullptr) {
    return;
  }
  char* copy = nullptr;
  if (!blob.empty() && (copy = static_cast<char*>(std::malloc(blob.size()))) != nullptr) {
    std::memcpy(copy, blob.data(), blob.size());
  }
  function(status, copy, copy == nullptr ? 0 : blob.size(), data, std::free, copy);
}

PmixLibrary& pmix_library() {
  static PmixLibrary* const kLibrary = new PmixLibrary;
  return *kLibrary;
}

pmix_server_module_t pmix_callbacks() {
  pmix_server_module_t module{};
  module.client_connected = on_connected;
  module.client_finalized = on_finalized;
  module.abort = on_abort;
  module.fence_nb = on_fence;
  module.direct_modex = on_modex;
  module.publish = on_publish;
  module.lookup = on_lookup;
  module.unpublish = on_unpublish;
  module.spawn = on_spawn;
  module.connect = on_connect;
  module.disconnect = on_disconnect;
  return module;
}

tl::unexpected<Error> fail_pmix(const std::string& what, pmix_status_t status) {
  return fail(Errc::io, what + ": " + PMIx_Error_string(status));
}

}  // namespace muster::node
