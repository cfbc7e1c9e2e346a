// Key files: this host's own key pair, and the list of keys that a master lets in. No thread.
// Errors name the file and the way out; no secret is ever in them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/daemon/config_file.hpp"
#include "wire/socket/curve.hpp"

namespace muster {

[[nodiscard]] std::string key_path(const std::string& dir);  // DIR/muster.key
// Errc::already_exists when there is one: it is never overwritten. Readable by its owner alone.
[[nodiscard]] Status save_keys(const std::string& path, const KeyPair& keys);
// Errc::not_found; Errc::permission when others may read it. The file has public = '…' and secret = '…'.
[[nodiscard]] Result<KeyPair> load_keys(const std::string& path);
// The pair in `path`, or if that is empty in key_path(dir); none there: an empty pair.
[[nodiscard]] Result<KeyPair> own_keys(const std::string& path, const std::string& dir);

// What a key allows.
enum class KeyRole : std::uint8_t { node, framework, operate };
struct AllowedKey {
  KeyRole role{};
  std::vector<std::string> nodes;   // node: the names it may register; "*" = any
};

// Entries of the table [keys]: "<public key>" = "node n1 n2", "framework" or "operator". By key.
[[nodiscard]] Result<std::map<PublicKey, AllowedKey>> allowed_keys(const std::vector<ConfigEntry>& entries);

}  // namespace muster
