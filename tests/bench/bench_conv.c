/* bench_conv [CANDIDATE [LAYER]]: GFLOP/s of every convolution candidate (or one) on typical layers
 * (or those whose name contains LAYER), forward, backward-data and backward-weight; the median
 * of several rounds.
 *
 * bench_conv --keys [CANDIDATE]: reads problems, one a line, as thaw_conv_problem_key() writes them
 * and `thaw tune --json` lists them; prints milliseconds, the name of the candidate
 * (the default choice, or the given one where it applies) and the problem, separated by tabs.
 *
 * bench_conv --peak: GFLOP/s of fused multiply-adds on this device.
 *
 * A tool for people: it is no test and asserts nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

#include "kernels/conv.h"
#include "kernels/peak.h"

static const struct layer {
    const char *name;
    int n, c, size, o, kernel, stride, groups;
} layers[] = {
    {"3->64@224 3x3", 8, 3, 224, 64, 3, 1, 1},
    {"64@224 3x3", 8, 64, 224, 64, 3, 1, 1},
    {"256@56 3x3", 8, 256, 56, 256, 3, 1, 1},
    {"512@14 3x3", 8, 512, 14, 512, 3, 1, 1},
    {"512@14 3x3 b1", 1, 512, 14, 512, 3, 1, 1},
    {"64@56 3x3 b1", 1, 64, 56, 64, 3, 1, 1},
    {"16@28 3x3", 32, 16, 28, 16, 3, 1, 1},
    {"32@14 3x3", 32, 32, 14, 32, 3, 1, 1},
    {"64@7 3x3", 32, 64, 7, 64, 3, 1, 1},
    {"64@4 3x3", 32, 64, 4, 64, 3, 1, 1},
    {"64@2 3x3", 32, 64, 2, 64, 3, 1, 1},
    {"3->64@224 7x7 s2", 16, 3, 224, 64, 7, 2, 1},
    {"64@56 3x3", 16, 64, 56, 64, 3, 1, 1},
    {"512@7 3x3", 16, 512, 7, 512, 3, 1, 1},
    {"128@56 3x3 s2", 16, 128, 56, 128, 3, 2, 1},
    {"64->256@56 1x1", 16, 64, 56, 256, 1, 1, 1},
    {"256->64@56 1x1", 16, 256, 56, 64, 1, 1, 1},
    {"1024->256@14 1x1", 16, 1024, 14, 256, 1, 1, 1},
    {"512->1024@28 1x1 s2", 16, 512, 28, 1024, 1, 2, 1},
    {"24->144@56 1x1", 16, 24, 56, 144, 1, 1, 1},
    {"linear 1280->1000", 32, 1280, 1, 1000, 1, 1, 1},
    {"linear 512x7x7->512", 16, 512, 7, 512, 7, 1, 1},
    {"depthwise 96@112 s2", 16, 96, 112, 96, 3, 2, 96},
    {"depthwise 144@56", 16, 144, 56, 144, 3, 1, 144},
    {"depthwise 960@7", 16, 960, 7, 960, 3, 1, 960},
};

static struct thaw_conv_geometry geometry_of(const struct layer *l,
                                             const struct thaw_device_caps *caps) {
    int pad = l->kernel == l->size ? 0 : l->kernel / 2;
    int out = (l->size + 2 * pad - l->kernel) / l->stride + 1;
    int x_block = l->c < 4 ? l->c : caps->block, x_halo, y_halo;
    struct thaw_conv_geometry g = {
        .x = thaw_layout_make((struct thaw_shape){l->n, l->c, l->size, l->size}, x_block, 0),
        .y = thaw_layout_make((struct thaw_shape){l->n, l->o, out, out}, caps->block, 0),
        .w = thaw_conv_filter(l->o, l->c, l->kernel, l->kernel, l->groups, x_block, caps),
        .groups = l->groups,
        .stride_h = l->stride,
        .stride_w = l->stride,
        .dilation_h = 1,
        .dilation_w = 1,
        .pad_top = pad,
        .pad_left = pad};
    thaw_conv_halos(&g, &x_halo, &y_halo);
    g.x.halo = x_halo;
    g.y.halo = y_halo;
    return g;
}

/* As in a network, where other layers' tensors come in between, only what the layer before has just
 * written can still be in the cache, x or the gradient of y: the others take turns with as many as
 * are together larger. */
#define SETS_MAX 16
#define SETS_BYTES ((size_t)96 << 20)

