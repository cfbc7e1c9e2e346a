// Fifo<T>: a queue in one vector, for the small records that wait for a link. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace muster::master {

template <class T>
class Fifo {
 public:
  void push(T value) { items_.push_back(std::move(value)); }
  [[nodiscard]] bool empty() const { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const { return items_.size() - head_; }
  [[nodiscard]] T& front() { return items_[head_]; }
  [[nodiscard]] const T& front() const { return items_[head_]; }
  void pop() {
    if (++head_ == items_.size()) {
      clear();
    } else if (head_ >= 64 && head_ * 2 > items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }
  void clear() {
    items_.clear();
    head_ = 0;
    if (items_.capacity() > kKept) {
      items_.shrink_to_fit();  // of a burst
    }
  }

 private:
  static constexpr std::size_t kKept = 65'536;
  std::vector<T> items_;
  std::size_t head_{};
};

}  // namespace muster::master
