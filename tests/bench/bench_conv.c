/* bench_conv [CANDIDATE [LAYER]]: GFLOP/s of every convolution candidate (or one) on typical layers
 * (or those whose name contains LAYER), forward, backward-data and backward-weight; the best of
 * several runs. A tool for people: it is no test and asserts nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

#include "kernels/conv.h"

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

/* Best of the runs that fit in about a third of a second, at least three. */
static thaw_status time_conv(thaw_device *device, const thaw_conv *conv,
                             const struct thaw_conv_run *run, double *ret_seconds) {
    double best = 1e9, start = thaw_clock_s();
    for (int i = 0; i < 4 || (i < 50 && thaw_clock_s() - start < 0.3); i++) {
        double before = thaw_clock_s();
        THAW_TRY(thaw_conv_run(conv, run));
        THAW_TRY(thaw_device_finish(device));
        double time = thaw_clock_s() - before;
        best = i > 0 && time < best ? time : best;
    }
    *ret_seconds = best;
    return THAW_OK;
}

static thaw_status bench(thaw_device *device, const struct thaw_conv_problem *problem,
                         const char *name) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    thaw_conv *conv = NULL;
    struct thaw_conv_run run = {.batch = g->x.n};
    double time = 0;
    thaw_status status = thaw_conv_create(device, problem, name, &conv);
    if (status == THAW_OK)
        status = thaw_buffer_create(device, thaw_layout_bytes(&g->x), &run.x);
    if (status == THAW_OK)
        status = thaw_buffer_create(device, thaw_filter_size(&g->w) * sizeof(float), &run.w);
    if (status == THAW_OK)
        status = thaw_buffer_create(device, thaw_layout_bytes(&g->y), &run.y);
    if (status == THAW_OK && thaw_conv_workspace_bytes(conv))
        status = thaw_buffer_create(device, thaw_conv_workspace_bytes(conv), &run.workspace);
    if (status == THAW_OK)
        status = time_conv(device, conv, &run, &time);
    if (status == THAW_OK)
        printf(" %12s %6.0f", name, thaw_conv_flops(g, g->x.n) / time * 1e-9);
    thaw_buffer_destroy(&run.x);
    thaw_buffer_destroy(&run.w);
    thaw_buffer_destroy(&run.y);
    thaw_buffer_destroy(&run.workspace);
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
                THAW_TRY(bench(device, &problem, candidate->name));
        }
        printf("\n");
        fflush(stdout);
    }
    return THAW_OK;
}

int main(int argc, char **argv) {
    thaw_device *device = NULL;
    thaw_status status = thaw_device_open(NULL, NULL, &device);
    for (size_t i = 0; status == THAW_OK && i < sizeof layers / sizeof *layers; i++)
        if (argc < 3 || strstr(layers[i].name, argv[2]))
            status = bench_layer(device, &layers[i], argc > 1 ? argv[1] : NULL);
    if (status != THAW_OK)
        fprintf(stderr, "bench_conv: %s\n", thaw_error_message());
    thaw_device_destroy(&device);
    return status == THAW_OK ? 0 : 1;
}
