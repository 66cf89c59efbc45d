/* An experiment: the YAML that `thaw train` takes, read strictly and with every default made
 * explicit.
 *
 *   name: solar-cells                  # default: the file's name
 *   extends: base.yaml                 # this file is merged over that one
 *   regime: small_different            # a preset of `train`, unless `train` is given
 *   epochs: 0.5x                       # of every stage, rounded, at least 1: for another pace
 *   model: {graph: NAME or FILE, weights: FILE, size: 160, head: {type: last, dropout: 0.2},
 *           reference: {lr: 0.1, batch: 32},
 *           allow: {missing: [...], unexpected: [...], mismatch: [...]}}
 *   data: {...}                        # data/dataset.h
 *   augment: [hflip, {rotate: 15}]     # data/augment.h
 *   loss: {label_smoothing: 0, class_weights: balanced}
 *   optimizer: {type: sgd, momentum: 0.9, weight_decay: 1.0e-4}
 *   schedule: cosine
 *   batch: 32
 *   seed: 0
 *   metric: val.top1                   # which epoch's weights are kept
 *   output: runs
 *   checkpoint: {every: 60s}           # or {every: 100 steps}; may change on --resume
 *   device: {conv: NAME, block: 16, memory: 2GiB}
 *   train: [ {stage: warmup, train: [head], lr: 1x, epochs: 20, cache: true}, ... ]
 *   sweep: {seed: [0, 1, 2]}           # variants that thaw train compares; train/sweep.h
 *
 * optimizer, schedule, batch and augment may stand in a stage, too, and hold there. A stage may
 * also have average: {type: ema, decay: 0.999} (average.h), of all phases of an `unfreeze` and of
 * each turn of a `repeat`: the averaged weights are evaluated and kept, and the next stage starts
 * from them.
 */
#ifndef THAW_TRAIN_CONFIG_H
#define THAW_TRAIN_CONFIG_H

#include "core/yaml.h"
#include "graph/graph.h"

enum thaw_norm_mode {
    THAW_NORM_TRAIN,  /* batch statistics, running ones move; scale and shift are trained */
    THAW_NORM_EVAL,   /* running statistics; scale and shift are trained */
    THAW_NORM_FROZEN, /* running statistics; nothing of the layer is trained */
    /* A step of its own: the running statistics of the layers in `train` are computed anew over the
     * training set (norm_stats.h); nothing is trained, and lr, epochs and early_stop are refused.
     */
    THAW_NORM_REFRESH,
    /* In YAML only: `train` with batches of THAW_NORM_BATCH images or more; else `eval`, with rates
     * divided until the network stands them (sharpness.h). */
    THAW_NORM_AUTO,
    THAW_NORM_COUNT
};
extern const char *const thaw_norm_mode_names[THAW_NORM_COUNT];
#define THAW_NORM_BATCH 16 /* fewer images make statistics that are mostly noise */

enum thaw_metric {
    THAW_METRIC_LOSS,
    THAW_METRIC_TOP1,
    THAW_METRIC_BALANCED,
    THAW_METRIC_MACRO_F1,
    THAW_METRIC_COUNT
};
extern const char *const thaw_metric_names[THAW_METRIC_COUNT]; /* "val.loss", "val.top1", ... */

/* A learning rate as written: 0.001, or 0.1x relative to the weights' own. */
struct thaw_lr {
    double value;
    bool relative;
    const thaw_yaml *place;
};
/* Rates to choose from by short trainings (probe.h):
 *
 *   lr: probe
 *   lr: {probe: [0.03x, 0.1x, 0.3x, 1x], epochs: 2}   # epochs of each; default: a fifth
 *   lr: {head: 1x, all: probe}                        # one rule of a stage may be probed */
struct thaw_lr_probe {
    struct thaw_lr *rates; /* ascending, all relative or none */
    size_t count;
    int epochs;
};
/* One rule of `lr`: the first whose pattern matches a tensor holds for it.
 *
 *   lr: 0.1x                                    # one rate for the stage
 *   lr: {head: 1x, layer4: 0.1x, all: 0.03x}
 *   lr: {head: {lr: 1x, schedule: {type: cosine, warmup: 50}}, all: {lr: 0.1x, decay: 0.65}}
 *
 * With `decay` the rate is lr x decay^d, d the stages of the model from the head down: 0 for the
 * head itself, 1 for the last stage (layer-wise decay: Clark et al. 2020, ELECTRA; Bao et al. 2022,
 * BEiT). `schedule`, with its warm-up, holds for the rule's tensors in place of the stage's. */
struct thaw_lr_rule {
    const char *pattern;               /* NULL: every tensor of the stage */
    struct thaw_lr lr;                 /* of a probe: the chosen one, or the largest until then */
    const struct thaw_lr_probe *probe; /* or NULL */
    double decay;                      /* 0: none */
    const thaw_yaml *schedule;         /* NULL: the stage's */
};

