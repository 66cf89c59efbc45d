#include "support/op_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/op_expected.h"

#define GUARD 64 /* floats behind each buffer */
#define GUARD_VALUE 12345.0f
#define GARBAGE 7777.0f /* what outputs hold before they are written */

static void *parse_attrs(const struct op_test *test, struct thaw_arena *arena,
                         const struct thaw_op **ret_op, thaw_status *ret_status) {
    const struct thaw_op *op = thaw_op_find(test->op);
    assert_non_null(op);
    thaw_yaml *node = NULL;
    if (test->attrs)
        assert_ok(thaw_yaml_parse(arena, test->attrs, strlen(test->attrs), "attrs", &node));
    void *attrs = calloc(1, op->attrs_size + 1);
    *ret_status = op->parse(node, attrs);
    *ret_op = op;
    return attrs;
}

static struct thaw_layout input_layout(const struct op_test *test, int i, int block) {
    if (test->image && i == 0 && test->in[0].c < 4)
        block = test->in[0].c;
    return thaw_layout_make(test->in[i], block, 0);
}

static thaw_status infer(const struct op_test *test, const struct thaw_op *op, const void *attrs,
                         thaw_device *device, struct thaw_op_spec *ret_spec) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_layout in[THAW_OP_INPUTS_MAX];
    for (int i = 0; i < op_input_count(test); i++)
        in[i] = input_layout(test, i, caps->block);
    return op->infer(attrs, in, op_input_count(test), caps, ret_spec);
}

void op_parse_fails(const char *op, const char *attrs, const char *part) {
    struct op_test test = {.op = op, .attrs = attrs};
    struct thaw_arena arena = {0};
    const struct thaw_op *found;
    thaw_status status;
    free(parse_attrs(&test, &arena, &found, &status));
    assert_fails(status, THAW_ERROR_INPUT, part);
    thaw_arena_finish(&arena);
}

void op_infer_fails(const struct op_test *test, thaw_status expected, const char *part) {
    struct thaw_arena arena = {0};
    const struct thaw_op *op;
    thaw_status status;
    void *attrs = parse_attrs(test, &arena, &op, &status);
    assert_ok(status);
    struct thaw_op_spec spec = {0};
    assert_fails(infer(test, op, attrs, test_device_block(16), &spec), expected, part);
    free(attrs);
    thaw_arena_finish(&arena);
}

struct thaw_op_spec op_infer(const struct op_test *test, int block) {
    struct thaw_arena arena = {0};
    const struct thaw_op *op;
    thaw_status status;
    void *attrs = parse_attrs(test, &arena, &op, &status);
    assert_ok(status);
    struct thaw_op_spec spec = {0};
    assert_ok(infer(test, op, attrs, test_device_block(block), &spec));
    free(attrs);
    thaw_arena_finish(&arena);
    return spec;
}

/* ---- device buffers ------------------------------------------------------------------------- */

static cl_mem guarded(thaw_device *device, const float *values, size_t count, float filling) {
    float *all = malloc((count + GUARD) * sizeof *all);
    for (size_t i = 0; i < count + GUARD; i++)
        all[i] = i >= count ? GUARD_VALUE : values ? values[i] : filling;
    cl_mem buffer = test_buffer(device, all, count + GUARD);
    free(all);
    return buffer;
}

/* Reads `count` floats and checks the guard behind them. */
static float *read_guarded(thaw_device *device, cl_mem buffer, size_t count, const char *what) {
    float *all = malloc((count + GUARD) * sizeof *all);
    assert_ok(thaw_buffer_read(device, buffer, 0, all, (count + GUARD) * sizeof *all));
    for (size_t i = count; i < count + GUARD; i++)
        if (all[i] != GUARD_VALUE)
            fail_msg("%s: float %zu behind the buffer was overwritten", what, i - count);
    return all;
}

/* Zero halo, `filling` in all lanes of the interior (and in images past map->n, where `unused` is),
 * then the values of `map` (NULL: none) with zero lanes past c. */
static cl_mem make_tensor(thaw_device *device, const struct thaw_layout *l,
                          const struct op_map *map, float unused) {
    float *values = calloc(thaw_layout_size(l) + 1, sizeof *values);
    int lanes = thaw_layout_blocks(l) * l->block;
    for (int n = 0; n < l->n; n++)
        for (int c = 0; c < lanes; c++)
            for (int y = 0; y < l->h; y++)
                for (int x = 0; x < l->w; x++) {
                    float value = unused;
                    if (map && n < map->n)
                        value = c < l->c ? (float)*op_at(map, n, c, y, x) : 0.0f;
                    values[thaw_layout_index(l, n, c, y, x)] = value;
                }
    cl_mem buffer = guarded(device, values, thaw_layout_size(l), 0);
    free(values);
    return buffer;
}

