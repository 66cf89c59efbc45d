#include "io/load_report.h"

#include <string.h>

#include "core/text.h"

#define NAMES_SHOWN 3

static bool matches_any(const struct thaw_load_patterns *patterns, const char *name) {
    for (size_t i = 0; i < patterns->count; i++) {
        if (thaw_glob_match(patterns->items[i], name))
            return true;
    }
    return false;
}

/* Every pattern has to match one of the names, or it is a typing error. */
static thaw_status check_patterns(const struct thaw_load_patterns *patterns, const char *option,
                                  const char *const *names, size_t name_count, const char *whose) {
    for (size_t i = 0; i < patterns->count; i++) {
        size_t n = 0;
        while (n < name_count && !thaw_glob_match(patterns->items[i], names[n]))
            n++;
        if (n < name_count)
            continue;
        const char *nearest = thaw_nearest(patterns->items[i], names, name_count);
        return thaw_fail(THAW_ERROR_INPUT, "%s: '%s' matches no tensor of the %s%s%s%s", option,
                         patterns->items[i], whose, nearest ? "; the nearest is '" : "",
                         nearest ? nearest : "", nearest ? "'" : "");
    }
    return THAW_OK;
}

static thaw_status check_options(const struct thaw_load_options *options, struct thaw_arena *arena,
                                 const struct thaw_load_wanted *wanted, size_t wanted_count,
                                 const struct thaw_weights *weights) {
    const char **model = thaw_arena_array(arena, wanted_count, sizeof *model);
    const char **file = thaw_arena_array(arena, weights->count, sizeof *file);
    if (!model || !file)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < wanted_count; i++)
        model[i] = wanted[i].name;
    for (size_t i = 0; i < weights->count; i++)
        file[i] = weights->items[i].name;
    THAW_TRY(
        check_patterns(&options->allow_missing, "allow.missing", model, wanted_count, "model"));
    THAW_TRY(
        check_patterns(&options->allow_mismatch, "allow.mismatch", model, wanted_count, "model"));
    return check_patterns(&options->allow_unexpected, "allow.unexpected", file, weights->count,
                          "weights file");
}

static bool same_shape(const struct thaw_load_wanted *wanted, const struct thaw_weight *weight) {
    if (wanted->rank != weight->rank)
        return false;
    for (int i = 0; i < wanted->rank; i++) {
        if (wanted->dims[i] != weight->dims[i])
            return false;
    }
    return true;
}

static bool is_counter(const char *name) {
    static const char counter[] = "num_batches_tracked";
    size_t length = strlen(name), counter_length = strlen(counter);
    return length >= counter_length && strcmp(name + length - counter_length, counter) == 0 &&
           (length == counter_length || name[length - counter_length - 1] == '.');
}

static void add(struct thaw_load_list *list, const struct thaw_load_wanted *wanted,
                const struct thaw_weight *weight, bool allowed) {
    list->items[list->count++] = (struct thaw_load_entry){wanted, weight, allowed};
    list->refused += !allowed;
}

static bool allocate(struct thaw_load_list *list, struct thaw_arena *arena, size_t count) {
    list->items = thaw_arena_array(arena, count, sizeof *list->items);
    return list->items != NULL;
}

/* What a tensor of the file turned out to be; SPARED: the old head's, in place of which is a new.
 */
enum use { UNUSED, USED, SPARED };

static void place_wanted(const struct thaw_load_wanted *wanted, const struct thaw_weights *weights,
                         const struct thaw_load_options *options, struct thaw_load_report *report,
                         enum use *uses) {
    const struct thaw_weight *weight = thaw_weights_find(weights, wanted->name);
    if (!weight && wanted->alias)
        weight = thaw_weights_find(weights, wanted->alias);
    if (weight)
        uses[weight - weights->items] = wanted->fresh ? SPARED : USED;
    if (!weight || wanted->fresh)
        add(&report->missing, wanted, NULL,
            wanted->optional || wanted->fresh ||
                matches_any(&options->allow_missing, wanted->name));
    else if (!same_shape(wanted, weight))
        add(&report->mismatched, wanted, weight,
            matches_any(&options->allow_mismatch, wanted->name));
    else
        add(&report->loaded, wanted, weight, true);
}

