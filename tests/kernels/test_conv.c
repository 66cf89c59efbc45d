/* Every convolution candidate on every problem that it applies to, against the double-precision
 * reference. Around the data of each tensor lie guards: NaN where a candidate must not read (before
 * and after the buffer, images past the batch), and marked values where it must not write. A
 * candidate is found through the list, so a new one is tested by being in it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/conv_reference.h"
#include "support/device.h"

#define SAME (-1)   /* padding as TensorFlow's "same": the odd pixel at the bottom and right */
#define UNEVEN (-2) /* as much, but all of it above and to the right */

struct shape {
    int n, batch;   /* allocated and used images */
    int c, h, w, o; /* input channels and map, output channels */
    int kh, kw;     /* kernel */
    int stride, dilation, pad, groups;
    int extra_halo; /* beyond what the convolution needs */
};

static const struct shape dense[] = {
    /* 1x1, maps without and with halo, ragged channels */
    {2, 2, 16, 14, 14, 32, 1, 1, 1, 1, 0, 1, 0},
    {3, 3, 40, 7, 7, 80, 1, 1, 1, 1, 0, 1, 0},
    {3, 2, 17, 13, 5, 24, 1, 1, 1, 1, 0, 1, 1},
    {2, 2, 24, 15, 15, 144, 1, 1, 1, 1, 0, 1, 0},
    {1, 1, 112, 7, 7, 17, 1, 1, 1, 1, 0, 1, 1},
    {4, 3, 80, 5, 5, 112, 1, 1, 1, 1, 0, 1, 0},
    {2, 1, 1280, 1, 1, 10, 1, 1, 1, 1, 0, 1, 0},
    {20, 19, 144, 1, 1, 40, 1, 1, 1, 1, 0, 1, 0},
    {2, 2, 32, 14, 13, 48, 1, 1, 2, 1, 0, 1, 1},
    {2, 1, 16, 7, 7, 32, 1, 1, 3, 1, 0, 1, 0},
    /* 3x3 */
    {2, 2, 16, 14, 14, 32, 3, 3, 1, 1, 1, 1, 0},
    {3, 1, 8, 28, 28, 16, 3, 3, 1, 1, 1, 1, 1},
    {1, 1, 40, 13, 5, 48, 3, 3, 1, 1, 1, 1, 0},
    {2, 2, 17, 7, 7, 24, 3, 3, 1, 1, 0, 1, 2},
    {1, 1, 16, 1, 1, 16, 3, 3, 1, 1, 1, 1, 0},
    {1, 1, 24, 2, 3, 16, 3, 3, 1, 1, 1, 1, 0},
    /* winograd: several chunks of tiles for each item; three launches; several chunks of those */
    {5, 4, 32, 30, 29, 48, 3, 3, 1, 1, 1, 1, 0},
    {1, 1, 272, 9, 10, 256, 3, 3, 1, 1, 1, 1, 1},
    {460, 455, 256, 1, 2, 256, 3, 3, 1, 1, 1, 1, 0},
    {2, 2, 16, 15, 14, 32, 3, 3, 2, 1, 1, 1, 0},
    {3, 2, 24, 14, 14, 40, 3, 3, 2, 1, SAME, 1, 1},
    {2, 2, 8, 17, 17, 16, 3, 3, 3, 1, 1, 1, 0},
    {2, 2, 16, 7, 7, 48, 3, 3, 2, 1, SAME, 1, 0},
    {1, 1, 16, 14, 14, 16, 3, 3, 1, 2, 2, 1, 0},
    {1, 1, 16, 15, 15, 32, 3, 3, 2, 2, 2, 1, 0},
    {1, 1, 17, 11, 12, 16, 3, 3, 3, 2, SAME, 1, 0},
    /* more kernels */
    {2, 1, 16, 14, 14, 24, 5, 5, 1, 1, 2, 1, 0},
    {1, 1, 24, 15, 14, 32, 5, 5, 2, 1, SAME, 1, 0},
    {1, 1, 16, 9, 12, 16, 1, 5, 1, 1, SAME, 1, 0},
    {1, 1, 16, 12, 9, 16, 7, 1, 2, 1, SAME, 1, 0},
    {1, 1, 16, 12, 12, 16, 2, 2, 2, 1, 0, 1, 0},
    {1, 1, 16, 12, 11, 16, 4, 4, 3, 1, SAME, 1, 0},
    {2, 2, 32, 9, 10, 32, 3, 3, 1, 1, UNEVEN, 1, 0},
    {2, 1, 17, 10, 9, 24, 3, 3, 2, 1, UNEVEN, 1, 1},
    {1, 1, 16, 8, 9, 16, 5, 2, 1, 1, UNEVEN, 1, 0},
    {1, 1, 8, 9, 9, 16, 3, 3, 1, 2, UNEVEN, 1, 0},
    {1, 1, 20, 9, 9, 16, 1, 7, 1, 1, 3, 1, 0},
    {1, 1, 20, 9, 9, 16, 7, 1, 1, 1, UNEVEN, 1, 0},
    {2, 2, 3, 16, 15, 16, 3, 3, 2, 1, UNEVEN, 1, 0},
    /* the network's input */
    {2, 2, 3, 32, 32, 64, 7, 7, 2, 1, 3, 1, 0},
    {2, 1, 3, 28, 28, 32, 3, 3, 1, 1, 1, 1, 0},
    {2, 2, 3, 33, 31, 32, 3, 3, 2, 1, SAME, 1, 0},
    {1, 1, 1, 28, 28, 17, 5, 5, 1, 1, 0, 1, 0},
    {1, 1, 3, 21, 21, 16, 3, 3, 1, 2, 2, 1, 0},
    {2, 2, 2, 9, 9, 48, 1, 1, 1, 1, 0, 1, 0},
    /* linear layers: the kernel covers the map */
    {5, 4, 48, 7, 7, 40, 7, 7, 1, 1, 0, 1, 0},
    {3, 2, 17, 3, 5, 100, 3, 5, 1, 1, 0, 1, 1},
    {11, 10, 33, 1, 3, 320, 1, 3, 1, 1, 0, 1, 1},
};

