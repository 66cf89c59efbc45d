/* Measuring and printing advice: what thaw advise and thaw init share. */
#ifndef THAW_CLI_ADVISE_H
#define THAW_CLI_ADVISE_H

#include "cli/cli.h"
#include "train/advise.h"
#include "train/advise_config.h"

struct thaw_advise_values {
    const char *output, *source;
    const char *name; /* that the written experiment says; NULL: none */
    bool overwrite, probe;
    const char *budget; /* of the probe; NULL: five minutes */
    int images;
};

/* Opens the experiment, measures, prints evidence and advice, and writes `values->output`, which
 * was checked. */
thaw_status thaw_cli_advise(const struct thaw_cli *cli, const struct thaw_advise_values *values,
                            const struct thaw_config *config, thaw_device *device);

#endif
