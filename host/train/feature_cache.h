/* The output of one node for every photo of a set, computed once: what lies below the trained part
 * of a stage. On disk, mapped, and shared by all experiments and processes that ask for the same
 * (feature_file.h); or in memory.
 *
 *   cache: true                                # as {views: 0, dtype: f32, disk: true}
 *   cache: {views: 4, dtype: f16, disk: false}
 *
 * views: augmented copies of each training photo, the augmenter's draws of epochs 0 .. views - 1;
 * 0: the plain photo. dtype: f16 halves the size; values are rounded to nearest even, also in the
 * run that computes them, and one beyond 65504 is an error. disk: false keeps them in memory alone.
 *
 * The same features means: the same key text. It has
 *   - the model's name, and each node at or below the cut with its attributes as written, shape,
 *     inputs and the hash of each of its tensors as they are now: fine-tuned ones give another key,
 *     those above do not count
 *   - what the network expects of a picture (size, mean, std, resize)
 *   - the photos' pixels, in order; with views also their ids, the seed and the list `augment`
 *   - what decides about single bits: device, driver and Thaw build, channel block, batch, forced
 *     convolution, remembered measurements
 *   - shape and dtype of the values
 * so that a run which finds its features gives the same bits as the one that computed them. That is
 * why a stage with another batch has features of its own: kernels, and with them the order of sums,
 * are chosen by it.
 *
 * Where there is no cache folder, it can't be written, or the features would take more than its
 * limit (THAW_CACHE_LIMIT), they are kept in memory, with a warning. A full disk is an error. */
#ifndef THAW_TRAIN_FEATURE_CACHE_H
#define THAW_TRAIN_FEATURE_CACHE_H

#include "data/augment.h"
#include "data/loader.h"
#include "graph/exec.h"
#include "train/config.h"
#include "train/feature_file.h"

/* Values are (views, photos, C, H, W), of floats or halves. */
struct thaw_feature_cache {
    int c, h, w;
    int views;              /* at least 1 */
    const uint32_t *photos; /* photo ids of the loader, in the order of the rows; borrowed */
    size_t count;           /* photos */
    enum thaw_cache_dtype dtype;
    const void *values;
    bool computed;                 /* now; else found on disk */
    struct thaw_feature_file file; /* one of the two holds them */
    void *memory;
};

/* Called now and then with (done, total); a status other than THAW_OK ends the work with it. */
typedef thaw_status thaw_feed_progress(void *user, size_t done, size_t total);

/* What to compute; all borrowed. */
struct thaw_feature_options {
    struct thaw_graph *graph; /* on the device, with its stage applied */
    int node;
    thaw_loader *loader;
    thaw_augmenter *augmenter; /* of `input`, and of `augment` and `seed` where there are views */
    const struct thaw_input_spec *input;
    const thaw_yaml *augment; /* the list as written, or NULL; the same for views == 0 */
    uint64_t seed;
    const uint32_t *photos;
    size_t count;
    int views; /* 0: once, without augmentation */
    int batch;
    const char *conv_candidate;
    enum thaw_cache_dtype dtype;
    bool disk;
    thaw_feed_progress *progress; /* or NULL */
    void *user;
};

/* Finds the features on disk or computes them, batch by batch into the file. Interrupted or failed,
 * it leaves nothing behind. THAW_ERROR_IO with the bytes needed on a full disk; THAW_ERROR_INPUT
 * for a value that is too large for f16; THAW_ERROR_MEMORY. */
thaw_status thaw_feature_cache_open(const struct thaw_feature_options *options,
                                    struct thaw_feature_cache *ret_cache);
void thaw_feature_cache_finish(struct thaw_feature_cache *cache); /* accepts {0} */

size_t thaw_feature_cache_row_floats(const struct thaw_feature_cache *cache);
/* Copies what `view` of the photo at position `row` gave: row_floats values. */
void thaw_feature_cache_row(const struct thaw_feature_cache *cache, int view, size_t row,
                            float *ret_values);
size_t thaw_feature_value_bytes(enum thaw_cache_dtype dtype);

/* The key text of what the options ask for. */
thaw_status thaw_feature_key(const struct thaw_feature_options *options, struct thaw_text *text);

#endif
