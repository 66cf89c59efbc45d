/* The file of remembered measurements as text. */
#include <string.h>

#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "kernels/tuning.h"

#define FORMAT 2
#define CANDIDATES_MAX 32
#define MS_MAX 1e9

/* Where the build begins in a device's key: behind the last separator. */
static const char *build_of(const char *device_key) {
    const char *build = device_key;
    for (const char *at = device_key; (at = strstr(at, " | ")); at += 3)
        build = at + 3;
    return build;
}

static size_t device_length(const char *device_key) {
    const char *build = build_of(device_key);
    return build == device_key ? strlen(device_key) : (size_t)(build - device_key) - 3;
}

thaw_status thaw_tuning_candidate(const char *problem, const thaw_yaml *problem_place,
                                  const char *candidate, const thaw_yaml *candidate_place,
                                  const char **ret_name,
                                  const struct thaw_variants **ret_variants) {
    const char *names[CANDIDATES_MAX];
    size_t count = 0;
    if (strncmp(problem, "conv ", 5) == 0) {
        const struct thaw_conv_candidate *found = thaw_conv_find(candidate);
        for (; count < thaw_conv_candidate_count && count < CANDIDATES_MAX; count++)
            names[count] = thaw_conv_candidates[count]->name;
        *ret_name = found ? found->name : NULL;
        *ret_variants = found ? found->variants : NULL;
    } else if (strncmp(problem, "gemm ", 5) == 0) {
        const struct thaw_gemm_candidate *found = thaw_gemm_find(candidate);
        for (; count < thaw_gemm_candidate_count && count < CANDIDATES_MAX; count++)
            names[count] = thaw_gemm_candidates[count]->name;
        *ret_name = found ? found->name : NULL;
        *ret_variants = found ? found->variants : NULL;
    } else {
        return thaw_yaml_fail(problem_place,
                              "'%s' is no problem: expected \"conv ...\" or \"gemm ...\", as "
                              "`thaw tune` writes it",
                              problem);
    }
    return *ret_name
               ? THAW_OK
               : thaw_yaml_fail_unknown(candidate_place, "candidate", candidate, names, count);
}

/* ---- reading -------------------------------------------------------------------------------- */

static thaw_status read_choice(const thaw_yaml *key, const thaw_yaml *value,
                               struct thaw_tuning_choice *ret_choice) {
    static const char *const names[] = {"candidate", "variant", "ms"};
    const thaw_yaml *candidate = thaw_yaml_get(value, "candidate");
    const struct thaw_variants *variants;
    const char *name;
    double ms = 0;
    THAW_TRY(thaw_yaml_only(value, names, 3));
    if (!candidate)
        return thaw_yaml_fail(value, "'candidate' is missing");
    THAW_TRY(thaw_yaml_string(candidate, &name));
    THAW_TRY(
        thaw_tuning_candidate(key->text, key, name, candidate, &ret_choice->candidate, &variants));
    THAW_TRY(thaw_variant_read(variants, thaw_yaml_get(value, "variant"), &ret_choice->variant));
    THAW_TRY(thaw_yaml_get_double(value, "ms", 0, MS_MAX, &ms));
    ret_choice->time_s = ms / 1e3;
    return THAW_OK;
}

/* THAW_ERROR_UNSUPPORTED when `what` of the file is not `expected`. */
static thaw_status check_same(const thaw_yaml *root, const char *path, const char *what,
                              const char *expected, size_t length) {
    const char *text = NULL;
    THAW_TRY(thaw_yaml_get_string(root, what, &text));
    if (!text)
        return thaw_yaml_fail(root, "'%s' is missing", what);
    if (strlen(text) == length && memcmp(text, expected, length) == 0)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_UNSUPPORTED,
                     "%s is of another %s, \"%s\"; this one is \"%.*s\": `thaw tune` measures anew",
                     path, what, text, (int)length, expected);
}

static thaw_status read_file(struct thaw_arena *arena, const char *path, const char *device_key,
                             thaw_status (*put)(void *user, const char *problem,
                                                const struct thaw_tuning_choice *choice),
                             void *user) {
    static const char *const names[] = {"thaw_tuning", "device", "build", "choices"};
    thaw_yaml *root;
    int64_t format;
    THAW_TRY(thaw_yaml_load(arena, path, &root));
    THAW_TRY(thaw_yaml_expect(root, THAW_YAML_MAPPING, "a file of measurements"));
    if (!thaw_yaml_get(root, "thaw_tuning"))
        return thaw_yaml_fail(root, "'thaw_tuning' is missing: not a file of measurements");
    THAW_TRY(thaw_yaml_int(thaw_yaml_get(root, "thaw_tuning"), FORMAT, FORMAT, &format));
    THAW_TRY(thaw_yaml_only(root, names, 4));
    THAW_TRY(check_same(root, path, "device", device_key, device_length(device_key)));
    const char *build = build_of(device_key);
    THAW_TRY(check_same(root, path, "build", build, strlen(build)));
    const thaw_yaml *choices = thaw_yaml_get(root, "choices");
    THAW_TRY(thaw_yaml_expect(choices, THAW_YAML_MAPPING, "'choices'"));
    /* all of them before the first is used: a mistake refuses the file as a whole */
    struct thaw_tuning_choice *read = thaw_arena_array(arena, choices->count + 1, sizeof *read);
    if (!read)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < choices->count; i++)
        THAW_TRY(read_choice(choices->keys[i], choices->items[i], &read[i]));
    for (size_t i = 0; i < choices->count; i++)
        THAW_TRY(put(user, choices->keys[i]->text, &read[i]));
    return THAW_OK;
}

thaw_status thaw_tuning_file_read(const char *path, const char *device_key,
                                  thaw_status (*put)(void *user, const char *problem,
                                                     const struct thaw_tuning_choice *choice),
                                  void *user) {
    struct thaw_arena arena = {0};
    thaw_status status = read_file(&arena, path, device_key, put, user);
    thaw_arena_finish(&arena);
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

void thaw_tuning_file_emit(const char *device_key, const struct thaw_tuning_entry *entries,
                           size_t count, struct thaw_text *text) {
    struct thaw_text device = {0};
    thaw_text_append_bytes(&device, device_key, device_length(device_key));
    thaw_text_append(text,
                     "# What `thaw tune` found fastest on this device. Without this file Thaw "
                     "chooses by itself.\nthaw_tuning: %d\ndevice: ",
                     FORMAT);
    thaw_text_append_json(text, device.text ? device.text : "");
    thaw_text_append(text, "\nbuild: ");
    thaw_text_append_json(text, build_of(device_key));
    thaw_text_append(text, "\nchoices:%s\n", count ? "" : " {}");
    for (size_t i = 0; i < count; i++) {
        const struct thaw_tuning_choice *choice = &entries[i].choice;
        thaw_text_append(text, "  %s: {candidate: %s", entries[i].problem, choice->candidate);
        if (choice->variant) {
            thaw_text_append(text, ", variant: {");
            thaw_variant_append(entries[i].variants, choice->variant, text);
            thaw_text_append(text, "}");
        }
        thaw_text_append(text, ", ms: %.4f}\n", 1e3 * choice->time_s);
    }
    text->failed = text->failed || device.failed;
    thaw_text_finish(&device);
}
