// A task whose first instruction says when it ran: `stamp FIFO` writes the monotonic clock, in ms, to FIFO. Linked
// statically, because a dynamic linker's milliseconds are not the scheduler's.
#include <fcntl.h>
#include <unistd.h>

#include <ctime>

int main(int argc, char** argv) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double stamp_ms = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
  const int fd = argc == 2 ? open(argv[1], O_WRONLY) : -1;
  return write(fd, &stamp_ms, sizeof stamp_ms) == sizeof stamp_ms ? 0 : 1;
}
