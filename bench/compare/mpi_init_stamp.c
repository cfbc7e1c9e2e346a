/* mpi_init_stamp FIFO SIZE: when the last of SIZE ranks had passed MPI_Init, in ns of CLOCK_REALTIME, as a line in FIFO. */
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct timespec now;
  long long mine, last;
  int rank, size;
  MPI_Init(&argc, &argv);
  clock_gettime(CLOCK_REALTIME, &now);
  mine = now.tv_sec * 1000000000LL + now.tv_nsec;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Reduce(&mine, &last, 1, MPI_LONG_LONG, MPI_MAX, 0, MPI_COMM_WORLD);
  if (argc != 3 || atoi(argv[2]) != size) {
    fprintf(stderr, "mpi_init_stamp: %d ranks, expected %s\n", size, argc == 3 ? argv[2] : "FIFO SIZE");
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  if (rank == 0) {
    char line[32];
    const int length = snprintf(line, sizeof line, "%lld\n", last);
    const int fd = open(argv[1], O_WRONLY);
    if (fd < 0 || write(fd, line, (size_t)length) != length) MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
