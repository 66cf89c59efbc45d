#include "train/feature_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/log.h"
#include "train/feed.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

size_t thaw_feature_value_bytes(enum thaw_cache_dtype dtype) {
    return dtype == THAW_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
}

size_t thaw_feature_cache_row_floats(const struct thaw_feature_cache *cache) {
    return (size_t)cache->c * (size_t)cache->h * (size_t)cache->w;
}

static size_t value_bytes(const struct thaw_feature_cache *cache) {
    return (size_t)cache->views * cache->count * thaw_feature_cache_row_floats(cache) *
           thaw_feature_value_bytes(cache->dtype);
}

void thaw_feature_cache_row(const struct thaw_feature_cache *cache, int view, size_t row,
                            float *ret_values) {
    size_t floats = thaw_feature_cache_row_floats(cache);
    size_t first = ((size_t)view * cache->count + row) * floats;
    if (cache->dtype == THAW_CACHE_F32) {
        memcpy(ret_values, (const float *)cache->values + first, floats * sizeof(float));
        return;
    }
    const uint16_t *halves = (const uint16_t *)cache->values + first;
    for (size_t i = 0; i < floats; i++)
        ret_values[i] = thaw_half_to_float(halves[i]);
}

void thaw_feature_cache_finish(struct thaw_feature_cache *cache) {
    thaw_feature_file_close(&cache->file);
    free(cache->memory);
    *cache = (struct thaw_feature_cache){0};
}

/* ---- computing ------------------------------------------------------------------------------ */

/* Everything that computing a cache needs. */
struct fill {
    const struct thaw_feature_options *o;
    struct thaw_feature_cache *cache;
    struct thaw_feed feed;
    thaw_exec *exec;
    struct thaw_feature_writer *writer; /* NULL: into cache->memory */
    uint32_t *rows;                     /* of this batch, then of the next */
    float *values;
    uint16_t *halves;
    size_t written_bytes;
};

static thaw_status round_to_half(const struct fill *f, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = f->values[i];
        if (isfinite(value) && fabsf(value) >= THAW_HALF_OVERFLOW)
            return thaw_hint(thaw_fail(THAW_ERROR_INPUT,
                                       "the features at %s have a value of %g: f16 ends at 65504",
                                       f->o->graph->nodes[f->o->node].name, (double)value),
                             "cache: {dtype: f32}");
        f->halves[i] = thaw_half_from_float(value);
    }
    return THAW_OK;
}

static thaw_status store(struct fill *f, int count) {
    size_t floats = (size_t)count * thaw_feature_cache_row_floats(f->cache);
    size_t size_bytes = floats * thaw_feature_value_bytes(f->o->dtype);
    const void *bytes = f->values;
    if (f->o->dtype == THAW_CACHE_F16) {
        THAW_TRY(round_to_half(f, floats));
        bytes = f->halves;
    }
    if (f->writer)
        return thaw_feature_writer_write(f->writer, bytes, size_bytes);
    memcpy((char *)f->cache->memory + f->written_bytes, bytes, size_bytes);
    f->written_bytes += size_bytes;
    return THAW_OK;
}

static int batch_at(const struct fill *f, size_t first, uint32_t *rows) {
    size_t left = first < f->o->count ? f->o->count - first : 0;
    int count = left < (size_t)f->o->batch ? (int)left : f->o->batch;
    for (int i = 0; i < count; i++)
        rows[i] = (uint32_t)(first + (size_t)i);
    return count;
}

static thaw_status fill_batch(struct fill *f, int view, size_t first) {
    const struct thaw_feature_options *o = f->o;
    int count = batch_at(f, first, f->rows);
    THAW_TRY(thaw_feed_fill(&f->feed, o->photos, f->rows, count, (uint32_t)view, o->views > 0,
                            thaw_exec_input(f->exec), NULL));
    int next = batch_at(f, first + (size_t)count, f->rows);
    THAW_TRY(thaw_feed_announce(&f->feed, o->photos, f->rows, next));
    struct thaw_op_step step = {.batch = count};
    THAW_TRY(thaw_exec_forward(f->exec, &step));
    THAW_TRY(
        thaw_tensor_read(o->graph->device, thaw_exec_output(f->exec, o->node), count, f->values));
    return store(f, count);
}

static thaw_status fill_views(struct fill *f) {
    const struct thaw_feature_options *o = f->o;
    size_t total = o->count * (size_t)f->cache->views, batch = (size_t)o->batch;
    for (int view = 0; view < f->cache->views; view++)
        for (size_t first = 0; first < o->count; first += batch) {
            THAW_TRY(fill_batch(f, view, first));
            size_t left = o->count - first;
            size_t done = (size_t)view * o->count + first + (left < batch ? left : batch);
            if (o->progress)
                THAW_TRY(o->progress(o->user, done, total));
        }
    return THAW_OK;
}

