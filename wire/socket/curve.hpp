// Keys of CURVE: who a process is to other hosts. Pure, but for make_key_pair().
// Keys are written in Z85: 40 printable characters, none of them a quote, a backslash, a comma or a space.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

inline constexpr std::size_t kKeyCharacters = 40;

// Empty: nobody has proven anything.
struct PublicKey {
  std::array<char, kKeyCharacters> z85{};

  [[nodiscard]] bool empty() const { return z85[0] == '\0'; }
  [[nodiscard]] std::string text() const { return empty() ? "" : std::string(z85.data(), z85.size()); }
  auto operator<=>(const PublicKey&) const = default;
};

// Errc::invalid_argument with the text and what a key looks like.
[[nodiscard]] Result<PublicKey> parse_public_key(std::string_view text);

// Both in Z85; both empty: none.
struct KeyPair {
  std::string public_key;
  std::string secret_key;

  [[nodiscard]] bool empty() const { return secret_key.empty(); }
};

// A new pair from the system's randomness. Errc::unsupported when libzmq was built without CURVE.
[[nodiscard]] Result<KeyPair> make_key_pair();
// The pair that a secret key belongs to. Errors don't show the secret.
[[nodiscard]] Result<KeyPair> key_pair_of(std::string_view secret_key);

// Which keys may connect to a router. Thread-safe: read while peers shake hands, replaced when the list is read again.
class AllowedKeys {
 public:
  explicit AllowedKeys(std::vector<PublicKey> keys = {});
  ~AllowedKeys();
  // Who is connected already stays.
  void replace(std::vector<PublicKey> keys);
  [[nodiscard]] bool contains(const PublicKey& key) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster
