#include "wire/base/result.hpp"

#include <system_error>

namespace muster {

tl::unexpected<Error> fail_errno(int errno_value, const std::string& what) {
  return fail(Errc::io, what + ": " + std::generic_category().message(errno_value));
}

}  // namespace muster
