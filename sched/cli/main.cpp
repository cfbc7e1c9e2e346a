// muster: one binary with subcommands. See `muster help`.
#include "sched/cli/actions.hpp"

int main(int argc, char** argv) { return muster::cli::muster_main(argc, argv); }
