#include "graph/graph.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/rng.h"

int thaw_graph_find_node(const struct thaw_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->node_count; i++)
        if (!strcmp(graph->nodes[i].name, name))
            return (int)i;
    return -1;
}

int thaw_graph_find_param(const struct thaw_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (!strcmp(graph->params[i].name, name))
            return (int)i;
    return -1;
}

/* ---- selection by name ---------------------------------------------------------------------- */

static bool has_prefix(const char *name, const char *prefix) {
    size_t length = strlen(prefix);
    return !strncmp(name, prefix, length) && (!name[length] || name[length] == '.');
}

static bool in_stage(const struct thaw_stage_name *stage, const char *name) {
    for (size_t i = 0; i < stage->prefix_count; i++)
        if (has_prefix(name, stage->prefixes[i]))
            return true;
    return false;
}

int thaw_graph_stage_of(const struct thaw_graph *graph, int node) {
    if (node > graph->features)
        return (int)graph->stage_count;
    for (size_t i = 0; i < graph->stage_count; i++)
        if (in_stage(&graph->stages[i], graph->nodes[node].name))
            return (int)i;
    return -1;
}

static int find_stage(const struct thaw_graph *graph, const char *name, size_t length) {
    for (size_t i = 0; i < graph->stage_count; i++)
        if (strlen(graph->stages[i].name) == length &&
            !strncmp(graph->stages[i].name, name, length))
            return (int)i;
    return -1;
}

static thaw_status match_regex(const struct thaw_graph *graph, const thaw_yaml *place,
                               const char *pattern, bool *marks, size_t *matched) {
    regex_t regex;
    int code = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (code) {
        char reason[128];
        regerror(code, &regex, reason, sizeof reason);
        return thaw_yaml_fail(place, "'%s' is not a regular expression: %s", pattern, reason);
    }
    for (size_t i = 0; i < graph->param_count; i++)
        if (!regexec(&regex, graph->params[i].name, 0, NULL, 0)) {
            marks[i] = true;
            ++*matched;
        }
    regfree(&regex);
    return THAW_OK;
}

/* "last:3" and "last:50%" (rounded up): the last stages. */
static bool last_stages(const struct thaw_graph *graph, const char *pattern, int *ret_first,
                        int *ret_last) {
    char *end;
    if (strncmp(pattern, "last:", 5) != 0)
        return false;
    long number = strtol(pattern + 5, &end, 10), count = (long)graph->stage_count;
    if (end == pattern + 5 || number < 1)
        return false;
    if (!strcmp(end, "%") && number <= 100)
        number = (number * count + 99) / 100;
    else if (*end || number > count)
        return false;
    *ret_first = (int)(count - number);
    *ret_last = (int)count - 1;
    return count > 0;
}

/* The stages that the pattern names: one, a range "a..b", or the last ones. False when it names
 * none. */
static bool stage_range(const struct thaw_graph *graph, const char *pattern, int *ret_first,
                        int *ret_last) {
    const char *dots = strstr(pattern, "..");
    if (last_stages(graph, pattern, ret_first, ret_last))
        return true;
    if (!dots) {
        *ret_first = *ret_last = find_stage(graph, pattern, strlen(pattern));
        return *ret_first >= 0;
    }
    *ret_first = find_stage(graph, pattern, (size_t)(dots - pattern));
    *ret_last = find_stage(graph, dots + 2, strlen(dots + 2));
    return *ret_first >= 0 && *ret_last >= 0;
}

static thaw_status no_match(const struct thaw_graph *graph, const thaw_yaml *place,
                            const char *pattern) {
    size_t capacity = graph->stage_count + graph->node_count + graph->param_count + 2, count = 0;
    const char **names = malloc(capacity * sizeof *names);
    if (!names)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    names[count++] = "head";
    names[count++] = "all";
    for (size_t i = 0; i < graph->stage_count; i++)
        names[count++] = graph->stages[i].name;
    for (size_t i = 0; i < graph->node_count; i++)
        names[count++] = graph->nodes[i].name;
    for (size_t i = 0; i < graph->param_count; i++)
        names[count++] = graph->params[i].name;
    const char *nearest = thaw_nearest(pattern, names, count);
    struct thaw_text stages = {0};
    for (size_t i = 0; i < graph->stage_count; i++)
        thaw_text_append(&stages, ", %s", graph->stages[i].name);
    thaw_status status =
        thaw_yaml_fail(place, "'%s' matches no tensor of %s%s%s%s (stages: head%s)", pattern,
                       graph->name ? graph->name : "the model", nearest ? " (nearest: '" : "",
                       nearest ? nearest : "", nearest ? "')" : "", stages.text ? stages.text : "");
    thaw_text_finish(&stages);
    free(names);
    return status;
}

thaw_status thaw_graph_match(const struct thaw_graph *graph, const thaw_yaml *place,
                             const char *pattern, bool *marks) {
    size_t matched = 0;
    int first = -1, last = -1;
    if (!strncmp(pattern, "re:", 3)) {
        THAW_TRY(match_regex(graph, place, pattern + 3, marks, &matched));
        return matched ? THAW_OK : no_match(graph, place, pattern);
    }
    bool stage = stage_range(graph, pattern, &first, &last);
    if (stage && first > last)
        return thaw_yaml_fail(place, "'%s' is an empty range: %s comes after %s", pattern,
                              graph->stages[first].name, graph->stages[last].name);
    bool glob = strpbrk(pattern, "*?") != NULL;
    for (size_t i = 0; i < graph->param_count; i++) {
        const char *name = graph->params[i].name;
        int of = thaw_graph_stage_of(graph, graph->params[i].node);
        bool match = !strcmp(pattern, "all");
        if (!strcmp(pattern, "head"))
            match = of == (int)graph->stage_count;
        else if (stage)
            match = of >= first && of <= last;
        else if (!match)
            match = glob ? thaw_glob_match(pattern, name) : has_prefix(name, pattern);
        if (match) {
            marks[i] = true;
            matched++;
        }
    }
    return matched ? THAW_OK : no_match(graph, place, pattern);
}

