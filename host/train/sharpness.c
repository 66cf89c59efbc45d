#include "train/sharpness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

#define ITERATIONS 8 /* enough to find one direction that stands out */
/* Of the values' norm: gradients differ over it by far more than they are rounded, and activations
 * rarely pass a kink. */
#define RELATIVE_STEP 1e-5

/* A trained tensor, in the device's order with its padding. */
struct part {
    size_t param, size;
    double root_rate;
    float *value, *gradient, *direction, *moved;
};

struct work {
    struct thaw_fit *fit;
    struct thaw_arena arena;
    struct part *parts;
    size_t count;
};

static thaw_status set_up(struct work *w) {
    const struct thaw_session *s = w->fit->o.session;
    const struct thaw_graph *graph = s->graph;
    w->parts = thaw_arena_array(&w->arena, graph->param_count + 1, sizeof *w->parts);
    if (!w->parts)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t size = thaw_filter_size(&param->spec->filter);
        if (!param->trainable)
            continue;
        struct part *part = &w->parts[w->count];
        *part = (struct part){.param = i, .size = size, .root_rate = sqrt(s->rates[i].lr)};
        part->value = thaw_arena_array(&w->arena, 4 * size + 1, sizeof(float));
        if (!part->value)
            return THAW_ERROR_MEMORY;
        part->gradient = part->value + size;
        part->direction = part->gradient + size;
        part->moved = part->direction + size;
        THAW_TRY(
            thaw_buffer_read(graph->device, param->value, 0, part->value, size * sizeof(float)));
        w->count++; /* from here on there is something to restore */
    }
    return THAW_OK;
}

static thaw_status read_gradients(struct work *w, bool base) {
    const struct thaw_session *s = w->fit->o.session;
    THAW_TRY(thaw_fit_gradient(w->fit));
    for (size_t i = 0; i < w->count; i++) {
        struct part *part = &w->parts[i];
        THAW_TRY(thaw_buffer_read(s->graph->device, thaw_exec_gradient(s->train, (int)part->param),
                                  0, base ? part->gradient : part->moved,
                                  part->size * sizeof(float)));
    }
    return THAW_OK;
}

static thaw_status write_values(struct work *w, double step) {
    const struct thaw_graph *graph = w->fit->o.session->graph;
    for (size_t i = 0; i < w->count; i++) {
        struct part *part = &w->parts[i];
        for (size_t k = 0; k < part->size; k++)
            part->moved[k] =
                part->value[k] + (float)(step * part->root_rate * (double)part->direction[k]);
        THAW_TRY(thaw_buffer_write(graph->device, graph->params[part->param].value, 0,
                                   step == 0 ? part->value : part->moved,
                                   part->size * sizeof(float)));
    }
    return THAW_OK;
}

/* A direction in which every value that has a gradient moves: padding keeps out. */
static void begin(struct work *w) {
    for (size_t i = 0; i < w->count; i++) {
        struct part *part = &w->parts[i];
        struct thaw_rng rng =
            thaw_rng_init(w->fit->o.session->config->seed, THAW_RNG_SHARPNESS, (uint32_t)i, 0);
        for (size_t k = 0; k < part->size; k++)
            part->direction[k] = part->gradient[k] != 0 ? thaw_rng_between(&rng, -1, 1) : 0;
    }
}

/* Scales the direction to length 1; returns the length that it had. */
static double normalise(struct work *w) {
    double squares = 0;
    for (size_t i = 0; i < w->count; i++)
        for (size_t k = 0; k < w->parts[i].size; k++)
            squares += (double)w->parts[i].direction[k] * (double)w->parts[i].direction[k];
    double length = sqrt(squares);
    for (size_t i = 0; i < w->count && length > 0; i++)
        for (size_t k = 0; k < w->parts[i].size; k++)
            w->parts[i].direction[k] = (float)((double)w->parts[i].direction[k] / length);
    return length;
}

/* How far to move along the direction, so that the values change by RELATIVE_STEP. */
static double step_length(const struct work *w) {
    double values = 0, moves = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct part *part = &w->parts[i];
        for (size_t k = 0; k < part->size; k++) {
            double move = part->root_rate * (double)part->direction[k];
            values += (double)part->value[k] * (double)part->value[k];
            moves += move * move;
        }
    }
    return moves > 0 ? RELATIVE_STEP * sqrt(values / moves) : 0;
}

/* direction = D^1/2 H D^1/2 direction. */
static thaw_status multiply(struct work *w) {
    double step = step_length(w);
    if (!(step > 0))
        return THAW_OK;
    THAW_TRY(write_values(w, step));
    THAW_TRY(read_gradients(w, false));
    for (size_t i = 0; i < w->count; i++) {
        struct part *part = &w->parts[i];
        for (size_t k = 0; k < part->size; k++)
            part->direction[k] =
                (float)(part->root_rate * ((double)part->moved[k] - (double)part->gradient[k]) /
                        step);
    }
    return THAW_OK;
}

static thaw_status measure(struct work *w, double *ret_sharpness) {
    double sharpness = 0;
    THAW_TRY(set_up(w));
    THAW_TRY(read_gradients(w, true));
    begin(w);
    for (int i = 0; i < ITERATIONS && normalise(w) > 0; i++)
        THAW_TRY(multiply(w));
    sharpness = normalise(w);
    *ret_sharpness = sharpness;
    return THAW_OK;
}

thaw_status thaw_sharpness_measure(struct thaw_fit *fit, double *ret_sharpness) {
    struct work w = {.fit = fit};
    struct thaw_train_state before = *fit->o.state;
    thaw_status status = measure(&w, ret_sharpness);
    thaw_status restored = w.count ? write_values(&w, 0) : THAW_OK;
    *fit->o.state = before;
    thaw_arena_finish(&w.arena);
    return status == THAW_OK ? restored : status;
}

bool thaw_sharpness_matters(const struct thaw_fit *fit) {
    const struct thaw_session *s = fit->o.session;
    const struct thaw_graph *graph = s->graph;
    bool below = false;
    if (s->stage->norm == THAW_NORM_TRAIN || strcmp(s->optimizer.type->type, "sgd") != 0)
        return false;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct thaw_node *node = &graph->nodes[n];
        if (below && node->op && node->op->normalises)
            return true;
        for (int p = 0; p < node->param_count; p++)
            below |= graph->params[node->params[p]].trainable;
    }
    return false;
}

int thaw_sharpness_divisor(double sharpness) {
    return sharpness > 1 ? (int)ceil(fmin(sharpness, 1e6)) : 1;
}

void thaw_sharpness_divide(struct thaw_session *session, int divisor) {
    for (size_t i = 0; i < session->graph->param_count; i++)
        session->rates[i].lr /= divisor;
}
