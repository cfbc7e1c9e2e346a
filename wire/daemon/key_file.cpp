#include "wire/daemon/key_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "wire/base/suggest.hpp"
#include "wire/daemon/durable_file.hpp"

namespace muster {
namespace {

const std::string kRoles[] = {"node", "framework", "operator"};

const ConfigEntry* find(const std::vector<ConfigEntry>& entries, const std::string& name) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const ConfigEntry& entry) {
    return entry.path.size() == 1 && entry.path[0] == name && entry.kind == ConfigKind::text && entry.values.size() == 1;
  });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::string key_path(const std::string& dir) { return dir + "/muster.key"; }

Status save_keys(const std::string& path, const KeyPair& keys) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    return fail(Errc::already_exists, path + " exists already, and is left as it is");
  }
  return write_durably(path,
                       "# A key pair of muster. The secret must stay on this host; the public key is for others.\n"
                       "public = '" + keys.public_key + "'\nsecret = '" + keys.secret_key + "'\n",
                       {.sync = true, .mode = 0600});
}

Result<KeyPair> load_keys(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return fail(Errc::not_found, "there is no key file " + path + "; make one with `muster keygen`");
    }
    return fail_errno(errno, path);
  }
  if ((info.st_mode & 0077U) != 0) {
    return fail(Errc::permission, path + " can be read by others than its owner, so its secret is none: make new keys with "
                                         "`muster keygen`, or if nobody has seen it: chmod 600 " + path);
  }
  const auto text = read_file(path, 1U << 16U);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const auto entries = parse_config(*text, path);
  const ConfigEntry* const public_key = entries ? find(*entries, "public") : nullptr;
  const ConfigEntry* const secret_key = entries ? find(*entries, "secret") : nullptr;
  if (public_key == nullptr || secret_key == nullptr) {
    // The parser's words might show the secret.
    return fail(Errc::malformed, path + " is no key file: it must have the lines public = '…' and secret = '…'; make one with "
                                        "`muster keygen`");
  }
  auto keys = key_pair_of(secret_key->values[0]);
  if (!keys) {
    return fail(keys.error().code, path + ": " + keys.error().text);
  }
  if (keys->public_key != public_key->values[0]) {
    return fail(Errc::malformed, path + ": the public key is not that of the secret, which is " + keys->public_key);
  }
  return keys;
}

Result<KeyPair> own_keys(const std::string& path, const std::string& dir) {
  auto keys = load_keys(path.empty() ? key_path(dir) : path);
  if (!keys && path.empty() && keys.error().code == Errc::not_found) {
    return KeyPair{};
  }
  return keys;
}

Result<std::map<PublicKey, AllowedKey>> allowed_keys(const std::vector<ConfigEntry>& entries) {
  std::map<PublicKey, AllowedKey> out;
  for (const ConfigEntry& entry : entries) {
    if (entry.path.size() < 2 || entry.path[0] != "keys") {
      continue;
    }
    const std::string shown = entry.place + ": key " + entry.path[1] + ": ";
    constexpr const char* kWayOut = "write \"node NAME\", \"framework\" or \"operator\"";
    if (entry.path.size() != 2 || entry.is_list || entry.kind != ConfigKind::text) {
      return fail(Errc::invalid_argument, shown + "takes one text; " + kWayOut);
    }
    std::istringstream words(entry.values.front());
    std::string role;
    words >> role;
    AllowedKey key;
    for (std::string name; words >> name;) {
      key.nodes.push_back(name);
    }
    const auto known = std::find(std::begin(kRoles), std::end(kRoles), role);
    if (known == std::end(kRoles)) {
      const std::string near = nearest(role, kRoles);
      return fail(Errc::invalid_argument, shown + "there is no role '" + role + "'; " +
                                              (near.empty() ? kWayOut : "did you mean \"" + near + "\"?"));
    }
    key.role = static_cast<KeyRole>(known - std::begin(kRoles));
    if ((key.role == KeyRole::node) == key.nodes.empty()) {
      return fail(Errc::invalid_argument, shown + (key.nodes.empty() ? "which node? Write \"node NAME\"; \"node *\" for any"
                                                                     : "a " + role + " has no names; " + kWayOut));
    }
    const auto parsed = parse_public_key(entry.path[1]);
    if (!parsed) {
      return fail(Errc::invalid_argument, entry.place + ": " + parsed.error().text);
    }
    out.emplace(*parsed, std::move(key));
  }
  return out;
}

}  // namespace muster
