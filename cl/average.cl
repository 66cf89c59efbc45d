// Running averages of weights; host/train/average.h.

// average moves by `share` of the way to value; share 1 copies it to the bit.
kernel void average_update(global const struct update_row *restrict table, int count,
                           global const float *restrict values, global float *restrict averages, float share) {
    UPDATE_ROW(row, table, count);
    global const float *value = values + row.at[0];
    global float *average = averages + row.at[1];
    EACH_FLOAT(i, row)
    average[i] = share == 1.0f ? value[i] : average[i] + share * (value[i] - average[i]);
}

kernel void average_swap(global const struct update_row *restrict table, int count, global float *restrict values,
                         global float *restrict averages) {
    UPDATE_ROW(row, table, count);
    global float *value = values + row.at[0], *average = averages + row.at[1];
    EACH_FLOAT(i, row) {
        const float v = value[i];
        value[i] = average[i];
        average[i] = v;
    }
}