static cl_mem make_param(thaw_device *device, const struct thaw_filter *f,
                         const struct op_map *map) {
    size_t count = (size_t)op_map_count(map);
    float *values = malloc((count + 1) * sizeof *values);
    float *packed = malloc((thaw_filter_size(f) + 1) * sizeof *packed);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)map->data[i];
    thaw_filter_pack(f, values, packed);
    cl_mem buffer = guarded(device, packed, thaw_filter_size(f), 0);
    free(values);
    free(packed);
    return buffer;
}

static void compare(const struct op_test *test, const float *actual, const struct op_map *expected,
                    const char *what) {
    size_t count = (size_t)op_map_count(expected);
    double largest = 1e-3, tolerance = test->tolerance ? test->tolerance : 1e-5;
    float *chosen = malloc((count + 1) * sizeof *chosen);
    double *values = malloc((count + 1) * sizeof *values);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(expected->data[i]))
            continue;
        chosen[used] = actual[i];
        values[used++] = expected->data[i];
        largest = fmax(largest, fabs(expected->data[i]));
    }
    test_compare(chosen, values, used, tolerance * largest, 0, what);
    free(chosen);
    free(values);
}

/* The values of the first expected->n images; checks halo, lanes past c and the images behind. */
static void check_tensor(const struct op_test *test, thaw_device *device,
                         const struct thaw_tensor *tensor, const struct op_map *expected,
                         float unused, const char *what) {
    const struct thaw_layout *l = &tensor->layout;
    float *all = read_guarded(device, tensor->buffer, thaw_layout_size(l), what);
    float *values = malloc(((size_t)op_map_count(expected) + 1) * sizeof *values);
    int lanes = thaw_layout_blocks(l) * l->block, p = l->halo;
    for (int n = 0; n < l->n; n++)
        for (int c = 0; c < lanes; c++)
            for (int y = -p; y < l->h + p; y++)
                for (int x = -p; x < l->w + p; x++) {
                    bool inside = y >= 0 && y < l->h && x >= 0 && x < l->w;
                    ptrdiff_t step = y * (ptrdiff_t)thaw_layout_row_stride(l) + x * l->block;
                    float value = all[(ptrdiff_t)thaw_layout_index(l, n, c, 0, 0) + step];
                    if (inside && n < expected->n && c < l->c)
                        values[((n * l->c + c) * l->h + y) * l->w + x] = value;
                    else if (value != (inside && n >= expected->n ? unused : 0.0f))
                        fail_msg("%s (%s, block %d): (%d, %d, %d, %d) outside the map or batch is "
                                 "%g",
                                 what, test->op, l->block, n, c, y, x, (double)value);
                }
    char label[128];
    snprintf(label, sizeof label, "%s of %s %s (block %d)", what, test->op,
             test->attrs ? test->attrs : "", l->block);
    compare(test, values, expected, label);
    free(values);
    free(all);
}

static void check_unchanged(thaw_device *device, cl_mem buffer, size_t count, float filling,
                            const char *what) {
    float *all = read_guarded(device, buffer, count, what);
    for (size_t i = 0; i < count; i++)
        if (all[i] != filling)
            fail_msg("%s: nobody asked for it, yet float %zu was written", what, i);
    free(all);
}

/* ---- one run -------------------------------------------------------------------------------- */

struct role {
    const char *name;
    bool smaller_batch, halo, accumulate, in_place, forward_only;
    bool residual;  /* its gradient in place */
    int only_input; /* gradient of this input alone; -1: of all inputs; -2: of none */
    bool no_params;
};

struct run {
    const struct op_test *test;
    const struct role *role;
    const struct op_expected *expected;
    const struct thaw_op *op;
    thaw_device *device;
    struct thaw_op_spec spec;
    struct thaw_op_call call;
    struct thaw_op_step step;
    bool forward_in_place;
    int backward_in_place; /* the input whose gradient is written over the output's; -1: none */
};

