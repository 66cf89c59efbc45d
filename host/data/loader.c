#include "data/loader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/memory.h"

#define REFRESH_NS                                                                                 \
    50000000        /* how often opening looks at the interrupt flag and reports progress          \
                     */
#define NAMED_MAX 5 /* broken photos named in the warning */
#define WORKERS_MAX 256

enum state {
    ABSENT,   /* not in memory */
    QUEUED,   /* in the queue; decoded if somebody still wants it then */
    DECODING, /* a worker has it */
    READY,    /* in memory while used */
    FAILED,   /* `message` says why */
};

struct entry {
    struct thaw_image image;
    enum state state;
    bool stays; /* in memory for good */
    int uses;   /* by the current and the announced batch */
    char *message;
    uint64_t hash; /* of the pixels, from opening */
};

/* Indices that hold a use each. */
struct hold {
    uint32_t *indices;
    size_t count, capacity;
};

struct thaw_loader {
    const struct thaw_dataset *dataset;
    struct thaw_loader_options options;
    struct entry *entries; /* one for each photo of the dataset */
    uint32_t *sets[THAW_SET_COUNT];
    size_t set_counts[THAW_SET_COUNT];
    size_t skipped, absent; /* photos that are broken; that did not fit */
    uint64_t used_bytes;    /* by images that stay */

    pthread_mutex_t lock;   /* of everything below, and of the entries */
    pthread_cond_t work;    /* the queue has grown, or the end has come */
    pthread_cond_t changed; /* an entry is READY or FAILED */
    pthread_t threads[WORKERS_MAX];
    int thread_count;
    uint32_t *queue; /* a ring of dataset->count indices: each is in it once at most */
    size_t queue_head, queue_count;
    struct hold current, next;
    size_t done, failed; /* photos decoded while opening, and those that could not be */
    int busy;            /* workers that decode now */
    bool is_opening;     /* results stay if they fit, and are counted */
    bool is_ending;
};

/* ---- workers ---------------------------------------------------------------------------------*/

static bool is_stopped(const struct thaw_loader *loader) {
    return loader->options.interrupt && *loader->options.interrupt;
}

static void enqueue(struct thaw_loader *loader, uint32_t index) {
    size_t tail = (loader->queue_head + loader->queue_count++) % loader->dataset->count;
    loader->queue[tail] = index;
    loader->entries[index].state = QUEUED;
    pthread_cond_signal(&loader->work);
}

static uint32_t dequeue(struct thaw_loader *loader) {
    uint32_t index = loader->queue[loader->queue_head];
    loader->queue_head = (loader->queue_head + 1) % loader->dataset->count;
    loader->queue_count--;
    return index;
}

static void let_go(struct entry *entry) {
    thaw_image_finish(&entry->image);
    entry->state = ABSENT;
}

/* While opening, each result is hashed and kept if there is room. */
static void settle_opening(struct thaw_loader *loader, struct entry *entry) {
    loader->done++;
    loader->failed += entry->state == FAILED;
    if (entry->state == FAILED)
        return;
    uint64_t size_bytes = (uint64_t)entry->image.width * (uint64_t)entry->image.height *
                          (uint64_t)entry->image.channels;
    entry->hash = thaw_image_hash(&entry->image);
    entry->stays = loader->used_bytes + size_bytes <= loader->options.memory_bytes;
    if (entry->stays) {
        loader->used_bytes += size_bytes;
    } else {
        loader->absent++;
        let_go(entry);
    }
}

static thaw_status decode_photo(const struct thaw_loader *loader, uint32_t index,
                                struct thaw_image *ret_image) {
    const struct thaw_photo *photo = &loader->dataset->photos[index];
    const struct thaw_image_request *request = &loader->options.image;
    return photo->raster.pixels
               ? thaw_image_from_raster(&photo->raster, photo->name, request, ret_image)
               : thaw_image_decode(photo->path, request, ret_image);
}

/* Decodes one photo; the lock is held before and after, not meanwhile. */
static void decode(struct thaw_loader *loader, uint32_t index) {
    struct entry *entry = &loader->entries[index];
    struct thaw_image image = {0};
    entry->state = DECODING;
    loader->busy++;
    pthread_mutex_unlock(&loader->lock);
    thaw_status status = decode_photo(loader, index, &image);
    pthread_mutex_lock(&loader->lock);
    loader->busy--;
    if (status == THAW_OK) {
        entry->image = image;
        entry->state = READY;
    } else {
        entry->message = strdup(thaw_error_message());
        entry->state = FAILED;
    }
    if (loader->is_opening)
        settle_opening(loader, entry);
    else if (entry->state == READY && !entry->uses)
        let_go(entry);
    pthread_cond_broadcast(&loader->changed);
}

