/* bench_cache CONFIG [KEY=VALUE...]: what the feature cache of an experiment's first stage costs
 * and saves: time to compute it, to open and check it, its size; processor time of an epoch with it
 * and without. Writes runs into ./bench_cache. A tool for people: it is no test and asserts
 * nothing.
 *
 *   THAW_CACHE=... build/tests/bench_cache configs/experiments/solar-cells.yaml */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cl/cl.h"
#include "train/experiment.h"
#include "train/feature_file.h"
#include "train/trainer.h"

#define EPOCHS_MAX 16
#define SETS_MAX 32

struct times {
    double cpu_s, wall_s;
};

static struct times now(void) {
    struct timespec cpu, wall;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    clock_gettime(CLOCK_MONOTONIC, &wall);
    return (struct times){(double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec,
                          (double)wall.tv_sec + 1e-9 * (double)wall.tv_nsec};
}

/* ---- the files ------------------------------------------------------------------------------ */

static uint64_t get_u64(const unsigned char *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* Opens a file as a run would, which checks it whole. */
static thaw_status bench_open(const char *folder, const struct thaw_feature_entry *entry) {
    struct thaw_map map = {0};
    struct thaw_feature_file file = {0};
    THAW_TRY(thaw_map_open(entry->path, &map));
    size_t value_bytes = (size_t)get_u64(map.bytes + 24);
    char *key = strndup((const char *)map.bytes + 40, (size_t)get_u64(map.bytes + 32));
    thaw_map_close(&map);
    struct times start = now();
    thaw_status status = thaw_feature_file_open(folder, key, value_bytes, &file);
    struct times end = now();
    if (status == THAW_OK)
        printf("%s\n    %.1f MiB, opened and checked in %.4f s (%.4f s of processor): %.2f GB/s\n",
               entry->what, (double)entry->size_bytes / (1 << 20), end.wall_s - start.wall_s,
               end.cpu_s - start.cpu_s,
               1e-9 * (double)entry->size_bytes / (end.wall_s - start.wall_s));
    thaw_feature_file_close(&file);
    free(key);
    return status;
}

static thaw_status bench_files(time_t since) {
    struct thaw_arena arena = {0};
    struct thaw_feature_entry *entries = NULL;
    char *folder = NULL;
    size_t count = 0;
    thaw_status status = thaw_feature_folder(&arena, &folder);
    if (status == THAW_OK)
        status = thaw_feature_list(&arena, folder, &entries, &count);
    for (size_t i = 0; status == THAW_OK && i < count; i++)
        if (entries[i].what && entries[i].used >= since)
            status = bench_open(folder, &entries[i]);
    thaw_arena_finish(&arena);
    return status;
}

/* ---- epochs --------------------------------------------------------------------------------- */

struct run {
    struct times begin, features, epochs[EPOCHS_MAX]; /* the ends of each */
    int epoch_count, wanted;
    volatile sig_atomic_t stop;
};

static void on_working(void *user, const char *what, size_t done, size_t total) {
    struct run *run = user;
    if (strcmp(what, "computing features") != 0)
        run->begin = run->features.wall_s > 0 ? run->begin : now(); /* decoding ends */
    else if (done == total)
        run->features = now(); /* of the last set */
}

static void on_epoch(void *user, const struct thaw_train_progress *progress) {
    struct run *run = user;
    (void)progress;
    run->epochs[run->epoch_count++] = now();
    if (run->epoch_count == run->wanted)
        run->stop = 1;
}

/* Seconds of an epoch of the first stage, the first one left out: kernels are built in it. */
static thaw_status bench_epochs(thaw_device *device, const char *path, const char **sets,
                                size_t count, int epochs, struct times *ret_epoch) {
    struct run run = {.begin = now(), .wanted = epochs + 1};
    struct thaw_train_events events = {
        .user = &run, .interrupted = &run.stop, .on_working = on_working, .on_epoch = on_epoch};
    struct thaw_train_options options = {.overwrite = true};
    struct thaw_config config;
    THAW_TRY(thaw_config_load(path, sets, count, &config));
    thaw_status status = thaw_train(&config, device, &options, &events);
    thaw_config_finish(&config);
    if (status != THAW_OK && status != THAW_INTERRUPTED)
        return status;
    if (run.features.wall_s)
        printf("features computed in %.1f s (%.1f s of processor)\n",
               run.features.wall_s - run.begin.wall_s, run.features.cpu_s - run.begin.cpu_s);
    struct times first = run.epochs[0], last = run.epochs[epochs];
    ret_epoch->cpu_s = (last.cpu_s - first.cpu_s) / epochs;
    ret_epoch->wall_s = (last.wall_s - first.wall_s) / epochs;
    printf("epoch: %.3f s (%.3f s of processor)\n", ret_epoch->wall_s, ret_epoch->cpu_s);
    return THAW_OK;
}

static thaw_status bench(thaw_device *device, const char *path, const char **sets, size_t count) {
    struct times cached, uncached;
    time_t start = time(NULL);
    sets[count] = "name=cached";
    THAW_TRY(bench_epochs(device, path, sets, count + 1, 10, &cached));
    THAW_TRY(bench_files(start));
    sets[count] = "name=uncached";
    sets[count + 1] = "train.0.cache=false";
    THAW_TRY(bench_epochs(device, path, sets, count + 2, 1, &uncached));
    printf("an epoch with the cache takes 1/%.0f of the processor time\n",
           uncached.cpu_s / cached.cpu_s);
    return THAW_OK;
}

int main(int argc, char **argv) {
    const char *sets[SETS_MAX + 4] = {"output=bench_cache", "train.0.epochs=11"};
    size_t count = 2;
    thaw_device *device = NULL;
    if (argc < 2 || argc > SETS_MAX) {
        fprintf(stderr, "usage: bench_cache CONFIG [KEY=VALUE...]\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        sets[count++] = argv[i];
    thaw_status status = thaw_device_open(NULL, NULL, &device);
    if (status == THAW_OK)
        status = bench(device, argv[1], sets, count);
    if (status != THAW_OK)
        fprintf(stderr, "bench_cache: %s\n", thaw_error_message());
    thaw_device_destroy(&device);
    return status == THAW_OK ? 0 : 1;
}
