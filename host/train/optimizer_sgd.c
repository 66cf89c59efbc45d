/* Stochastic gradient descent with momentum, as in PyTorch:
 *
 *   d = g + decay p
 *   v = momentum v + d                   (v = 0 before the first step)
 *   p = p - lr v    or, with nesterov (Sutskever et al. 2013),    p = p - lr (d + momentum v)
 *
 * Attributes: momentum (0.9), nesterov (false), weight_decay (0). */
#include "train/optimizer.h"

struct attrs {
    float momentum, weight_decay;
    bool nesterov;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    static const char *const keys[] = {"type", "momentum", "nesterov", "weight_decay"};
    double momentum = 0.9, weight_decay = 0;
    bool nesterov = false;
    THAW_TRY(thaw_yaml_only(map, keys, sizeof keys / sizeof *keys));
    THAW_TRY(thaw_yaml_get_double(map, "momentum", 0, 1, &momentum));
    THAW_TRY(thaw_yaml_get_bool(map, "nesterov", &nesterov));
    THAW_TRY(thaw_yaml_get_double(map, "weight_decay", 0, 1e3, &weight_decay));
    if (nesterov && momentum == 0)
        return thaw_yaml_fail(thaw_yaml_get(map, "nesterov"), "nesterov needs a momentum above 0");
    *(struct attrs *)ret_attrs = (struct attrs){(float)momentum, (float)weight_decay, nesterov};
    return THAW_OK;
}

static int slots(const void *attrs) {
    return ((const struct attrs *)attrs)->momentum > 0 ? 1 : 0;
}

static float weight_decay(const void *attrs) {
    return ((const struct attrs *)attrs)->weight_decay;
}

static thaw_status update(thaw_device *device, const void *attrs_,
                          const struct thaw_optimizer_update *update) {
    const struct attrs *attrs = attrs_;
    bool has_momentum = attrs->momentum > 0;
    thaw_kernel *kernel = NULL;
    int per_item = 0;
    struct thaw_range range = thaw_optimizer_range(device, update->size, &per_item);
    THAW_TRY(thaw_kernel_get(device, "optimizer_sgd.cl",
                             has_momentum ? "sgd_momentum" : "sgd_plain", "", &kernel));
    if (!has_momentum)
        return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(update->value),
                           THAW_ARG_BUFFER(update->grad), THAW_ARG_LONG(update->size),
                           THAW_ARG_INT(per_item), THAW_ARG_FLOAT(update->lr),
                           THAW_ARG_FLOAT(update->weight_decay));
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(update->value),
                       THAW_ARG_BUFFER(update->grad), THAW_ARG_BUFFER(update->slots[0]),
                       THAW_ARG_LONG(update->size), THAW_ARG_INT(per_item),
                       THAW_ARG_FLOAT(update->lr), THAW_ARG_FLOAT(update->weight_decay),
                       THAW_ARG_FLOAT(attrs->momentum), THAW_ARG_INT(attrs->nesterov));
}

const struct thaw_optimizer_type thaw_optimizer_sgd = {
    .type = "sgd",
    .summary = "stochastic gradient descent with momentum",
    .attrs_size = sizeof(struct attrs),
    .parse = parse,
    .slots = slots,
    .weight_decay = weight_decay,
    .update = update,
};
