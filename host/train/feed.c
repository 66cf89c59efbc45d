#include "train/feed.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* ---- the cache ------------------------------------------------------------------------------ */

static size_t row_floats(const struct thaw_feature_cache *cache) {
    return (size_t)cache->c * (size_t)cache->h * (size_t)cache->w;
}

size_t thaw_feature_cache_bytes(const struct thaw_feature_cache *cache) {
    return (size_t)cache->views * cache->count * row_floats(cache) * sizeof(float);
}

void thaw_feature_cache_finish(struct thaw_feature_cache *cache) {
    free(cache->values);
    *cache = (struct thaw_feature_cache){0};
}

/* Everything that computing a cache needs. */
struct build {
    struct thaw_graph *graph;
    thaw_exec *exec;
    int node, batch;
    bool augmented;
    struct thaw_feed feed;
    struct thaw_feature_cache cache;
    uint32_t *rows;
};

static thaw_status build_batch(struct build *b, int view, size_t first) {
    size_t left = b->cache.count - first;
    int count = left < (size_t)b->batch ? (int)left : b->batch;
    for (int i = 0; i < count; i++)
        b->rows[i] = (uint32_t)(first + (size_t)i);
    THAW_TRY(thaw_feed_fill(&b->feed, b->cache.photos, b->rows, count, (uint32_t)view, b->augmented,
                            thaw_exec_input(b->exec), NULL));
    struct thaw_op_step step = {.batch = count};
    THAW_TRY(thaw_exec_forward(b->exec, &step));
    float *values =
        b->cache.values + ((size_t)view * b->cache.count + first) * row_floats(&b->cache);
    return thaw_tensor_read(b->graph->device, thaw_exec_output(b->exec, b->node), count, values);
}

static thaw_status build_all(struct build *b, thaw_feed_progress *progress, void *user) {
    size_t total = b->cache.count * (size_t)b->cache.views;
    for (int view = 0; view < b->cache.views; view++)
        for (size_t first = 0; first < b->cache.count; first += (size_t)b->batch) {
            THAW_TRY(build_batch(b, view, first));
            size_t done = (size_t)view * b->cache.count + first + (size_t)b->batch;
            if (progress)
                THAW_TRY(progress(user, done < total ? done : total, total));
        }
    return THAW_OK;
}

thaw_status thaw_feature_cache_build(struct thaw_graph *graph, int node, thaw_loader *loader,
                                     thaw_augmenter *augmenter, const uint32_t *photos,
                                     size_t count, int views, int batch, const char *conv_candidate,
                                     thaw_feed_progress *progress, void *user,
                                     struct thaw_feature_cache *ret_cache) {
    const struct thaw_layout *layout = &graph->nodes[node].out;
    struct build b = {.graph = graph,
                      .node = node,
                      .batch = batch,
                      .augmented = views > 0,
                      .feed = {.device = graph->device, .loader = loader, .augmenter = augmenter},
                      .cache = {.c = layout->c,
                                .h = layout->h,
                                .w = layout->w,
                                .views = views ? views : 1,
                                .photos = photos,
                                .count = count}};
    struct thaw_exec_options options = {.batch = batch,
                                        .keep = &node,
                                        .keep_count = 1,
                                        .only_keep = true,
                                        .conv_candidate = conv_candidate};
    size_t size_bytes = thaw_feature_cache_bytes(&b.cache);
    b.cache.values = malloc(size_bytes + 1);
    b.rows = malloc((size_t)batch * sizeof *b.rows);
    thaw_status status = THAW_OK;
    if (!b.cache.values || !b.rows)
        status =
            thaw_hint(thaw_fail(THAW_ERROR_MEMORY, "the feature cache needs %.1f GiB of memory",
                                (double)size_bytes / (1 << 30)),
                      "set cache: false in the stage, or train fewer layers");
    if (status == THAW_OK)
        status = thaw_exec_create(graph, &options, &b.exec);
    if (status == THAW_OK)
        status = build_all(&b, progress, user);
    thaw_exec_destroy(&b.exec);
    free(b.rows);
    if (status != THAW_OK)
        thaw_feature_cache_finish(&b.cache);
    else
        *ret_cache = b.cache;
    return status;
}

/* ---- feeding -------------------------------------------------------------------------------- */

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
    size_t floats = row_floats(cache);
    float *values = malloc((size_t)count * floats * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for a batch of features");
    for (int i = 0; i < count; i++) {
        size_t view = (size_t)choose_view(feed, epoch, photos[rows[i]]);
        memcpy(values + (size_t)i * floats,
               cache->values + (view * cache->count + rows[i]) * floats, floats * sizeof *values);
    }
    thaw_status status = thaw_tensor_write(device, input, count, values);
    free(values);
    return status;
}

static thaw_status fill_photos(const struct thaw_feed *feed, const uint32_t *photos,
                               const uint32_t *rows, int count, uint32_t epoch, bool training,
                               const struct thaw_tensor *input, struct thaw_mix *mix) {
    struct thaw_arena arena = {0};
    uint32_t *ids = thaw_arena_array(&arena, (size_t)count, sizeof *ids);
    struct thaw_image *images = thaw_arena_array(&arena, (size_t)count, sizeof *images);
    thaw_status status = ids && images ? THAW_OK : THAW_ERROR_MEMORY;
    for (int i = 0; i < count && status == THAW_OK; i++)
        ids[i] = photos[rows[i]];
    if (status == THAW_OK)
        status = thaw_loader_batch(feed->loader, ids, (size_t)count, images);
    struct thaw_augment_batch batch = {
        .images = images, .ids = ids, .count = count, .epoch = epoch, .augment = training};
    if (status == THAW_OK)
        status = thaw_augmenter_run(feed->augmenter, &batch, input, mix ? mix->partner : NULL,
                                    mix ? mix->lambda : NULL);
    thaw_arena_finish(&arena);
    return status;
}

thaw_status thaw_feed_fill(const struct thaw_feed *feed, const uint32_t *photos,
                           const uint32_t *rows, int count, uint32_t epoch, bool training,
                           const struct thaw_tensor *input, struct thaw_mix *mix) {
    if (!feed->cache)
        return fill_photos(feed, photos, rows, count, epoch, training, input, mix);
    for (int i = 0; mix && i < count; i++) {
        mix->partner[i] = i;
        mix->lambda[i] = 1;
    }
    return fill_cached(feed, photos, rows, count, epoch, input, feed->device);
}
