#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "io/weights.h"

struct thaw_checkpoint {
    struct thaw_weights weights;
    const char *path;
    struct thaw_arena arena;
};

static const char *average_name(struct thaw_arena *arena, const char *param) {
    return thaw_arena_format(arena, "average.%s", param);
}

static const char *slot_name(struct thaw_arena *arena, int slot, const char *param) {
    return thaw_arena_format(arena, "optimizer.%d.%s", slot, param);
}

/* ---- the state as JSON ---------------------------------------------------------------------- */

static const char state_format[] =
    "{s:i, s:i, s:i, s:I, s:i, s:b, s:f, s:f, s:b, s:b, s:f, s:f, s:i, s:f, s:f, s:i, s:i}";

static json_t *pack_state(const struct thaw_train_state *s) {
    return json_pack(state_format, "stage", s->stage, "epoch", s->epoch, "step", s->step, "counter",
                     (json_int_t)s->counter, "stage_steps", s->stage_steps, "stage_begun",
                     (int)s->stage_begun, "loss_sum", s->loss_sum, "loss_norm", s->loss_norm,
                     "has_best", (int)s->has_best, "stage_has_best", (int)s->stage_has_best, "best",
                     s->best, "stage_best", s->stage_best, "stale_epochs", s->stale_epochs,
                     "elapsed_s", s->elapsed_s, "best_loss", s->best_loss, "best_stage",
                     s->best_stage, "best_epoch", s->best_epoch);
}

static bool unpack_state(json_t *root, struct thaw_train_state *s) {
    json_int_t counter = 0;
    int stage_begun = 0, has_best = 0, stage_has_best = 0;
    if (!root ||
        json_unpack(root, state_format, "stage", &s->stage, "epoch", &s->epoch, "step", &s->step,
                    "counter", &counter, "stage_steps", &s->stage_steps, "stage_begun",
                    &stage_begun, "loss_sum", &s->loss_sum, "loss_norm", &s->loss_norm, "has_best",
                    &has_best, "stage_has_best", &stage_has_best, "best", &s->best, "stage_best",
                    &s->stage_best, "stale_epochs", &s->stale_epochs, "elapsed_s", &s->elapsed_s,
                    "best_loss", &s->best_loss, "best_stage", &s->best_stage, "best_epoch",
                    &s->best_epoch))
        return false;
    s->counter = (uint32_t)counter;
    s->stage_begun = stage_begun;
    s->has_best = has_best;
    s->stage_has_best = stage_has_best;
    return s->stage >= 0 && s->epoch >= 0 && s->step >= 0 && s->stage_steps >= 0;
}

static json_t *pack_memory(const struct thaw_graph *graph, const struct thaw_stage_memory *memory) {
    json_t *updates = json_object();
    for (size_t i = 0; memory && i < graph->param_count; i++)
        if (memory->updates[i])
            json_object_set_new(updates, graph->params[i].name,
                                json_integer((json_int_t)memory->updates[i]));
    return json_pack("{s:o, s:I}", "updates", updates, "averaged",
                     (json_int_t)(memory ? memory->averaged : 0));
}

/* ---- saving --------------------------------------------------------------------------------- */

/* What a tensor of the file is a copy of. */
struct source {
    int param;
    cl_mem buffer;
};

struct supply {
    const struct thaw_graph *graph;
    struct source *sources;
    float *values;
};

static thaw_status supply_tensor(void *user, size_t index, const void **ret_data) {
    struct supply *supply = user;
    const struct source *source = &supply->sources[index];
    const struct thaw_param *param = &supply->graph->params[source->param];
    THAW_TRY(thaw_filter_read(supply->graph->device, &param->spec->filter, source->buffer,
                              supply->values));
    *ret_data = supply->values;
    return THAW_OK;
}

static thaw_status add_tensor(struct thaw_weights *weights, struct supply *supply, const char *name,
                              int param, cl_mem buffer) {
    int64_t dims[4];
    int rank = thaw_param_dims(&supply->graph->params[param], dims);
    if (!name)
        return THAW_ERROR_MEMORY;
    supply->sources[weights->count] = (struct source){param, buffer};
    return thaw_weights_add(weights, name, THAW_DTYPE_F32, rank, dims, NULL);
}

