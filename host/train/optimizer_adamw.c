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

static thaw_status update(thaw_device *device, const void *attrs_,
                          const struct thaw_optimizer_update *update) {
    const struct attrs *attrs = attrs_;
    thaw_kernel *kernel = NULL;
    int per_item = 0;
    struct thaw_range range = thaw_optimizer_range(device, update->size, &per_item);
    double step = (double)update->step, lr = update->lr;
    double rate = lr / (1 - pow(attrs->beta1, step));
    double root = 1 / sqrt(1 - pow(attrs->beta2, step));
    THAW_TRY(thaw_kernel_get(device, "optimizer_adamw.cl", "adamw", "", &kernel));
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(update->value),
                       THAW_ARG_BUFFER(update->grad), THAW_ARG_BUFFER(update->slots[0]),
                       THAW_ARG_BUFFER(update->slots[1]), THAW_ARG_LONG(update->size),
                       THAW_ARG_INT(per_item), THAW_ARG_FLOAT(1 - lr * update->weight_decay),
                       THAW_ARG_FLOAT(attrs->beta1), THAW_ARG_FLOAT(1 - attrs->beta1),
                       THAW_ARG_FLOAT(attrs->beta2), THAW_ARG_FLOAT(1 - attrs->beta2),
                       THAW_ARG_FLOAT(rate), THAW_ARG_FLOAT(root), THAW_ARG_FLOAT(attrs->eps));
}

const struct thaw_optimizer_type thaw_optimizer_adamw = {
    .type = "adamw",
    .summary = "Adam with decoupled weight decay",
    .attrs_size = sizeof(struct attrs),
    .parse = parse,
    .slots = slots,
    .weight_decay = weight_decay,
    .update = update,
};