/* The GPU candidates choose their tiles by the allocated batch: on two compute units 128 x 128,
 * 64 x 128, 32 x 128 and 64 x 64 for forward. Used images are few. */
static const struct shape tiled[] = {
    {40, 1, 128, 8, 8, 128, 3, 3, 1, 1, 1, 1, 0}, {40, 1, 64, 8, 8, 64, 3, 3, 2, 1, 1, 1, 0},
    {40, 3, 130, 7, 7, 130, 1, 1, 1, 1, 0, 1, 0}, {5, 2, 192, 8, 8, 192, 1, 1, 1, 1, 0, 1, 1},
    {7, 7, 33, 15, 15, 66, 3, 3, 2, 1, 1, 1, 0},
};

static const struct shape grouped[] = {
    /* depthwise */
    {2, 2, 16, 14, 14, 16, 3, 3, 1, 1, 1, 16, 0},
    {3, 2, 40, 13, 5, 40, 3, 3, 1, 1, 1, 40, 1},
    {2, 2, 17, 15, 15, 17, 3, 3, 2, 1, SAME, 17, 0},
    {2, 2, 24, 14, 14, 24, 3, 3, 2, 1, SAME, 24, 0},
    {2, 1, 80, 7, 7, 80, 5, 5, 1, 1, 2, 80, 0},
    {2, 2, 24, 9, 8, 24, 3, 3, 1, 1, UNEVEN, 24, 0},
    {2, 1, 17, 9, 8, 17, 5, 3, 2, 1, UNEVEN, 17, 0},
    {1, 1, 24, 14, 15, 24, 5, 5, 2, 1, SAME, 24, 1},
    {1, 1, 144, 1, 1, 144, 3, 3, 1, 1, 1, 144, 0},
    {2, 2, 112, 2, 3, 112, 5, 5, 1, 1, 2, 112, 0},
    {1, 1, 8, 28, 29, 8, 3, 3, 3, 1, 1, 8, 0},
    {1, 1, 16, 12, 13, 16, 3, 3, 1, 2, 2, 16, 0},
    {1, 1, 3, 14, 14, 3, 3, 3, 1, 1, 1, 3, 0},
    /* other groups: even, ragged, with a multiplier */
    {2, 1, 32, 7, 7, 64, 3, 3, 1, 1, 1, 4, 0},
    {2, 2, 18, 9, 7, 12, 3, 3, 2, 1, SAME, 3, 0},
    {1, 1, 8, 6, 6, 24, 3, 3, 1, 1, 1, 8, 1},
    {1, 1, 40, 5, 5, 20, 1, 1, 1, 1, 0, 5, 0},
    {1, 1, 8, 6, 7, 12, 3, 3, 2, 1, UNEVEN, 4, 0},
};