static thaw_status make(const struct thaw_load_wanted *wanted, size_t wanted_count,
                        const struct thaw_weights *weights, const struct thaw_load_options *options,
                        struct thaw_load_report *report) {
    struct thaw_arena *arena = &report->arena;
    THAW_TRY(check_options(options, arena, wanted, wanted_count, weights));
    enum use *uses = thaw_arena_array(arena, weights->count, sizeof *uses);
    if (!uses || !allocate(&report->loaded, arena, wanted_count) ||
        !allocate(&report->missing, arena, wanted_count) ||
        !allocate(&report->mismatched, arena, wanted_count) ||
        !allocate(&report->unexpected, arena, weights->count) ||
        !allocate(&report->counters, arena, weights->count))
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < wanted_count; i++)
        place_wanted(&wanted[i], weights, options, report, uses);
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        if (uses[i] == USED)
            continue;
        if (is_counter(weight->name))
            add(&report->counters, NULL, weight, true);
        else
            add(&report->unexpected, NULL, weight,
                uses[i] == SPARED || matches_any(&options->allow_unexpected, weight->name));
    }
    return THAW_OK;
}

thaw_status thaw_load_report_make(const struct thaw_load_wanted *wanted, size_t wanted_count,
                                  const struct thaw_weights *weights,
                                  const struct thaw_load_options *options,
                                  struct thaw_load_report *ret_report) {
    static const struct thaw_load_options strict;
    struct thaw_load_report report = {0};
    thaw_status status = make(wanted, wanted_count, weights, options ? options : &strict, &report);
    if (status != THAW_OK) {
        thaw_load_report_finish(&report);
        return status;
    }
    *ret_report = report;
    return THAW_OK;
}

static const char *entry_name(const struct thaw_load_entry *entry) {
    return entry->wanted ? entry->wanted->name : entry->weight->name;
}

/* The first refused name of `list` that has a near one in `other`: most likely the same tensor. */
static void append_nearest(struct thaw_text *text, const struct thaw_load_list *list,
                           const struct thaw_load_list *other) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].allowed)
            continue;
        for (size_t j = 0; j < other->count; j++) {
            const char *candidate = entry_name(&other->items[j]);
            if (!thaw_nearest(entry_name(&list->items[i]), &candidate, 1))
                continue;
            thaw_text_append(text, "; '%s' is near the file's '%s'", entry_name(&list->items[i]),
                             candidate);
            return;
        }
        return; /* the first is enough: the search is quadratic */
    }
}

static void append_shapes(struct thaw_text *text, const struct thaw_load_entry *entry) {
    char model[THAW_SHAPE_TEXT_SIZE], file[THAW_SHAPE_TEXT_SIZE];
    thaw_shape_text(entry->wanted->rank, entry->wanted->dims, model);
    thaw_shape_text(entry->weight->rank, entry->weight->dims, file);
    thaw_text_append(text, " (model %s, file %s)", model, file);
}

/* "2 tensors <what>: 'a', 'b'" */
static void append_refused(struct thaw_text *text, const struct thaw_load_list *list,
                           const char *what) {
    if (list->refused == 0)
        return;
    thaw_text_append(text, "%s%zu tensor%s %s: ", text->length ? "; " : "", list->refused,
                     list->refused == 1 ? "" : "s", what);
    size_t shown = 0;
    for (size_t i = 0; i < list->count && shown < NAMES_SHOWN; i++) {
        if (list->items[i].allowed)
            continue;
        thaw_text_append(text, "%s'%s'", shown++ ? ", " : "", entry_name(&list->items[i]));
        if (list->items[i].wanted && list->items[i].weight)
            append_shapes(text, &list->items[i]);
    }
    if (list->refused > shown)
        thaw_text_append(text, " and %zu more", list->refused - shown);
}

thaw_status thaw_load_report_check(const struct thaw_load_report *report, const char *file) {
    const struct thaw_load_list *missing = &report->missing, *unexpected = &report->unexpected;
    const struct thaw_load_list *mismatched = &report->mismatched;
    if (missing->refused + unexpected->refused + mismatched->refused == 0)
        return THAW_OK;
    struct thaw_text text = {0}, allow = {0};
    append_refused(&text, missing, "of the model not in the file");
    append_nearest(&text, missing, unexpected);
    append_refused(&text, mismatched, "of another shape");
    append_refused(&text, unexpected, "of the file not in the model");
    thaw_text_append(&allow, "%s%s%s", missing->refused ? ", allow.missing" : "",
                     mismatched->refused ? ", allow.mismatch" : "",
                     unexpected->refused ? ", allow.unexpected" : "");
    thaw_status status = THAW_ERROR_INPUT;
    if (text.failed || allow.failed || !text.text || !allow.text)
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    else
        status = thaw_hint(
            thaw_fail(status, "%s: the weights do not fit the model: %s", file, text.text),
            "if that is meant, list the names, or patterns such as '*.bias', under "
            "model: %s",
            allow.text + 2);
    thaw_text_finish(&text);
    thaw_text_finish(&allow);
    return status;
}

void thaw_load_report_finish(struct thaw_load_report *report) {
    thaw_arena_finish(&report->arena);
    *report = (struct thaw_load_report){0};
}
