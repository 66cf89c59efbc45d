// A map as a vector and back: flat[n, (c H + y) W + x] = map[n, c, y, x]. One item for an image and a channel
// block of the map. The item of the last block also clears the lanes behind the vector.

#define FLAT_AT(k) ((k) / B * flat_block + (long)n * flat_image + flat_origin + (k) % B)
#define MAP_ROW(y) (map + map_origin + cb * map_block + (long)n * map_image + (y) * map_row)

kernel void flatten_forward(global const float *map, global float *flat, int channels, int h, int w, int unused,
                            MAP(map), MAP(flat)) {
    const int cb = get_global_id(0), n = get_global_id(1), lanes = min(B, channels - cb * B);
    for (int lane = 0; lane < lanes; lane++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                flat[FLAT_AT(((cb * B + lane) * h + y) * w + x)] = MAP_ROW(y)[x * B + lane];
    if (lanes > 0 && (cb + 1) * B >= channels)
        for (int k = channels * h * w; k % B != 0; k++)
            flat[FLAT_AT(k)] = 0.0f;
}

kernel void flatten_backward(global float *map, global const float *flat, int channels, int h, int w,
                             int accumulate, MAP(map), MAP(flat)) {
    const int cb = get_global_id(0), n = get_global_id(1);
    if (cb * B >= channels)
        return;
    for (int lane = 0; lane < B; lane++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                global float *p = MAP_ROW(y) + x * B + lane;
                const int c = cb * B + lane;
                const float v = c < channels ? flat[FLAT_AT((c * h + y) * w + x)] : 0.0f;
                *p = accumulate ? *p + v : v;
            }
}
