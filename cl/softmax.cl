// Softmax and, with -DLOG=1, its logarithm along lines: through the channels of a pixel (-DCHANNELS=1), a column or a
// row of a map. The maths is in host/ops/softmax_common.h. A line is one item's, or with -DGROUP a work-group's; an
// item takes per_item lines. A step along a line is step floats. In place is fine.
//
// Line l is line l % units of image l / units, and begins in row l % units / columns, at pixel l % units % columns.

#define LINES int channels, int steps, int lines, int units, int columns, int per_item
#define ZERO ((REAL)(0.0f))
#if GROUP == 1
#define EACH_LINE(l) for (int l = get_global_id(0) * per_item, l##_end = min(lines, l + per_item); l < l##_end; l++)
#define EACH_STEP(k) for (int k = 0; k < steps; k++)
#else
#define EACH_LINE(l) for (int l = get_group_id(0); l < lines; l += get_num_groups(0))
#define EACH_STEP(k) for (int k = get_local_id(0); k < steps; k += GROUP)
#endif
#define LINE_AT(t, l)                                                                                                  \
    (MAP_BASE(t, get_global_id(2)) + (long)((l) / units) * t##_image + (l) % units / columns * t##_row +               \
     (l) % units % columns * B)

// pocl makes scalar code of keep_lanes: only for a block that has lanes to clear.
#define KEPT(value, other, k) (LANES(k) < B ? keep_lanes(value, other, LANES(k)) : (value))

#if CHANNELS
#define LANES(k) (channels - (k) * B)
#define VALUE float
#define LINE_MAX(v) lanes_max(GROUP_MAX(v))
#define LINE_SUM(v) lanes_sum(GROUP_SUM(v))
#else
#define LANES(k) (channels - (int)get_global_id(2) * B)
#define VALUE REAL
#define LINE_MAX(v) (v)
#define LINE_SUM(v) (v)
#endif

kernel void softmax_forward(global const float *x, global float *y, LINES, MAP(x), long x_step, MAP(y), long y_step) {
    SCRATCH;
    EACH_LINE(l) {
        global const float *p = LINE_AT(x, l);
        global float *q = LINE_AT(y, l);
        REAL most = (REAL)(-INFINITY), sum = ZERO;
        EACH_STEP(k) most = max(most, KEPT(LOAD(p + k * x_step), (REAL)(-INFINITY), k));
        const VALUE shift = LINE_MAX(most);
        EACH_STEP(k) sum += KEPT(exp(LOAD(p + k * x_step) - shift), ZERO, k);
#if LOG
        const VALUE offset = shift + log(LINE_SUM(sum));
        EACH_STEP(k) STORE(KEPT(LOAD(p + k * x_step) - offset, ZERO, k), q + k * y_step);
#else
        const VALUE scale = 1.0f / LINE_SUM(sum);
        EACH_STEP(k) STORE(KEPT(exp(LOAD(p + k * x_step) - shift) * scale, ZERO, k), q + k * y_step);
#endif
    }
}

kernel void softmax_backward(global const float *y, global const float *dy, global float *dx, int accumulate, LINES,
                             MAP(y), long y_step, MAP(dy), long dy_step, MAP(dx), long dx_step) {
    SCRATCH;
    EACH_LINE(l) {
        global const float *p = LINE_AT(y, l), *grad = LINE_AT(dy, l);
        global float *q = LINE_AT(dx, l);
        REAL sum = ZERO;
#if LOG
        EACH_STEP(k) sum += LOAD(grad + k * dy_step);
#else
        EACH_STEP(k) sum += LOAD(p + k * y_step) * LOAD(grad + k * dy_step);
#endif
        const VALUE total = LINE_SUM(sum);
        EACH_STEP(k) {
#if LOG
            REAL result = LOAD(grad + k * dy_step) - exp(LOAD(p + k * y_step)) * total;
            result = KEPT(result, ZERO, k);
#else
            REAL result = LOAD(p + k * y_step) * (LOAD(grad + k * dy_step) - total);
#endif
            if (accumulate)
                result += LOAD(q + k * dx_step);
            STORE(result, q + k * dx_step);
        }
    }
}
