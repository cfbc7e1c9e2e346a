/* One rank ends badly while the others wait for it: endings abort|segfault|kill|exit RANK [CODE]. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int rank, which;
  if (argc < 3) {
    fprintf(stderr, "usage: endings abort|segfault|kill|exit RANK [CODE]\n");
    return 2;
  }
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  which = atoi(argv[2]);
  MPI_Barrier(MPI_COMM_WORLD);
  printf("rank %d is at the barrier\n", rank);
  fflush(stdout);
  if (rank == which) {
    const int code = argc > 3 ? atoi(argv[3]) : 7;
    if (strcmp(argv[1], "abort") == 0) MPI_Abort(MPI_COMM_WORLD, code);
    if (strcmp(argv[1], "segfault") == 0) {
      signal(SIGSEGV, SIG_DFL); /* Open MPI prints a trace otherwise */
      raise(SIGSEGV);
    }
    if (strcmp(argv[1], "kill") == 0) raise(SIGKILL);
    if (strcmp(argv[1], "exit") == 0) _exit(code);
  }
  MPI_Barrier(MPI_COMM_WORLD); /* never passed */
  MPI_Finalize();
  return 0;
}
