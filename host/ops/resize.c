/* Maps of another size, as ONNX's Resize has it:
 *
 *   y[n,c,oy,ox] = sum over k, l of wy[oy,k] wx[ox,l] x[n,c,iy[oy,k],ix[ox,l]]
 *   dx[n,c,iy,ix] = the sum over all outputs that read it of their dy and these weights
 *
 * An output pixel o of an axis lies at a coordinate u of the input. `nearest` reads one pixel,
 * `linear` the two around u, `cubic` four (Keys 1981, with a = cubic_a); places outside of the map
 * stand for its edge. Places and weights are worked out here, in double precision: the kernels read
 * tables (a few KiB, kept with the state), forward those of each output, backward of each input.
 *
 * Attributes:
 *   size         [height, width] or a number;  or scale: the same as factors, sizes are rounded
 *                down (one of both is required)
 *   mode         nearest (default), linear or cubic
 *   coordinates  half_pixel (default): u = (o + 0.5) / scale - 0.5
 *                pytorch_half_pixel: the same, but 0 where the output has one pixel
 *                tf_half_pixel_for_nn: (o + 0.5) / scale
 *                align_corners: o * (in - 1) / (out - 1), in whole pixels, as ONNX's text,
 *                onnxruntime and PyTorch have it; two of ONNX's tests take in * scale for out
 *                asymmetric: o / scale (with nearest: floor it is PyTorch's `nearest`)
 *   nearest      for that mode: round_prefer_floor (default), round_prefer_ceil, floor or ceil
 *   cubic_a      for that mode (-0.75)
 *   exclude_outside  for linear and cubic: weights outside of the map are 0, and the others sum up
 *                to 1 (false) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

#define EXTENT_MAX 65535
#define TAPS_MAX 4

enum mode { NEAREST, LINEAR, CUBIC };
static const char *const mode_names[] = {"nearest", "linear", "cubic"};

enum coordinates {
    HALF_PIXEL,
    PYTORCH_HALF_PIXEL,
    TF_HALF_PIXEL_FOR_NN,
    ALIGN_CORNERS,
    ASYMMETRIC,
};
static const char *const coordinate_names[] = {
    "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners", "asymmetric"};

enum rounding { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };
static const char *const rounding_names[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                             "ceil"};

struct attrs {
    int size[2];     /* 0: by scale */
    double scale[2]; /* vertical, horizontal; 0: by size */
    size_t mode, coordinates, rounding;
    double cubic_a;
    bool exclude_outside;
};

/* ---- attributes ----------------------------------------------------------------------------- */

#define COUNT(array) (sizeof(array) / sizeof *(array))

static thaw_status parse_choice(const thaw_yaml *map, const char *key, const char *const *names,
                                size_t count, size_t *value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    return node ? thaw_yaml_choice(node, names, count, value) : THAW_OK;
}

static thaw_status parse_scale(const thaw_yaml *node, double scale[2]) {
    bool pair = node->kind == THAW_YAML_SEQUENCE;
    if (pair && node->count != 2)
        return thaw_yaml_fail(node, "'scale': expected a number or [vertical, horizontal]");
    for (int axis = 0; axis < 2; axis++)
        THAW_TRY(thaw_yaml_double(pair ? node->items[axis] : node, 1e-6, EXTENT_MAX, &scale[axis]));
    return THAW_OK;
}