/* Allowed error: factor * 2^-24 * sqrt(K) * scale, K the terms of a sum and scale the size of their
 * sum, for data uniform in [-1, 1]. */
static const struct {
    const char *candidate; /* NULL: all others */
    double factor;
} tolerances[] = {
    {NULL, 8},
};

static double tolerance(const char *candidate, double terms) {
    double factor = 0;
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances && factor == 0; i++)
        if (!tolerances[i].candidate || strcmp(tolerances[i].candidate, candidate) == 0)
            factor = tolerances[i].factor;
    return factor * ldexp(1, -24) * sqrt(terms) * (1 + sqrt(terms) / 3);
}

static int out_size(int size, int kernel, const struct shape *s, bool vertical, int *ret_pad) {
    int extent = (kernel - 1) * s->dilation + 1;
    if (s->pad >= 0) {
        *ret_pad = kernel == 1 ? 0 : s->pad;
        return (size + 2 * *ret_pad - extent) / s->stride + 1;
    }
    int out = (size + s->stride - 1) / s->stride;
    int total = (out - 1) * s->stride + extent - size;
    total = total > 0 ? total : 0;
    *ret_pad = s->pad == SAME ? total / 2 : vertical ? total : 0;
    return out;
}

static struct thaw_conv_geometry geometry_of(const struct shape *s,
                                             const struct thaw_device_caps *caps) {
    struct thaw_conv_geometry g = {.groups = s->groups,
                                   .stride_h = s->stride,
                                   .stride_w = s->stride,
                                   .dilation_h = s->dilation,
                                   .dilation_w = s->dilation};
    int x_block = s->c < 4 && s->groups == 1 ? s->c : caps->block;
    int h = out_size(s->h, s->kh, s, true, &g.pad_top);
    int w = out_size(s->w, s->kw, s, false, &g.pad_left);
    g.x = thaw_layout_make((struct thaw_shape){s->n, s->c, s->h, s->w}, x_block, 0);
    g.y = thaw_layout_make((struct thaw_shape){s->n, s->o, h, w}, caps->block, 0);
    g.w = thaw_conv_filter(s->o, s->c, s->kh, s->kw, s->groups, x_block, caps);
    int x_halo = 0, y_halo = 0;
    thaw_conv_halos(&g, &x_halo, &y_halo);
    g.x.halo = x_halo + s->extra_halo;
    g.y.halo = y_halo + s->extra_halo;
    return g;
}

/* ---- tensors with guards ---- */

#define GUARD_FLOATS 1024
#define MARK 12345.5f

/* A device buffer in the middle of a larger one. */
struct guarded {
    cl_mem parent, buffer;
    size_t count; /* floats in `buffer` */
    float *host;  /* of the whole parent: what was written */
};

static struct guarded guarded_make(thaw_device *device, const float *data, size_t count,
                                   float guard) {
    struct guarded g = {.count = count};
    size_t total = count + 2 * GUARD_FLOATS;
    g.host = malloc(total * sizeof(float));
    assert_non_null(g.host);
    for (size_t i = 0; i < total; i++)
        g.host[i] = guard;
    memcpy(g.host + GUARD_FLOATS, data, count * sizeof(float));
    g.parent = test_buffer(device, g.host, total);
    assert_ok(
        thaw_buffer_sub(g.parent, GUARD_FLOATS * sizeof(float), count * sizeof(float), &g.buffer));
    return g;
}

