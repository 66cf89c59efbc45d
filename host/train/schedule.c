#include "train/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/choice.h"

#define X(name) extern const struct thaw_schedule_type thaw_schedule_##name;
#include "schedules.inc"
#undef X

#define X(name) &thaw_schedule_##name,
const struct thaw_schedule_type *const thaw_schedule_types[] = {
#include "schedules.inc"
};
#undef X

#define TYPES (sizeof thaw_schedule_types / sizeof *thaw_schedule_types)
const size_t thaw_schedule_type_count = TYPES;

#define OWN_KEYS 3
#define KEYS_MAX 8
#define WARMUP_MAX 1e9

/* "2 epochs", "1 epoch", "0.5 epochs" */
static bool parse_epochs(const char *text, double *ret_epochs) {
    char *end = NULL;
    if (!*text || strspn(text, "0123456789.") == 0)
        return false;
    double value = strtod(text, &end);
    if (end == text || (strcmp(end, " epochs") && strcmp(end, " epoch")) || value > WARMUP_MAX)
        return false;
    *ret_epochs = value;
    return true;
}

static thaw_status parse_warmup(const thaw_yaml *map, struct thaw_schedule *schedule) {
    const thaw_yaml *node = thaw_yaml_get(map, "warmup");
    if (!node)
        return THAW_OK;
    if (node->kind == THAW_YAML_SCALAR && parse_epochs(node->text, &schedule->warmup)) {
        schedule->unit = THAW_WARMUP_EPOCHS;
        return THAW_OK;
    }
    if (thaw_yaml_double(node, 0, WARMUP_MAX, &schedule->warmup) != THAW_OK ||
        (schedule->warmup >= 1 && schedule->warmup != floor(schedule->warmup)))
        return thaw_yaml_fail(node, "'warmup': expected a number of steps, \"2 epochs\" or a "
                                    "fraction of all steps below 1");
    schedule->unit = schedule->warmup < 1 ? THAW_WARMUP_FRACTION : THAW_WARMUP_STEPS;
    return THAW_OK;
}

static thaw_status check_keys(const struct thaw_schedule_type *type, const thaw_yaml *map) {
    const char *keys[OWN_KEYS + KEYS_MAX] = {"type", "warmup", "warmup_start"};
    for (size_t i = 0; i < type->key_count; i++)
        keys[OWN_KEYS + i] = type->keys[i];
    return thaw_yaml_only(map, keys, OWN_KEYS + type->key_count);
}

thaw_status thaw_schedule_parse(struct thaw_arena *arena, const thaw_yaml *node,
                                struct thaw_schedule *ret_schedule) {
    const char *names[TYPES];
    for (size_t i = 0; i < TYPES; i++)
        names[i] = thaw_schedule_types[i]->type;
    thaw_yaml constant = {.kind = THAW_YAML_SCALAR, .text = "constant"};
    const thaw_yaml *map = NULL;
    size_t index = 0;
    bool absent = !node || thaw_yaml_is_null(node);
    THAW_TRY(thaw_choice_parse(absent ? &constant : node, "schedule", names, TYPES, &index, &map));
    struct thaw_schedule schedule = {.type = thaw_schedule_types[index],
                                     .place = absent ? NULL : node};
    void *attrs = thaw_arena_alloc(arena, schedule.type->attrs_size + 1);
    if (!attrs)
        return THAW_ERROR_MEMORY;
    THAW_TRY(check_keys(schedule.type, map));
    THAW_TRY(schedule.type->parse(map, attrs));
    THAW_TRY(parse_warmup(map, &schedule));
    THAW_TRY(thaw_yaml_get_double(map, "warmup_start", 0, 1, &schedule.warmup_start));
    schedule.attrs = attrs;
    *ret_schedule = schedule;
    return THAW_OK;
}

static int64_t warmup_steps(const struct thaw_schedule *schedule, int64_t total_steps,
                            int64_t steps_per_epoch) {
    double unit = schedule->unit == THAW_WARMUP_STEPS    ? 1
                  : schedule->unit == THAW_WARMUP_EPOCHS ? (double)steps_per_epoch
                                                         : (double)total_steps;
    return llround(schedule->warmup * unit);
}

thaw_status thaw_schedule_check(const struct thaw_schedule *schedule, int64_t total_steps,
                                int64_t steps_per_epoch) {
    int64_t warmup = warmup_steps(schedule, total_steps, steps_per_epoch);
    if (warmup < total_steps || warmup == 0)
        return THAW_OK;
    return thaw_yaml_fail(schedule->place,
                          "a warm-up of %lld steps leaves none of the %lld steps of the stage",
                          (long long)warmup, (long long)total_steps);
}

double thaw_schedule_factor(const struct thaw_schedule *schedule,
                            const struct thaw_schedule_clock *clock) {
    int64_t warmup = warmup_steps(schedule, clock->total_steps, clock->steps_per_epoch);
    double start = schedule->warmup_start;
    if (clock->step < warmup)
        return start + (1 - start) * (double)(clock->step + 1) / (double)warmup;
    struct thaw_schedule_clock after = *clock;
    if (schedule->type->after_warmup) {
        after.step -= warmup;
        after.total_steps -= warmup;
    }
    return schedule->type->factor(schedule->attrs, &after);
}
