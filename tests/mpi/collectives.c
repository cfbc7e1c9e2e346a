/* Sums, gathers and all-to-all with known answers: "collectives ok SIZE" from rank 0. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(int right, const char* what) {
  if (!right) {
    printf("collectives: %s is wrong\n", what);
    fflush(stdout);
    MPI_Abort(MPI_COMM_WORLD, 4);
  }
}

int main(int argc, char** argv) {
  int rank, size, i, sum = 0, word;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  word = rank + 1;
  MPI_Allreduce(&word, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  expect(sum == size * (size + 1) / 2, "Allreduce");
  int* out = malloc(sizeof(int) * (size_t)size);
  int* in = malloc(sizeof(int) * (size_t)size);
  for (i = 0; i < size; ++i) out[i] = rank * 1000 + i;
  MPI_Alltoall(out, 1, MPI_INT, in, 1, MPI_INT, MPI_COMM_WORLD);
  for (i = 0; i < size; ++i) expect(in[i] == i * 1000 + rank, "Alltoall");
  MPI_Allgather(&word, 1, MPI_INT, in, 1, MPI_INT, MPI_COMM_WORLD);
  for (i = 0; i < size; ++i) expect(in[i] == i + 1, "Allgather");
  word = rank == size - 1 ? 4711 : 0;
  MPI_Bcast(&word, 1, MPI_INT, size - 1, MPI_COMM_WORLD);
  expect(word == 4711, "Bcast");
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) printf("collectives ok %d\n", size);
  free(out);
  free(in);
  MPI_Finalize();
  return 0;
}
