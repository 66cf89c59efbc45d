#include "kernels/conv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "kernels/tuning.h"

#define X(name) extern const struct thaw_conv_candidate thaw_conv_##name;
#include "conv_candidates.inc"
#undef X

#define X(name) &thaw_conv_##name,
const struct thaw_conv_candidate *const thaw_conv_candidates[] = {
#include "conv_candidates.inc"
};
#undef X

#define CANDIDATES (sizeof thaw_conv_candidates / sizeof thaw_conv_candidates[0])
const size_t thaw_conv_candidate_count = CANDIDATES;

const char *thaw_activation_name(enum thaw_activation activation) {
    static const char *const names[THAW_ACTIVATION_COUNT] = {
        [THAW_ACTIVATION_NONE] = "none",           [THAW_ACTIVATION_RELU] = "relu",
        [THAW_ACTIVATION_RELU6] = "relu6",         [THAW_ACTIVATION_LEAKY_RELU] = "leaky_relu",
        [THAW_ACTIVATION_SIGMOID] = "sigmoid",     [THAW_ACTIVATION_SILU] = "silu",
        [THAW_ACTIVATION_HARDSWISH] = "hardswish", [THAW_ACTIVATION_HARDSIGMOID] = "hardsigmoid",
        [THAW_ACTIVATION_GELU] = "gelu",
    };
    return names[activation];
}

bool thaw_activation_is_cheap(enum thaw_activation activation) {
    return activation == THAW_ACTIVATION_RELU || activation == THAW_ACTIVATION_RELU6 ||
           activation == THAW_ACTIVATION_LEAKY_RELU || activation == THAW_ACTIVATION_HARDSWISH;
}

bool thaw_activation_slope_shows(enum thaw_activation activation) {
    return activation == THAW_ACTIVATION_RELU || activation == THAW_ACTIVATION_RELU6 ||
           activation == THAW_ACTIVATION_LEAKY_RELU;
}

bool thaw_activation_keeps_zero(enum thaw_activation activation) {
    return activation != THAW_ACTIVATION_SIGMOID && activation != THAW_ACTIVATION_HARDSIGMOID;
}

static int max_int(int a, int b) {
    return a > b ? a : b;
}

static int blocks(int channels, int block) {
    return (channels + block - 1) / block;
}

/* Output channels of a panel on a CPU: two vectors, whose weights 14 pixels of accumulators share;
 * three or one where two would leave half a panel empty. */
static int panel_width(int channels, int block) {
    int count = blocks(channels, block);
    return block * (count % 2 == 0 ? 2 : count % 3 == 0 ? 3 : 1);
}

struct thaw_filter thaw_conv_filter(int out_channels, int in_channels, int kh, int kw, int groups,
                                    int x_block, const struct thaw_device_caps *caps) {
    struct thaw_filter filter = {out_channels, in_channels / groups, kh, kw, 1, 1};
    if (!caps->is_cpu || caps->block == 1)
        return filter; /* OIHW */
    if (groups == 1) {
        filter.block_i = x_block;
        filter.block_o = panel_width(out_channels, caps->block);
    } else if (groups == in_channels && groups == out_channels) {
        filter.block_o = caps->block;
    }
    return filter;
}

static bool single_pixel(const struct thaw_layout *layout) {
    return layout->h == 1 && layout->w == 1;
}

/* How far forward reads outside `size` pixels of one axis. */
static int halo_x(int size, int out_size, int kernel, int stride, int dilation, int pad) {
    int last = (out_size - 1) * stride - pad + (kernel - 1) * dilation;
    return max_int(0, max_int(pad, last - (size - 1)));
}

/* How far backward-data reads outside `out_size` pixels of one axis. */
static int halo_grad_y(int size, int out_size, int kernel, int stride, int dilation, int pad) {
    int halo = 0;
    for (int i = 0; i < size; i++)
        for (int k = 0; k < kernel; k++) {
            int scaled = i + pad - k * dilation;
            if (scaled % stride != 0)
                continue;
            int at = scaled / stride;
            halo = max_int(halo, max_int(-at, at - (out_size - 1)));
        }
    return halo;
}

void thaw_conv_halos(const struct thaw_conv_geometry *g, int *ret_x, int *ret_grad_y) {
    int x_h = halo_x(g->x.h, g->y.h, g->w.kh, g->stride_h, g->dilation_h, g->pad_top);
    int x_w = halo_x(g->x.w, g->y.w, g->w.kw, g->stride_w, g->dilation_w, g->pad_left);
    int y_h = halo_grad_y(g->x.h, g->y.h, g->w.kh, g->stride_h, g->dilation_h, g->pad_top);
    int y_w = halo_grad_y(g->x.w, g->y.w, g->w.kw, g->stride_w, g->dilation_w, g->pad_left);
    *ret_x = max_int(x_h, x_w);
    *ret_grad_y = single_pixel(&g->y) ? 0 : max_int(y_h, y_w);
}

double thaw_conv_flops(const struct thaw_conv_geometry *g, int batch) {
    return 2.0 * batch * g->y.h * g->y.w * g->w.o * g->w.i * g->w.kh * g->w.kw;
}

