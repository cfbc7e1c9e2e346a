// keygen: a key pair for this host.
#include <cstdio>

#include "sched/cli/actions.hpp"
#include "sched/cli/exit_codes.hpp"
#include "sched/cli/session.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/key_file.hpp"

namespace muster::cli {

int keygen(const CommonOptions& common, const KeygenCommand& command) {
  const auto place = place_of(common);
  if (!place) {
    return complain(place.error());
  }
  const std::string path = key_path(place->dir);
  const auto known = load_keys(path);
  if (command.show) {
    if (!known) {
      complain(known.error().text);
      return kFailed;
    }
    say(known->public_key + "\n");
    return kOk;
  }
  if (known || known.error().code != Errc::not_found) {
    complain(known ? path + " is there already, with the public key " + known->public_key +
                         "; for a new pair move it away first, and tell the new key to those who know this one"
                   : known.error().text);
    return kFailed;
  }
  if (auto made = make_directory(place->dir); !made) {
    complain(made.error().text);
    return kFailed;
  }
  const auto keys = make_key_pair();
  if (!keys) {
    complain(keys.error().text);
    return kFailed;
  }
  if (auto saved = save_keys(path, *keys); !saved) {
    complain(saved.error().text);
    return kFailed;
  }
  std::fprintf(stderr, "The key pair is in %s; this is its public key:\n", path.c_str());
  std::fflush(stderr);
  say(keys->public_key + "\n");
  return kOk;
}

}  // namespace muster::cli