static void guarded_free(struct guarded *g) {
    thaw_buffer_destroy(&g->buffer);
    thaw_buffer_destroy(&g->parent);
    free(g->host);
    *g = (struct guarded){0};
}

/* Logical (batch, C, H, W) -> layout; images past the batch get `beyond`, halo and padding zero. */
static float *layout_pack(const struct thaw_layout *l, int batch, const float *data, float beyond) {
    size_t size = thaw_layout_size(l);
    float *packed = malloc(size * sizeof(float));
    assert_non_null(packed);
    for (size_t i = 0; i < size; i++) {
        int n = (int)(i % thaw_layout_block_stride(l) / thaw_layout_image_stride(l));
        packed[i] = n < batch ? 0 : beyond;
    }
    for (int n = 0; n < batch; n++)
        for (int c = 0; c < l->c; c++)
            for (int y = 0; y < l->h; y++)
                for (int x = 0; x < l->w; x++)
                    packed[thaw_layout_index(l, n, c, y, x)] = *data++;
    return packed;
}

/* ---- one problem ---- */

struct fixture {
    thaw_device *device;
    struct thaw_conv_problem problem;
    int batch;
    float *x, *w, *y, *bias; /* logical order */
    double *expected;        /* of the output, without what is accumulated */
    size_t x_count, w_count, y_count, out_count;
};

static float *random_floats(size_t count, uint32_t seed) {
    float *data = malloc(count * sizeof(float));
    assert_non_null(data);
    test_random(data, count, seed, -1, 1);
    return data;
}

static void fixture_init(struct fixture *f, thaw_device *device,
                         const struct thaw_conv_problem *problem, int batch) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    *f = (struct fixture){.device = device, .problem = *problem, .batch = batch};
    f->x_count = (size_t)batch * (size_t)(g->x.c * g->x.h * g->x.w);
    f->y_count = (size_t)batch * (size_t)(g->y.c * g->y.h * g->y.w);
    f->w_count = (size_t)(g->w.o * g->w.i * g->w.kh * g->w.kw);
    f->x = random_floats(f->x_count, 1);
    f->w = random_floats(f->w_count, 2);
    f->y = random_floats(f->y_count, 3);
    f->bias = random_floats((size_t)g->w.o, 4);
    f->out_count = problem->direction == THAW_CONV_FORWARD         ? f->y_count
                   : problem->direction == THAW_CONV_BACKWARD_DATA ? f->x_count
                                                                   : f->w_count;
    f->expected = malloc(f->out_count * sizeof(double));
    assert_non_null(f->expected);
    if (problem->direction == THAW_CONV_FORWARD)
        conv_reference_forward(problem, batch, f->x, f->w, problem->bias ? f->bias : NULL,
                               f->expected);
    else if (problem->direction == THAW_CONV_BACKWARD_DATA)
        conv_reference_backward_data(g, batch, f->y, f->w, f->expected);
    else
        conv_reference_backward_weight(g, batch, f->x, f->y, f->expected);
}

static void fixture_free(struct fixture *f) {
    free(f->x), free(f->w), free(f->y), free(f->bias), free(f->expected);
}

static double terms(const struct fixture *f) {
    const struct thaw_conv_geometry *g = &f->problem.geometry;
    double flops = thaw_conv_flops(g, f->batch) / 2;
    return 1 + flops / (double)f->out_count;
}

static struct guarded make_tensor(const struct fixture *f, const struct thaw_layout *l,
                                  const float *data, bool output) {
    float *packed = layout_pack(l, f->batch, data, output ? MARK : NAN);
    struct guarded g = guarded_make(f->device, packed, thaw_layout_size(l), output ? MARK : NAN);
    free(packed);
    return g;
}

