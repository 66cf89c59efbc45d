#include "train/verify.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/weights.h"
#include "train/freeze.h"
#include "train/model.h"

struct work {
    struct thaw_verify *v;
    const char *path; /* of the record */
    json_t *record, *stages, *kept;
    int kept_stage;
    size_t failure_capacity;
};

/* ---- the record ----------------------------------------------------------------------------- */

static thaw_status damaged(const struct work *w, const char *what) {
    return thaw_fail(THAW_ERROR_INPUT, "%s: the record is damaged: %s", w->path, what);
}

static const char *hash_of(json_t *entry, const char *key) {
    return json_string_value(json_object_get(entry, key));
}

static json_t *tensors_of(const struct work *w, size_t stage) {
    return json_object_get(json_array_get(w->stages, stage), "tensors");
}

static thaw_status open_record(struct work *w, const char *run) {
    json_error_t error;
    w->path = thaw_path_join(&w->v->arena, run, "freeze.json");
    if (!w->path)
        return THAW_ERROR_MEMORY;
    if (!thaw_path_is_directory(run))
        return thaw_fail(THAW_ERROR_INPUT, "%s: is no run folder", run);
    if (!thaw_path_exists(w->path)) {
        thaw_fail(THAW_ERROR_INPUT, "%s: there is no record to check against", w->path);
        return thaw_hint(THAW_ERROR_INPUT, "it is written with a run's first checkpoint: give the "
                                           "folder that thaw train wrote");
    }
    w->record = json_load_file(w->path, 0, &error);
    if (!w->record)
        return thaw_fail(THAW_ERROR_INPUT, "%s:%d:%d: %s", w->path, error.line, error.column,
                         error.text);
    w->stages = json_object_get(w->record, "stages");
    json_t *kept = json_object_get(w->record, "kept");
    json_int_t stage = json_integer_value(json_object_get(kept, "stage"));
    w->kept = json_object_get(kept, "tensors");
    w->v->kept_epoch = (int)json_integer_value(json_object_get(kept, "epoch"));
    if (!json_array_size(w->stages))
        return damaged(w, "it has no stages");
    if (!json_is_object(w->kept))
        return thaw_fail(THAW_ERROR_INPUT, "%s: the run has kept no epoch", w->path);
    if (stage < 0 || (size_t)stage >= json_array_size(w->stages))
        return damaged(w, "its kept epoch is of no stage");
    w->kept_stage = (int)stage;
    for (size_t s = 0; s < json_array_size(w->stages); s++)
        if (!json_is_object(tensors_of(w, s)))
            return damaged(w, "a stage has no tensors");
    return THAW_OK;
}

/* ---- findings ------------------------------------------------------------------------------- */

static thaw_status fail(struct work *w, const char *tensor, const char *what) {
    struct thaw_verify *v = w->v;
    if (!what)
        return THAW_ERROR_MEMORY;
    if (v->failure_count == w->failure_capacity) {
        size_t capacity = w->failure_capacity ? 2 * w->failure_capacity : 16;
        struct thaw_verify_failure *grown =
            thaw_arena_array(&v->arena, capacity, sizeof *v->failures);
        if (!grown)
            return THAW_ERROR_MEMORY;
        if (v->failure_count)
            memcpy(grown, v->failures, v->failure_count * sizeof *grown);
        v->failures = grown;
        w->failure_capacity = capacity;
    }
    const char *copy = thaw_arena_copy(&v->arena, tensor);
    if (!copy)
        return THAW_ERROR_MEMORY;
    v->failures[v->failure_count++] = (struct thaw_verify_failure){copy, what};
    return THAW_OK;
}

static bool same(const char *a, const char *b) {
    return a && b && !strcmp(a, b);
}