/* ---- where a cache can cut ------------------------------------------------------------------ */

static bool must_run(const struct thaw_graph *graph, const struct thaw_node *node) {
    for (int p = 0; p < node->param_count; p++)
        if (graph->params[node->params[p]].trainable)
            return true;
    return node->op && (node->batch_statistics || node->op->stochastic);
}

int thaw_graph_cut(const struct thaw_graph *graph) {
    int limit = (int)graph->node_count - 1; /* the cut is below the first node that must run */
    for (int i = (int)graph->node_count - 1; i > 0; i--)
        if (must_run(graph, &graph->nodes[i]))
            limit = i - 1;
    int lowest_read = (int)graph->node_count; /* by the nodes after the candidate */
    int cut = 0;
    for (int c = (int)graph->node_count - 1; c > 0; c--) {
        if (c <= limit && lowest_read >= c) {
            cut = c;
            break;
        }
        for (int i = 0; i < graph->nodes[c].input_count; i++)
            lowest_read =
                graph->nodes[c].inputs[i] < lowest_read ? graph->nodes[c].inputs[i] : lowest_read;
    }
    return cut;
}

/* ---- parameters ----------------------------------------------------------------------------- */

int thaw_param_dims(const struct thaw_param *param, int64_t ret_dims[4]) {
    const struct thaw_filter *f = &param->spec->filter;
    ret_dims[0] = f->o;
    ret_dims[1] = param->spec->rank == 2 ? (int64_t)f->i * f->kh * f->kw : f->i;
    ret_dims[2] = f->kh;
    ret_dims[3] = f->kw;
    for (int i = 0; param->spec->dims[0] && i < param->spec->rank; i++)
        ret_dims[i] = param->spec->dims[i];
    return param->spec->rank;
}

size_t thaw_param_count_values(const struct thaw_param *param) {
    const struct thaw_filter *f = &param->spec->filter;
    return (size_t)f->o * (size_t)f->i * (size_t)f->kh * (size_t)f->kw;
}

thaw_status thaw_param_write(const struct thaw_graph *graph, const struct thaw_param *param,
                             const float *data) {
    return thaw_context(thaw_filter_write(graph->device, &param->spec->filter, param->value, data),
                        "%s", param->name);
}

thaw_status thaw_param_read(const struct thaw_graph *graph, const struct thaw_param *param,
                            float *ret_data) {
    return thaw_context(
        thaw_filter_read(graph->device, &param->spec->filter, param->value, ret_data), "%s",
        param->name);
}

static void initial_values(const struct thaw_param *param, uint64_t seed, size_t count,
                           float *values) {
    uint64_t hash = thaw_hash64(param->name, strlen(param->name), 0);
    struct thaw_rng rng =
        thaw_rng_init(seed, THAW_RNG_INIT, (uint32_t)hash, (uint32_t)(hash >> 32));
    float fan = (float)(param->spec->fan > 0 ? param->spec->fan : 1);
    for (size_t i = 0; i < count; i++)
        switch (param->spec->init) {
        case THAW_INIT_ZEROS:
            values[i] = 0;
            break;
        case THAW_INIT_ONES:
            values[i] = 1;
            break;
        case THAW_INIT_CONSTANT:
            values[i] = param->spec->constant;
            break;
        case THAW_INIT_KAIMING_NORMAL:
            values[i] = thaw_rng_normal(&rng) * sqrtf(2 / fan);
            break;
        case THAW_INIT_LINEAR:
            values[i] = thaw_rng_between(&rng, -1, 1) / sqrtf(fan);
            break;
        }
}

thaw_status thaw_param_initialise(const struct thaw_graph *graph, const struct thaw_param *param,
                                  uint64_t seed) {
    size_t count = thaw_param_count_values(param);
    float *values = malloc(count * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory initialising %s", param->name);
    initial_values(param, seed, count, values);
    thaw_status status = thaw_param_write(graph, param, values);
    free(values);
    return status;
}

/* Values that the graph lacks, in one allocation: an optimizer updates them in one launch. */
static thaw_status create_values(struct thaw_graph *graph) {
    struct thaw_buffer_wish *wishes = malloc((graph->param_count + 1) * sizeof *wishes);
    size_t count = 0;
    if (!wishes)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory allocating %s", graph->name);
    for (size_t i = 0; i < graph->param_count; i++)
        if (!graph->params[i].value)
            wishes[count++] = (struct thaw_buffer_wish){
                thaw_filter_size(&graph->params[i].spec->filter) * sizeof(float),
                &graph->params[i].value};
    thaw_status status = thaw_buffer_create_group(graph->device, wishes, count);
    free(wishes);
    return status;
}

thaw_status thaw_graph_create_params(struct thaw_graph *graph, thaw_device *device) {
    graph->device = device;
    THAW_TRY(create_values(graph));
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].origin = THAW_ORIGIN_INITIALISED;
    return THAW_OK;
}

thaw_status thaw_graph_initialise(struct thaw_graph *graph, uint64_t seed) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].origin == THAW_ORIGIN_INITIALISED)
            THAW_TRY(thaw_param_initialise(graph, &graph->params[i], seed));
    return THAW_OK;
}

thaw_status thaw_graph_allocate(struct thaw_graph *graph, thaw_device *device, uint64_t seed) {
    THAW_TRY(thaw_graph_create_params(graph, device));
    return thaw_graph_initialise(graph, seed);
}