static thaw_status compute(const struct thaw_feature_options *o, struct thaw_feature_cache *cache,
                           struct thaw_feature_writer *writer) {
    struct thaw_arena arena = {0};
    size_t floats = (size_t)o->batch * thaw_feature_cache_row_floats(cache);
    struct fill f = {
        .o = o,
        .cache = cache,
        .writer = writer,
        .feed = {.device = o->graph->device, .loader = o->loader, .augmenter = o->augmenter},
        .rows = thaw_arena_array(&arena, (size_t)o->batch, sizeof *f.rows),
        .values = thaw_arena_array(&arena, floats, sizeof *f.values),
        .halves = thaw_arena_array(&arena, floats, sizeof *f.halves)};
    struct thaw_exec_options options = {.batch = o->batch,
                                        .keep = &o->node,
                                        .keep_count = 1,
                                        .only_keep = true,
                                        .conv_candidate = o->conv_candidate};
    thaw_status status = f.rows && f.values && f.halves ? THAW_OK : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = thaw_exec_create(o->graph, &options, &f.exec);
    if (status == THAW_OK)
        status = fill_views(&f);
    thaw_exec_destroy(&f.exec);
    thaw_arena_finish(&arena);
    return status;
}

/* ---- in memory, on disk --------------------------------------------------------------------- */

static thaw_status open_in_memory(const struct thaw_feature_options *o,
                                  struct thaw_feature_cache *cache) {
    size_t size_bytes = value_bytes(cache);
    cache->memory = malloc(size_bytes + 1);
    if (!cache->memory)
        return thaw_hint(thaw_fail(THAW_ERROR_MEMORY, "the feature cache needs %.1f GiB of memory",
                                   (double)size_bytes / GIB),
                         "cache: {dtype: f16} takes half, cache: {disk: true} none; or set "
                         "cache: false in the stage");
    THAW_TRY(compute(o, cache, NULL));
    cache->values = cache->memory;
    cache->computed = true;
    return THAW_OK;
}

static thaw_status compute_file(const struct thaw_feature_options *o, const char *folder,
                                const char *key, struct thaw_feature_writer *writer,
                                struct thaw_feature_cache *cache) {
    thaw_status status = compute(o, cache, writer);
    if (status == THAW_OK)
        status = thaw_feature_writer_commit(writer);
    thaw_feature_writer_abandon(writer);
    if (status == THAW_OK)
        status = thaw_feature_file_open(folder, key, value_bytes(cache), &cache->file);
    if (status == THAW_OK && !cache->file.open)
        status =
            thaw_hint(thaw_fail(THAW_ERROR_IO, "%s: the features just written are gone", folder),
                      "cache: {disk: false} keeps them in memory");
    cache->computed = true;
    return status;
}

static thaw_status open_on_disk(const struct thaw_feature_options *o, const char *folder,
                                uint64_t limit, const char *key, struct thaw_feature_cache *cache) {
    uint64_t size_bytes = thaw_feature_file_bytes(key, value_bytes(cache));
    struct thaw_feature_writer writer = {.file = {.fd = -1}};
    THAW_TRY(thaw_feature_file_open(folder, key, value_bytes(cache), &cache->file));
    if (cache->file.open)
        return THAW_OK;
    if (size_bytes > limit) {
        thaw_log(THAW_LOG_WARNING,
                 "features of %.4g GiB are kept in memory: the limit of %s is %.4g GiB "
                 "(THAW_CACHE_LIMIT)",
                 (double)size_bytes / GIB, folder, (double)limit / GIB);
        return open_in_memory(o, cache);
    }
    THAW_TRY(thaw_feature_shrink(folder, limit - size_bytes, NULL));
    thaw_status status = thaw_feature_writer_open(folder, key, value_bytes(cache), &writer);
    if (status == THAW_OK)
        return compute_file(o, folder, key, &writer, cache);
    if (status != THAW_ERROR_IO || thaw_error_hint()[0]) /* a full disk has a hint */
        return status;
    thaw_log(THAW_LOG_WARNING, "features are kept in memory: %s", thaw_error_message());
    return open_in_memory(o, cache);
}

static thaw_status open_cache(const struct thaw_feature_options *o, struct thaw_arena *arena,
                              struct thaw_text *key, struct thaw_feature_cache *cache) {
    char *folder = NULL;
    if (!o->disk)
        return open_in_memory(o, cache);
    thaw_status status = thaw_feature_folder(arena, &folder);
    if (status == THAW_ERROR_MEMORY)
        return status;
    if (status != THAW_OK) {
        thaw_log(THAW_LOG_WARNING, "features are kept in memory: %s", thaw_error_message());
        return open_in_memory(o, cache);
    }
    uint64_t limit = 0;
    THAW_TRY(thaw_feature_limit(folder, &limit));
    if (!limit)
        return open_in_memory(o, cache);
    THAW_TRY(thaw_feature_key(o, key));
    THAW_TRY(open_on_disk(o, folder, limit, key->text, cache));
    if (cache->file.open)
        cache->values = cache->file.values;
    return THAW_OK;
}

thaw_status thaw_feature_cache_open(const struct thaw_feature_options *options,
                                    struct thaw_feature_cache *ret_cache) {
    const struct thaw_layout *layout = &options->graph->nodes[options->node].out;
    struct thaw_feature_cache cache = {.c = layout->c,
                                       .h = layout->h,
                                       .w = layout->w,
                                       .views = options->views ? options->views : 1,
                                       .photos = options->photos,
                                       .count = options->count,
                                       .dtype = options->dtype};
    struct thaw_arena arena = {0};
    struct thaw_text key = {0};
    thaw_status status = open_cache(options, &arena, &key, &cache);
    thaw_text_finish(&key);
    thaw_arena_finish(&arena);
    if (status != THAW_OK)
        thaw_feature_cache_finish(&cache);
    else
        *ret_cache = cache;
    return status;
}
