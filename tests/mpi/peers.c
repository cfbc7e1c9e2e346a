/* How many ranks share memory with this one: "peers RANK COUNT FIRST". */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char** argv) {
  int rank, count, first;
  MPI_Comm node;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
  MPI_Comm_size(node, &count);
  first = rank;
  MPI_Bcast(&first, 1, MPI_INT, 0, node);
  printf("peers %d %d %d\n", rank, count, first);
  MPI_Comm_free(&node);
  MPI_Finalize();
  return 0;
}