static bool wants_input(const struct run *run, int i) {
    const struct role *role = run->role;
    return !role->forward_only && !(run->test->targets && i == 1) &&
           (role->only_input == -1 || role->only_input == i);
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static void set_layouts(struct run *run, int block) {
    struct thaw_op_call *call = &run->call;
    const struct thaw_op_spec *spec = &run->spec;
    int extra = run->role->halo ? 1 : 0;
    call->out.layout = thaw_layout_make(spec->out, block, extra);
    call->grad_out.layout =
        thaw_layout_make(spec->out, block, larger(spec->output_grad_halo, 2 * extra));
    for (int i = 0; i < call->input_count; i++) {
        call->in[i].layout = input_layout(run->test, i, block);
        call->in[i].layout.halo = spec->input_halo[i] + extra;
        call->grad_in[i].layout = call->in[i].layout;
        call->grad_in[i].layout.halo = 3 * extra;
    }
    run->forward_in_place = run->role->in_place && spec->in_place &&
                            (run->role->forward_only || !spec->backward_needs_input[0]);
    run->backward_in_place = run->role->residual ? 1
                             : run->role->in_place && spec->in_place && !run->role->forward_only
                                 ? 0
                                 : -1;
    if (run->forward_in_place)
        call->out.layout = call->in[0].layout;
    if (run->backward_in_place >= 0)
        call->grad_in[run->backward_in_place].layout = call->grad_out.layout;
}

static void bind_tensors(struct run *run) {
    struct thaw_op_call *call = &run->call;
    const struct op_expected *e = run->expected;
    for (int i = 0; i < call->input_count; i++) {
        call->in[i].buffer = make_tensor(run->device, &call->in[i].layout, &e->in[i], NAN);
        struct op_map ones =
            op_map_new(run->step.batch, run->test->in[i].c, run->test->in[i].h, run->test->in[i].w);
        for (int k = 0; k < op_map_count(&ones); k++)
            ones.data[k] = 1;
        if (i != run->backward_in_place)
            call->grad_in[i].buffer = make_tensor(run->device, &call->grad_in[i].layout,
                                                  run->role->accumulate ? &ones : NULL, GARBAGE);
        free(ones.data);
    }
    call->out.buffer = run->forward_in_place
                           ? call->in[0].buffer
                           : make_tensor(run->device, &call->out.layout, NULL, GARBAGE);
    if (!run->test->is_loss)
        call->grad_out.buffer = make_tensor(run->device, &call->grad_out.layout, &e->grad_out, NAN);
    if (run->backward_in_place >= 0)
        call->grad_in[run->backward_in_place].buffer = call->grad_out.buffer;
}

static void bind_params(struct run *run) {
    for (int p = 0; p < run->spec.param_count; p++) {
        struct thaw_op_param *param = &run->call.params[p];
        param->value = make_param(run->device, &param->filter, &run->expected->params[p]);
        param->grad = guarded(run->device, NULL, thaw_filter_size(&param->filter), GARBAGE);
    }
}

static void start(struct run *run, int block, void *attrs) {
    struct thaw_op_call *call = &run->call;
    const struct role *role = run->role;
    *call = (struct thaw_op_call){.device = run->device,
                                  .attrs = attrs,
                                  .conv_candidate = run->test->conv_candidate,
                                  .node_id = OP_NODE,
                                  .training = run->test->training,
                                  .batch_statistics = run->test->batch_statistics,
                                  .needs_backward = !role->forward_only,
                                  .input_count = op_input_count(run->test),
                                  .param_count = run->spec.param_count,
                                  .activation = run->test->activation,
                                  .activation_parameter = run->test->activation_parameter};
    set_layouts(run, block);
    for (int i = 0; i < call->input_count; i++) {
        call->want_grad_in[i] = wants_input(run, i);
        call->accumulate_in[i] = role->accumulate;
    }
    for (int p = 0; p < run->spec.param_count; p++)
        call->params[p] =
            (struct thaw_op_param){.filter = run->spec.params[p].filter,
                                   .present = true,
                                   .want_grad = !role->forward_only && !role->no_params &&
                                                run->spec.params[p].kind != THAW_PARAM_STATISTIC};
    assert_ok(run->op->prepare(call));
    bind_tensors(run);
    bind_params(run);
    call->saved = guarded(run->device, NULL, run->spec.saved_bytes / sizeof(float), NAN);
    call->workspace = guarded(run->device, NULL, call->workspace_bytes / sizeof(float), NAN);
}

static void check_forward(struct run *run) {
    check_tensor(run->test, run->device, &run->call.out, &run->expected->out, GARBAGE, "output");
}

static void check_param_grad(struct run *run, int p) {
    const struct thaw_op_param *param = &run->call.params[p];
    size_t size = thaw_filter_size(&param->filter);
    char what[64];
    snprintf(what, sizeof what, "gradient of %s", run->spec.params[p].name);
    if (!param->want_grad) {
        check_unchanged(run->device, param->grad, size, GARBAGE, what);
        return;
    }
    const struct op_map *expected = &run->expected->grad_params[p];
    float *packed = read_guarded(run->device, param->grad, size, what);
    float *values = malloc(((size_t)op_map_count(expected) + 1) * sizeof *values);
    float *again = malloc((size + 1) * sizeof *again);
    thaw_filter_unpack(&param->filter, packed, values);
    thaw_filter_pack(&param->filter, values, again);
    for (size_t i = 0; i < size; i++)
        if (packed[i] != again[i]) /* -0 is fine */
            fail_msg("%s of %s: padding is not zero", what, run->test->op);
    char label[128];
    snprintf(label, sizeof label, "%s of %s %s (%s)", what, run->test->op,
             run->test->attrs ? run->test->attrs : "", run->role->name);
    compare(run->test, values, expected, label);
    free(packed);
    free(values);
    free(again);
}

static void check_backward(struct run *run) {
    for (int i = 0; i < run->call.input_count; i++) {
        struct op_map expected = run->expected->grad_in[i];
        char what[96];
        snprintf(what, sizeof what, "gradient of input %d, %s,", i, run->role->name);
        if (i == run->backward_in_place && !run->call.want_grad_in[i])
            continue;
        if (!run->call.want_grad_in[i]) {
            struct op_map none = {0, run->test->in[i].c, run->test->in[i].h, run->test->in[i].w,
                                  NULL};
            if (!run->role->accumulate)
                check_tensor(run->test, run->device, &run->call.grad_in[i], &none, GARBAGE, what);
            continue;
        }
        struct op_map sum = op_map_new(expected.n, expected.c, expected.h, expected.w);
        for (int k = 0; k < op_map_count(&sum); k++)
            sum.data[k] = expected.data[k] + (run->role->accumulate ? 1 : 0);
        check_tensor(run->test, run->device, &run->call.grad_in[i], &sum, GARBAGE, what);
        free(sum.data);
    }
    for (int p = 0; p < run->spec.param_count; p++)
        check_param_grad(run, p);
}

static void finish(struct run *run) {
    struct thaw_op_call *call = &run->call;
    free(read_guarded(run->device, call->saved, run->spec.saved_bytes / sizeof(float), "saved"));
    free(read_guarded(run->device, call->workspace, call->workspace_bytes / sizeof(float),
                      "workspace"));
    thaw_op_release(run->op, call);
    if (run->forward_in_place)
        call->out.buffer = NULL;
    if (run->backward_in_place >= 0)
        call->grad_in[run->backward_in_place].buffer = NULL;
    for (int i = 0; i < call->input_count; i++) {
        thaw_buffer_destroy(&call->in[i].buffer);
        thaw_buffer_destroy(&call->grad_in[i].buffer);
    }
    thaw_buffer_destroy(&call->out.buffer);
    thaw_buffer_destroy(&call->grad_out.buffer);
    for (int p = 0; p < run->spec.param_count; p++) {
        thaw_buffer_destroy(&call->params[p].value);
        thaw_buffer_destroy(&call->params[p].grad);
    }
    thaw_buffer_destroy(&call->saved);
    thaw_buffer_destroy(&call->workspace);
}

/* A hash of all that the op wrote. */
static uint64_t digest_buffer(struct run *run, cl_mem buffer, size_t count, uint64_t hash) {
    if (!buffer)
        return hash;
    float *all = malloc((count + 1) * sizeof *all);
    assert_ok(thaw_buffer_read(run->device, buffer, 0, all, count * sizeof *all));
    const unsigned char *bytes = (const unsigned char *)all;
    for (size_t i = 0; i < count * sizeof *all; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    free(all);
    return hash;
}

static uint64_t digest(struct run *run) {
    struct thaw_op_call *call = &run->call;
    uint64_t hash = 14695981039346656037u;
    hash = digest_buffer(run, call->out.buffer, thaw_layout_size(&call->out.layout), hash);
    for (int i = 0; i < call->input_count; i++)
        hash = digest_buffer(run, call->grad_in[i].buffer,
                             thaw_layout_size(&call->grad_in[i].layout), hash);
    for (int p = 0; p < run->spec.param_count; p++) {
        size_t size = thaw_filter_size(&call->params[p].filter);
        hash = digest_buffer(run, call->params[p].grad, size, hash);
        hash = digest_buffer(run, call->params[p].value, size, hash);
    }
    return hash;
}

static uint64_t run_once(struct run *run, int block, void *attrs) {
    start(run, block, attrs);
    assert_ok(run->op->forward(&run->call, &run->step));
    check_forward(run);
    if (run->test->after_forward)
        run->test->after_forward(run->test, &run->call, run->expected->in, run->step.batch);
    if (!run->role->forward_only) {
        assert_ok(run->op->backward(&run->call, &run->step));
        check_backward(run);
    }
    uint64_t hash = digest(run);
    finish(run);
    return hash;
}

static const struct role roles[] = {
    {.name = "all gradients", .only_input = -1},
    {.name = "added", .only_input = -1, .accumulate = true, .halo = true, .smaller_batch = true},
    {.name = "with halo", .only_input = -1, .halo = true},
    {.name = "smaller batch", .only_input = -1, .smaller_batch = true},
    {.name = "in place", .only_input = -1, .in_place = true},
    {.name = "in place with halo", .only_input = -1, .in_place = true, .halo = true},
    {.name = "residual in place", .only_input = -1, .residual = true, .halo = true},
    {.name = "residual in place, alone", .only_input = 1, .residual = true, .no_params = true},
    {.name = "input 0 alone", .only_input = 0, .no_params = true},
    {.name = "input 1 alone", .only_input = 1, .no_params = true},
    {.name = "parameters alone", .only_input = -2},
    {.name = "forward alone", .forward_only = true},
    {.name = "forward alone, in place", .forward_only = true, .in_place = true},
};

static bool applies(const struct op_test *test, const struct thaw_op_spec *spec,
                    const struct role *role) {
    bool residual = op_input_count(test) > thaw_op_find(test->op)->inputs_max;
    return (!role->residual || residual) && (role->forward_only || op_has_backward(test)) &&
           (!role->in_place || spec->in_place) &&
           (role->only_input != 1 || (op_input_count(test) > 1 && !test->targets)) &&
           (role->only_input != -2 || spec->param_count > 0) &&
           (!role->smaller_batch || test->in[0].n > 1);
}

static void run_on(const struct op_test *test, thaw_device *device) {
    struct thaw_arena arena = {0};
    struct run run = {.test = test, .device = device};
    int block = thaw_device_get_caps(device)->block;
    thaw_status status;
    void *attrs = parse_attrs(test, &arena, &run.op, &status);
    assert_ok(status);
    assert_ok(infer(test, run.op, attrs, device, &run.spec));
    int batch = test->in[0].n;
    struct op_expected whole = op_expected_make(test, &run.spec, batch), part = {0};
    if (batch > 1)
        part = op_expected_make(test, &run.spec, batch - 1);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!applies(test, &run.spec, &roles[i]))
            continue;
        run.role = &roles[i];
        run.expected = roles[i].smaller_batch ? &part : &whole;
        run.step = (struct thaw_op_step){.batch = roles[i].smaller_batch ? batch - 1 : batch,
                                         .seed = OP_SEED,
                                         .counter = OP_COUNTER,
                                         .loss_scale = OP_LOSS_SCALE};
        uint64_t first = run_once(&run, block, attrs);
        assert_true(first == run_once(&run, block, attrs));
    }
    op_expected_finish(&whole);
    op_expected_finish(&part);
    free(attrs);
    thaw_arena_finish(&arena);
}

void op_test_run(const struct op_test *test) {
    run_on(test, test_device_block(1));
    run_on(test, test_device_block(16));
    run_on(test, test_device_as_gpu());
}

void op_param_read(const struct thaw_op_call *call, int param, float *ret_data) {
    const struct thaw_filter *filter = &call->params[param].filter;
    size_t size = thaw_filter_size(filter);
    float *packed = malloc((size + 1) * sizeof *packed);
    assert_ok(thaw_buffer_read(call->device, call->params[param].value, 0, packed,
                               size * sizeof *packed));
    thaw_filter_unpack(filter, packed, ret_data);
    free(packed);
}
