/* Shared by the files that measure: advise.c (size, sample, ladder), advise_norm.c (statistics) and
 * advise_source.c (source). */
#ifndef THAW_TRAIN_ADVISE_INTERNAL_H
#define THAW_TRAIN_ADVISE_INTERNAL_H

#include "train/advise.h"
#include "train/feed.h"

struct thaw_advise_work {
    const struct thaw_experiment *experiment;
    const struct thaw_advise_options *options;
    struct thaw_arena *arena;  /* of the measurements */
    struct thaw_arena scratch; /* until the end of measuring */
    struct thaw_measurements m;
    struct thaw_dataset sample; /* photos to measure on, in random order */
    thaw_loader *loader;
    thaw_augmenter *augmenter;
    uint32_t *photos; /* those of the sample that could be decoded */
    int *labels;      /* of `photos` */
    int *folds;
    size_t count;
};

/* Runs the network for the first `count` photos and calls `use` for each node of each batch: its
 * output, (n, C, H, W). */
typedef thaw_status thaw_advise_use(void *user, size_t node_index, size_t first, size_t n,
                                    const float *maps);
thaw_status thaw_advise_run(struct thaw_advise_work *w, const int *nodes, size_t node_count,
                            size_t count, const char *what, thaw_advise_use *use, void *user);

/* Fills m.pilots. */
thaw_status thaw_advise_pilots(struct thaw_advise_work *w);

/* Fill m.norms and m.norm_median. */
thaw_status thaw_advise_norms(struct thaw_advise_work *w);

/* The node whose output the new head's last layer reads, when the weights file has that layer as it
 * was trained, and everything before it was loaded; -1 when not. */
int thaw_advise_classifier_input(const struct thaw_advise_work *w);
/* Fill what m says of the source from features of that node, (count, width), or of the bottleneck
 * with a source file. */
thaw_status thaw_advise_classifier(struct thaw_advise_work *w, const float *features);
thaw_status thaw_advise_means(struct thaw_advise_work *w, const float *features, size_t width);

#endif