/* An attribute that another mode does not have. */
static thaw_status check_mode(const thaw_yaml *map, const char *key, bool has,
                              const struct attrs *attrs) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    if (!node || has)
        return THAW_OK;
    return thaw_yaml_fail(node, "'%s' has no meaning with mode: %s", key, mode_names[attrs->mode]);
}

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"size",    "scale",   "mode",           "coordinates",
                                       "nearest", "cubic_a", "exclude_outside"};
    struct attrs attrs = {.cubic_a = -0.75};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, COUNT(keys), &map));
    const thaw_yaml *scale = thaw_yaml_get(map, "scale"), *size = thaw_yaml_get(map, "size");
    if (!scale == !size)
        return thaw_yaml_fail(node, "one of 'size' and 'scale' is required");
    THAW_TRY(thaw_op_parse_pair(map, "size", 1, EXTENT_MAX, attrs.size));
    if (scale)
        THAW_TRY(parse_scale(scale, attrs.scale));
    THAW_TRY(parse_choice(map, "mode", mode_names, COUNT(mode_names), &attrs.mode));
    THAW_TRY(parse_choice(map, "coordinates", coordinate_names, COUNT(coordinate_names),
                          &attrs.coordinates));
    THAW_TRY(parse_choice(map, "nearest", rounding_names, COUNT(rounding_names), &attrs.rounding));
    THAW_TRY(thaw_yaml_get_double(map, "cubic_a", -10, 10, &attrs.cubic_a));
    THAW_TRY(thaw_yaml_get_bool(map, "exclude_outside", &attrs.exclude_outside));
    THAW_TRY(check_mode(map, "nearest", attrs.mode == NEAREST, &attrs));
    THAW_TRY(check_mode(map, "cubic_a", attrs.mode == CUBIC, &attrs));
    THAW_TRY(check_mode(map, "exclude_outside", attrs.mode != NEAREST, &attrs));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

/* In single precision, as other programs: 10 * 0.7 is 7. */
static int out_size(const struct attrs *attrs, int axis, int in) {
    return attrs->size[axis] ? attrs->size[axis]
                             : (int)fminf(floorf((float)in * (float)attrs->scale[axis]), 1e6f);
}

static thaw_status infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    const struct attrs *attrs = attrs_;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    for (int axis = 0; axis < 2; axis++) {
        int size = axis ? in->w : in->h;
        if (out_size(attrs, axis, size) < 1 || out_size(attrs, axis, size) > EXTENT_MAX)
            return thaw_fail(THAW_ERROR_INPUT,
                             "scaling %d pixels by %g gives %d (expected 1 to %d)", size,
                             attrs->scale[axis], out_size(attrs, axis, size), EXTENT_MAX);
    }
    ret_spec->out =
        (struct thaw_shape){in->n, in->c, out_size(attrs, 0, in->h), out_size(attrs, 1, in->w)};
    return THAW_OK;
}

/* ---- places and weights --------------------------------------------------------------------- */

/* The outputs' taps along one axis: `taps` of them for each. */
struct axis {
    int in, out, taps;
    int *at;
    double *weight;
};

static double coordinate(const struct attrs *attrs, int axis, const struct axis *a, int o) {
    /* The scale as a fraction, so that whole numbers come out whole; a given one is single
     * precision in ONNX. */
    double over = a->out, under = a->in;
    if (!attrs->size[axis])
        over = (double)(float)attrs->scale[axis], under = 1;
    switch ((enum coordinates)attrs->coordinates) {
    case PYTORCH_HALF_PIXEL:
        return a->out > 1 ? (o + 0.5) * under / over - 0.5 : 0;
    case TF_HALF_PIXEL_FOR_NN:
        return (o + 0.5) * under / over;
    case ALIGN_CORNERS:
        return a->out > 1 ? o * (double)(a->in - 1) / (a->out - 1) : 0;
    case ASYMMETRIC:
        return o * under / over;
    case HALF_PIXEL:
        break;
    }
    return (o + 0.5) * under / over - 0.5;
}

static double round_coordinate(enum rounding rounding, double u) {
    switch (rounding) {
    case ROUND_PREFER_CEIL:
        return floor(u + 0.5);
    case FLOOR:
        return floor(u);
    case CEIL:
        return ceil(u);
    case ROUND_PREFER_FLOOR:
        break;
    }
    return ceil(u - 0.5);
}

