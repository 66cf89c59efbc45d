/* Statistics of norm layers over a whole set of photos, in place of the moving averages that
 * training leaves: after weights were averaged, or where the photos differ from those that the
 * statistics were made from.
 *
 * Every layer that is chosen normalises by its batch's statistics, as in training (so a layer sees
 * what the ones before it make of the photos with *their* batch statistics); the others by their
 * running ones. Over all batches, weighted by their sizes, with the batches' means apart (Chan,
 * Golub and LeVeque, 1979):
 *
 *   mean = sum n_b mean_b / N       var = (sum M2_b + sum n_b (mean_b - mean)^2) / (N - 1)
 *
 * PyTorch's update_bn takes the plain mean over batches of their variances, which leaves out how
 * the batches' means differ. */
#ifndef THAW_TRAIN_NORM_STATS_H
#define THAW_TRAIN_NORM_STATS_H

#include "train/feed.h"

struct thaw_norm_refresh {
    struct thaw_graph *graph;
    const bool *nodes; /* the layers, an entry for each node: those with running statistics */
    int start;         /* where `members` enter the graph: thaw_graph_cut(), or 0 for photos */
    struct thaw_members members;
    bool augment; /* photos as training shows them in `epoch` */
    uint32_t epoch;
    int batch;
    const char *conv_candidate;   /* forced, or NULL */
    uint64_t seed;                /* of dropout below the layers */
    thaw_feed_progress *progress; /* or NULL */
    void *user;
};

/* Replaces the running statistics of the layers. On failure, also when `progress` ends it, they are
 * as before. THAW_ERROR_INPUT when a layer sees a single value of a channel. */
thaw_status thaw_norm_refresh(const struct thaw_norm_refresh *refresh);
/* What it needs of the device besides the graph; members, progress and seed are not looked at. */
thaw_status thaw_norm_refresh_memory(const struct thaw_norm_refresh *refresh,
                                     struct thaw_exec_memory *ret_memory);

/* Channels whose running variance is so small that the layer's eps outweighs it, among those of all
 * norm layers: their output is a constant as long as the weights below stay as they are. */
struct thaw_norm_dead {
    size_t channels, dead;
    int layers;        /* that have some */
    const char *worst; /* the layer with the most, NULL when there is none */
    size_t worst_dead;
};
/* "130 of 21,008 channels ...", for people; appends nothing when there is none. */
void thaw_norm_dead_text(const struct thaw_norm_dead *dead, struct thaw_text *text);
thaw_status thaw_norm_find_dead(const struct thaw_graph *graph, struct thaw_norm_dead *ret_dead);

#endif