/* How many stages to train with the head, chosen by short trainings on folds of the training set
 * (auto.h):
 *
 *   - stage: tune
 *     train: [auto, head]
 *     auto:                       # every key may be left out
 *       depth: [0, 1, 2, 3, all]  # so many of the model's last stages; all: everything
 *       also: [first]             # the first stage alone, if its relative gradient norm is largest
 *       folds: 3                  # 2 to 16
 *       rule: one_se              # smallest depth within one standard error of the best; or best
 *       epochs: 4                 # of a short training; default: two fifths, at least 4
 *       metric: val.top1          # on the fold that is held out; default: the experiment's
 *       budget: 10min             # s, min, h; then what was measured decides; default: none */
#define THAW_DEPTH_ALL (-1)
#define THAW_AUTO_FOLDS_MAX 16
enum thaw_auto_rule { THAW_AUTO_ONE_SE, THAW_AUTO_BEST, THAW_AUTO_RULE_COUNT };
extern const char *const thaw_auto_rule_names[THAW_AUTO_RULE_COUNT];
struct thaw_auto_candidate {
    const char *name;    /* "0", "3", "first", "all" */
    const char *pattern; /* what `auto` stands for; NULL: nothing */
};
struct thaw_auto {
    struct thaw_auto_candidate *candidates; /* from what trains least to what trains most */
    size_t candidate_count;
    bool also_first;     /* one of them is "first", tried only where its gradient says so */
    const char *deepest; /* what `auto` stands for until it is chosen: checks and plans */
    int folds, epochs;
    enum thaw_auto_rule rule;
    enum thaw_metric metric;
    double budget_s; /* of wall-clock time; 0: none */
};

/* cache: {views: 4, dtype: f16, disk: false}; train/feature_cache.h */
enum thaw_cache_dtype { THAW_CACHE_F32, THAW_CACHE_F16, THAW_CACHE_DTYPE_COUNT };
extern const char *const thaw_cache_dtype_names[THAW_CACHE_DTYPE_COUNT];

/* A stage may be written once and run in parts, which are stages of their own from here on:
 *
 *   - {stage: tune, train: [all], lr: 0.1x, epochs: 12, unfreeze: {from: head, every: 2, step: 1}}
 *
 * thaws gradually (Howard and Ruder 2018, ULMFiT): tune.1 trains what of `train` lies in the head,
 * tune.2 the last stage of the model too, and so on down to the lowest that `train` reaches. `from`
 * is where it starts: head, or a stage of the model; `every` so many epochs `step` more stages of
 * the model thaw, and the last phase has the epochs that are left. The schedule runs once over all
 * phases, a cache is cut anew for each (a phase that trains from the first layer on has none). What
 * stays trained keeps the optimizer's state, what thaws starts with none.
 *
 *   - {stage: cycle, train: [all], lr: 0.1x, epochs: 10, schedule: cosine, repeat: 3}
 *
 * runs three times as cycle.1 to cycle.3: the schedule starts again (warm restarts, Loshchilov and
 * Hutter 2017), the optimizer's state goes on. `early_stop` counts anew in each part and ends it
 * alone; the next one follows where the schedule has it begin. Stages written out one by one start
 * with a fresh optimizer. */
struct thaw_stage {
    const char *name;
    const thaw_yaml *place;
    const char *written;               /* the name as written, of a part of a stage; else NULL */
    bool phase;                        /* of `unfreeze` */
    int open;                          /* the phase trains so many model stages below the head */
    bool continues;                    /* takes the optimizer's state of the stage before it over */
    int first_epoch, whole_epochs;     /* of the schedule: where it begins, what it runs over */
    const thaw_yaml *patterns;         /* a sequence of strings */
    const struct thaw_auto *automatic; /* one of the patterns is "auto"; else NULL */
    const char *automatic_pattern;     /* what that stands for; NULL: nothing */
    struct thaw_lr_rule *lr_rules;
    size_t lr_rule_count;
    int epochs;
    int batch;
    int part;                 /* images that go through the network at once: set by the trainer from
                                 the plan; 0: the batch */
    enum thaw_norm_mode norm; /* never AUTO */
    bool norm_auto;           /* it was chosen by the batch */
    bool cache;               /* compute what lies below the trained part once */
    int cache_views;          /* augmented copies of each image in the cache; 0: the plain image */
    enum thaw_cache_dtype cache_dtype;
    bool cache_disk;          /* keep it in the cache folder, for other runs */
    const thaw_yaml *augment; /* NULL: none */
    const thaw_yaml *optimizer, *schedule;
    const thaw_yaml *average;      /* average.h; NULL: none */
    const thaw_yaml *allow_random; /* patterns of tensors that may be random below trained ones */
    enum thaw_metric early_stop_metric;
    int early_stop_patience; /* epochs without improvement; 0: off */
};

