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

static struct thaw_update_kernel kernel(const void *attrs_) {
    const struct attrs *attrs = attrs_;
    struct thaw_update_kernel plain = {
        .file = "optimizer_sgd.cl", .name = "sgd_plain", .buffer_count = 2};
    struct thaw_update_kernel momentum = {
        .file = "optimizer_sgd.cl",
        .name = "sgd_momentum",
        .buffer_count = 3,
        .args = {THAW_ARG_FLOAT(attrs->momentum), THAW_ARG_INT(attrs->nesterov)},
        .arg_count = 2};
    return attrs->momentum > 0 ? momentum : plain;
}

static void factors(const void *attrs, const struct thaw_optimizer_update *update,
                    float ret_factors[THAW_UPDATE_FACTORS_MAX]) {
    (void)attrs;
    ret_factors[0] = update->lr;
    ret_factors[1] = update->weight_decay;
}

const struct thaw_optimizer_type thaw_optimizer_sgd = {
    .type = "sgd",
    .summary = "stochastic gradient descent with momentum",
    .attrs_size = sizeof(struct attrs),
    .parse = parse,
    .slots = slots,
    .weight_decay = weight_decay,
    .kernel = kernel,
    .factors = factors,
};
