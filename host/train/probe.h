/* `lr: probe`: the learning rate of a stage, by experiment.
 *
 * Every rate is tried by a pilot (pilot.h) on the first of three stratified folds, and the one with
 * the smallest loss on what is held out is chosen; of equal ones the smaller rate. The loss,
 * because it tells rates apart long before accuracies do. In a stage that trains `auto` the rate is
 * chosen first, at the middle one of the depths, and then the depth at that rate.
 *
 * auto.json and checkpoints hold, beside "depth" (auto.h):
 *
 *   {"<stage>": {"lr": {
 *      "chosen": "0.1x", "pattern": "all" or null,   of the rule; null: every tensor of the stage
 *      "depth": "2" or null, "epochs": 2, "cpu_s": 20.5, "wall_s": 12.3,
 *      "rates": [{"lr": "0.03x", "loss": 0.51 or null, "top1": 0.78 or null, "diverged": false,
 *                 "steps": 82, "cpu_s": 4.1, "wall_s": 2.2}, ...]}}} */
#ifndef THAW_TRAIN_PROBE_H
#define THAW_TRAIN_PROBE_H

#include <jansson.h>

#include "train/pilot.h"

/* The rule of a stage that is probed, or NULL. */
const struct thaw_lr_rule *thaw_probe_rule(const struct thaw_stage *stage);

/* The index of the smallest finite loss, the first of equals; -1 for none. */
int thaw_probe_judge(const double *losses, size_t count);

/* Chooses the rate of `stage`; the object stands under "lr" above, a new reference. All values of
 * the graph are as before. */
thaw_status thaw_probe_choose(const struct thaw_pilot_options *options,
                              const struct thaw_stage *stage, const char *const *class_names,
                              json_t **ret_lr);

/* Makes the choice hold in a stage, whose rules become a copy in `arena`. THAW_ERROR_INPUT when the
 * object is none of thaw_probe_choose() for this stage: `what` names the file. */
thaw_status thaw_probe_apply(struct thaw_arena *arena, const json_t *lr, const char *what,
                             struct thaw_stage *stage);

/* The object as a table for people, lines separated by '\n'. */
void thaw_probe_table(const json_t *lr, const char *stage, struct thaw_text *text);

#endif