static void *work(void *user) {
    struct thaw_loader *loader = user;
    bool has_decoded = false; /* an interrupt may come before the first photo */
    pthread_mutex_lock(&loader->lock);
    while (!loader->is_ending) {
        if (!loader->queue_count) {
            pthread_cond_wait(&loader->work, &loader->lock);
            continue;
        }
        uint32_t index = dequeue(loader);
        if (loader->is_opening || loader->entries[index].uses) {
            decode(loader, index);
            has_decoded = true;
        } else {
            loader->entries[index].state = ABSENT; /* nobody wants it any more */
        }
    }
    pthread_mutex_unlock(&loader->lock);
    if (has_decoded)
        thaw_image_thread_finish();
    return NULL;
}

static thaw_status start_workers(struct thaw_loader *loader) {
    int wanted = loader->options.workers;
    for (int i = 0; i < wanted; i++) {
        int code = pthread_create(&loader->threads[i], NULL, work, loader);
        if (code && !i)
            return thaw_fail(THAW_ERROR_RUNTIME, "cannot start a thread: %s", strerror(code));
        if (code)
            break; /* fewer will do */
        loader->thread_count++;
    }
    return THAW_OK;
}

static void end_workers(struct thaw_loader *loader) {
    pthread_mutex_lock(&loader->lock);
    loader->is_ending = true;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->thread_count; i++)
        pthread_join(loader->threads[i], NULL);
    loader->thread_count = 0;
}

/* ---- opening ---------------------------------------------------------------------------------*/

static int core_count(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (int)cores;
}

struct thaw_loader_options thaw_loader_options_make(const struct thaw_dataset_config *config,
                                                    const struct thaw_image_request *image) {
    return (struct thaw_loader_options){.image = *image,
                                        .workers = config->workers,
                                        .memory_bytes = (uint64_t)config->memory_mib << 20,
                                        .skip_broken = config->skip_broken,
                                        .sets = {[THAW_SET_TRAIN] = true, [THAW_SET_VAL] = true}};
}

static bool is_wanted(const struct thaw_loader *loader, size_t index) {
    return loader->options.sets[loader->dataset->photos[index].set];
}

/* The first failure in the queue's order: whatever was queued before it has been begun, so that no
 * earlier one can turn up after all workers have come to rest. */
static const struct entry *first_failure(const struct thaw_loader *loader) {
    for (size_t i = 0; i < loader->dataset->count; i++)
        if (loader->entries[i].state == FAILED)
            return &loader->entries[i];
    return NULL;
}

static void wait_briefly(struct thaw_loader *loader) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += REFRESH_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&loader->changed, &loader->lock, &until);
}

/* Waits until every photo has been decoded, or until there is a reason to stop. */
static void wait_opened(struct thaw_loader *loader, size_t total) {
    const struct thaw_loader_options *options = &loader->options;
    size_t reported = 0;
    while (loader->done < total && !is_stopped(loader)) {
        wait_briefly(loader);
        if (!options->skip_broken && loader->failed)
            break;
        if (options->progress && loader->done > reported) {
            reported = loader->done;
            pthread_mutex_unlock(&loader->lock);
            options->progress(options->progress_user, reported, total);
            pthread_mutex_lock(&loader->lock);
        }
    }
    loader->queue_count = 0;
    while (loader->busy)
        pthread_cond_wait(&loader->changed, &loader->lock);
}

static thaw_status decode_all(struct thaw_loader *loader) {
    size_t total = 0;
    pthread_mutex_lock(&loader->lock);
    loader->is_opening = true;
    for (size_t i = 0; i < loader->dataset->count; i++)
        if (is_wanted(loader, i)) {
            enqueue(loader, (uint32_t)i);
            total++;
        }
    wait_opened(loader, total);
    loader->is_opening = false;
    const struct entry *failure = first_failure(loader);
    pthread_mutex_unlock(&loader->lock);
    if (is_stopped(loader))
        return thaw_fail(THAW_INTERRUPTED, "interrupted while photos were decoded");
    if (failure && !loader->options.skip_broken)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s",
                                   failure->message ? failure->message : "out of memory"),
                         "`broken: skip` leaves out photos that cannot be decoded");
    return THAW_OK;
}

