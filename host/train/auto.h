/* `auto`: how many of a model's last stages to train, by experiment.
 *
 * Every candidate depth is trained from the same values (the pretrained body under a head that was
 * warmed up on the fold's own rows: rewarm.h) by pilots (pilot.h) on stratified folds of the
 * training set, and judged on the fold that is held out. The validation set takes no part.
 *
 * The rule: the best candidate is the one with the best mean over the folds; the smallest candidate
 * that is at most one standard error worse is chosen (Breiman et al., "Classification and
 * Regression Trees", 1984). The standard error is that of the *paired* difference: in each fold the
 * candidate's value minus the best one's, s / sqrt(folds) of those. Folds differ in how hard they
 * are by more than depths do; that part falls out of a difference and would otherwise make
 * everything look alike. With one fold, or the rule `best`, the best is chosen; of equals the
 * smallest.
 *
 * A candidate whose loss is not finite in any fold is out.
 *
 * Folds are outermost and candidates run from what trains least on, so that when the budget is
 * spent whole folds remain: only folds that every candidate (but those given up) has finished
 * count. If not even the first has been finished, the candidates that were measured in it are
 * compared.
 *
 * `first` and `all` start at the image, where the others start from cached features, and a pilot of
 * theirs costs more than all folds of another depth. So the first fold decides whether they have
 * more: `all` is not tried where the deepest of the others was not the best of them, and both are
 * given up that are no better than everything smaller, after half of their epochs or after all.
 *
 * A run stores the result as auto.json and in its checkpoints:
 *
 *   {"<stage>": {"depth": {
 *      "chosen": "2", "train": "last:2" or null,      what `auto` stands for from now on
 *      "metric": "val.top1", "rule": "one_se", "folds": 3, "epochs": 2, "images": 1968,
 *      "cached_at": "blocks.4.0" or null, "views": 2,  where the pilots' features were cut
 *      "budget_spent": false, "cpu_s": 91.2, "wall_s": 60.1,   with gradients and caches
 *      "gradients": [{"part": "stem", "relative_norm": 0.013}, ...] or null,  the last: "head"
 *      "candidates": [{
 *         "depth": "0", "train": null, "folds": [0.81, 0.79, null],   null: not run, or not finite
 *         "diverged": 0, "given_up": null, "untried", "halfway" or "first fold",
 *         "counted": 2 (0: not compared), "mean": 0.8 or null,
 *         "difference": -0.01 or null,   of the mean to the best; negative: worse, for any metric
 *         "standard_error": 0.004 or null, "steps": 123, "cpu_s": 7.5, "wall_s": 4.1}, ...]}}}
 */
#ifndef THAW_TRAIN_AUTO_H
#define THAW_TRAIN_AUTO_H

#include <jansson.h>

#include "train/pilot.h"

/* What became of a candidate. */
struct thaw_auto_score {
    bool usable;           /* finite in every fold that counts */
    bool within;           /* at most one standard error worse than the best */
    double mean;           /* over the folds that count */
    double difference;     /* mean of this one's minus the best one's; negative: worse */
    double standard_error; /* of that; 0 with one fold */
};

/* Applies the rule. values[candidate * folds + fold], candidates ordered from what trains least on;
 * NaN: diverged. Of equal means the first is the best. Returns the chosen candidate, -1 when none
 * is usable. */
int thaw_auto_judge(enum thaw_auto_rule rule, enum thaw_metric metric, const double *values,
                    size_t candidates, int folds, struct thaw_auto_score *ret_scores);

/* Chooses the depth of `stage`, which trains `auto`; its lr is settled. `class_names` are for
 * messages. The object is what stands under "depth" above; new reference. All values of the graph
 * are as before. */
thaw_status thaw_auto_choose(const struct thaw_pilot_options *options,
                             const struct thaw_stage *stage, const char *const *class_names,
                             json_t **ret_depth);

/* Makes the choice hold in a stage. THAW_ERROR_INPUT when the object is none of thaw_auto_choose()
 * for this stage: `what` names the file. */
thaw_status thaw_auto_apply(const json_t *depth, const char *what, struct thaw_stage *stage);

/* The object as a table for people, lines separated by '\n'. */
void thaw_auto_table(const json_t *depth, const char *stage, struct thaw_text *text);

#endif