void thaw_conv_problem_key(const struct thaw_conv_problem *problem,
                           char ret_key[THAW_CONV_KEY_SIZE]) {
    static const char *const directions[THAW_CONV_DIRECTION_COUNT] = {
        [THAW_CONV_FORWARD] = "forward",
        [THAW_CONV_BACKWARD_DATA] = "backward-data",
        [THAW_CONV_BACKWARD_WEIGHT] = "backward-weight",
    };
    const struct thaw_conv_geometry *g = &problem->geometry;
    snprintf(ret_key, THAW_CONV_KEY_SIZE,
             "conv %s n%d x%dx%dx%d/%d+%d y%dx%dx%d/%d+%d k%dx%d s%dx%d d%dx%d p%dx%d g%d %s%s%s",
             directions[problem->direction], g->x.n, g->x.c, g->x.h, g->x.w, g->x.block, g->x.halo,
             g->y.c, g->y.h, g->y.w, g->y.block, g->y.halo, g->w.kh, g->w.kw, g->stride_h,
             g->stride_w, g->dilation_h, g->dilation_w, g->pad_top, g->pad_left, g->groups,
             thaw_activation_name(problem->activation), problem->bias ? " bias" : "",
             problem->accumulate ? " accumulate" : "");
}

const struct thaw_conv_candidate *thaw_conv_find(const char *name) {
    for (size_t i = 0; i < CANDIDATES; i++)
        if (strcmp(thaw_conv_candidates[i]->name, name) == 0)
            return thaw_conv_candidates[i];
    return NULL;
}

static thaw_status fail_unknown(const char *name) {
    const char *names[CANDIDATES];
    for (size_t i = 0; i < CANDIDATES; i++)
        names[i] = thaw_conv_candidates[i]->name;
    const char *nearest = thaw_nearest(name, names, CANDIDATES);
    struct thaw_text list = {0};
    for (size_t i = 0; i < CANDIDATES; i++)
        thaw_text_append(&list, "%s%s", i ? ", " : "", names[i]);
    thaw_status status =
        thaw_fail(THAW_ERROR_INPUT, "there is no convolution candidate '%s'%s%s%s (there are: %s)",
                  name, nearest ? "; nearest is '" : "", nearest ? nearest : "", nearest ? "'" : "",
                  list.text ? list.text : "");
    thaw_text_finish(&list);
    return status;
}

const struct thaw_conv_candidate *thaw_conv_usual(const struct thaw_conv_problem *problem,
                                                  const struct thaw_device_caps *caps) {
    for (size_t i = 0; i < CANDIDATES; i++) {
        const struct thaw_conv_candidate *candidate = thaw_conv_candidates[i];
        if (candidate->applies(problem, caps) &&
            (!candidate->recommended || candidate->recommended(problem, caps)))
            return candidate;
    }
    return NULL;
}

/* The measured choice, or NULL. */
static const struct thaw_conv_candidate *remembered(thaw_device *device,
                                                    struct thaw_conv_problem *problem) {
    char key[THAW_CONV_KEY_SIZE];
    struct thaw_tuning_choice choice;
    thaw_conv_problem_key(problem, key);
    if (!thaw_tuning_find(device, key, &choice))
        return NULL;
    const struct thaw_conv_candidate *candidate = thaw_conv_find(choice.candidate);
    problem->variant = choice.variant;
    if (candidate && candidate->applies(problem, thaw_device_get_caps(device)))
        return candidate;
    problem->variant = 0;
    return NULL;
}

thaw_status thaw_conv_select(thaw_device *device, struct thaw_conv_problem *problem,
                             const char *forced, const struct thaw_conv_candidate **ret_candidate) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    const struct thaw_conv_candidate *choice = NULL;
    if (forced) {
        choice = thaw_conv_find(forced);
        if (!choice)
            return fail_unknown(forced);
    }
    if (!choice || !choice->applies(problem, caps)) {
        problem->variant = 0;
        choice = remembered(device, problem);
    }
    if (!choice)
        choice = thaw_conv_usual(problem, caps);
    if (!choice) {
        char key[THAW_CONV_KEY_SIZE];
        thaw_conv_problem_key(problem, key);
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "no candidate computes %s", key);
    }
    *ret_candidate = choice;
    return THAW_OK;
}

struct thaw_conv {
    thaw_device *device;
    const struct thaw_conv_candidate *candidate;
    struct thaw_conv_problem problem;
    struct thaw_conv_state state;
    size_t workspace_bytes;
};

thaw_status thaw_conv_create(thaw_device *device, const struct thaw_conv_problem *problem,
                             const char *forced, thaw_conv **ret_conv) {
    const struct thaw_conv_candidate *candidate = NULL;
    struct thaw_conv_problem chosen = *problem;
    THAW_TRY(thaw_conv_select(device, &chosen, forced, &candidate));
    thaw_conv *conv = calloc(1, sizeof *conv);
    if (!conv)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for a convolution");
    conv->device = device;
    conv->candidate = candidate;
    conv->problem = chosen;
    if (candidate->workspace_bytes) // NOLINT(clang-analyzer-core.NullDereference): set on success
        conv->workspace_bytes = candidate->workspace_bytes(&chosen, thaw_device_get_caps(device));
    thaw_status status = candidate->prepare(device, &chosen, &conv->state);
    if (status != THAW_OK) {
        thaw_conv_destroy(&conv);
        return thaw_context(status, "convolution '%s'", candidate->name);
    }
    *ret_conv = conv;
    return THAW_OK;
}

void thaw_conv_destroy(thaw_conv **conv) {
    if (!conv || !*conv)
        return;
    free((*conv)->state.extra);
    free(*conv);
    *conv = NULL;
}

size_t thaw_conv_workspace_bytes(const thaw_conv *conv) {
    return conv->workspace_bytes;
}

const char *thaw_conv_candidate_name(const thaw_conv *conv) {
    return conv->candidate->name;
}

const struct thaw_conv_problem *thaw_conv_get_problem(const thaw_conv *conv) {
    return &conv->problem;
}

thaw_status thaw_conv_run(const thaw_conv *conv, const struct thaw_conv_run *run) {
    return conv->candidate->run(conv->device, &conv->problem, &conv->state, run);
}
