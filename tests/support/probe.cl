// Kernels that show the device floor at work.

#ifndef VALUE
#define VALUE 1.0f
#endif

#ifdef BROKEN
kernel void probe_broken(global float *y) { y[0] = no_such_name; }
#endif

// y[i] = VALUE for i < n; y[n] = how many items ran, seen from the last of them.
kernel void probe_fill(global float *y, int n) {
    int i = (int)get_global_id(0);
    if (i < n)
        y[i] = VALUE;
    if (i == 0)
        y[n] = (float)(get_global_size(0) * get_global_size(1) * get_global_size(2));
}

// Each kind of argument: y[0] = x[0] + i + f + l, through local memory.
kernel void probe_arguments(global float *y, global const float *x, int i, float f, long l, local float *scratch) {
    scratch[get_local_id(0)] = x[0] + (float)i + f + (float)l;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_global_id(0) == 0)
        y[0] = scratch[0];
}

// y[i] = the first of the four draws of counter (i, 2, 3, 4) under key (5, 6).
kernel void probe_philox(global uint *y) {
    uint i = (uint)get_global_id(0);
    y[i] = philox((uint4)(i, 2, 3, 4), (uint2)(5, 6)).x;
}

// One pixel of B channels: y = 2 x.
kernel void probe_pixel(global float *y, global const float *x) {
    STORE(2.0f * LOAD(x), y);
}

// y[i] = whether x[i] is a NaN: compiled away under finite-math-only.
kernel void probe_nan(global float *y, global const float *x) {
    int i = (int)get_global_id(0);
    y[i] = x[i] != x[i] ? 1.0f : 0.0f;
}