static void warn_skipped(const struct thaw_loader *loader) {
    struct thaw_text text = {0};
    size_t named = 0;
    for (size_t i = 0; i < loader->dataset->count; i++) {
        const struct entry *entry = &loader->entries[i];
        if (entry->state == FAILED && named++ < NAMED_MAX)
            thaw_text_append(&text, "%s%s", named > 1 ? "; " : "",
                             entry->message ? entry->message : "out of memory");
    }
    thaw_log(THAW_LOG_WARNING, "%zu broken photo%s skipped: %s%s", loader->skipped,
             loader->skipped == 1 ? "" : "s", text.text ? text.text : "",
             named > NAMED_MAX ? "; ..." : "");
    thaw_text_finish(&text);
}

/* Skipping must not leave a class untrained or the validation empty. */
static thaw_status check_left(const struct thaw_loader *loader) {
    const struct thaw_dataset *dataset = loader->dataset;
    for (int set = 0; set < THAW_SET_COUNT; set++)
        if (loader->options.sets[set] && dataset->set_counts[set] && !loader->set_counts[set])
            return thaw_fail(THAW_ERROR_INPUT, "every photo of the %s set is broken",
                             thaw_set_names[set]);
    for (size_t label = 0; label < dataset->class_count; label++) {
        bool had = false, has = false;
        for (size_t i = 0; i < dataset->count && !has; i++) {
            if (dataset->photos[i].label != (int)label || dataset->photos[i].set != THAW_SET_TRAIN)
                continue;
            had = true;
            has = loader->entries[i].state != FAILED;
        }
        if (loader->options.sets[THAW_SET_TRAIN] && had && !has)
            return thaw_fail(THAW_ERROR_INPUT, "every training photo of class '%s' is broken",
                             dataset->classes[label]);
    }
    return THAW_OK;
}

/* The sets, without what failed. */
static thaw_status make_sets(struct thaw_loader *loader) {
    const struct thaw_dataset *dataset = loader->dataset;
    for (int set = 0; set < THAW_SET_COUNT; set++) {
        loader->sets[set] = calloc(dataset->set_counts[set] + 1, sizeof *loader->sets[set]);
        if (!loader->sets[set])
            return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < dataset->count; i++) {
        enum thaw_set set = dataset->photos[i].set;
        if (!is_wanted(loader, i))
            continue;
        if (loader->entries[i].state == FAILED)
            loader->skipped++;
        else
            loader->sets[set][loader->set_counts[set]++] = (uint32_t)i;
    }
    if (!loader->skipped)
        return THAW_OK;
    warn_skipped(loader);
    return check_left(loader);
}

static thaw_status open_loader(struct thaw_loader *loader) {
    size_t count = loader->dataset->count;
    loader->entries = calloc(count, sizeof *loader->entries);
    loader->queue = calloc(count, sizeof *loader->queue);
    if (!loader->entries || !loader->queue)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(start_workers(loader));
    THAW_TRY(decode_all(loader));
    THAW_TRY(make_sets(loader));
    if (!loader->absent)
        end_workers(loader); /* nothing is left to decode */
    return THAW_OK;
}

thaw_status thaw_loader_open(const struct thaw_dataset *dataset,
                             const struct thaw_loader_options *options, thaw_loader **ret_loader) {
    struct thaw_loader *loader = calloc(1, sizeof *loader);
    if (!loader)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    loader->dataset = dataset;
    loader->options = *options;
    if (!loader->options.workers)
        loader->options.workers = core_count();
    if (loader->options.workers > WORKERS_MAX)
        loader->options.workers = WORKERS_MAX;
    if (!loader->options.memory_bytes)
        loader->options.memory_bytes = thaw_memory_available_bytes() / 2;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->changed, NULL);
    thaw_status status = open_loader(loader);
    if (status == THAW_OK)
        *ret_loader = loader;
    else
        thaw_loader_destroy(&loader);
    return status;
}

void thaw_loader_destroy(thaw_loader **loader_pointer) {
    struct thaw_loader *loader = loader_pointer ? *loader_pointer : NULL;
    if (!loader)
        return;
    end_workers(loader);
    for (size_t i = 0; loader->entries && i < loader->dataset->count; i++) {
        thaw_image_finish(&loader->entries[i].image);
        free(loader->entries[i].message);
    }
    for (int set = 0; set < THAW_SET_COUNT; set++)
        free(loader->sets[set]);
    free(loader->entries);
    free(loader->queue);
    free(loader->current.indices);
    free(loader->next.indices);
    pthread_cond_destroy(&loader->changed);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
    *loader_pointer = NULL;
}

/* ---- batches ---------------------------------------------------------------------------------*/

