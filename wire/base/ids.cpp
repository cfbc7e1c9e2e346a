#include "wire/base/ids.hpp"

namespace muster {

std::string to_string(const AttemptId& id) { return std::to_string(id.hi) + ":" + std::to_string(id.lo); }

std::string to_string(const OfferId& id) { return std::to_string(id.slot) + "." + std::to_string(id.generation); }

}  // namespace muster
