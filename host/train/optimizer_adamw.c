/* AdamW (Loshchilov and Hutter 2019), as in PyTorch; t is the step, from 1:
 *
 *   p = p (1 - lr decay)
 *   m = beta1 m + (1 - beta1) g
 *   v = beta2 v + (1 - beta2) g^2
 *   p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * Attributes: beta1 (0.9), beta2 (0.999), eps (1e-8), weight_decay (0.01). */
#include <math.h>

#include "train/optimizer.h"

struct attrs {
    double beta1, beta2, eps, weight_decay;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    static const char *const keys[] = {"type", "beta1", "beta2", "eps", "weight_decay"};
    static const double below_one = 1 - 1e-9;
    struct attrs attrs = {0.9, 0.999, 1e-8, 0.01};
    THAW_TRY(thaw_yaml_only(map, keys, sizeof keys / sizeof *keys));
    THAW_TRY(thaw_yaml_get_double(map, "beta1", 0, below_one, &attrs.beta1));
    THAW_TRY(thaw_yaml_get_double(map, "beta2", 0, below_one, &attrs.beta2));
    THAW_TRY(thaw_yaml_get_double(map, "eps", 1e-20, 1, &attrs.eps));
    THAW_TRY(thaw_yaml_get_double(map, "weight_decay", 0, 1e3, &attrs.weight_decay));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static int slots(const void *attrs) {
    (void)attrs;
    return 2;
}

static float weight_decay(const void *attrs) {
    return (float)((const struct attrs *)attrs)->weight_decay;
}

static struct thaw_update_kernel kernel(const void *attrs_) {
    const struct attrs *attrs = attrs_;
    return (struct thaw_update_kernel){
        .file = "optimizer_adamw.cl",
        .name = "adamw",
        .buffer_count = 4,
        .args = {THAW_ARG_FLOAT(attrs->beta1), THAW_ARG_FLOAT(1 - attrs->beta1),
                 THAW_ARG_FLOAT(attrs->beta2), THAW_ARG_FLOAT(1 - attrs->beta2),
                 THAW_ARG_FLOAT(attrs->eps)},
        .arg_count = 5};
}

static void factors(const void *attrs_, const struct thaw_optimizer_update *update,
                    float ret_factors[THAW_UPDATE_FACTORS_MAX]) {
    const struct attrs *attrs = attrs_;
    double step = (double)update->step, lr = (double)update->lr;
    ret_factors[0] = (float)(1 - lr * (double)update->weight_decay);
    ret_factors[1] = (float)(lr / (1 - pow(attrs->beta1, step)));
    ret_factors[2] = (float)(1 / sqrt(1 - pow(attrs->beta2, step)));
}

const struct thaw_optimizer_type thaw_optimizer_adamw = {
    .type = "adamw",
    .summary = "Adam with decoupled weight decay",
    .attrs_size = sizeof(struct attrs),
    .parse = parse,
    .slots = slots,
    .weight_decay = weight_decay,
    .kernel = kernel,
    .factors = factors,
};