static struct guarded make_filter(const struct fixture *f, bool output) {
    const struct thaw_filter *w = &f->problem.geometry.w;
    size_t size = thaw_filter_size(w);
    float *packed = malloc(size * sizeof(float));
    assert_non_null(packed);
    thaw_filter_pack(w, f->w, packed);
    struct guarded g = guarded_make(f->device, packed, size, output ? MARK : NAN);
    free(packed);
    return g;
}

static struct guarded make_bias(const struct fixture *f) {
    const struct thaw_filter *w = &f->problem.geometry.w;
    size_t size = (size_t)((w->o + w->block_o - 1) / w->block_o * w->block_o);
    float *padded = calloc(size, sizeof(float));
    assert_non_null(padded);
    memcpy(padded, f->bias, (size_t)w->o * sizeof(float));
    struct guarded g = guarded_make(f->device, padded, size, NAN);
    free(padded);
    return g;
}

/* The output read back: what may not change has not, and the rest in logical order. */
static float *read_output(const struct fixture *f, const struct guarded *out, const char *what) {
    const struct thaw_conv_geometry *g = &f->problem.geometry;
    size_t total = out->count + 2 * GUARD_FLOATS;
    float *host = malloc(total * sizeof(float)), *logical = malloc(f->out_count * sizeof(float));
    assert_non_null(host), assert_non_null(logical);
    assert_ok(thaw_buffer_read(f->device, out->parent, 0, host, total * sizeof(float)));
    float *data = host + GUARD_FLOATS, *next = logical;
    if (f->problem.direction == THAW_CONV_BACKWARD_WEIGHT) {
        thaw_filter_unpack(&g->w, data, logical);
        float *again = malloc(out->count * sizeof(float)); /* padding is zero */
        assert_non_null(again);
        thaw_filter_pack(&g->w, logical, again);
        for (size_t i = 0; i < out->count; i++)
            if (data[i] != again[i])
                fail_msg("%s: weight padding at %zu is %g", what, i, (double)data[i]);
        memcpy(data, out->host + GUARD_FLOATS, out->count * sizeof(float));
        free(again);
    } else {
        const struct thaw_layout *l = f->problem.direction == THAW_CONV_FORWARD ? &g->y : &g->x;
        for (int n = 0; n < f->batch; n++)
            for (int c = 0; c < l->c; c++)
                for (int y = 0; y < l->h; y++)
                    for (int x = 0; x < l->w; x++) {
                        size_t at = thaw_layout_index(l, n, c, y, x);
                        *next++ = data[at];
                        data[at] = out->host[GUARD_FLOATS + at];
                    }
    }
    for (size_t i = 0; i < total; i++)
        if (host[i] != out->host[i])
            fail_msg("%s: float %ld of the output was %g and is %g", what, (long)i - GUARD_FLOATS,
                     (double)out->host[i], (double)host[i]);
    free(host);
    return logical;
}

struct buffers {
    struct guarded x, w, y, bias, workspace;
    const struct guarded *out; /* one of them */
};

static void buffers_init(struct buffers *b, const struct fixture *f, size_t workspace_bytes) {
    const struct thaw_conv_geometry *g = &f->problem.geometry;
    enum thaw_conv_direction direction = f->problem.direction;
    b->x = make_tensor(f, &g->x, f->x, direction == THAW_CONV_BACKWARD_DATA);
    b->w = make_filter(f, direction == THAW_CONV_BACKWARD_WEIGHT);
    b->y = make_tensor(f, &g->y, f->y, direction == THAW_CONV_FORWARD);
    b->bias = make_bias(f);
    b->out = direction == THAW_CONV_FORWARD         ? &b->y
             : direction == THAW_CONV_BACKWARD_DATA ? &b->x
                                                    : &b->w;
    size_t count = workspace_bytes / sizeof(float);
    float *garbage = malloc((count + 1) * sizeof(float));
    assert_non_null(garbage);
    for (size_t i = 0; i <= count; i++)
        garbage[i] = NAN;
    b->workspace = guarded_make(f->device, garbage, count + !count, MARK);
    free(garbage);
}

