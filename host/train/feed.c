#include "train/feed.h"

#include <stdlib.h>

#include "core/rng.h"

/* Which of the views an image shows in an epoch. */
static int choose_view(const struct thaw_feed *feed, uint32_t epoch, uint32_t photo) {
    if (feed->cache->views == 1)
        return 0;
    struct thaw_rng rng = thaw_rng_init(feed->seed, THAW_RNG_AUGMENT, epoch, photo);
    return (int)thaw_rng_below(&rng, (uint32_t)feed->cache->views);
}

static thaw_status fill_cached(const struct thaw_feed *feed, const uint32_t *photos,
                               const uint32_t *rows, int count, uint32_t epoch,
                               const struct thaw_tensor *input, thaw_device *device) {
    const struct thaw_feature_cache *cache = feed->cache;
    size_t floats = thaw_feature_cache_row_floats(cache);
    float *values = malloc((size_t)count * floats * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for a batch of features");
    for (int i = 0; i < count; i++) {
        int view = choose_view(feed, epoch, photos[rows[i]]);
        thaw_feature_cache_row(cache, view, rows[i], values + (size_t)i * floats);
    }
    thaw_status status = thaw_tensor_write(device, input, count, values);
    free(values);
    return status;
}

static thaw_status fill_photos(const struct thaw_feed *feed, const uint32_t *photos,
                               const uint32_t *rows, struct thaw_augment_batch *batch,
                               struct thaw_image *images, const struct thaw_tensor *input,
                               struct thaw_mix *mix) {
    struct thaw_arena arena = {0};
    size_t count = (size_t)batch->count;
    uint32_t *ids = thaw_arena_array(&arena, count, sizeof *ids);
    if (!images)
        images = thaw_arena_array(&arena, count, sizeof *images);
    thaw_status status = ids && images ? THAW_OK : THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == THAW_OK; i++)
        ids[i] = photos[rows[i]];
    if (status == THAW_OK && !batch->first) /* later parts: they are there */
        status = thaw_loader_batch(feed->loader, ids, count, images);
    batch->images = images;
    batch->ids = ids;
    if (status == THAW_OK)
        status = thaw_augmenter_run(feed->augmenter, batch, input, mix ? mix->partner : NULL,
                                    mix ? mix->lambda : NULL);
    thaw_arena_finish(&arena);
    return status;
}

static void mix_nothing(struct thaw_mix *mix, int count) {
    for (int i = 0; mix && i < count; i++) {
        mix->partner[i] = i;
        mix->lambda[i] = 1;
    }
}

thaw_status thaw_feed_fill(const struct thaw_feed *feed, const uint32_t *photos,
                           const uint32_t *rows, int count, uint32_t epoch, bool training,
                           const struct thaw_tensor *input, struct thaw_mix *mix) {
    struct thaw_augment_batch batch = {.count = count, .epoch = epoch, .augment = training};
    if (!feed->cache)
        return fill_photos(feed, photos, rows, &batch, NULL, input, mix);
    mix_nothing(mix, count);
    return fill_cached(feed, photos, rows, count, epoch, input, feed->device);
}

thaw_status thaw_feed_fill_part(const struct thaw_feed *feed, const uint32_t *photos,
                                const uint32_t *rows, int count, uint32_t epoch,
                                const struct thaw_feed_part *part, const struct thaw_tensor *input,
                                struct thaw_mix *mix) {
    struct thaw_augment_batch batch = {
        .count = count, .epoch = epoch, .augment = true, .first = part->first, .part = part->count};
    if (!feed->cache)
        return fill_photos(feed, photos, rows, &batch, part->images, input, mix);
    mix_nothing(mix, count);
    return fill_cached(feed, photos, rows + part->first, part->count, epoch, input, feed->device);
}

thaw_status thaw_feed_announce(const struct thaw_feed *feed, const uint32_t *photos,
                               const uint32_t *rows, int count) {
    if (feed->cache || !count || thaw_loader_is_resident(feed->loader))
        return THAW_OK;
    uint32_t *ids = malloc((size_t)count * sizeof *ids);
    if (!ids)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for a batch");
    for (int i = 0; i < count; i++)
        ids[i] = photos[rows[i]];
    thaw_status status = thaw_loader_prefetch(feed->loader, ids, (size_t)count);
    free(ids);
    return status;
}
