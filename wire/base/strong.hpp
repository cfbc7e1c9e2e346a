// Strong<Tag, Rep>: an integer that is its own type. No implicit way in or out.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace muster {

template <class Tag, class Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Strong&) const = default;

 private:
  Rep value_{};
};

}  // namespace muster

template <class Tag, class Rep>
struct std::hash<muster::Strong<Tag, Rep>> {
  std::size_t operator()(const muster::Strong<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value()); }
};
