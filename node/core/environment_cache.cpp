#include "node/core/environment_cache.hpp"

#include <algorithm>

#include "node/core/spawn_plan.hpp"
#include "node/exec/task_variables.hpp"

namespace muster::node {
namespace {
constexpr std::size_t kKnownMax = 16;
}

SharedEnvironmentPtr EnvironmentCache::of(const fb::TaskSpec& spec) {
  if (spec.environment() == nullptr || spec.environment()->size() == 0) {
    return nullptr;
  }
  text_.clear();
  for (const auto* line : *spec.environment()) {
    text_.append(text_of(line));
    text_ += '\0';
  }
  auto known = std::find_if(known_.begin(), known_.end(), [this](const Known& k) { return k.text == text_; });
  if (known == known_.end()) {
    std::vector<std::string> lines;
    for (const auto* line : *spec.environment()) {
      if (!is_task_variable(name_of_variable(text_of(line)))) {
        lines.emplace_back(text_of(line));
      }
    }
    if (known_.size() < kKnownMax) {
      known = known_.insert(known_.end(), Known{});
    } else {
      known = std::min_element(known_.begin(), known_.end(),
                               [](const Known& a, const Known& b) { return a.used < b.used; });
    }
    *known = {text_, std::make_shared<const SharedEnvironment>(lines), 0};
  }
  known->used = ++uses_;
  return known->environment;
}

}  // namespace muster::node
