// Zeroes the halo of a tensor: P rows above and below each map, P pixels at both ends of each row, of which those at
// the end of a row and at the start of the next lie side by side. A map has ROWS = H + 2P rows of ROW floats; a
// work-item takes `per_item` of them.
kernel void halo_zero(global float *x, int rows, int row, int halo_rows, int halo_floats, int per_item) {
    const int first = get_global_id(0) * per_item, last = min(rows, first + per_item);
    x += (size_t)get_global_id(1) * rows * row;
    for (int y = first; y < last; y++) {
        const bool whole = y < halo_rows || y >= rows - halo_rows;
        const int begin = whole ? 0 : row - halo_floats, next = y + 1 < rows ? halo_floats : 0;
        global float *p = x + (size_t)y * row;
        for (int i = begin; i < row + next; i++)
            p[i] = 0.0f;
    }
}
