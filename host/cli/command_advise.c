/* thaw advise: which of the four regimes fits, and why. */
#include <stdio.h>
#include <string.h>

#include "cli/advise.h"
#include "cli/format.h"

static const struct thaw_advise_values defaults = {.images = THAW_ADVISE_IMAGES};

static const struct thaw_option options[] = {
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct thaw_advise_values, output), "FILE",
     "write the experiment with the regime advised", 0, 0},
    {"overwrite", 0, THAW_OPTION_FLAG, offsetof(struct thaw_advise_values, overwrite), NULL,
     "replace FILE if it exists", 0, 0},
    {"source", 0, THAW_OPTION_TEXT, offsetof(struct thaw_advise_values, source), "FILE",
     "features of images that the weights were trained on, by `thaw features`", 0, 0},
    {"probe", 0, THAW_OPTION_FLAG, offsetof(struct thaw_advise_values, probe), NULL,
     "try all four regimes in short trainings, and show whether the advice is right", 0, 0},
    {"budget", 0, THAW_OPTION_TEXT, offsetof(struct thaw_advise_values, budget), "TIME",
     "for --probe: 90s, 5min (the default) or 1h", 0, 0},
    {"images", 0, THAW_OPTION_INT, offsetof(struct thaw_advise_values, images), "N",
     "measure on a sample of about so many (2000)", 20, 1000000},
};

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct thaw_advise_values *values = raw;
    struct thaw_config config;
    thaw_device *device = NULL;
    if (values->overwrite && !values->output)
        return thaw_fail(THAW_ERROR_INPUT, "--overwrite has no effect without -o FILE");
    if (values->budget && !values->probe)
        return thaw_fail(THAW_ERROR_INPUT, "--budget has no effect without --probe");
    THAW_TRY(thaw_config_load_untrained(cli->arguments.items[0], cli->sets.items, cli->sets.count,
                                        &config));
    struct thaw_device_options device_options = {.block = config.block,
                                                 .memory_bytes = config.memory_bytes};
    thaw_status status = THAW_OK;
    if (values->output)
        status = thaw_advise_config_check(&config, values->output, values->overwrite);
    if (status == THAW_OK)
        status = thaw_device_open(cli->device, &device_options, &device);
    if (status == THAW_OK)
        status = thaw_cli_advise(cli, values, &config, device);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_advise = {
    .name = "advise",
    .summary = "measure size and similarity of the data, and recommend a regime",
    .usage =
        "CONFIG [-o FILE [--overwrite]] [--source FILE] [--images N] [--probe [--budget TIME]] "
        "[--set KEY=VALUE]... "
        "[--json]",
    .help =
        "Says which of the four regimes fits an experiment's data and weights, and shows the\n"
        "evidence: how many images there are, how far the statistics of norm layers are from the\n"
        "stored ones, from which stage on features tell the classes apart, and what the classes\n"
        "that the weights were trained on say of these. Only the training part is looked at.\n"
        "--probe also tries all four on folds of it, in short trainings from the same trained\n"
        "head. The experiment needs `model`, with weights, and `data`; what it says\n"
        "of training is not looked at. -o writes it with the regime advised.\n\n"
        "example:\n"
        "  thaw advise pets.yaml -o pets-advised.yaml\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct thaw_advise_values),
    .defaults = &defaults,
    .run = run,
};
