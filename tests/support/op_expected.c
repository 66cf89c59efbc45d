#include "support/op_expected.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIFFERENCES_MAX 300 /* sampled entries of a gradient */
#define STEP 1e-4

struct op_map op_map_new(int n, int c, int h, int w) {
    struct op_map map = {n, c, h, w, NULL};
    map.data = calloc((size_t)op_map_count(&map) + 1, sizeof(double));
    assert_non_null(map.data);
    return map;
}

static void fill(struct op_map *map, uint32_t seed, float low, float high) {
    size_t count = (size_t)op_map_count(map);
    float *values = malloc((count + 1) * sizeof *values);
    test_random(values, count, seed, low, high);
    for (size_t i = 0; i < count; i++)
        map->data[i] = values[i];
    free(values);
}

/* Values that suit any parameter: a running variance is positive. */
static void fill_param(struct op_map *map, const struct thaw_param_spec *spec, int p) {
    bool positive = spec->kind == THAW_PARAM_STATISTIC && spec->init == THAW_INIT_ONES;
    fill(map, 100 + (uint32_t)p, positive ? 0.5f : -1.0f, positive ? 2.0f : 1.0f);
}

double op_param_value(const struct op_test *test, int param, int index) {
    struct thaw_op_spec spec = op_infer(test, 1);
    const struct thaw_filter *f = &spec.params[param].filter;
    struct op_map map = op_map_new(f->o, f->i, f->kh, f->kw);
    fill_param(&map, &spec.params[param], param);
    double value = map.data[index];
    free(map.data);
    return value;
}

static double objective(const struct op_test *test, struct op_expected *e, struct op_map *out) {
    double sum = 0;
    memset(out->data, 0, (size_t)op_map_count(out) * sizeof(double));
    test->reference(test, e->in, e->params, out);
    for (int i = 0; i < op_map_count(out); i++)
        sum += out->data[i] * e->grad_out.data[i];
    return sum;
}

/* Entries that were not sampled are NaN. */
static struct op_map differences(const struct op_test *test, struct op_expected *e,
                                 struct op_map *variable) {
    struct op_map gradient = op_map_new(variable->n, variable->c, variable->h, variable->w);
    struct op_map out = op_map_new(e->out.n, e->out.c, e->out.h, e->out.w);
    int count = op_map_count(variable), every = 1 + count / DIFFERENCES_MAX;
    for (int i = 0; i < count; i++) {
        gradient.data[i] = NAN;
        if (i % every)
            continue;
        double value = variable->data[i];
        variable->data[i] = value + STEP;
        double above = objective(test, e, &out);
        variable->data[i] = value - STEP;
        gradient.data[i] = (above - objective(test, e, &out)) / (2 * STEP);
        variable->data[i] = value;
    }
    free(out.data);
    return gradient;
}

struct op_expected op_expected_make(const struct op_test *test, const struct thaw_op_spec *spec,
                                    int batch) {
    struct op_expected e = {.param_count = spec->param_count};
    float low = test->low, high = test->high;
    if (low == 0 && high == 0) {
        low = -2;
        high = 2;
    }
    for (int i = 0; i < op_input_count(test); i++) {
        const struct thaw_shape *s = &test->in[i];
        bool targets = test->targets && i == 1;
        e.in[i] = op_map_new(batch, s->c, s->h, s->w);
        fill(&e.in[i], 1 + (uint32_t)i, targets ? 0 : low, targets ? 1 : high);
    }
    for (int p = 0; p < spec->param_count; p++) {
        const struct thaw_filter *f = &spec->params[p].filter;
        e.params[p] = op_map_new(f->o, f->i, f->kh, f->kw);
        fill_param(&e.params[p], &spec->params[p], p);
    }
    e.out = op_map_new(batch, spec->out.c, spec->out.h, spec->out.w);
    e.grad_out = op_map_new(batch, spec->out.c, spec->out.h, spec->out.w);
    if (test->is_loss)
        for (int i = 0; i < op_map_count(&e.grad_out); i++)
            e.grad_out.data[i] = OP_LOSS_SCALE;
    else
        fill(&e.grad_out, 50, -1, 1);
    test->reference(test, e.in, e.params, &e.out);
    if (!op_has_backward(test))
        return e;
    for (int i = 0; i < op_input_count(test); i++)
        if (!(test->targets && i == 1))
            e.grad_in[i] = differences(test, &e, &e.in[i]);
    for (int p = 0; p < spec->param_count; p++)
        if (spec->params[p].kind != THAW_PARAM_STATISTIC)
            e.grad_params[p] = differences(test, &e, &e.params[p]);
    return e;
}

void op_expected_finish(struct op_expected *e) {
    for (int i = 0; i < THAW_OP_INPUTS_MAX; i++) {
        free(e->in[i].data);
        free(e->grad_in[i].data);
    }
    for (int p = 0; p < THAW_OP_PARAMS_MAX; p++) {
        free(e->params[p].data);
        free(e->grad_params[p].data);
    }
    free(e->out.data);
    free(e->grad_out.data);
}
