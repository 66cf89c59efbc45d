/* From an ONNX graph to a Thaw graph: names the values, finds out which operators the outputs need,
 * and converts those in the file's order. */
#include "io/onnx/convert.h"

#include <stdlib.h>
#include <string.h>

#include "io/onnx/names.h"
#include "io/onnx/normalisation.h"
#include "io/onnx/ports.h"
#include "io/onnx/text.h"

/* ---- operators ------------------------------------------------------------------------------- */

#define X(name) extern const struct thaw_onnx_operator thaw_onnx_family_##name[];
#include "onnx_families.inc"
#undef X

static const struct thaw_onnx_operator *const families[] = {
#define X(name) thaw_onnx_family_##name,
#include "onnx_families.inc"
#undef X
};

const struct thaw_onnx_operator *thaw_onnx_operator_find(const char *type) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct thaw_onnx_operator *o = families[i]; o->type; o++)
            if (!strcmp(o->type, type))
                return o;
    return NULL;
}

static const char *nearest_operator(const char *type) {
    const char *names[256];
    size_t count = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct thaw_onnx_operator *o = families[i]; o->type && count < 256; o++)
            names[count++] = o->type;
    return thaw_nearest(type, names, count);
}

/* ---- values ---------------------------------------------------------------------------------- */

static int compare_values(const void *a, const void *b) {
    return strcmp(((const struct thaw_onnx_value *)a)->name,
                  ((const struct thaw_onnx_value *)b)->name);
}

struct thaw_onnx_value *thaw_onnx_value_find(const struct thaw_onnx_converter *cv,
                                             const char *name) {
    const struct thaw_onnx_value key = {.name = name};
    return cv->value_count
               ? bsearch(&key, cv->values, cv->value_count, sizeof *cv->values, compare_values)
               : NULL;
}

static const char *text_or_empty(const char *text) {
    return text ? text : "";
}

static size_t count_names(const Thaw__Onnx__GraphProto *graph) {
    size_t count = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        count += graph->node[i]->n_output;
    return count;
}

static void add_name(struct thaw_onnx_converter *cv, const char *name, bool is_input,
                     const Thaw__Onnx__TensorProto *initializer) {
    if (!name || !*name)
        return;
    struct thaw_onnx_value *value = &cv->values[cv->value_count++];
    *value =
        (struct thaw_onnx_value){.name = name, .is_input = is_input, .initializer = initializer};
    if (initializer) {
        value->is_constant = value->defined = true;
        value->elem = initializer->data_type;
    }
}

/* One value for each name. Initializers may be listed as inputs, too: old files do; anything else
 * that is made twice is an error. */
static thaw_status merge_names(struct thaw_onnx_converter *cv) {
    size_t kept = 0;
    qsort(cv->values, cv->value_count, sizeof *cv->values, compare_values);
    for (size_t i = 0; i < cv->value_count; i++) {
        struct thaw_onnx_value *last = kept ? &cv->values[kept - 1] : NULL;
        if (!last || strcmp(last->name, cv->values[i].name) != 0) {
            cv->values[kept++] = cv->values[i];
            continue;
        }
        const struct thaw_onnx_value *other = &cv->values[i];
        if (!(last->is_input && other->initializer) && !(last->initializer && other->is_input))
            return thaw_fail(THAW_ERROR_INPUT, "the value '%s' is made twice",
                             thaw_onnx_printable(cv->arena, last->name));
        if (cv->values[i].initializer)
            *last = cv->values[i];
    }
    cv->value_count = kept;
    return THAW_OK;
}

static thaw_status collect_values(struct thaw_onnx_converter *cv) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    cv->values = thaw_arena_array(&cv->scratch, count_names(graph) + 1, sizeof *cv->values);
    if (!cv->values)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_input; i++)
        add_name(cv, graph->input[i]->name, true, NULL);
    for (size_t i = 0; i < graph->n_initializer; i++)
        add_name(cv, graph->initializer[i]->name, false, graph->initializer[i]);
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t j = 0; j < graph->node[i]->n_output; j++)
            add_name(cv, graph->node[i]->output[j], false, NULL);
    THAW_TRY(merge_names(cv));
    for (size_t i = 0; i < cv->options->constant_count; i++) {
        const struct thaw_onnx_tensor *tensor = &cv->options->constants[i];
        struct thaw_onnx_value *value = thaw_onnx_value_find(cv, text_or_empty(tensor->name));
        if (!value)
            return thaw_fail(THAW_ERROR_INPUT, "the graph has no value '%s'",
                             text_or_empty(tensor->name));
        value->is_constant = value->defined = true;
        value->initializer = NULL;
        value->tensor = *tensor;
        value->elem = tensor->elem;
    }
    return THAW_OK;
}