struct thaw_config {
    struct thaw_arena arena;
    const char *path;    /* of the file */
    thaw_yaml *document; /* merged, with overrides and the expanded regime */
    const char *name, *output;
    uint64_t seed;

    const thaw_yaml *model; /* the section; data/input.h reads size and resize of it */
    const thaw_yaml *graph; /* the model document */
    const char *graph_name; /* as written */
    const char *weights;    /* path, or NULL: from scratch */
    int size;               /* 0: the model's */
    enum thaw_head_type head;
    double dropout;
    double reference_lr; /* 0: the model's */
    int reference_batch;
    const thaw_yaml *allow_missing, *allow_unexpected, *allow_mismatch; /* sequences or NULL */

    const thaw_yaml *data;
    double label_smoothing;
    bool balanced_weights;          /* class weights from the frequencies of the training part */
    const thaw_yaml *class_weights; /* a sequence of numbers, or NULL */
    enum thaw_metric metric;
    bool keep_last;
    double checkpoint_s;        /* a checkpoint after so many seconds ... */
    int checkpoint_steps;       /* ... or, when not 0, steps */
    const char *conv_candidate; /* forced, or NULL */
    int block;                  /* of the device layout; 0: the device's */
    uint64_t memory_bytes;      /* of the device, for training; 0: the device's own */
    struct thaw_stage *stages;
    size_t stage_count;
};

/* The `device` mapping of an experiment, which may be absent. */
struct thaw_config_device {
    const char *conv_candidate; /* of thaw_conv_candidates, or NULL */
    int block;                  /* 0: the device's */
    /* Most that training may take (thaw train, plan and advise): where a stage needs more, its
     * batches go through the network in parts, whose gradients add up (plan.h). 0: no such limit;
     * the device's own holds always. */
    uint64_t memory_bytes;
};
thaw_status thaw_config_read_device(const thaw_yaml *root, struct thaw_config_device *ret_device);

/* A time for pilots: "90s", "10min", "1.5h"; 0 for "none". */
thaw_status thaw_config_budget(const thaw_yaml *node, double *ret_budget_s);

/* Loads `path`, merges what it extends, applies the `sets` ("key.path=value"), expands the regime.
 */
thaw_status thaw_config_load(const char *path, const char *const *sets, size_t set_count,
                             struct thaw_config *ret_config);
/* The same of an experiment that need not say how it is trained, and whose `regime`, `train` and
 * `epochs` are not looked at: there are no stages. Sets of those are THAW_ERROR_INPUT. */
thaw_status thaw_config_load_untrained(const char *path, const char *const *sets, size_t set_count,
                                       struct thaw_config *ret_config);
/* Likewise of a document that is in no file yet; `path` is what it will be called. Borrows texts of
 * `document`, which must outlive it. */
thaw_status thaw_config_read_untrained(const thaw_yaml *document, const char *path,
                                       struct thaw_config *ret_config);
/* The same with one of the regimes in place of its training, optimizer and schedule. Borrows texts
 * of `base`, which must outlive it. */
thaw_status thaw_config_with_regime(const struct thaw_config *base, const char *regime,
                                    struct thaw_config *ret_config);
/* As thaw_config_load, with values of a `sweep` applied after the sets; borrowed. */
struct thaw_config_change {
    const thaw_yaml *path; /* a scalar: "train.1.lr" */
    const thaw_yaml *value;
};
thaw_status thaw_config_load_changed(const char *path, const char *const *sets, size_t set_count,
                                     const struct thaw_config_change *changes, size_t change_count,
                                     struct thaw_config *ret_config);
/* The document alone: `path` merged over what it extends, nothing checked. */
thaw_status thaw_config_document(struct thaw_arena *arena, const char *path,
                                 thaw_yaml **ret_document);
void thaw_config_finish(struct thaw_config *config);

/* THAW_ERROR_INPUT, naming the keys, when two resolved experiments differ in what decides their
 * bits: `output` (the folder was moved) and `checkpoint` may. `what` names the first. */
thaw_status thaw_config_compare(const char *before, const char *now, const char *what);

/* How many images of a batch go through the network at once. */
static inline int thaw_stage_part(const struct thaw_stage *stage) {
    return stage->part ? stage->part : stage->batch;
}

/* A model document by name ("resnet18", of the built-in ones) or by path. */
bool thaw_model_name_is_path(const char *name);
thaw_status thaw_model_document(struct thaw_arena *arena, const char *name, const thaw_yaml *place,
                                thaw_yaml **ret_document);

/* `lr` in absolute terms: factor x reference lr x batch / reference batch. */
double thaw_lr_resolve(const struct thaw_lr *lr, double reference_lr, int reference_batch,
                       int batch);

#endif
