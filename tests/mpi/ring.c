/* A growing message goes round the ring, each rank adds its number to every word: "ring ok SIZE". */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  int rank, size, i, words;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int most = argc > 1 ? atoi(argv[1]) : 1 << 18;
  int* data = calloc((size_t)most, sizeof(int));
  int* first = calloc((size_t)most, sizeof(int));
  MPI_Request sent;
  for (words = 1; words <= most; words *= 8) {
    if (rank == 0) {
      for (i = 0; i < words; ++i) data[i] = i;
      memcpy(first, data, sizeof(int) * (size_t)words);
      MPI_Isend(first, words, MPI_INT, (rank + 1) % size, words, MPI_COMM_WORLD, &sent);
    }
    MPI_Recv(data, words, MPI_INT, (rank + size - 1) % size, words, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (i = 0; i < words; ++i) data[i] += rank;
    if (rank != 0) {
      MPI_Send(data, words, MPI_INT, (rank + 1) % size, words, MPI_COMM_WORLD);
    } else {
      MPI_Wait(&sent, MPI_STATUS_IGNORE);
      for (i = 0; i < words; ++i) {
        if (data[i] != i + size * (size - 1) / 2) {
          printf("ring wrong at word %d of %d: %d\n", i, words, data[i]);
          MPI_Abort(MPI_COMM_WORLD, 3);
        }
      }
    }
  }
  if (rank == 0) printf("ring ok %d\n", size);
  free(data);
  free(first);
  MPI_Finalize();
  return 0;
}