/* ---- what is needed -------------------------------------------------------------------------- */

static thaw_status label(struct thaw_onnx_converter *cv, const Thaw__Onnx__NodeProto *node,
                         thaw_status status) {
    const char *name = text_or_empty(node->name);
    if (!*name && node->n_output)
        name = text_or_empty(node->output[0]);
    return thaw_context(status, "node '%s' (%s)", thaw_onnx_printable(cv->arena, name),
                        thaw_onnx_printable(cv->arena, text_or_empty(node->op_type)));
}

static thaw_status want_inputs(struct thaw_onnx_converter *cv, const Thaw__Onnx__NodeProto *node) {
    for (size_t i = 0; i < node->n_input; i++) {
        if (!*node->input[i])
            continue;
        struct thaw_onnx_value *value = thaw_onnx_value_find(cv, node->input[i]);
        if (!value)
            return thaw_fail(THAW_ERROR_INPUT, "reads '%s', which nothing makes",
                             thaw_onnx_printable(cv->arena, node->input[i]));
        value->uses++;
    }
    return THAW_OK;
}

/* Marks the nodes that lead to values in use, from the last one up. */
static thaw_status mark_needed(struct thaw_onnx_converter *cv) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    cv->needed = thaw_arena_array(&cv->scratch, graph->n_node + 1, sizeof *cv->needed);
    if (!cv->needed)
        return THAW_ERROR_MEMORY;
    for (size_t i = graph->n_node; i-- > 0;) {
        const Thaw__Onnx__NodeProto *node = graph->node[i];
        for (size_t j = 0; j < node->n_output; j++) {
            const struct thaw_onnx_value *value =
                *node->output[j] ? thaw_onnx_value_find(cv, node->output[j]) : NULL;
            cv->needed[i] |= value && value->uses;
        }
        if (!cv->needed[i])
            continue;
        thaw_status status = want_inputs(cv, node);
        if (status != THAW_OK)
            return label(cv, node, status);
    }
    return THAW_OK;
}