static thaw_status hash_weight(const struct thaw_weight *weight,
                               char ret_hash[THAW_FREEZE_HASH_SIZE]) {
    size_t count = thaw_weight_count(weight);
    float *values = malloc((count + 1) * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory hashing %s", weight->name);
    thaw_weight_to_float(weight, values);
    thaw_freeze_hash(values, count, ret_hash);
    free(values);
    return THAW_OK;
}

/* ---- the stages among themselves ------------------------------------------------------------ */

/* Whether no stage up to `last` trained the tensor. */
static bool is_untouched(const struct work *w, const char *name, size_t last) {
    for (size_t s = 0; s <= last; s++)
        if (json_is_true(json_object_get(json_object_get(tensors_of(w, s), name), "trained")))
            return false;
    return true;
}

static thaw_status check_entry(struct work *w, size_t s, const char *name, json_t *entry) {
    struct thaw_verify_stage *stage = &w->v->stages[s];
    struct thaw_arena *arena = &w->v->arena;
    const char *before = hash_of(entry, "before"), *after = hash_of(entry, "after");
    bool trained = json_is_true(json_object_get(entry, "trained"));
    stage->trained += trained;
    stage->frozen += !trained;
    stage->complete &= after != NULL;
    if (!before)
        return fail(w, name, thaw_arena_format(arena, "stage '%s' has no hash of it", stage->name));
    if (!trained && after && !same(before, after))
        return fail(w, name,
                    thaw_arena_format(arena, "changed in stage '%s', which froze it", stage->name));
    if (s > 0) {
        const char *earlier = hash_of(json_object_get(tensors_of(w, s - 1), name), "after");
        if (!same(earlier, before))
            return fail(w, name,
                        thaw_arena_format(arena, "changed between stage '%s' and stage '%s'",
                                          stage[-1].name, stage->name));
    }
    stage->untouched += is_untouched(w, name, s);
    return THAW_OK;
}

static thaw_status check_stages(struct work *w) {
    struct thaw_verify *v = w->v;
    size_t count = json_array_size(w->stages);
    v->stages = thaw_arena_array(&v->arena, count, sizeof *v->stages);
    if (!v->stages)
        return THAW_ERROR_MEMORY;
    for (v->stage_count = 0; v->stage_count < count; v->stage_count++) {
        size_t s = v->stage_count;
        const char *name =
            json_string_value(json_object_get(json_array_get(w->stages, s), "stage"));
        json_t *entry;
        v->stages[s].name = name ? thaw_arena_copy(&v->arena, name) : "?";
        v->stages[s].has_kept = (int)s == w->kept_stage;
        v->stages[s].complete = true;
        json_object_foreach(tensors_of(w, s), name, entry) {
            THAW_TRY(check_entry(w, s, name, entry));
        }
    }
    return THAW_OK;
}

/* ---- the model file ------------------------------------------------------------------------- */

static thaw_status check_tensor(struct work *w, const struct thaw_weight *weight) {
    struct thaw_verify *v = w->v;
    const char *stage = v->stages[w->kept_stage].name;
    const char *kept = json_string_value(json_object_get(w->kept, weight->name));
    json_t *entry = json_object_get(tensors_of(w, (size_t)w->kept_stage), weight->name);
    char hash[THAW_FREEZE_HASH_SIZE];
    if (!kept || !entry)
        return fail(w, weight->name, "is in the file, but the run knows no such tensor");
    THAW_TRY(hash_weight(weight, hash));
    bool frozen = !json_is_true(json_object_get(entry, "trained"));
    if (frozen && !same(hash, hash_of(entry, "before")))
        return fail(w, weight->name,
                    thaw_arena_format(&v->arena, "is not what stage '%s' froze", stage));
    if (!same(hash, kept))
        return fail(w, weight->name, "is not what the run kept");
    v->tensors++;
    v->untouched += is_untouched(w, weight->name, (size_t)w->kept_stage);
    return THAW_OK;
}

static thaw_status check_model(struct work *w) {
    struct thaw_weights weights = {0};
    const char *name;
    json_t *hash;
    THAW_TRY(thaw_weights_open(w->v->model, &weights));
    thaw_status status = THAW_OK;
    for (size_t i = 0; i < weights.count && status == THAW_OK; i++)
        status = check_tensor(w, &weights.items[i]);
    json_object_foreach(w->kept, name, hash) {
        if (status == THAW_OK && !thaw_weights_find(&weights, name))
            status = fail(w, name, "is missing from the file");
    }
    thaw_weights_finish(&weights);
    return status;
}

/* ---- the pretrained file -------------------------------------------------------------------- */

/* Sets `unchecked` where the file can't say anything: it is gone, or another one by now. */
static thaw_status find_weights(struct work *w, json_t *loaded) {
    struct thaw_verify *v = w->v;
    char hash[THAW_MODEL_HASH_SIZE];
    const char *file = hash_of(loaded, "file");
    if (!file)
        return damaged(w, "what was loaded has no file");
    v->weights = thaw_arena_copy(&v->arena, file);
    if (!v->weights)
        return THAW_ERROR_MEMORY;
    if (!thaw_path_exists(v->weights)) {
        v->unchecked = "it is not there any more";
        return THAW_OK;
    }
    THAW_TRY(thaw_model_hash_file(v->weights, hash));
    if (!same(hash, hash_of(loaded, "hash")))
        v->unchecked = "it is another file by now";
    return THAW_OK;
}

static thaw_status check_pretrained(struct work *w) {
    struct thaw_verify *v = w->v;
    json_t *loaded = json_object_get(w->record, "loaded"), *source;
    struct thaw_weights weights = {0};
    const char *name;
    if (!loaded)
        return THAW_OK;
    THAW_TRY(find_weights(w, loaded));
    if (v->unchecked)
        return THAW_OK;
    THAW_TRY(thaw_weights_open(v->weights, &weights));
    thaw_status status = THAW_OK;
    json_object_foreach(json_object_get(loaded, "tensors"), name, source) {
        const char *text = json_string_value(source);
        const struct thaw_weight *weight = text ? thaw_weights_find(&weights, text) : NULL;
        char hash[THAW_FREEZE_HASH_SIZE] = "";
        if (weight && status == THAW_OK)
            status = hash_weight(weight, hash);
        if (status != THAW_OK)
            break;
        if (same(hash, hash_of(json_object_get(tensors_of(w, 0), name), "before")))
            v->pretrained++;
        else
            status = fail(w, name, "did not start as what the weights file holds");
    }
    thaw_weights_finish(&weights);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static thaw_status verify(struct work *w, const char *run, const char *model) {
    struct thaw_verify *v = w->v;
    THAW_TRY(open_record(w, run));
    v->model = model ? thaw_arena_copy(&v->arena, model)
                     : thaw_path_join(&v->arena, run, "model.safetensors");
    if (!v->model)
        return THAW_ERROR_MEMORY;
    THAW_TRY(check_stages(w));
    THAW_TRY(check_model(w));
    return check_pretrained(w);
}

thaw_status thaw_verify_run(const char *run, const char *model, struct thaw_verify *ret_verify) {
    struct thaw_verify v = {0};
    struct work w = {.v = &v};
    thaw_status status = verify(&w, run, model);
    json_decref(w.record);
    if (status != THAW_OK)
        thaw_verify_finish(&v);
    else
        *ret_verify = v;
    return status;
}

void thaw_verify_finish(struct thaw_verify *verify) {
    thaw_arena_finish(&verify->arena);
    *verify = (struct thaw_verify){0};
}