/* Once everything is in memory there is nobody left to decode the photos of sets that were not
 * loaded. */
static thaw_status check_loaded(const struct thaw_loader *loader, const uint32_t *indices,
                                size_t count) {
    for (size_t i = 0; i < count; i++)
        if (indices[i] >= loader->dataset->count ||
            (!loader->thread_count && !loader->entries[indices[i]].stays))
            return thaw_fail(THAW_ERROR_INPUT, "photo %u is not loaded", (unsigned)indices[i]);
    return THAW_OK;
}

/* Takes a use of each, and has what is absent decoded. A failure is tried again: the file may be
 * back. */
static thaw_status hold(struct thaw_loader *loader, struct hold *hold, const uint32_t *indices,
                        size_t count) {
    THAW_TRY(check_loaded(loader, indices, count));
    if (count > hold->capacity) {
        uint32_t *grown = realloc(hold->indices, count * sizeof *grown);
        if (!grown)
            return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        hold->indices = grown;
        hold->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &loader->entries[indices[i]];
        hold->indices[i] = indices[i];
        if (entry->stays)
            continue;
        entry->uses++;
        if (entry->state == FAILED) {
            free(entry->message);
            entry->message = NULL;
            entry->state = ABSENT;
        }
        if (entry->state == ABSENT)
            enqueue(loader, indices[i]);
    }
    hold->count = count;
    return THAW_OK;
}

static void release(struct thaw_loader *loader, struct hold *hold) {
    for (size_t i = 0; i < hold->count; i++) {
        struct entry *entry = &loader->entries[hold->indices[i]];
        if (!entry->stays && !--entry->uses && entry->state == READY)
            let_go(entry);
    }
    hold->count = 0;
}

/* Both holds of before are let go after the new one is taken: what they share is not decoded
 * twice. */
static thaw_status replace_current(struct thaw_loader *loader, const uint32_t *indices,
                                   size_t count) {
    struct hold fresh = {0};
    THAW_TRY(hold(loader, &fresh, indices, count));
    release(loader, &loader->current);
    release(loader, &loader->next);
    free(loader->current.indices);
    loader->current = fresh;
    return THAW_OK;
}

static thaw_status wait_batch(struct thaw_loader *loader, struct thaw_image *ret_images) {
    const struct hold *current = &loader->current;
    for (size_t i = 0; i < current->count; i++) {
        const struct entry *entry = &loader->entries[current->indices[i]];
        while (entry->state != READY && entry->state != FAILED)
            pthread_cond_wait(&loader->changed, &loader->lock);
        if (entry->state == FAILED)
            return thaw_fail(THAW_ERROR_INPUT, "%s",
                             entry->message ? entry->message : "out of memory");
    }
    for (size_t i = 0; i < current->count; i++)
        ret_images[i] = loader->entries[current->indices[i]].image;
    return THAW_OK;
}

thaw_status thaw_loader_batch(thaw_loader *loader, const uint32_t *indices, size_t count,
                              struct thaw_image *ret_images) {
    pthread_mutex_lock(&loader->lock);
    thaw_status status = replace_current(loader, indices, count);
    if (status == THAW_OK)
        status = wait_batch(loader, ret_images);
    pthread_mutex_unlock(&loader->lock);
    return status;
}

thaw_status thaw_loader_prefetch(thaw_loader *loader, const uint32_t *indices, size_t count) {
    if (!loader->absent)
        return THAW_OK;
    pthread_mutex_lock(&loader->lock);
    release(loader, &loader->next);
    thaw_status status = hold(loader, &loader->next, indices, count);
    pthread_mutex_unlock(&loader->lock);
    return status;
}

/* ---- questions -------------------------------------------------------------------------------*/

const uint32_t *thaw_loader_set(const thaw_loader *loader, enum thaw_set set, size_t *ret_count) {
    *ret_count = loader->set_counts[set];
    return loader->sets[set];
}

size_t thaw_loader_skipped(const thaw_loader *loader) {
    return loader->skipped;
}

bool thaw_loader_is_resident(const thaw_loader *loader) {
    return !loader->absent;
}

uint64_t thaw_loader_hash_photos(const thaw_loader *loader, const uint32_t *indices, size_t count) {
    uint64_t hash = (uint64_t)count;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *own = &loader->entries[indices[i]].hash;
        hash = thaw_hash64(own, sizeof *own, hash);
    }
    return hash;
}

uint64_t thaw_loader_hash(const thaw_loader *loader, enum thaw_set set) {
    return thaw_loader_hash_photos(loader, loader->sets[set], loader->set_counts[set]);
}
