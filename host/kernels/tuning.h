/* Remembered measurements: which candidate was fastest for a problem on this device.
 *
 * One YAML file for each device:
 *
 *     thaw_tuning: 2
 *     device: "<name, units, platform, driver>"
 *     build: "<version of Thaw, hash of its kernels>"
 *     choices:
 *       conv forward n8 x64x56x56/1+1 ...: {candidate: winograd, ms: 19.439}
 *       gemm 64x3136x576: {candidate: tiled, variant: {group_x: 16, ...}, ms: 0.204}
 *
 * The first question to an opened device reads, each over what the ones before it say: the file
 * that was installed for it (PREFIX/share/thaw/tuning/), the one that THAW_TUNING names (a file, or
 * a folder with files for several devices), and THAW_CACHE/tuning/, where what is measured goes.
 * All have the name that thaw_tuning_file_name() makes of the device. A file of another device or
 * build is passed over, which is logged as THAW_LOG_DEBUG; one that cannot be understood is a
 * warning with the place of the mistake, and passed over as a whole. */
#ifndef THAW_KERNELS_TUNING_H
#define THAW_KERNELS_TUNING_H

#include "cl/cl.h"
#include "kernels/variant.h"

struct thaw_tuning_choice {
    const char *candidate;
    int variant; /* kernels/variant.h */
    double time_s;
};

/* What is remembered for `problem_key` ("conv forward ...", "gemm ..."); false: nothing. The text
 * is valid as long as the device is open. */
bool thaw_tuning_find(thaw_device *device, const char *problem_key,
                      struct thaw_tuning_choice *ret_choice);

/* Remembers a choice while the device is open. The key must be that of a convolution or a product,
 * the candidate one of theirs. */
thaw_status thaw_tuning_remember(thaw_device *device, const char *problem_key,
                                 const struct thaw_tuning_choice *choice);

/* Writes all that is remembered of the device, whole or not at all, to `path` or, when that is
 * NULL, to its file in THAW_CACHE. THAW_ERROR_IO when it cannot be written. */
thaw_status thaw_tuning_save(thaw_device *device, const char *path);

/* The device's file in THAW_CACHE, whether it exists or not; NULL when there is no cache directory.
 */
const char *thaw_tuning_path(thaw_device *device);

/* "pthread-skylake-avx512-3f08a1c2.yaml": its name, and a hash that says which device it is. */
char *thaw_tuning_file_name(const thaw_device *device, struct thaw_arena *arena);

/* Names all choices that are remembered; 0: none. */
uint64_t thaw_tuning_hash(thaw_device *device);

/* Of tuning_file.c: the file's text, and back. THAW_ERROR_UNSUPPORTED for a file of another device
 * or build. `put` gets each entry. */
struct thaw_tuning_entry {
    const char *problem;
    const struct thaw_variants *variants; /* of the candidate; may be NULL */
    struct thaw_tuning_choice choice;
};
thaw_status thaw_tuning_file_read(const char *path, const char *device_key,
                                  thaw_status (*put)(void *user, const char *problem,
                                                     const struct thaw_tuning_choice *choice),
                                  void *user);
void thaw_tuning_file_emit(const char *device_key, const struct thaw_tuning_entry *entries,
                           size_t count, struct thaw_text *text);
/* The candidate of that name for a problem of that key, and its variants. THAW_ERROR_INPUT for a
 * key of neither kind and for an unknown candidate, at their places, which may be NULL. */
thaw_status thaw_tuning_candidate(const char *problem, const thaw_yaml *problem_place,
                                  const char *candidate, const thaw_yaml *candidate_place,
                                  const char **ret_name, const struct thaw_variants **ret_variants);

#endif
