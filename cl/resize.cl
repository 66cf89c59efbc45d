// Resizing of maps; the maths and the tables are in host/ops/resize.c. Both directions gather.
//
// Tables of an axis of n pixels in the map that is written: those of pixel i are the entries first[i] to
// first[i + 1] - 1, each a place `at` in the map that is read and its `weight`. The rows' tables come first in
// each buffer, then the columns'.

#define TABLES global const int *first_row, global const int *at, global const float *weight

static inline REAL row_sum(global const float *row, global const int *at, global const float *weight, int begin,
                           int end) {
    REAL sum = (REAL)(0.0f);
    for (int k = begin; k < end; k++)
        sum += weight[k] * LOAD(row + at[k] * B);
    return sum;
}

kernel void resize_gather(global const float *from, global float *to, TABLES, int accumulate, WALK, MAP(from),
                          MAP(to)) {
    const int cb = get_global_id(2);
    global const int *first_column = first_row + h + 1;
    EACH_ROW(r) {
        global const float *map = MAP_BASE(from, cb) + (long)(r / h) * from_image;
        global float *q = MAP_AT(to, cb, r);
        const int begin = first_row[r % h], end = first_row[r % h + 1];
        EACH_PIXEL(i) {
            REAL sum = (REAL)(0.0f);
            if (accumulate)
                sum = LOAD(q + i * B);
            for (int k = begin; k < end; k++)
                sum += weight[k] * row_sum(map + at[k] * from_row, at, weight, first_column[i], first_column[i + 1]);
            STORE(sum, q + i * B);
        }
    }
}
