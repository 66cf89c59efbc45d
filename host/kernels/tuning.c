#include "kernels/tuning.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"

struct tuning {
    struct thaw_arena arena;
    char *path; /* NULL when there is no cache directory */
    struct thaw_tuning_entry *entries;
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

static struct thaw_tuning_entry *find(const struct tuning *tuning, const char *problem) {
    for (size_t i = 0; i < tuning->count; i++)
        if (strcmp(tuning->entries[i].problem, problem) == 0)
            return &tuning->entries[i];
    return NULL;
}

static thaw_status put(void *user, const char *problem, const struct thaw_tuning_choice *choice) {
    struct tuning *tuning = user;
    struct thaw_tuning_entry entry = {.choice = *choice};
    THAW_TRY(thaw_tuning_candidate(problem, NULL, choice->candidate, NULL, &entry.choice.candidate,
                                   &entry.variants));
    struct thaw_tuning_entry *known = find(tuning, problem);
    if (known) {
        entry.problem = known->problem;
        *known = entry;
        return THAW_OK;
    }
    struct thaw_tuning_entry *grown = thaw_arena_grow(
        &tuning->arena, tuning->entries, tuning->count, &tuning->capacity, sizeof *grown);
    entry.problem = thaw_arena_copy(&tuning->arena, problem);
    if (!grown || !entry.problem)
        return out_of_memory();
    tuning->entries = grown;
    tuning->entries[tuning->count++] = entry;
    return THAW_OK;
}

/* ---- where files are ------------------------------------------------------------------------ */

/* Name, units and platform: with another driver or build the file keeps its name, and is replaced.
 */
static uint64_t device_hash(const thaw_device *device) {
    const struct thaw_device_info *info = thaw_device_get_info(device);
    uint64_t hash = thaw_hash64(info->name, strlen(info->name), info->compute_units);
    return thaw_hash64(info->platform, strlen(info->platform), hash);
}

#define NAME_LENGTH 40

char *thaw_tuning_file_name(const thaw_device *device, struct thaw_arena *arena) {
    char name[NAME_LENGTH + 1];
    size_t length = 0;
    for (const char *at = thaw_device_get_info(device)->name; *at && length < NAME_LENGTH; at++)
        if (isalnum((unsigned char)*at))
            name[length++] = *at;
        else if (length && name[length - 1] != '-')
            name[length++] = '-';
    while (length && name[length - 1] == '-')
        length--;
    name[length] = '\0';
    return thaw_arena_format(arena, "%s%s%08x.yaml", name, length ? "-" : "",
                             (unsigned)device_hash(device));
}

/* A mistake in a file is no reason not to work: it is told, and the file passed over. */
static void load_file(thaw_device *device, struct tuning *tuning, const char *path) {
    thaw_status status = thaw_tuning_file_read(path, thaw_device_key(device), put, tuning);
    if (status != THAW_OK)
        thaw_log(status == THAW_ERROR_UNSUPPORTED ? THAW_LOG_DEBUG : THAW_LOG_WARNING,
                 "remembered measurements are ignored: %s", thaw_error_message());
}

static thaw_status load(thaw_device *device, struct tuning *tuning) {
    struct thaw_arena *arena = &tuning->arena;
    const char *given = getenv("THAW_TUNING");
    char *cache = NULL, *name = thaw_tuning_file_name(device, arena);
    char *installed = name ? thaw_path_join(arena, THAW_DATA_DIRECTORY "/tuning", name) : NULL;
    if (!installed)
        return out_of_memory();
    if (thaw_path_exists(installed))
        load_file(device, tuning, installed);
    if (given && *given && thaw_path_is_directory(given)) {
        char *path = thaw_path_join(arena, given, name);
        if (!path)
            return out_of_memory();
        if (thaw_path_exists(path))
            load_file(device, tuning, path);
    } else if (given && *given) {
        load_file(device, tuning, given);
    }
    THAW_TRY(thaw_path_cache_directory(arena, &cache));
    tuning->path = thaw_arena_format(arena, "%s/tuning/%s", cache, name);
    if (!tuning->path)
        return out_of_memory();
    if (thaw_path_exists(tuning->path))
        load_file(device, tuning, tuning->path);
    return THAW_OK;
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
            thaw_log(THAW_LOG_WARNING, "measurements can't be remembered: %s",
                     thaw_error_message());
    }
    return *slot;
}

/* ---- access --------------------------------------------------------------------------------- */

bool thaw_tuning_find(thaw_device *device, const char *problem_key,
                      struct thaw_tuning_choice *ret_choice) {
    const struct tuning *tuning = tuning_of(device);
    const struct thaw_tuning_entry *entry = tuning ? find(tuning, problem_key) : NULL;
    if (!entry)
        return false;
    *ret_choice = entry->choice;
    return true;
}

thaw_status thaw_tuning_remember(thaw_device *device, const char *problem_key,
                                 const struct thaw_tuning_choice *choice) {
    struct tuning *tuning = tuning_of(device);
    return tuning ? put(tuning, problem_key, choice) : out_of_memory();
}

static thaw_status make_directory_of(const char *path) {
    const char *slash = strrchr(path, '/');
    struct thaw_text directory = {0};
    if (!slash || slash == path)
        return THAW_OK;
    thaw_text_append_bytes(&directory, path, (size_t)(slash - path));
    thaw_status status =
        directory.failed ? out_of_memory() : thaw_path_make_directories(directory.text);
    thaw_text_finish(&directory);
    return status;
}

thaw_status thaw_tuning_save(thaw_device *device, const char *path) {
    const struct tuning *tuning = tuning_of(device);
    if (!tuning)
        return out_of_memory();
    path = path ? path : tuning->path;
    if (!path)
        return thaw_fail(THAW_ERROR_IO, "there is no cache directory to save measurements in");
    struct thaw_text text = {0};
    thaw_tuning_file_emit(thaw_device_key(device), tuning->entries, tuning->count, &text);
    thaw_status status = text.failed ? out_of_memory() : make_directory_of(path);
    if (status == THAW_OK)
        status = thaw_file_write(path, text.text, text.length);
    thaw_text_finish(&text);
    return thaw_context(status, "saving measurements");
}

const char *thaw_tuning_path(thaw_device *device) {
    const struct tuning *tuning = tuning_of(device);
    return tuning ? tuning->path : NULL;
}

uint64_t thaw_tuning_hash(thaw_device *device) {
    const struct tuning *tuning = tuning_of(device);
    uint64_t hash = 0;
    for (size_t i = 0; tuning && i < tuning->count; i++) {
        const struct thaw_tuning_entry *entry = &tuning->entries[i];
        const char *texts[] = {entry->problem, entry->choice.candidate};
        for (int t = 0; t < 2; t++)
            hash = thaw_hash64(texts[t], strlen(texts[t]) + 1, hash);
        hash = thaw_hash64(&entry->choice.variant, sizeof entry->choice.variant, hash);
    }
    return hash;
}
