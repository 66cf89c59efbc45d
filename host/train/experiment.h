/* An experiment made ready: its data listed, its network built for the classes of the data, on a
 * device, with the pretrained weights. Nothing is decoded and nothing trained. */
#ifndef THAW_TRAIN_EXPERIMENT_H
#define THAW_TRAIN_EXPERIMENT_H

#include "data/dataset.h"
#include "data/input.h"
#include "io/load_report.h"
#include "train/config.h"

struct thaw_experiment {
    struct thaw_arena arena;
    const struct thaw_config *config; /* borrowed; must outlive this */
    struct thaw_input_spec input;     /* the model's, with what the experiment says otherwise */
    const thaw_yaml *document;        /* the model YAML with that input */
    struct thaw_dataset_config data;
    struct thaw_dataset *dataset;
    struct thaw_graph *graph;
    struct thaw_weights weights; /* with `report`: what was loaded; {0} from scratch */
    struct thaw_load_report report;
};

thaw_status thaw_experiment_open(const struct thaw_config *config, thaw_device *device,
                                 struct thaw_experiment *ret_experiment);
/* What its graph was built with. */
struct thaw_graph_options thaw_experiment_options(const struct thaw_experiment *experiment,
                                                  const thaw_device *device);
void thaw_experiment_finish(struct thaw_experiment *experiment); /* accepts {0} */

#endif