static thaw_status collect(struct thaw_weights *weights, struct supply *supply,
                           const struct thaw_stage_memory *memory) {
    const struct thaw_graph *graph = supply->graph;
    size_t largest = 1, capacity = graph->param_count * (2 + THAW_OPTIMIZER_SLOTS_MAX) + 1;
    supply->sources = thaw_arena_array(&weights->arena, capacity, sizeof *supply->sources);
    if (!supply->sources)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t count = thaw_param_count_values(param);
        largest = count > largest ? count : largest;
        THAW_TRY(add_tensor(weights, supply, param->name, (int)i, param->value));
        if (memory && memory->averages[i])
            THAW_TRY(add_tensor(weights, supply, average_name(&weights->arena, param->name), (int)i,
                                memory->averages[i]));
        for (int k = 0; k < THAW_OPTIMIZER_SLOTS_MAX; k++) {
            cl_mem slot = memory ? memory->slots[i * THAW_OPTIMIZER_SLOTS_MAX + (size_t)k] : NULL;
            if (slot)
                THAW_TRY(add_tensor(weights, supply, slot_name(&weights->arena, k, param->name),
                                    (int)i, slot));
        }
    }
    supply->values = thaw_arena_array(&weights->arena, largest, sizeof *supply->values);
    return supply->values ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status set_json(struct thaw_weights *weights, const char *key, json_t *root) {
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!text)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory saving a checkpoint");
    thaw_status status = thaw_weights_set_metadata(weights, key, text);
    free(text);
    return status;
}

thaw_status thaw_checkpoint_save(const char *path, const struct thaw_graph *graph,
                                 const struct thaw_stage_memory *memory,
                                 const struct thaw_train_state *state, json_t *freeze,
                                 json_t *choices, const char *config_text) {
    struct thaw_weights weights = {0};
    struct supply supply = {.graph = graph};
    json_t *packed = pack_state(state), *remembered = pack_memory(graph, memory);
    thaw_status status = collect(&weights, &supply, memory);
    if (status == THAW_OK)
        status = set_json(&weights, "thaw.state", packed);
    if (status == THAW_OK)
        status = set_json(&weights, "thaw.memory", remembered);
    if (status == THAW_OK)
        status = set_json(&weights, "thaw.freeze", freeze);
    if (status == THAW_OK)
        status = set_json(&weights, "thaw.auto", choices);
    if (status == THAW_OK)
        status = thaw_weights_set_metadata(&weights, "thaw.config", config_text);
    if (status == THAW_OK)
        status = thaw_safetensors_write(path, &weights, supply_tensor, &supply);
    json_decref(packed);
    json_decref(remembered);
    thaw_weights_finish(&weights);
    return status;
}

/* ---- loading -------------------------------------------------------------------------------- */

thaw_status thaw_checkpoint_open(const char *path, struct thaw_checkpoint **ret_checkpoint) {
    struct thaw_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    checkpoint->path = thaw_arena_copy(&checkpoint->arena, path);
    thaw_status status =
        checkpoint->path ? thaw_weights_open(path, &checkpoint->weights) : THAW_ERROR_MEMORY;
    if (status == THAW_OK && !thaw_weights_get_metadata(&checkpoint->weights, "thaw.config"))
        status = thaw_fail(THAW_ERROR_INPUT, "%s: this is no checkpoint of Thaw", path);
    if (status != THAW_OK)
        thaw_checkpoint_close(&checkpoint);
    else
        *ret_checkpoint = checkpoint;
    return status;
}

void thaw_checkpoint_close(struct thaw_checkpoint **checkpoint) {
    if (!*checkpoint)
        return;
    thaw_weights_finish(&(*checkpoint)->weights);
    thaw_arena_finish(&(*checkpoint)->arena);
    free(*checkpoint);
    *checkpoint = NULL;
}

const char *thaw_checkpoint_config(const struct thaw_checkpoint *checkpoint) {
    return thaw_weights_get_metadata(&checkpoint->weights, "thaw.config");
}

