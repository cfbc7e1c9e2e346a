#include "wire/socket/curve.hpp"

#include <zmq.h>

#include <algorithm>
#include <mutex>

namespace muster {
namespace {

constexpr std::size_t kKeyBytes = 32;

bool is_key(std::string_view text) {
  std::uint8_t bytes[kKeyBytes];
  return text.size() == kKeyCharacters && text.find('\0') == std::string_view::npos &&
         ::zmq_z85_decode(bytes, std::string(text).c_str()) != nullptr;
}

}  // namespace

Result<PublicKey> parse_public_key(std::string_view text) {
  if (!is_key(text)) {
    return fail(Errc::invalid_argument, "'" + std::string(text) + "' is no key: a public key has " +
                                            std::to_string(kKeyCharacters) + " characters, this has " +
                                            std::to_string(text.size()) +
                                            (text.size() == kKeyCharacters ? ", some of them not of Z85" : "") +
                                            "; `muster keygen` prints it");
  }
  PublicKey out;
  std::copy(text.begin(), text.end(), out.z85.begin());
  return out;
}

Result<KeyPair> make_key_pair() {
  char public_key[kKeyCharacters + 1];
  char secret_key[kKeyCharacters + 1];
  if (::zmq_curve_keypair(public_key, secret_key) != 0) {
    return fail(Errc::unsupported, "no key pair can be made: this libzmq has no CURVE");
  }
  return KeyPair{public_key, secret_key};
}

Result<KeyPair> key_pair_of(std::string_view secret_key) {
  char public_key[kKeyCharacters + 1];
  if (!is_key(secret_key) || ::zmq_curve_public(public_key, std::string(secret_key).c_str()) != 0) {
    return fail(Errc::invalid_argument, "this is no secret key: it must have " + std::to_string(kKeyCharacters) +
                                            " characters of Z85; make a new pair with `muster keygen`");
  }
  return KeyPair{public_key, std::string(secret_key)};
}

// Thread-safe.
struct AllowedKeys::Impl {
  mutable std::mutex mutex;
  std::vector<PublicKey> keys;  // sorted
};

AllowedKeys::AllowedKeys(std::vector<PublicKey> keys) : impl_(std::make_unique<Impl>()) { replace(std::move(keys)); }
AllowedKeys::~AllowedKeys() = default;

void AllowedKeys::replace(std::vector<PublicKey> keys) {
  std::sort(keys.begin(), keys.end());
  const std::lock_guard lock(impl_->mutex);
  impl_->keys = std::move(keys);
}

bool AllowedKeys::contains(const PublicKey& key) const {
  const std::lock_guard lock(impl_->mutex);
  return std::binary_search(impl_->keys.begin(), impl_->keys.end(), key);
}

}  // namespace muster
