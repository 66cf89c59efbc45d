/* Batches for an executable: photos through augmentation, or features that a frozen part gave once
 * (feature_cache.h). */
#ifndef THAW_TRAIN_FEED_H
#define THAW_TRAIN_FEED_H

#include "data/augment.h"
#include "data/loader.h"
#include "graph/exec.h"
#include "train/feature_cache.h"

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
/* A part of a batch: what is filled, from the first image of `input` on, is as when the batch is
 * filled whole. mix still tells of the whole batch. */
struct thaw_feed_part {
    int first, count;          /* within the batch */
    struct thaw_image *images; /* room for those of the batch; parts go in order from 0 on */
};
thaw_status thaw_feed_fill_part(const struct thaw_feed *feed, const uint32_t *photos,
                                const uint32_t *rows, int count, uint32_t epoch,
                                const struct thaw_feed_part *part, const struct thaw_tensor *input,
                                struct thaw_mix *mix);
/* Says which rows the next call of fill will ask for, right after this one: photos that are not in
 * memory are decoded meanwhile. Costs time at most where it is wrong; count 0: nothing is next. */
thaw_status thaw_feed_announce(const struct thaw_feed *feed, const uint32_t *photos,
                               const uint32_t *rows, int count);

#endif
