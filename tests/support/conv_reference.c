#include "support/conv_reference.h"

#include <math.h>
#include <string.h>

/* Calls visit for every multiply-add of the convolution: indices of x, w and y in logical order. */
typedef void visit_function(void *user, size_t x, size_t w, size_t y);

static void visit_row(const struct thaw_conv_geometry *g, size_t x_row, size_t w_row, size_t y_row,
                      visit_function *visit, void *user) {
    for (int ox = 0; ox < g->y.w; ox++)
        for (int kx = 0; kx < g->w.kw; kx++) {
            int ix = ox * g->stride_w - g->pad_left + kx * g->dilation_w;
            if (ix >= 0 && ix < g->x.w)
                visit(user, x_row + (size_t)ix, w_row + (size_t)kx, y_row + (size_t)ox);
        }
}

static void visit_plane(const struct thaw_conv_geometry *g, size_t x, size_t w, size_t y,
                        visit_function *visit, void *user) {
    for (int oy = 0; oy < g->y.h; oy++)
        for (int ky = 0; ky < g->w.kh; ky++) {
            int iy = oy * g->stride_h - g->pad_top + ky * g->dilation_h;
            if (iy >= 0 && iy < g->x.h)
                visit_row(g, (x * (size_t)g->x.h + (size_t)iy) * (size_t)g->x.w,
                          (w * (size_t)g->w.kh + (size_t)ky) * (size_t)g->w.kw,
                          (y * (size_t)g->y.h + (size_t)oy) * (size_t)g->y.w, visit, user);
        }
}

static void visit_all(const struct thaw_conv_geometry *g, int batch, visit_function *visit,
                      void *user) {
    int per_group = g->w.o / g->groups;
    for (int n = 0; n < batch; n++)
        for (int o = 0; o < g->w.o; o++)
            for (int i = 0; i < g->w.i; i++) {
                int c = o / per_group * g->w.i + i;
                visit_plane(g, (size_t)(n * g->x.c + c), (size_t)(o * g->w.i + i),
                            (size_t)(n * g->y.c + o), visit, user);
            }
}

struct sums {
    const float *x, *w, *y;
    double *out;
};

static void add_forward(void *user, size_t x, size_t w, size_t y) {
    struct sums *s = user;
    s->out[y] += (double)s->x[x] * s->w[w];
}

static void add_backward_data(void *user, size_t x, size_t w, size_t y) {
    struct sums *s = user;
    s->out[x] += (double)s->y[y] * s->w[w];
}

static void add_backward_weight(void *user, size_t x, size_t w, size_t y) {
    struct sums *s = user;
    s->out[w] += (double)s->x[x] * s->y[y];
}

static size_t plane(const struct thaw_layout *l) {
    return (size_t)l->h * (size_t)l->w;
}

double conv_reference_activation(enum thaw_activation activation, double v, double parameter) {
    switch (activation) {
    case THAW_ACTIVATION_RELU:
        return fmax(v, 0);
    case THAW_ACTIVATION_RELU6:
        return fmin(fmax(v, 0), 6);
    case THAW_ACTIVATION_LEAKY_RELU:
        return v < 0 ? v * parameter : v;
    case THAW_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-v));
    case THAW_ACTIVATION_SILU:
        return v / (1 + exp(-v));
    case THAW_ACTIVATION_HARDSWISH:
        return v * fmin(fmax(v + 3, 0), 6) / 6;
    case THAW_ACTIVATION_HARDSIGMOID:
        return fmin(fmax(v + 3, 0), 6) / 6;
    case THAW_ACTIVATION_GELU:
        return v * erfc(-v / sqrt(2)) / 2;
    default:
        return v;
    }
}

void conv_reference_forward(const struct thaw_conv_problem *problem, int batch, const float *x,
                            const float *w, const float *bias, double *ret_y) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t count = (size_t)batch * (size_t)g->y.c * plane(&g->y);
    memset(ret_y, 0, count * sizeof *ret_y);
    struct sums sums = {.x = x, .w = w, .out = ret_y};
    visit_all(g, batch, add_forward, &sums);
    for (size_t i = 0; i < count; i++) {
        double value = ret_y[i] + (bias ? bias[i / plane(&g->y) % (size_t)g->y.c] : 0);
        ret_y[i] =
            conv_reference_activation(problem->activation, value, problem->activation_parameter);
    }
}

void conv_reference_backward_data(const struct thaw_conv_geometry *g, int batch, const float *y,
                                  const float *w, double *ret_x) {
    memset(ret_x, 0, (size_t)batch * (size_t)g->x.c * plane(&g->x) * sizeof *ret_x);
    struct sums sums = {.y = y, .w = w, .out = ret_x};
    visit_all(g, batch, add_backward_data, &sums);
}

void conv_reference_backward_weight(const struct thaw_conv_geometry *g, int batch, const float *x,
                                    const float *y, double *ret_w) {
    memset(ret_w, 0, (size_t)(g->w.o * g->w.i) * (size_t)(g->w.kh * g->w.kw) * sizeof *ret_w);
    struct sums sums = {.x = x, .y = y, .out = ret_w};
    visit_all(g, batch, add_backward_weight, &sums);
}
