/* Asks for what a batch system need not do: "spawn refused", "publish refused", then ends in order. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  int error;
  char port[MPI_MAX_PORT_NAME];
  MPI_Comm children;
  MPI_Init(&argc, &argv);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  if (argc > 1 && strcmp(argv[1], "publish") == 0) {
    strcpy(port, "tag#0$description#here$");
    error = MPI_Publish_name("muster-test", MPI_INFO_NULL, port);
  } else {
    error = MPI_Comm_spawn("/bin/true", MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_SELF, &children,
                           MPI_ERRCODES_IGNORE);
  }
  printf("%s\n", error == MPI_SUCCESS ? "granted" : "refused");
  MPI_Finalize();
  return 0;
}
