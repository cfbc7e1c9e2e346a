#include "wire/ring/parker.hpp"

#include <poll.h>

#include <algorithm>

namespace muster {

Result<std::unique_ptr<Parker>> Parker::open() {
  auto wakeup = Wakeup::open();
  if (!wakeup) {
    return tl::unexpected(wakeup.error());
  }
  return std::unique_ptr<Parker>(new Parker(*std::move(wakeup)));
}

void Parker::wait_readable(int fd, Instant deadline) {
  pollfd item{fd, POLLIN, 0};
  if (deadline == Instant::never()) {
    (void)::ppoll(&item, 1, nullptr, nullptr);
    return;
  }
  const std::int64_t left_ns = std::max<std::int64_t>(0, (deadline - SystemClock{}.now().mono).ns());
  const timespec left{left_ns / 1'000'000'000, left_ns % 1'000'000'000};
  (void)::ppoll(&item, 1, &left, nullptr);
}

}  // namespace muster
