#include "kernels/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

#define HEADER "thaw tuning 1: "
#define ARROW " -> "

struct entry {
    char *problem, *candidate;
};

struct tuning {
    struct thaw_arena arena;
    char *path; /* NULL when there is no cache directory */
    struct entry *entries;
    size_t count, capacity;
};

static void destroy(void *user) {
    struct tuning *tuning = user;
    if (!tuning)
        return;
    thaw_arena_finish(&tuning->arena);
    free(tuning);
}

static thaw_status out_of_memory(void) {
    return thaw_fail(THAW_ERROR_MEMORY, "out of memory for remembered measurements");
}

static thaw_status put(struct tuning *tuning, const char *problem, size_t problem_size,
                       const char *candidate, size_t candidate_size) {
    char *value = thaw_arena_copy_bytes(&tuning->arena, candidate, candidate_size);
    if (!value)
        return out_of_memory();
    for (size_t i = 0; i < tuning->count; i++)
        if (strlen(tuning->entries[i].problem) == problem_size &&
            memcmp(tuning->entries[i].problem, problem, problem_size) == 0) {
            tuning->entries[i].candidate = value;
            return THAW_OK;
        }
    struct entry *grown = thaw_arena_grow(&tuning->arena, tuning->entries, tuning->count,
                                          &tuning->capacity, sizeof *grown);
    char *key = thaw_arena_copy_bytes(&tuning->arena, problem, problem_size);
    if (!grown || !key)
        return out_of_memory();
    tuning->entries = grown;
    tuning->entries[tuning->count++] = (struct entry){key, value};
    return THAW_OK;
}

/* THAW_ERROR_INPUT, with the line, where the text is not a tuning file of this device. */
static thaw_status parse(struct tuning *tuning, const char *text, size_t size, const char *key) {
    const char *end = text + size;
    for (int line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop)
            return thaw_fail(THAW_ERROR_INPUT, "%s:%d: no end of line", tuning->path, line);
        size_t length = (size_t)(stop - text);
        if (line == 1) {
            size_t prefix = strlen(HEADER);
            if (length != prefix + strlen(key) || memcmp(text, HEADER, prefix) != 0 ||
                memcmp(text + prefix, key, strlen(key)) != 0)
                return thaw_fail(THAW_ERROR_INPUT, "%s:1: expected \"" HEADER "%s\"", tuning->path,
                                 key);
        } else {
            const char *arrow = text;
            while (arrow < stop && ((size_t)(stop - arrow) <= strlen(ARROW) ||
                                    memcmp(arrow, ARROW, strlen(ARROW)) != 0))
                arrow++;
            if (arrow == text || arrow == stop)
                return thaw_fail(THAW_ERROR_INPUT,
                                 "%s:%d: expected \"<problem>" ARROW "<candidate>\"", tuning->path,
                                 line);
            const char *candidate = arrow + strlen(ARROW);
            THAW_TRY(
                put(tuning, text, (size_t)(arrow - text), candidate, (size_t)(stop - candidate)));
        }
        text = stop + 1;
    }
    return THAW_OK;
}

static thaw_status load(thaw_device *device, struct tuning *tuning) {
    const char *key = thaw_device_key(device);
    char *cache = NULL;
    THAW_TRY(thaw_path_cache_directory(&tuning->arena, &cache));
    unsigned long long hash = thaw_hash64(key, strlen(key), 0);
    char *path = thaw_arena_format(&tuning->arena, "%s/tuning/%016llx.txt", cache, hash);
    if (!path)
        return out_of_memory();
    tuning->path = path;
    if (!thaw_path_exists(path))
        return THAW_OK;
    struct thaw_map map = {0};
    THAW_TRY(thaw_map_open(path, &map));
    thaw_status status = parse(tuning, (const char *)map.bytes, map.size_bytes, key);
    thaw_map_close(&map);
    if (status != THAW_OK)
        tuning->count = 0;
    return status;
}

/* The device's measurements, loaded at the first call; NULL when out of memory. */
static struct tuning *tuning_of(thaw_device *device) {
    void **slot = thaw_device_attachment(device, destroy);
    if (!*slot) {
        struct tuning *tuning = calloc(1, sizeof *tuning);
        if (!tuning)
            return NULL;
        *slot = tuning;
        if (load(device, tuning) != THAW_OK)
            thaw_log(THAW_LOG_WARNING, "remembered measurements are ignored: %s",
                     thaw_error_message());
    }
    return *slot;
}

const char *thaw_tuning_find(thaw_device *device, const char *problem_key) {
    const struct tuning *tuning = tuning_of(device);
    for (size_t i = 0; tuning && i < tuning->count; i++)
        if (strcmp(tuning->entries[i].problem, problem_key) == 0)
            return tuning->entries[i].candidate;
    return NULL;
}

static thaw_status save(thaw_device *device, const struct tuning *tuning) {
    struct thaw_text text = {0}, directory = {0};
    thaw_text_append(&text, HEADER "%s\n", thaw_device_key(device));
    for (size_t i = 0; i < tuning->count; i++)
        thaw_text_append(&text, "%s" ARROW "%s\n", tuning->entries[i].problem,
                         tuning->entries[i].candidate);
    thaw_text_append_bytes(&directory, tuning->path,
                           (size_t)(strrchr(tuning->path, '/') - tuning->path));
    thaw_status status = text.failed || directory.failed ? out_of_memory() : THAW_OK;
    if (status == THAW_OK)
        status = thaw_path_make_directories(directory.text);
    if (status == THAW_OK)
        status = thaw_file_write(tuning->path, text.text, text.length);
    thaw_text_finish(&text);
    thaw_text_finish(&directory);
    return thaw_context(status, "saving a measurement");
}

static bool fits_line(const char *text) {
    return text[0] && !strchr(text, '\n') && !strstr(text, ARROW);
}

thaw_status thaw_tuning_remember(thaw_device *device, const char *problem_key,
                                 const char *candidate) {
    if (!fits_line(problem_key) || !fits_line(candidate))
        return thaw_fail(THAW_ERROR_INPUT, "'%s' or '%s' does not fit a line of measurements",
                         problem_key, candidate);
    struct tuning *tuning = tuning_of(device);
    if (!tuning)
        return out_of_memory();
    THAW_TRY(put(tuning, problem_key, strlen(problem_key), candidate, strlen(candidate)));
    if (!tuning->path)
        return thaw_fail(THAW_ERROR_IO, "there is no cache directory to save a measurement in");
    return save(device, tuning);
}

const char *thaw_tuning_path(thaw_device *device) {
    const struct tuning *tuning = tuning_of(device);
    return tuning ? tuning->path : NULL;
}
