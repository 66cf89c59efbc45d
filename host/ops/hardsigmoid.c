/* y = min(max(x + 3, 0), 6) / 6 (Howard et al. 2019);  dX = dY / 6 where 0 < y < 1. Attributes:
 * none. */
#include "ops/activation.h"

extern const struct thaw_op thaw_op_hardsigmoid;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_hardsigmoid, true);
}

const struct thaw_op thaw_op_hardsigmoid = {
    .type = "hardsigmoid",
    .summary = "min(max(x + 3, 0), 6) / 6",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_HARDSIGMOID,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_output,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
};