/* ---- one node -------------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; length && (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

static thaw_status check_node(const struct thaw_onnx_call *call,
                              const struct thaw_onnx_operator *operator) {
    const Thaw__Onnx__NodeProto *node = call->node;
    struct thaw_arena *arena = call->cv->arena;
    const char *domain = text_or_empty(node->domain);
    if (*domain && strcmp(domain, "ai.onnx") != 0)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "operators of the domain '%s' are not supported",
                         thaw_onnx_printable(arena, domain));
    if (!operator) {
        const char *nearest = nearest_operator(text_or_empty(node->op_type));
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "the operator is not supported%s%s%s",
                         nearest ? " (nearest: '" : "", nearest ? nearest : "",
                         nearest ? "')" : "");
    }
    for (size_t i = 0; i < node->n_attribute; i++)
        if (!is_listed(operator->attributes, text_or_empty(node->attribute[i]->name)))
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute '%s' is not supported",
                             thaw_onnx_printable(arena, text_or_empty(node->attribute[i]->name)));
    for (int i = operator->outputs; i < call->out_count; i++)
        if (call->out[i])
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "its output %d ('%s') is not supported", i + 1,
                             thaw_onnx_printable(arena, call->out[i]->name));
    return THAW_OK;
}

static thaw_status gather_inputs(struct thaw_onnx_call *call, bool *ret_all_constant) {
    struct thaw_onnx_converter *cv = call->cv;
    *ret_all_constant = true;
    for (int i = 0; i < call->in_count; i++) {
        const char *name = call->node->input[i];
        struct thaw_onnx_value *value = *name ? thaw_onnx_value_find(cv, name) : NULL;
        if (!value)
            continue;
        if (!value->defined)
            return thaw_fail(THAW_ERROR_INPUT, "reads '%s', which nothing before it makes",
                             thaw_onnx_printable(cv->arena, name));
        if (value->initializer) {
            THAW_TRY(thaw_onnx_model_tensor(cv->model, value->initializer, &value->tensor));
            value->initializer = NULL;
        }
        call->in[i] = value;
        *ret_all_constant &= value->is_constant;
    }
    return THAW_OK;
}

static thaw_status run_call(struct thaw_onnx_call *call) {
    const struct thaw_onnx_operator *operator=
        thaw_onnx_operator_find(text_or_empty(call->node->op_type));
    bool all_constant;
    THAW_TRY(check_node(call, operator));
    THAW_TRY(gather_inputs(call, &all_constant));
    if (operator->fold &&(all_constant || operator->folds_shape))
        return operator->fold(call);
    if (!operator->convert)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "the operator is supported on constants only, and here an input is "
                         "computed from the network's input");
    return operator->convert(call);
}

static thaw_status run_node(struct thaw_onnx_converter *cv, const Thaw__Onnx__NodeProto *node) {
    struct thaw_onnx_call call = {
        .cv = cv, .node = node, .in_count = (int)node->n_input, .out_count = (int)node->n_output};
    call.in = thaw_arena_array(&cv->scratch, node->n_input + 1, sizeof *call.in);
    call.out = thaw_arena_array(&cv->scratch, node->n_output + 1, sizeof *call.out);
    if (!call.in || !call.out)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < node->n_output; i++) {
        struct thaw_onnx_value *value =
            *node->output[i] ? thaw_onnx_value_find(cv, node->output[i]) : NULL;
        call.out[i] = value && value->uses ? value : NULL;
    }
    call.base = thaw_onnx_base_name(cv, node);
    if (!call.base)
        return THAW_ERROR_MEMORY;
    THAW_TRY(run_call(&call));
    for (int i = 0; i < call.out_count; i++)
        if (call.out[i] && !call.out[i]->defined)
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "its output %d is not supported", i + 1);
    return THAW_OK;
}

static thaw_status run_nodes(struct thaw_onnx_converter *cv) {
    for (size_t i = 0; i < cv->model->graph->n_node; i++) {
        if (!cv->needed[i])
            continue;
        thaw_status status = run_node(cv, cv->model->graph->node[i]);
        if (status != THAW_OK)
            return label(cv, cv->model->graph->node[i], status);
    }
    return THAW_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static thaw_status convert(struct thaw_onnx_converter *cv) {
    THAW_TRY(thaw_onnx_read_options(cv));
    THAW_TRY(collect_values(cv));
    THAW_TRY(thaw_onnx_want_outputs(cv));
    THAW_TRY(mark_needed(cv));
    THAW_TRY(thaw_onnx_find_common_names(cv));
    THAW_TRY(thaw_onnx_make_inputs(cv));
    THAW_TRY(run_nodes(cv));
    return thaw_onnx_make_outputs(cv);
}

static thaw_status import_model(struct thaw_onnx_model *model,
                                const struct thaw_onnx_options *options,
                                struct thaw_onnx_import *ret_import) {
    struct thaw_onnx_import import = {0};
    struct thaw_onnx_model *kept = thaw_arena_alloc(&import.arena, sizeof *kept);
    thaw_status status = THAW_ERROR_MEMORY;
    struct thaw_onnx_converter cv = {.model = kept,
                                     .options = options,
                                     .result = &import,
                                     .arena = &import.arena,
                                     .batched = !(options->as_is && options->whole)};
    if (kept) {
        *kept = *model;
        *model = (struct thaw_onnx_model){0};
        import.model = kept;
        status = convert(&cv);
        if (status != THAW_OK)
            status = thaw_context(status, "%s", kept->path);
    } else {
        thaw_onnx_model_finish(model);
    }
    if (status != THAW_OK) {
        thaw_arena_finish(&cv.scratch);
        thaw_onnx_import_finish(&import);
        return status;
    }
    /* Parameters may be borrowed from what was computed on the way. */
    import.scratch = cv.scratch;
    *ret_import = import;
    return THAW_OK;
}

thaw_status thaw_onnx_import_file(const char *path, const struct thaw_onnx_options *options,
                                  struct thaw_onnx_import *ret_import) {
    struct thaw_onnx_model model;
    THAW_TRY(thaw_onnx_model_open(path, &model));
    return import_model(&model, options, ret_import);
}

thaw_status thaw_onnx_import_bytes(const void *bytes, size_t size_bytes, const char *name,
                                   const struct thaw_onnx_options *options,
                                   struct thaw_onnx_import *ret_import) {
    struct thaw_onnx_model model;
    THAW_TRY(thaw_onnx_model_open_bytes(bytes, size_bytes, name, &model));
    return import_model(&model, options, ret_import);
}

void thaw_onnx_import_finish(struct thaw_onnx_import *import) {
    thaw_weights_finish(&import->weights);
    if (import->model)
        thaw_onnx_model_finish(import->model);
    thaw_arena_finish(&import->scratch);
    thaw_arena_finish(&import->arena);
    *import = (struct thaw_onnx_import){0};
}
