#include "wire/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace muster {

void check_failed(const char* what, const std::source_location& where) {
  std::fprintf(stderr, "muster: internal error at %s:%u (%s): %s\n", where.file_name(), where.line(),
               where.function_name(), what);
  std::abort();
}

}  // namespace muster