/* Keys' kernel at distance d of at most 2. */
static double cubic(double a, double d) {
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

static int clamp(double value, int high) {
    return value < 0 ? 0 : value > high ? high : (int)value;
}

/* The taps of one output at coordinate u. */
static void place(const struct attrs *attrs, const struct axis *a, double u, int *at,
                  double *weight) {
    if (attrs->mode == NEAREST) {
        *at = clamp(round_coordinate((enum rounding)attrs->rounding, u), a->in - 1);
        *weight = 1;
        return;
    }
    int before = a->taps / 2 - 1;
    double first = floor(u) - before, sum = 0;
    for (int k = 0; k < a->taps; k++) {
        double d = fabs(first + k - u);
        bool outside = first + k < 0 || first + k > a->in - 1;
        at[k] = clamp(first + k, a->in - 1);
        weight[k] = attrs->mode == LINEAR ? 1 - d : cubic(attrs->cubic_a, d);
        if (outside && attrs->exclude_outside)
            weight[k] = 0;
        sum += weight[k];
    }
    for (int k = 0; k < a->taps && attrs->exclude_outside && sum != 0; k++)
        weight[k] /= sum;
}

static thaw_status axis_init(const struct attrs *attrs, int axis, int in, int out,
                             struct axis *ret_axis) {
    static const int taps[] = {[NEAREST] = 1, [LINEAR] = 2, [CUBIC] = TAPS_MAX};
    struct axis a = {.in = in, .out = out, .taps = taps[attrs->mode]};
    size_t count = (size_t)out * (size_t)a.taps;
    a.at = calloc(count, sizeof *a.at);
    a.weight = calloc(count, sizeof *a.weight);
    if (!a.at || !a.weight) {
        free(a.at), free(a.weight);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    }
    for (int o = 0; o < out; o++)
        place(attrs, &a, coordinate(attrs, axis, &a, o), a.at + o * a.taps, a.weight + o * a.taps);
    *ret_axis = a;
    return THAW_OK;
}

static void axis_finish(struct axis *axis) {
    free(axis->at), free(axis->weight);
    *axis = (struct axis){0};
}

/* ---- tables --------------------------------------------------------------------------------- */

/* As cl/resize.cl reads them. */
struct tables {
    cl_mem first, at, weight;
    size_t size_bytes; /* of all three */
};

struct host_tables {
    int *first, *at;
    float *weight;
    int entries;
};

static void tables_finish(struct tables *tables) {
    thaw_buffer_destroy(&tables->first);
    thaw_buffer_destroy(&tables->at);
    thaw_buffer_destroy(&tables->weight);
}

/* The taps of each output, in order. */
static void list_forward(const struct axis *a, int *first, struct host_tables *t) {
    for (int o = 0; o < a->out; o++) {
        first[o] = t->entries;
        for (int k = o * a->taps; k < (o + 1) * a->taps; k++) {
            t->at[t->entries] = a->at[k];
            t->weight[t->entries++] = (float)a->weight[k];
        }
    }
    first[a->out] = t->entries;
}

/* The outputs that read each input, in order: a counting sort of the taps. */
static void list_backward(const struct axis *a, int *first, struct host_tables *t) {
    int taps = a->out * a->taps, begin = t->entries;
    memset(first, 0, ((size_t)a->in + 1) * sizeof *first);
    for (int k = 0; k < taps; k++)
        first[a->at[k] + 1]++;
    first[0] = begin;
    for (int i = 0; i < a->in; i++)
        first[i + 1] += first[i];
    for (int k = 0; k < taps; k++) {
        int entry = first[a->at[k]]++; /* which moves it to where the next one's begin */
        t->at[entry] = k / a->taps;
        t->weight[entry] = (float)a->weight[k];
    }
    memmove(first + 1, first, (size_t)a->in * sizeof *first);
    first[0] = begin;
    t->entries += taps;
}

static thaw_status upload(thaw_device *device, const void *data, size_t size_bytes,
                          cl_mem *ret_buffer) {
    THAW_TRY(thaw_buffer_create(device, size_bytes, ret_buffer));
    return thaw_buffer_write(device, *ret_buffer, 0, data, size_bytes);
}

static thaw_status tables_init(thaw_device *device, const struct axis axes[2], bool backward,
                               struct tables *tables) {
    size_t pixels[2], entries = 0;
    for (int i = 0; i < 2; i++) {
        pixels[i] = (size_t)(backward ? axes[i].in : axes[i].out) + 1;
        entries += (size_t)axes[i].out * (size_t)axes[i].taps;
    }
    struct host_tables t = {.first = calloc(pixels[0] + pixels[1], sizeof *t.first),
                            .at = calloc(entries, sizeof *t.at),
                            .weight = calloc(entries, sizeof *t.weight)};
    thaw_status status =
        t.first && t.at && t.weight ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (int i = 0; i < 2 && status == THAW_OK; i++)
        (backward ? list_backward : list_forward)(&axes[i], t.first + (i ? pixels[0] : 0), &t);
    if (status == THAW_OK)
        status = upload(device, t.first, (pixels[0] + pixels[1]) * sizeof(int), &tables->first);
    if (status == THAW_OK)
        status = upload(device, t.at, entries * sizeof(int), &tables->at);
    if (status == THAW_OK)
        status = upload(device, t.weight, entries * sizeof(float), &tables->weight);
    tables->size_bytes =
        (pixels[0] + pixels[1]) * sizeof(int) + entries * (sizeof(int) + sizeof(float));
    free(t.first), free(t.at), free(t.weight);
    return status;
}

/* ---- the op --------------------------------------------------------------------------------- */

struct state {
    thaw_kernel *kernel;
    struct tables forward, backward;
};

static thaw_status prepare(struct thaw_op_call *call) {
    const struct thaw_layout *in = &call->in[0].layout, *out = &call->out.layout;
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), out->block, false);
    THAW_TRY(
        thaw_kernel_get(call->device, "resize.cl", "resize_gather", defines.text, &state->kernel));
    struct axis axes[2] = {{0}};
    thaw_status status = axis_init(call->attrs, 0, in->h, out->h, &axes[0]);
    if (status == THAW_OK)
        status = axis_init(call->attrs, 1, in->w, out->w, &axes[1]);
    if (status == THAW_OK)
        status = tables_init(call->device, axes, false, &state->forward);
    if (status == THAW_OK && call->needs_backward && call->want_grad_in[0])
        status = tables_init(call->device, axes, true, &state->backward);
    call->table_bytes = state->forward.size_bytes + state->backward.size_bytes;
    axis_finish(&axes[0]);
    axis_finish(&axes[1]);
    return status;
}

