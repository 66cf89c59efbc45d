// y (+)= x m / (1 - p); where m comes from is in host/ops/dropout.c. Lane by lane: dropout stands before linear
// layers, where maps are small. `first` is the number of the first pixel in the whole batch.

kernel void dropout(global const float *x, global float *y, int channels, float p, int accumulate, uint key0,
                    uint key1, uint counter1, uint counter2, uint first, WALK, MAP(x), MAP(y)) {
    const int cb = get_global_id(2);
    const float scale = 1.0f / (1.0f - p);
    const uint blocks = (channels + 3) / 4; // of four draws, for each pixel
    EACH_ROW(r) {
        global const float *from = MAP_AT(x, cb, r);
        global float *to = MAP_AT(y, cb, r);
        EACH_PIXEL(i) {
            uint draws[4];
            for (int lane = 0; lane < B; lane++) {
                const int c = cb * B + lane;
                if (lane == 0 || c % 4 == 0) {
                    const uint block = (first + (uint)r * w + i) * blocks + c / 4;
                    vstore4(philox((uint4)(block, counter1, counter2, 0), (uint2)(key0, key1)), 0, draws);
                }
                const float uniform = (draws[c % 4] >> 8) * 0x1p-24f;
                const float v = c < channels && uniform >= p ? from[i * B + lane] * scale : 0.0f;
                to[i * B + lane] = accumulate ? to[i * B + lane] + v : v;
            }
        }
    }
}
