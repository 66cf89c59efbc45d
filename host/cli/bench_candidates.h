/* `thaw bench --candidates`: the part of command_bench.c that measures convolutions. */
#ifndef THAW_CLI_BENCH_CANDIDATES_H
#define THAW_CLI_BENCH_CANDIDATES_H

#include "cli/cli.h"
#include "graph/graph.h"

struct thaw_bench_candidates {
    int batch;
    bool training; /* all three directions; else forward in inference */
    bool remember;
    int seconds; /* no candidate begins later */
};

/* The graph must be allocated. Prints the table or, with --json, the document. */
thaw_status thaw_cli_bench_candidates(const struct thaw_cli *cli, struct thaw_graph *graph,
                                      const struct thaw_bench_candidates *options);

#endif