static int set_count(const struct thaw_conv_geometry *g) {
    size_t bytes = thaw_layout_bytes(&g->x) + thaw_layout_bytes(&g->y) +
                   thaw_filter_size(&g->w) * sizeof(float);
    size_t sets = SETS_BYTES / bytes + 1;
    return (int)(sets < SETS_MAX ? sets : SETS_MAX);
}

/* Memory that nobody has written may be one page of zeros many times: faster than any. */
static thaw_status create(thaw_device *device, size_t bytes, cl_mem *ret_buffer) {
    THAW_TRY(thaw_buffer_create(device, bytes, ret_buffer));
    return thaw_buffer_zero(device, *ret_buffer, 0, bytes);
}

static thaw_status create_sets(thaw_device *device, const struct thaw_conv_problem *problem,
                               int count, struct thaw_conv_run *ret_runs) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    bool forward = problem->direction == THAW_CONV_FORWARD;
    for (int i = 0; i < count; i++) {
        struct thaw_conv_run *run = &ret_runs[i];
        run->batch = g->x.n;
        THAW_TRY(create(device, thaw_filter_size(&g->w) * sizeof(float), &run->w));
        if (i == 0 || !forward)
            THAW_TRY(create(device, thaw_layout_bytes(&g->x), &run->x));
        if (i == 0 || forward)
            THAW_TRY(create(device, thaw_layout_bytes(&g->y), &run->y));
    }
    return THAW_OK;
}

static thaw_status run_set(const thaw_conv *conv, const struct thaw_conv_run *runs, int index,
                           cl_mem workspace) {
    struct thaw_conv_run run = runs[index];
    run.x = run.x ? run.x : runs[0].x;
    run.y = run.y ? run.y : runs[0].y;
    run.workspace = workspace;
    return thaw_conv_run(conv, &run);
}

/* Median of the rounds that fit in a tenth of a second, at least five. As in a network, the queue
 * is not waited for after each run, but after a round: every set once. */
static thaw_status time_conv(thaw_device *device, const thaw_conv *conv,
                             const struct thaw_conv_run *runs, int count, cl_mem workspace,
                             double *ret_seconds) {
    double times[50], start = thaw_clock_s();
    int n = 0;
    while (n < 5 || (n < 50 && thaw_clock_s() - start < 0.1)) {
        double before = thaw_clock_s();
        for (int i = 0; i < count; i++)
            THAW_TRY(run_set(conv, runs, i, workspace));
        THAW_TRY(thaw_device_finish(device));
        double time = (thaw_clock_s() - before) / count;
        int at = n++;
        for (; at > 0 && times[at - 1] > time; at--)
            times[at] = times[at - 1];
        times[at] = time;
    }
    *ret_seconds = times[n / 2];
    return THAW_OK;
}

static thaw_status bench(thaw_device *device, const thaw_conv *conv, double *ret_seconds) {
    const struct thaw_conv_problem *problem = thaw_conv_get_problem(conv);
    struct thaw_conv_run runs[SETS_MAX] = {0};
    cl_mem workspace = NULL;
    int sets = set_count(&problem->geometry);
    thaw_status status = THAW_OK;
    if (thaw_conv_workspace_bytes(conv))
        status = create(device, thaw_conv_workspace_bytes(conv), &workspace);
    if (status == THAW_OK)
        status = create_sets(device, problem, sets, runs);
    if (status == THAW_OK)
        status = time_conv(device, conv, runs, sets, workspace, ret_seconds);
    for (int i = 0; i < sets; i++) {
        thaw_buffer_destroy(&runs[i].x);
        thaw_buffer_destroy(&runs[i].w);
        thaw_buffer_destroy(&runs[i].y);
    }
    thaw_buffer_destroy(&workspace);
    return status;
}

static thaw_status bench_candidate(thaw_device *device, const struct thaw_conv_problem *problem,
                                   const char *name) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    thaw_conv *conv = NULL;
    double time = 0;
    THAW_TRY(thaw_conv_create(device, problem, name, &conv));
    thaw_status status = bench(device, conv, &time);
    if (status == THAW_OK)
        printf(" %12s %6.0f", name, thaw_conv_flops(g, g->x.n) / time * 1e-9);
    thaw_conv_destroy(&conv);
    return status;
}

