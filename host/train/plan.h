/* What a training run would do, stage by stage, without doing it: which tensors are trained and
 * how, steps, memory, arithmetic. Every check of a run is made; a stage that would be refused fails
 * here in the same words. */
#ifndef THAW_TRAIN_PLAN_H
#define THAW_TRAIN_PLAN_H

#include "train/experiment.h"
#include "train/session.h"

/* What becomes of one tensor in a stage. */
struct thaw_plan_tensor {
    bool trained;                    /* by gradient */
    bool moves;                      /* a statistic that batches move */
    double lr;                       /* base rate; 0 when not trained */
    const struct thaw_lr_rule *rule; /* where the rate came from; NULL when not trained */
    int distance;                    /* stages from the head: what the rule's decay counts */
    double weight_decay;
};

struct thaw_plan_stage {
    struct thaw_stage stage; /* the configuration's, with `part`: see thaw_plan_memory_of_stage() */
    int fitting;             /* images at once that fit the device, of the batch; 0: not even one */
    struct thaw_session session; /* stage, optimizer, schedule, steps of an epoch; not started */
    struct thaw_plan_tensor *tensors; /* one for each parameter of the graph */
    size_t trained_tensors, trained_values;
    size_t cache_images; /* rows of the cache: every image and view */
    size_t cache_bytes;  /* of session.start's output for every image and view; 0: no cache */
    int64_t steps;
    struct thaw_exec_memory memory;     /* of training */
    struct thaw_exec_memory evaluation; /* of validation */
    struct thaw_exec_memory caching;    /* of filling the cache, before the others */
    struct thaw_exec_memory refreshing; /* of measuring norm statistics, beside the first two */
    size_t staging_bytes;               /* of photos on their way into the network */
    size_t optimizer_bytes;
    size_t kept_bytes;     /* copies of what has been trained so far: the best epoch's */
    size_t choosing_bytes; /* most that pilots need, before the stage; 0: nothing to choose */
    size_t peak_bytes;     /* device memory of all that, parameters included: never more */
    size_t largest_bytes;  /* the largest of its allocations */
    /* Of a training step, of a batch of validation, of a batch for the cache; 0: not measured. */
    double step_s, evaluation_s, caching_s;
    double step_flops;  /* of a training step: forward and backward */
    double cache_flops; /* of filling the cache */
};

struct thaw_plan {
    struct thaw_arena arena;
    struct thaw_plan_stage *stages;
    size_t stage_count;
    const char **sources; /* for each parameter: its name in the weights file, NULL: not loaded */
    bool *changed;        /* for each parameter: trained or moved by a stage so far */
    size_t parameter_values, parameter_bytes; /* without statistics; with them, padded */
    size_t peak_bytes;                        /* on the device, of the largest stage */
};

/* Stages are applied to the experiment's graph, which is left as after the last one. */
thaw_status thaw_plan_make(struct thaw_experiment *experiment, struct thaw_plan *ret_plan);
/* The same, and runs a few steps of each stage on random images to time them; the graph's values
 * are of no use afterwards. Fails like thaw_plan_check_memory() before it measures a stage. */
thaw_status thaw_plan_make_measured(struct thaw_experiment *experiment, struct thaw_plan *ret_plan);

/* THAW_ERROR_INPUT at the stage's place when one needs more memory, at once or in a single
 * allocation, than the device has. */
thaw_status thaw_plan_check_memory(const struct thaw_plan *plan, const thaw_device *device);
thaw_status thaw_plan_check_stage_memory(const struct thaw_plan_stage *stage,
                                         const thaw_device *device);

/* Seconds of a stage: filling its cache, one epoch with its validation, all of it. */
struct thaw_plan_time {
    double caching_s, epoch_s, total_s;
};
struct thaw_plan_time thaw_plan_time(const struct thaw_experiment *experiment,
                                     const struct thaw_plan_stage *stage);

/* Of plan_memory.c: fills in what the stage needs of the device's memory, and its arithmetic. Its
 * tensors are planned; `before` is the stage before it, or NULL.
 *
 * Where the experiment has a device.memory and the batch does not fit, batches go through the
 * network in the fewest equal parts that do, and the gradients add up: the same result but for the
 * order of sums. Norm layers that take their statistics from the batch forbid that. */
thaw_status thaw_plan_memory_of_stage(const struct thaw_experiment *experiment,
                                      const struct thaw_plan *plan,
                                      const struct thaw_plan_stage *before,
                                      struct thaw_plan_stage *stage);
/* Fills in the stage's times; its session is not started and its graph has the stage applied. */
thaw_status thaw_plan_measure(const struct thaw_experiment *experiment,
                              struct thaw_plan_stage *stage);

void thaw_plan_finish(struct thaw_plan *plan);

#endif
