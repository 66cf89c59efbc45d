// Zeroes the halo of a tensor: P rows above and below each map, P pixels at both ends of each row. One
// work-item a row of a map, halo rows included; a map has ROWS = H + 2P rows of ROW floats.

kernel void halo_zero(global float *x, int rows, int row, int halo_rows, int halo_floats, int maps) {
    int y = get_global_id(0), map = get_global_id(1);
    if (y >= rows || map >= maps)
        return;
    global float *p = x + ((size_t)map * rows + y) * row;
    if (y < halo_rows || y >= rows - halo_rows) {
        for (int i = 0; i < row; i++)
            p[i] = 0;
        return;
    }
    for (int i = 0; i < halo_floats; i++) {
        p[i] = 0;
        p[row - 1 - i] = 0;
    }
}
