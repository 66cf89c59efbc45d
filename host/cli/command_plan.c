/* thaw plan: what a training run would do, without doing it. */
#include "cli/format.h"
#include "cli/plan_view.h"

/* The stages in place of the regime that stands for them, and the name that the file gave. */
static thaw_status print_expanded(struct thaw_config *config) {
    thaw_yaml *name = thaw_yaml_new_scalar(&config->arena, config->name, config->document);
    if (!name)
        return THAW_ERROR_MEMORY;
    thaw_yaml_drop(config->document, "regime");
    THAW_TRY(thaw_yaml_put(&config->arena, config->document, "name", name));
    return thaw_plan_print_document(config,
                                    "The experiment with its regime and defaults written out");
}

struct values {
    bool measure, expand;
};

static const struct thaw_option options[] = {
    {"measure", 0, THAW_OPTION_FLAG, offsetof(struct values, measure), NULL,
     "run a few steps of each stage on random images, and estimate the time", 0, 0},
    {"expand", 0, THAW_OPTION_FLAG, offsetof(struct values, expand), NULL,
     "print the experiment with its regime and defaults written out as YAML, and nothing else", 0,
     0},
};

static thaw_status plan_experiment(const struct thaw_cli *cli, const struct thaw_config *config,
                                   thaw_device *device, bool measure) {
    struct thaw_experiment experiment = {0};
    struct thaw_plan plan = {0};
    struct thaw_norm_dead dead = {0};
    thaw_progress_update(cli->progress, "reading data and weights");
    thaw_status status = thaw_experiment_open(config, device, &experiment);
    if (status == THAW_OK && config->weights) /* before steps on random images move them */
        status = thaw_norm_find_dead(experiment.graph, &dead);
    if (status == THAW_OK)
        status = measure ? thaw_plan_make_measured(&experiment, &plan)
                         : thaw_plan_make(&experiment, &plan);
    thaw_progress_clear(cli->progress);
    struct thaw_plan_view view = {cli, config, &experiment, experiment.graph, &plan, &dead};
    if (status == THAW_OK)
        status = cli->json ? thaw_cli_print_json(thaw_plan_json(&view)) : thaw_plan_print(&view);
    if (status == THAW_OK) /* shown, and refused as train does */
        status = thaw_plan_check_memory(&plan, device);
    thaw_plan_finish(&plan);
    thaw_experiment_finish(&experiment);
    return status;
}

static thaw_status expand(const struct thaw_cli *cli) {
    struct thaw_config config;
    if (cli->json)
        return thaw_fail(THAW_ERROR_INPUT, "--expand prints YAML: leave out --json");
    THAW_TRY(thaw_config_load(cli->arguments.items[0], cli->sets.items, cli->sets.count, &config));
    thaw_status status = print_expanded(&config);
    thaw_config_finish(&config);
    return status;
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    struct thaw_config config;
    if (values->expand)
        return expand(cli);
    thaw_device *device = NULL;
    THAW_TRY(thaw_cli_open_experiment(cli, cli->arguments.items[0], &config, &device));
    thaw_status status = plan_experiment(cli, &config, device, values->measure);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_plan = {
    .name = "plan",
    .summary = "show what `train` would do: what is trained at which rate, memory, steps",
    .usage = "CONFIG [--set KEY=VALUE]... [--measure | --expand] [--json] [-v]",
    .help =
        "Checks an experiment as `thaw train` would, and shows for each stage what is trained\n"
        "and what is frozen, learning rates, weight decay and norm layers, cached features,\n"
        "steps and memory. With -v also each tensor, and the experiment with its regime\n"
        "written out as YAML. A stage that the device's memory can't hold is refused. Nothing is\n"
        "trained and nothing is written.\n\n"
        "example:\n"
        "  thaw plan pets.yaml --set batch=16 --measure\n"
        "  thaw plan pets.yaml --expand > written-out.yaml\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .run = run,
};
