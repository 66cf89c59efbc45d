/* Batches for an executable: photos through augmentation, or features that a frozen part gave once.
 */
#ifndef THAW_TRAIN_FEED_H
#define THAW_TRAIN_FEED_H

#include "data/augment.h"
#include "data/loader.h"
#include "graph/exec.h"

/* The output of one node for every photo of a set, in host memory: (views, photos, C, H, W). */
struct thaw_feature_cache {
    int c, h, w;
    int views;
    const uint32_t *photos; /* photo ids of the loader, in the order of the rows; borrowed */
    size_t count;
    float *values;
};

struct thaw_feed {
    thaw_device *device;
    thaw_loader *loader;
    thaw_augmenter *augmenter;
    const struct thaw_feature_cache *cache; /* NULL: photos */
    uint64_t seed;
};

/* The members of a set, or those of them that `rows` chooses: a fold. Borrowed. */
struct thaw_members {
    const struct thaw_feed *feed;
    const uint32_t *photos; /* photo ids of the loader */
    const int *labels;      /* class of each of the photos */
    const uint32_t *rows;   /* positions in both; NULL: all of them in order */
    size_t count;           /* how many: of the rows, or of the photos */
};
static inline uint32_t thaw_members_row(const struct thaw_members *members, size_t i) {
    return members->rows ? members->rows[i] : (uint32_t)i;
}

/* Called now and then with (done, total); a status other than THAW_OK ends the work with it. */
typedef thaw_status thaw_feed_progress(void *user, size_t done, size_t total);

/* Runs the graph up to `node` for `count` photos, `views` times with the augmenter's draws of
 * epochs 0 .. views - 1, or once without augmentation for views = 0. */
thaw_status thaw_feature_cache_build(struct thaw_graph *graph, int node, thaw_loader *loader,
                                     thaw_augmenter *augmenter, const uint32_t *photos,
                                     size_t count, int views, int batch, const char *conv_candidate,
                                     thaw_feed_progress *progress, void *user,
                                     struct thaw_feature_cache *ret_cache);
void thaw_feature_cache_finish(struct thaw_feature_cache *cache); /* accepts {0} */
size_t thaw_feature_cache_bytes(const struct thaw_feature_cache *cache);

/* Fills the first `count` images of `input` with the set's members `rows` (positions in `photos`),
 * as drawn for `epoch`. mix_partner and mix_lambda (count values, may be NULL) say what mixup did.
 */
struct thaw_mix {
    int *partner;  /* position in the batch */
    float *lambda; /* share of the image itself; 1: not mixed */
};
thaw_status thaw_feed_fill(const struct thaw_feed *feed, const uint32_t *photos,
                           const uint32_t *rows, int count, uint32_t epoch, bool training,
                           const struct thaw_tensor *input, struct thaw_mix *mix);

#endif