static void buffers_free(struct buffers *b) {
    guarded_free(&b->x);
    guarded_free(&b->w);
    guarded_free(&b->y);
    guarded_free(&b->bias);
    guarded_free(&b->workspace);
}

static void check_workspace(thaw_device *device, const struct guarded *workspace,
                            const char *what) {
    float guard[GUARD_FLOATS];
    for (int side = 0; side < 2; side++) {
        size_t offset = side ? GUARD_FLOATS + workspace->count : 0;
        assert_ok(thaw_buffer_read(device, workspace->parent, offset * sizeof(float), guard,
                                   sizeof guard));
        for (int i = 0; i < GUARD_FLOATS; i++)
            if (guard[i] != MARK)
                fail_msg("%s: wrote outside its workspace", what);
    }
}

static void check_output(const struct fixture *f, const struct buffers *b, const char *candidate,
                         const char *what) {
    const float *before = f->problem.direction == THAW_CONV_FORWARD         ? f->y
                          : f->problem.direction == THAW_CONV_BACKWARD_DATA ? f->x
                                                                            : f->w;
    float *actual = read_output(f, b->out, what);
    double *expected = malloc(f->out_count * sizeof(double));
    assert_non_null(expected);
    for (size_t i = 0; i < f->out_count; i++)
        expected[i] = f->expected[i] + (f->problem.accumulate ? before[i] : 0);
    test_compare(actual, expected, f->out_count, tolerance(candidate, terms(f)), 1e-6, what);
    free(actual);
    free(expected);
}

/* Runs the candidate on the fixture's problem and checks the output. */
static void check(const struct fixture *f, const char *candidate) {
    char what[THAW_CONV_KEY_SIZE + 64];
    thaw_conv_problem_key(&f->problem, what);
    snprintf(what + strlen(what), 64, " batch %d by '%s'", f->batch, candidate);

    thaw_conv *conv = NULL;
    assert_ok(thaw_conv_create(f->device, &f->problem, candidate, &conv));
    assert_string_equal(thaw_conv_candidate_name(conv), candidate);
    struct buffers b;
    buffers_init(&b, f, thaw_conv_workspace_bytes(conv));
    struct thaw_conv_run run = {.x = b.x.buffer,
                                .w = b.w.buffer,
                                .y = b.y.buffer,
                                .bias = f->problem.bias ? b.bias.buffer : NULL,
                                .workspace = b.workspace.buffer,
                                .batch = f->batch};
    assert_ok(thaw_conv_run(conv, &run));
    check_output(f, &b, candidate, what);
    check_workspace(f->device, &b.workspace, what);
    buffers_free(&b);
    thaw_conv_destroy(&conv);
}

static void check_all_candidates(thaw_device *device, const struct thaw_conv_problem *problem,
                                 int batch) {
    struct fixture f;
    fixture_init(&f, device, problem, batch);
    for (size_t i = 0; i < thaw_conv_candidate_count; i++)
        if (thaw_conv_candidates[i]->applies(problem, thaw_device_get_caps(device)))
            check(&f, thaw_conv_candidates[i]->name);
    fixture_free(&f);
}

/* All directions; bias and accumulation in turn. */
static void check_shape(thaw_device *device, const struct shape *s, int turn) {
    struct thaw_conv_problem problem = {.geometry = geometry_of(s, thaw_device_get_caps(device))};
    problem.direction = THAW_CONV_FORWARD;
    problem.bias = turn % 2 == 0;
    problem.accumulate = turn % 5 == 4;
    check_all_candidates(device, &problem, s->batch);

    problem.bias = false;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        problem.accumulate = accumulate;
        problem.direction = THAW_CONV_BACKWARD_DATA;
        check_all_candidates(device, &problem, s->batch);
        problem.direction = THAW_CONV_BACKWARD_WEIGHT;
        check_all_candidates(device, &problem, s->batch);
    }
}

/* Multiplications of a convolution, at most, and how many of them a simulator does in a moment.
 * Mesa's llvmpipe, moreover, ends all loops of a work-item after 65,535 rounds in sum. */