static thaw_status gather(const struct thaw_op_call *call, const struct tables *tables,
                          const struct thaw_tensor *from, const struct thaw_tensor *to,
                          bool accumulate, int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *walked = &to->layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &walked, 1, batch, THAW_WALK_ROWS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->kernel, &range, THAW_ARG_BUFFER(from->buffer),
                       THAW_ARG_BUFFER(to->buffer), THAW_ARG_BUFFER(tables->first),
                       THAW_ARG_BUFFER(tables->at), THAW_ARG_BUFFER(tables->weight),
                       THAW_ARG_INT(accumulate), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(&from->layout), THAW_MAP_ARGS(&to->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    return gather(call, &state->forward, &call->in[0], &call->out, false, step->batch);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    return gather(call, &state->backward, &call->grad_out, &call->grad_in[0],
                  call->accumulate_in[0], step->batch);
}

static void release(struct thaw_op_call *call) {
    struct state *state = call->state;
    tables_finish(&state->forward);
    tables_finish(&state->backward);
}

/* A scale that leads to `out` pixels: sizes would need the batch, which a file does not know. */
static float export_scale(const struct attrs *attrs, int axis, int in, int out) {
    float scale = attrs->size[axis] ? (float)out / (float)in : (float)attrs->scale[axis];
    while ((int)floorf((float)in * scale) < out)
        scale = nextafterf(scale, INFINITY);
    return scale;
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    if (attrs->coordinates == TF_HALF_PIXEL_FOR_NN)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "ONNX has no coordinates tf_half_pixel_for_nn since opset 13");
    const float scales[] = {1, 1, export_scale(attrs, 0, call->in[0].h, call->out.h),
                            export_scale(attrs, 1, call->in[0].w, call->out.w)};
    const char *factors = thaw_export_constant(call, 1, (const int64_t[]){4}, scales);
    THAW_EXPORT_NODE(call, "Resize", thaw_export_maps(call, 0), NULL, factors);
    thaw_export_text(call, "mode", mode_names[attrs->mode]);
    thaw_export_text(call, "coordinate_transformation_mode", coordinate_names[attrs->coordinates]);
    if (attrs->mode == NEAREST)
        thaw_export_text(call, "nearest_mode", rounding_names[attrs->rounding]);
    if (attrs->mode == CUBIC)
        thaw_export_float(call, "cubic_coeff_a", (float)attrs->cubic_a);
    thaw_export_int(call, "exclude_outside", attrs->exclude_outside);
    return THAW_OK;
}

const struct thaw_op thaw_op_resize = {
    .type = "resize",
    .summary = "maps of another size, interpolated",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
    .onnx = onnx,
};
