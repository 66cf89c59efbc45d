/* All ops, from the list `ops` of meson.build. */
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"

#define X(name) extern const struct thaw_op thaw_op_##name;
#include "ops.inc"
#undef X

#define X(name) &thaw_op_##name,
const struct thaw_op *const thaw_ops[] = {
#include "ops.inc"
};
#undef X

const size_t thaw_op_count = sizeof thaw_ops / sizeof *thaw_ops;

void thaw_op_release(const struct thaw_op *op, struct thaw_op_call *call) {
    if (op->release && call->state)
        op->release(call);
    free(call->state);
    call->state = NULL;
}

const struct thaw_op *thaw_op_find(const char *type) {
    for (size_t i = 0; i < thaw_op_count; i++)
        if (!strcmp(thaw_ops[i]->type, type))
            return thaw_ops[i];
    return NULL;
}