#define SMALL_PRODUCTS 12000
static int64_t products_of(const struct shape *s) {
    return (int64_t)s->n * s->o * s->h * s->w * (s->c / s->groups) * s->kh * s->kw /
           (s->stride * s->stride);
}

/* Every `step`th shape; of these the small ones where a small subset is asked for. */
static void check_shapes(int block, const struct shape *shapes, size_t count, size_t step) {
    thaw_device *device = test_device_block(block);
    for (size_t i = 0; i < count; i += step)
        if (!test_small() || products_of(&shapes[i]) < SMALL_PRODUCTS)
            check_shape(device, &shapes[i], (int)i);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_dense_block_16(void **state) {
    (void)state;
    check_shapes(16, dense, COUNT(dense), 1);
}

static void test_dense_block_8(void **state) {
    (void)state;
    check_shapes(8, dense, COUNT(dense), 4);
}

static void test_dense_block_1(void **state) {
    (void)state;
    check_shapes(1, dense, COUNT(dense), 1);
    check_shapes(1, tiled, COUNT(tiled), 1);
}

static void test_grouped_block_16(void **state) {
    (void)state;
    check_shapes(16, grouped, COUNT(grouped), 1);
}

static void test_grouped_block_8(void **state) {
    (void)state;
    check_shapes(8, grouped, COUNT(grouped), 4);
}

static void test_grouped_block_1(void **state) {
    (void)state;
    check_shapes(1, grouped, COUNT(grouped), 1);
}

/* Each on a map whose channels leave padded lanes, which must stay zero (sigmoid(0) is not). */
static void test_activations(void **state) {
    (void)state;
    static const struct {
        int block;
        struct shape shape;
    } cases[] = {
        {16, {2, 2, 8, 9, 9, 20, 3, 3, 1, 1, 1, 1, 0}},
        {16, {2, 2, 20, 9, 9, 20, 3, 3, 1, 1, 1, 20, 0}},
        {1, {2, 2, 8, 9, 9, 20, 3, 3, 1, 1, 1, 1, 0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        thaw_device *device = test_device_block(cases[i].block);
        struct thaw_conv_problem problem = {
            .geometry = geometry_of(&cases[i].shape, thaw_device_get_caps(device)), .bias = true};
        for (int a = 0; a < THAW_ACTIVATION_COUNT; a++) {
            problem.activation = (enum thaw_activation)a;
            problem.activation_parameter = a == THAW_ACTIVATION_LEAKY_RELU ? 0.1f : 0;
            check_all_candidates(device, &problem, cases[i].shape.batch);
        }
    }
}

/* ---- variants ---- */

/* Every variant of every candidate that has some, in all directions. */
static void check_variants(thaw_device *device, const struct shape *s) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_conv_problem problem = {.geometry = geometry_of(s, caps)};
    for (int d = 0; d < THAW_CONV_DIRECTION_COUNT; d++) {
        struct fixture f;
        problem.direction = (enum thaw_conv_direction)d;
        problem.variant = 0;
        fixture_init(&f, device, &problem, s->batch);
        for (size_t i = 0; i < thaw_conv_candidate_count; i++) {
            const struct thaw_conv_candidate *candidate = thaw_conv_candidates[i];
            int count = candidate->variants ? (int)candidate->variants->count : 0;
            for (f.problem.variant = 1; f.problem.variant <= count; f.problem.variant++)
                if (candidate->applies(&f.problem, caps))
                    check(&f, candidate->name);
        }
        fixture_free(&f);
    }
}

static void test_variants(void **state) {
    (void)state;
    const struct shape shapes[] = {{2, 2, 20, 9, 8, 35, 3, 3, 1, 1, 1, 1, 0},
                                   {9, 8, 35, 8, 9, 40, 3, 3, 2, 1, 1, 1, 0}};
    for (size_t i = 0; i < (test_small() ? 1 : COUNT(shapes)); i++) {
        check_variants(test_device_as_gpu(), &shapes[i]);
        check_variants(test_device_block(16), &shapes[i]);
        check_variants(test_device_block(8), &shapes[i]);
    }
}

/* ---- choice ---- */

static struct thaw_conv_problem some_problem(thaw_device *device) {
    return (struct thaw_conv_problem){.geometry =
                                          geometry_of(&dense[10], thaw_device_get_caps(device))};
}

static void test_select(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_conv_problem problem = some_problem(device);
    const struct thaw_conv_candidate *choice = NULL;
    assert_ok(thaw_conv_select(device, &problem, "simple", &choice));
    assert_string_equal(choice->name, "simple");
    assert_ok(thaw_conv_select(device, &problem, NULL, &choice));
    assert_true(choice->applies(&problem, thaw_device_get_caps(device)));
    choice = NULL;
    assert_fails(thaw_conv_select(device, &problem, "simpel", &choice), THAW_ERROR_INPUT,
                 "nearest is 'simple'");
    assert_null(choice);
}

static void test_halos(void **state) {
    (void)state;
    const struct thaw_device_caps *caps = thaw_device_get_caps(test_device());
    static const struct {
        struct shape shape;
        int x, y;
    } cases[] = {
        {{1, 1, 16, 14, 14, 16, 3, 3, 1, 1, 1, 1, 0}, 1, 1},
        {{1, 1, 16, 14, 14, 16, 3, 3, 1, 1, 0, 1, 0}, 0, 2}, /* valid padding */
        {{1, 1, 16, 14, 14, 16, 3, 3, 2, 1, SAME, 1, 0}, 1, 1},
        {{1, 1, 16, 14, 14, 16, 1, 1, 2, 1, 0, 1, 0}, 0, 0},
        {{1, 1, 16, 15, 15, 16, 3, 3, 2, 1, 1, 1, 0}, 1, 0},
        {{1, 1, 16, 14, 14, 16, 3, 3, 1, 2, 2, 1, 0}, 2, 2},
        {{1, 1, 16, 7, 7, 16, 7, 7, 1, 1, 0, 1, 0}, 0, 0}, /* covers the map */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct thaw_conv_geometry g = geometry_of(&cases[i].shape, caps);
        int x = -1, y = -1;
        thaw_conv_halos(&g, &x, &y);
        if (x != cases[i].x || y != cases[i].y)
            fail_msg("case %zu: halos %d, %d instead of %d, %d", i, x, y, cases[i].x, cases[i].y);
    }
}

static void test_filters(void **state) {
    (void)state;
    struct thaw_device_caps cpu = {.is_cpu = true, .block = 16}, gpu = {.block = 1};
    static const struct {
        int o, i, groups, x_block, block_o, block_i;
    } cases[] = {
        {64, 64, 1, 16, 32, 16},   {144, 24, 1, 16, 48, 16}, {112, 80, 1, 16, 16, 16},
        {1000, 64, 1, 16, 48, 16}, {32, 3, 1, 3, 32, 3},     {40, 40, 40, 16, 16, 1},
        {64, 32, 4, 16, 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct thaw_filter f =
            thaw_conv_filter(cases[i].o, cases[i].i, 3, 3, cases[i].groups, cases[i].x_block, &cpu);
        if (f.block_o != cases[i].block_o || f.block_i != cases[i].block_i)
            fail_msg("case %zu: blocks %d, %d", i, f.block_o, f.block_i);
        assert_int_equal(f.i, cases[i].i / cases[i].groups);
    }
    struct thaw_filter f = thaw_conv_filter(64, 64, 3, 3, 1, 1, &gpu);
    assert_int_equal(f.block_o * f.block_i, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),          cmocka_unit_test(test_halos),
        cmocka_unit_test(test_variants),         cmocka_unit_test(test_select),
        cmocka_unit_test(test_activations),      cmocka_unit_test(test_dense_block_16),
        cmocka_unit_test(test_dense_block_8),    cmocka_unit_test(test_dense_block_1),
        cmocka_unit_test(test_grouped_block_16), cmocka_unit_test(test_grouped_block_8),
        cmocka_unit_test(test_grouped_block_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