static thaw_status bench_layer(thaw_device *device, const struct layer *layer, const char *only) {
    static const char *const directions[] = {"forward", "backward-data", "backward-weight"};
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    for (int d = 0; d < THAW_CONV_DIRECTION_COUNT; d++) {
        struct thaw_conv_problem problem = {.direction = (enum thaw_conv_direction)d,
                                            .geometry = geometry_of(layer, caps)};
        printf("%-20s b%-3d %-15s", layer->name, layer->n, directions[d]);
        for (size_t i = 0; i < thaw_conv_candidate_count; i++) {
            const struct thaw_conv_candidate *candidate = thaw_conv_candidates[i];
            bool wanted = only ? strcmp(only, candidate->name) == 0
                               : strcmp(candidate->name, "simple") != 0; /* too slow to wait for */
            if (wanted && candidate->applies(&problem, caps))
                THAW_TRY(bench_candidate(device, &problem, candidate->name));
        }
        printf("\n");
        fflush(stdout);
    }
    return THAW_OK;
}

/* The inverse of thaw_conv_problem_key(), without bias and activation. */
static bool parse_key(const char *key, const struct thaw_device_caps *caps,
                      struct thaw_conv_problem *ret_problem) {
    struct thaw_conv_geometry g = {0};
    struct thaw_layout *x = &g.x, *y = &g.y;
    char direction[16];
    int kh, kw;
    if (sscanf(key, "conv %15s n%d x%dx%dx%d/%d+%d y%dx%dx%d/%d+%d k%dx%d s%dx%d d%dx%d p%dx%d g%d",
               direction, &x->n, &x->c, &x->h, &x->w, &x->block, &x->halo, &y->c, &y->h, &y->w,
               &y->block, &y->halo, &kh, &kw, &g.stride_h, &g.stride_w, &g.dilation_h,
               &g.dilation_w, &g.pad_top, &g.pad_left, &g.groups) != 21)
        return false;
    y->n = x->n;
    g.w = thaw_conv_filter(y->c, x->c, kh, kw, g.groups, x->block, caps);
    *ret_problem = (struct thaw_conv_problem){
        .direction = strcmp(direction, "forward") == 0         ? THAW_CONV_FORWARD
                     : strcmp(direction, "backward-data") == 0 ? THAW_CONV_BACKWARD_DATA
                                                               : THAW_CONV_BACKWARD_WEIGHT,
        .geometry = g,
        .accumulate = strstr(key, " accumulate") != NULL,
    };
    return true;
}

static thaw_status bench_keys(thaw_device *device, const char *candidate) {
    char key[256];
    while (fgets(key, sizeof key, stdin)) {
        struct thaw_conv_problem problem;
        thaw_conv *conv = NULL;
        double time = 0;
        key[strcspn(key, "\n")] = '\0';
        if (!parse_key(key, thaw_device_get_caps(device), &problem))
            return thaw_fail(THAW_ERROR_INPUT, "not a problem of a convolution: '%s'", key);
        THAW_TRY(thaw_conv_create(device, &problem, candidate, &conv));
        thaw_status status = bench(device, conv, &time);
        if (status == THAW_OK)
            printf("%.4f\t%s\t%s\n", 1e3 * time, thaw_conv_candidate_name(conv), key);
        thaw_conv_destroy(&conv);
        THAW_TRY(status);
        fflush(stdout);
    }
    return THAW_OK;
}

static thaw_status print_peak(thaw_device *device) {
    struct thaw_peak peak;
    THAW_TRY(thaw_peak_measure(device, &peak));
    printf("%.1f\n", peak.fma_gflops);
    return THAW_OK;
}

static thaw_status bench_layers(thaw_device *device, const char *candidate, const char *name) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (!name || strstr(layers[i].name, name))
            THAW_TRY(bench_layer(device, &layers[i], candidate));
    return THAW_OK;
}

int main(int argc, char **argv) {
    const char *first = argc > 1 ? argv[1] : NULL, *second = argc > 2 ? argv[2] : NULL;
    thaw_device *device = NULL;
    thaw_status status = thaw_device_open(NULL, NULL, &device);
    if (status == THAW_OK && first && strcmp(first, "--peak") == 0)
        status = print_peak(device);
    else if (status == THAW_OK && first && strcmp(first, "--keys") == 0)
        status = bench_keys(device, second);
    else if (status == THAW_OK)
        status = bench_layers(device, first, second);
    if (status != THAW_OK)
        fprintf(stderr, "bench_conv: %s\n", thaw_error_message());
    thaw_device_destroy(&device);
    return status == THAW_OK ? 0 : 1;
}
