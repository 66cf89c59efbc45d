/* `thaw plan`: a plan for people and as JSON. */
#ifndef THAW_CLI_PLAN_VIEW_H
#define THAW_CLI_PLAN_VIEW_H

#include "cli/cli.h"
#include "train/norm_stats.h"
#include "train/plan.h"

struct thaw_plan_view {
    const struct thaw_cli *cli;
    const struct thaw_config *config;
    const struct thaw_experiment *experiment;
    const struct thaw_graph *graph;
    const struct thaw_plan *plan;
    const struct thaw_norm_dead *dead; /* of the weights that are loaded */
};

/* The part of the network that a tensor is in: a stage of it, the head (the number of stages), or
 * -1 for none; and the part's name. */
int thaw_plan_part_of(const struct thaw_graph *graph, size_t param);
const char *thaw_plan_part_name(const struct thaw_graph *graph, int part);

thaw_status thaw_plan_print(const struct thaw_plan_view *view); /* on stdout */
json_t *thaw_plan_json(const struct thaw_plan_view *view);      /* NULL: out of memory */

/* The experiment as YAML, with the title as a comment before it. */
thaw_status thaw_plan_print_document(const struct thaw_config *config, const char *title);

#endif
