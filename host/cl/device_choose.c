#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cl/device_query.h"
#include "core/text.h"

/* Compares devices of one type well enough to pick one; says nothing across types. */
static double strength(const struct thaw_device_info *info) {
    double width = info->native_vector_width_float ? info->native_vector_width_float : 1;
    double clock = info->clock_mhz ? info->clock_mhz : 1;
    return (double)info->compute_units * clock * width;
}

static bool contains(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, length) == 0)
            return true;
    return false;
}

static bool matches(const struct thaw_device_set *set, const struct thaw_device_info *info,
                    const char *spec) {
    if (strcasecmp(spec, "gpu") == 0)
        return info->type == THAW_DEVICE_GPU;
    if (strcasecmp(spec, "cpu") == 0)
        return info->type == THAW_DEVICE_CPU;
    char *end = NULL;
    long index = strtol(spec, &end, 10);
    if (*end == '\0' && index >= 0 && (size_t)index < set->count) /* else "4090" may be in a name */
        return info->index == index;
    return contains(info->name, spec) || contains(info->platform, spec);
}

static bool is_better(const struct thaw_device_info *a, const struct thaw_device_info *b) {
    static const int rank[] = {
        [THAW_DEVICE_GPU] = 2, [THAW_DEVICE_CPU] = 1, [THAW_DEVICE_OTHER] = 0};
    if (rank[a->type] != rank[b->type])
        return rank[a->type] > rank[b->type];
    return strength(a) > strength(b);
}

/* "0: NAME (PLATFORM), 1: ..." */
static void append_devices(struct thaw_text *text, const struct thaw_device_set *set) {
    for (size_t i = 0; i < set->count; i++)
        thaw_text_append(text, "%s%d: %s (%s)", i ? ", " : "", set->infos[i].index,
                         set->infos[i].name, set->infos[i].platform);
}

static thaw_status fail_no_match(const struct thaw_device_set *set, const char *spec,
                                 bool from_environment) {
    struct thaw_text there = {0};
    append_devices(&there, set);
    thaw_status status =
        thaw_fail(THAW_ERROR_DEVICE, "no OpenCL device matches %s\"%s\"; there %s %s",
                  from_environment ? "THAW_DEVICE=" : "", spec, set->count == 1 ? "is" : "are",
                  there.text ? there.text : "some");
    thaw_text_finish(&there);
    return thaw_hint(
        status, "choose with --device or THAW_DEVICE: an index, \"cpu\", \"gpu\" or a part of a "
                "name; a missing device needs its driver (any CPU: pocl-opencl-icd; GPU: the "
                "vendor's, or mesa-opencl-icd)");
}

static thaw_status fail_unusable(const struct thaw_device_info *info) {
    return thaw_hint(thaw_fail(THAW_ERROR_DEVICE, "the OpenCL device \"%s\" (%s) can't be used: %s",
                               info->name, info->platform, info->unusable),
                     "a newer driver may help; on any CPU, pocl works (Debian, Ubuntu: apt install "
                     "pocl-opencl-icd)");
}

thaw_status thaw_device_set_choose(const struct thaw_device_set *set, const char *spec,
                                   size_t *ret_index) {
    bool from_environment = !spec || !*spec;
    if (from_environment)
        spec = getenv("THAW_DEVICE");
    bool any = !spec || !*spec;
    const struct thaw_device_info *best = NULL, *unusable = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const struct thaw_device_info *info = &set->infos[i];
        if (!any && !matches(set, info, spec))
            continue;
        if (info->unusable[0])
            unusable = unusable ? unusable : info;
        else if (!best || is_better(info, best))
            best = info;
    }
    if (!best)
        return unusable ? fail_unusable(unusable) : fail_no_match(set, spec, from_environment);
    *ret_index = (size_t)(best - set->infos);
    return THAW_OK;
}

thaw_status thaw_device_list(struct thaw_device_info **ret_devices, size_t *ret_count) {
    struct thaw_device_set set;
    THAW_TRY(thaw_device_set_query(&set));
    free(set.ids);
    *ret_devices = set.infos;
    *ret_count = set.count;
    return THAW_OK;
}

thaw_status thaw_device_choose(const char *spec, struct thaw_device_info *ret_info) {
    struct thaw_device_set set;
    THAW_TRY(thaw_device_set_query(&set));
    size_t index = 0;
    thaw_status status = thaw_device_set_choose(&set, spec, &index);
    if (status == THAW_OK)
        *ret_info = set.infos[index];
    thaw_device_set_finish(&set);
    return status;
}
