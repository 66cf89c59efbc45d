/* Decoded photos, by index.
 *
 * Opening decodes every photo once, in parallel: broken ones are found before anything is trained,
 * and what fits into memory stays there. The rest is decoded again when a batch asks for it, ahead
 * of time where the caller says what comes next. What a batch holds does not depend on threads,
 * memory or time. */
#ifndef THAW_DATA_LOADER_H
#define THAW_DATA_LOADER_H

#include <signal.h>

#include "data/dataset.h"
#include "data/image.h"

struct thaw_loader_options {
    struct thaw_image_request image;
    int workers;               /* threads; 0: the cores */
    uint64_t memory_bytes;     /* for pixels that stay; 0: half of what is free */
    bool skip_broken;          /* a photo that cannot be decoded leaves its set, with a warning */
    bool sets[THAW_SET_COUNT]; /* which to load */

    const volatile sig_atomic_t *interrupt; /* NULL, or stops opening when it is raised */
    /* NULL, or called by the opening thread now and then */
    void (*progress)(void *user, size_t done, size_t total);
    void *progress_user;
};
/* The options that the section `data` asks for; training and validation set. */
struct thaw_loader_options thaw_loader_options_make(const struct thaw_dataset_config *config,
                                                    const struct thaw_image_request *image);

typedef struct thaw_loader thaw_loader;

/* The dataset is borrowed and must outlive the loader. A broken photo is THAW_ERROR_INPUT with its
 * path (the first in the dataset's order), unless they are skipped: then a set or a class that has
 * none left for training is. THAW_INTERRUPTED when `interrupt` is raised. */
thaw_status thaw_loader_open(const struct thaw_dataset *dataset,
                             const struct thaw_loader_options *options, thaw_loader **ret_loader);
void thaw_loader_destroy(thaw_loader **loader); /* accepts NULL and *loader == NULL */

/* The photos of a set, as indices into dataset->photos in the dataset's order, without the broken
 * ones. */
const uint32_t *thaw_loader_set(const thaw_loader *loader, enum thaw_set set, size_t *ret_count);
/* How many broken photos were skipped. */
size_t thaw_loader_skipped(const thaw_loader *loader);
/* Whether every photo is in memory. */
bool thaw_loader_is_resident(const thaw_loader *loader);

/* The pixels of `count` photos, by index into dataset->photos; an index may come up twice.
 * `ret_images` are views, valid until the next call of batch or destroy. One thread at a time.
 * THAW_ERROR_INPUT when a file has been changed or removed since opening. */
thaw_status thaw_loader_batch(thaw_loader *loader, const uint32_t *indices, size_t count,
                              struct thaw_image *ret_images);
/* Tells what the next batch will be, right after the current one was asked for; decoding starts in
 * the background. A wrong or missing announcement costs time only. */
thaw_status thaw_loader_prefetch(thaw_loader *loader, const uint32_t *indices, size_t count);

/* The content of a set: of each photo's pixels as decoded, in order. A cache of features computed
 * from them is keyed by it. */
uint64_t thaw_loader_hash(const thaw_loader *loader, enum thaw_set set);
/* The same of any photos, by index into dataset->photos. */
uint64_t thaw_loader_hash_photos(const thaw_loader *loader, const uint32_t *indices, size_t count);

#endif
