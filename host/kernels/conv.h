/* Convolution: one problem, several measured candidates.
 *
 * A problem is one direction of one geometry; a candidate is a `const struct` and a line in the
 * list `conv_candidates` of meson.build. Selection takes the one the user forces, else the one
 * remembered for this device and problem (kernels/tuning.h), else the best default for the device:
 * the first of the list that applies and does not decline. Graph and ops never name a candidate.
 *
 *   forward          y[n,o,oy,ox] = act(bias[o] + sum x[n,i,oy*s-p+ky*d,ox*s-p+kx*d] *
 * w[o,i,ky,kx]) backward data    x[n,i,...]   = sum over the y and w that forward pairs with it
 *   backward weight  w[o,i,ky,kx] = sum over n, oy, ox of y * x
 *
 * (in the backward directions x, y and w stand for their gradients where they are the output). A
 * linear layer on a (C, H, W) map is the convolution whose kernel covers the map. */
#ifndef THAW_KERNELS_CONV_H
#define THAW_KERNELS_CONV_H

#include "kernels/variant.h"
#include "tensor/tensor.h"

enum thaw_conv_direction {
    THAW_CONV_FORWARD,
    THAW_CONV_BACKWARD_DATA,
    THAW_CONV_BACKWARD_WEIGHT,
    THAW_CONV_DIRECTION_COUNT
};

/* Applied in the forward epilogue; cl/common.cl has the same functions as act_<name>. */
enum thaw_activation {
    THAW_ACTIVATION_NONE,
    THAW_ACTIVATION_RELU,
    THAW_ACTIVATION_RELU6,
    THAW_ACTIVATION_LEAKY_RELU, /* slope: activation_parameter */
    THAW_ACTIVATION_SIGMOID,
    THAW_ACTIVATION_SILU,
    THAW_ACTIVATION_HARDSWISH,
    THAW_ACTIVATION_HARDSIGMOID,
    THAW_ACTIVATION_GELU,
    THAW_ACTIVATION_COUNT
};
/* "relu6": the suffix of the function in cl/common.cl, and the op's type in YAML. */
const char *thaw_activation_name(enum thaw_activation activation);
/* Whether it maps 0 to 0; else an epilogue has to clear the lanes past the last channel. */
bool thaw_activation_keeps_zero(enum thaw_activation activation);
/* Whether it keeps zero, and its derivative (cl/common.cl: slope_<name>) is taken at the input and
 * is computed sooner, even twice, than a map is read and written: none with an exponential. */
bool thaw_activation_is_cheap(enum thaw_activation activation);
/* Whether its derivative may as well be taken at the output. */
bool thaw_activation_slope_shows(enum thaw_activation activation);

struct thaw_conv_geometry {
    struct thaw_layout x, y; /* y.h and y.w imply the bottom and right padding */
    struct thaw_filter w;    /* w.i is x.c / groups */
    int groups;
    int stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_left;
};

struct thaw_conv_problem {
    enum thaw_conv_direction direction;
    struct thaw_conv_geometry geometry;
    bool bias;                       /* forward only */
    enum thaw_activation activation; /* forward only */
    float activation_parameter;
    bool accumulate; /* adds to the output instead of overwriting it */
    int variant;     /* of the candidate (kernels/variant.h); selection sets it */
};

/* The weight layout that the candidates of this device share for such a convolution: the master
 * copy's. */
struct thaw_filter thaw_conv_filter(int out_channels, int in_channels, int kh, int kw, int groups,
                                    int x_block, const struct thaw_device_caps *caps);

/* Halo that forward and backward-weight read around x, and that backward-data reads around dY.
 * Every candidate may rely on them; layouts of the geometry may have more. A dY of one pixel gets
 * none (a linear layer over a 7x7 map would have one of 6): backward-data must not read around it.
 */
void thaw_conv_halos(const struct thaw_conv_geometry *geometry, int *ret_x, int *ret_grad_y);

/* Floating-point operations of the direct algorithm for `batch` images (a multiply-add is two). */
double thaw_conv_flops(const struct thaw_conv_geometry *geometry, int batch);

/* A text that names the problem, the key of remembered measurements: "forward x64x56x56 ...". */
#define THAW_CONV_KEY_SIZE 160
void thaw_conv_problem_key(const struct thaw_conv_problem *problem,
                           char ret_key[THAW_CONV_KEY_SIZE]);

struct thaw_conv_run {
    cl_mem x, w, y; /* by the direction, one of them is the output */
    cl_mem bias;    /* floats, o padded to w.block_o; NULL without */
    cl_mem workspace;
    int batch; /* images in use, <= layout n */
};

/* What a candidate keeps between prepare and run; each candidate uses the fields it needs. */
#define THAW_CONV_KERNELS_MAX 8
struct thaw_conv_state {
    thaw_kernel *kernels[THAW_CONV_KERNELS_MAX];
    void *extra; /* malloc'ed by prepare, freed by the owner */
};

struct thaw_conv_candidate {
    const char *name;                     /* "direct", "im2col_gemm", ... */
    const char *summary;                  /* one line for people */
    const struct thaw_variants *variants; /* NULL: none */
    /* Whether it computes the problem correctly on such a device. */
    bool (*applies)(const struct thaw_conv_problem *, const struct thaw_device_caps *);
    /* Whether the default choice should take it when it applies; NULL: always. */
    bool (*recommended)(const struct thaw_conv_problem *, const struct thaw_device_caps *);
    size_t (*workspace_bytes)(const struct thaw_conv_problem *,
                              const struct thaw_device_caps *); /* NULL: 0 */
    thaw_status (*prepare)(thaw_device *, const struct thaw_conv_problem *,
                           struct thaw_conv_state *);
    thaw_status (*run)(thaw_device *, const struct thaw_conv_problem *,
                       const struct thaw_conv_state *, const struct thaw_conv_run *);
};

/* All candidates, in the order of preference. */
extern const struct thaw_conv_candidate *const thaw_conv_candidates[];
extern const size_t thaw_conv_candidate_count;

/* NULL when there is none of that name. */
const struct thaw_conv_candidate *thaw_conv_find(const char *name);

/* What is chosen where nothing was forced or measured; NULL when nothing applies. */
const struct thaw_conv_candidate *thaw_conv_usual(const struct thaw_conv_problem *problem,
                                                  const struct thaw_device_caps *caps);

/* The choice. `forced` (may be NULL) names a candidate, which the problem's variant is of: where it
 * does not apply the default choice is made, so that one name can be forced on a whole network; an
 * unknown name is THAW_ERROR_INPUT with the nearest. Else the problem's variant is set. */
thaw_status thaw_conv_select(thaw_device *device, struct thaw_conv_problem *problem,
                             const char *forced, const struct thaw_conv_candidate **ret_candidate);

/* A prepared convolution: selection made, kernels built. */
typedef struct thaw_conv thaw_conv;
thaw_status thaw_conv_create(thaw_device *device, const struct thaw_conv_problem *problem,
                             const char *forced, thaw_conv **ret_conv);
void thaw_conv_destroy(thaw_conv **conv);
size_t thaw_conv_workspace_bytes(const thaw_conv *conv);
const char *thaw_conv_candidate_name(const thaw_conv *conv);
const struct thaw_conv_problem *thaw_conv_get_problem(const thaw_conv *conv);
thaw_status thaw_conv_run(const thaw_conv *conv, const struct thaw_conv_run *run);

#endif