/* The JSON object under a key of the metadata, NULL for none. */
static json_t *get_json(const struct thaw_checkpoint *checkpoint, const char *key) {
    const char *text = thaw_weights_get_metadata(&checkpoint->weights, key);
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    if (!json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

thaw_status thaw_checkpoint_state(const struct thaw_checkpoint *checkpoint,
                                  struct thaw_train_state *ret_state, json_t **ret_freeze,
                                  json_t **ret_choices) {
    json_t *root = get_json(checkpoint, "thaw.state"),
           *freeze = get_json(checkpoint, "thaw.freeze");
    json_t *choices = get_json(checkpoint, "thaw.auto");
    struct thaw_train_state state = {0};
    bool valid = unpack_state(root, &state) && freeze && choices;
    json_decref(root);
    if (!valid) {
        json_decref(freeze);
        json_decref(choices);
        return thaw_fail(THAW_ERROR_INPUT, "%s: the checkpoint's state is damaged",
                         checkpoint->path);
    }
    *ret_state = state;
    *ret_freeze = freeze;
    *ret_choices = choices;
    return THAW_OK;
}

static thaw_status load_tensor(const struct thaw_checkpoint *checkpoint,
                               const struct thaw_graph *graph, const struct thaw_param *param,
                               const char *name, cl_mem buffer) {
    const struct thaw_weight *weight = name ? thaw_weights_find(&checkpoint->weights, name) : NULL;
    size_t count = thaw_param_count_values(param);
    if (!weight || thaw_weight_count(weight) != count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the checkpoint has no %s that fits the model",
                         checkpoint->path, name ? name : param->name);
    float *values = malloc(count * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory loading %s", name);
    thaw_weight_to_float(weight, values);
    thaw_status status = thaw_filter_write(graph->device, &param->spec->filter, buffer, values);
    free(values);
    return status;
}

thaw_status thaw_checkpoint_load_params(const struct thaw_checkpoint *checkpoint,
                                        struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        THAW_TRY(load_tensor(checkpoint, graph, &graph->params[i], graph->params[i].name,
                             graph->params[i].value));
    return THAW_OK;
}

static thaw_status load_slots(const struct thaw_checkpoint *checkpoint,
                              const struct thaw_graph *graph, size_t param, cl_mem const *slots) {
    struct thaw_arena arena = {0};
    thaw_status status = THAW_OK;
    for (int k = 0; k < THAW_OPTIMIZER_SLOTS_MAX && status == THAW_OK; k++)
        if (slots[k])
            status = load_tensor(checkpoint, graph, &graph->params[param],
                                 slot_name(&arena, k, graph->params[param].name), slots[k]);
    thaw_arena_finish(&arena);
    return status;
}

/* Of a tensor that was averaged before the checkpoint; one that thawed since starts as it is. */
static thaw_status load_average(const struct thaw_checkpoint *checkpoint,
                                const struct thaw_graph *graph, size_t param, bool updated,
                                cl_mem average) {
    struct thaw_arena arena = {0};
    const char *name = average_name(&arena, graph->params[param].name);
    bool there = name && thaw_weights_find(&checkpoint->weights, name);
    thaw_status status = THAW_OK;
    if (average && (there || updated))
        status = load_tensor(checkpoint, graph, &graph->params[param], name, average);
    thaw_arena_finish(&arena);
    return status;
}

thaw_status thaw_checkpoint_load_memory(const struct thaw_checkpoint *checkpoint,
                                        const struct thaw_graph *graph,
                                        struct thaw_stage_memory *memory) {
    json_t *root = get_json(checkpoint, "thaw.memory");
    json_t *updates = json_object_get(root, "updates"),
           *averaged = json_object_get(root, "averaged");
    thaw_status status = json_is_object(updates) && json_is_integer(averaged)
                             ? THAW_OK
                             : thaw_fail(THAW_ERROR_INPUT, "%s: the checkpoint's state is damaged",
                                         checkpoint->path);
    memory->averaged = json_integer_value(averaged);
    for (size_t i = 0; i < graph->param_count && status == THAW_OK; i++) {
        json_int_t count = json_integer_value(json_object_get(updates, graph->params[i].name));
        memory->updates[i] = count > 0 ? (uint64_t)count : 0;
        if (count > 0)
            status = load_slots(checkpoint, graph, i, &memory->slots[i * THAW_OPTIMIZER_SLOTS_MAX]);
        if (status == THAW_OK)
            status = load_average(checkpoint, graph, i, count > 0, memory->averages[i]);
    }
    json_decref(root);
    return status;
}
