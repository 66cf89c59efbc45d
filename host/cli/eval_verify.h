/* thaw eval --verify: a model file against the record of its run. */
#ifndef THAW_CLI_EVAL_VERIFY_H
#define THAW_CLI_EVAL_VERIFY_H

#include "cli/cli.h"

/* Prints what train/verify.h finds; THAW_ERROR_RUNTIME when something does not match. `model` NULL:
 * the run's own. */
thaw_status thaw_eval_verify(const struct thaw_cli *cli, const char *run, const char *model);

#endif
