// The built-in functions that Thaw's kernels call, declared as Khronos's opencl-c.h declares them (OpenCL C 1.2, 6.12).
// pocl reads that header's 18,000 lines for every program, even one that it has compiled before: 0.1 s, of which
// these lines take a tenth. host/cl/program.c puts them before common.cl there, and the whole header where a program
// needs more than this.

#define OVERLOADED __attribute__((overloadable))
#define CONST __attribute__((overloadable, const))
#define PURE __attribute__((overloadable, pure))

CONST size_t get_global_id(uint);
CONST size_t get_global_size(uint);
CONST size_t get_group_id(uint);
CONST size_t get_num_groups(uint);
CONST size_t get_local_id(uint);
CONST size_t get_local_size(uint);
__attribute__((overloadable, convergent)) void barrier(cl_mem_fence_flags);

// T, and the vectors of integers with as many bits that comparisons of T give.
#define FLOATS(T, SIGNED, UNSIGNED)                                                                     \
    CONST T exp(T);                                                                                     \
    CONST T log(T);                                                                                     \
    CONST T sqrt(T);                                                                                    \
    CONST T tanh(T);                                                                                    \
    CONST T fabs(T);                                                                                    \
    CONST T copysign(T, T);                                                                             \
    CONST T fma(T, T, T);                                                                               \
    CONST T min(T, T);                                                                                  \
    CONST T max(T, T);                                                                                  \
    CONST T clamp(T, T, T);                                                                             \
    CONST SIGNED isnan(T);                                                                              \
    CONST T select(T, T, SIGNED);                                                                       \
    CONST T select(T, T, UNSIGNED);                                                                     \
    CONST SIGNED select(SIGNED, SIGNED, SIGNED);                                                        \
    CONST SIGNED min(SIGNED, SIGNED);                                                                   \
    CONST SIGNED max(SIGNED, SIGNED);                                                                   \
    CONST SIGNED clamp(SIGNED, SIGNED, SIGNED);                                                         \
    CONST UNSIGNED min(UNSIGNED, UNSIGNED);                                                             \
    CONST UNSIGNED max(UNSIGNED, UNSIGNED);                                                             \
    CONST UNSIGNED mul_hi(UNSIGNED, UNSIGNED);                                                          \
    CONST UNSIGNED abs(SIGNED);
#define SCALARS(T)                                                                                      \
    CONST T min(T, T);                                                                                  \
    CONST T max(T, T);                                                                                  \
    CONST T clamp(T, T, T);
FLOATS(float, int, uint)
FLOATS(float2, int2, uint2)
FLOATS(float3, int3, uint3)
FLOATS(float4, int4, uint4)
FLOATS(float8, int8, uint8)
FLOATS(float16, int16, uint16)
SCALARS(long)
SCALARS(ulong)

#define VECTORS_IN(SPACE, T, N)                                                                         \
    PURE T##N vload##N(size_t, const SPACE T *);                                                        \
    OVERLOADED void vstore##N(T##N, size_t, SPACE T *);
#define VECTORS_OF(T, N)                                                                                \
    PURE T##N vload##N(size_t, const constant T *);                                                     \
    VECTORS_IN(global, T, N)                                                                            \
    VECTORS_IN(local, T, N)                                                                             \
    VECTORS_IN(private, T, N)
#define VECTORS(N)                                                                                      \
    VECTORS_OF(float, N)                                                                                \
    VECTORS_OF(int, N)                                                                                  \
    VECTORS_OF(uint, N)                                                                                 \
    VECTORS_OF(ushort, N)                                                                               \
    VECTORS_OF(uchar, N)                                                                                \
    CONST int##N convert_int##N(ushort##N);                                                             \
    CONST ushort##N convert_ushort##N(int##N);                                                          \
    CONST int##N convert_int##N(uchar##N);                                                              \
    CONST uchar##N convert_uchar##N(int##N);                                                            \
    CONST float##N convert_float##N(uchar##N);                                                          \
    CONST float##N convert_float##N(int##N);
VECTORS(2)
VECTORS(3)
VECTORS(4)
VECTORS(8)
VECTORS(16)

#undef OVERLOADED
#undef CONST
#undef PURE
#undef FLOATS
#undef SCALARS
#undef VECTORS
#undef VECTORS_OF
#undef VECTORS_IN
