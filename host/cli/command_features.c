/* thaw features: activations of a network, as a file for other programs. */
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "core/file.h"
#include "train/experiment.h"
#include "train/features.h"
#include "train/model.h"

struct values {
    struct thaw_words at;
    const char *output, *data;
    int batch;
};
static const struct values defaults = {.batch = 32};

static const struct thaw_option options[] = {
    {"at", 0, THAW_OPTION_WORDS, offsetof(struct values, at), "NODE",
     "the nodes whose outputs are saved", 0, 0},
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "FILE",
     "the safetensors file to write", 0, 0},
    {"data", 0, THAW_OPTION_TEXT, offsetof(struct values, data), "DIR",
     "photos of this folder (a folder for each class) instead of the experiment's", 0, 0},
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "images at a time (32)", 1,
     4096},
};

static void on_working(void *user, const char *what, size_t done, size_t total) {
    thaw_progress_update(user, "%s %zu/%zu", what, done, total);
}

static thaw_status print_result(const struct thaw_cli *cli, const struct values *values,
                                const struct thaw_graph *graph, size_t count) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < values->at.count; i++) {
        const char *name = values->at.items[i];
        const struct thaw_layout *out = &graph->nodes[thaw_graph_find_node(graph, name)].out;
        if (!cli->json)
            printf("%s: %zu x %d x %d x %d\n", name, count, out->c, out->h, out->w);
        json_array_append_new(tensors,
                              json_pack("{s:o, s:[I, i, i, i]}", "node", thaw_cli_json_text(name),
                                        "shape", (json_int_t)count, out->c, out->h, out->w));
    }
    if (cli->json)
        return thaw_cli_print_json(json_pack(
            "{s:o, s:o}", "file", thaw_cli_json_text(values->output), "tensors", tensors));
    json_decref(tensors);
    printf("written to %s\n", values->output);
    return THAW_OK;
}

/* The files on the command line, or else the photos of `dataset`. */
static thaw_status save(const struct thaw_cli *cli, const struct values *values,
                        struct thaw_graph *graph, const struct thaw_input_spec *input,
                        const struct thaw_dataset *dataset, const char *conv_candidate) {
    struct thaw_features_options features_options = {.nodes = values->at.items,
                                                     .node_count = values->at.count,
                                                     .batch = values->batch,
                                                     .conv_candidate = conv_candidate,
                                                     .interrupted = cli->interrupted,
                                                     .on_working = on_working,
                                                     .user = cli->progress};
    struct thaw_features_photos photos = {.dataset = dataset,
                                          .files = cli->arguments.items + 1,
                                          .file_count = cli->arguments.count - 1};
    thaw_status status =
        thaw_features_save(graph, input, &photos, &features_options, values->output);
    thaw_progress_clear(cli->progress);
    THAW_TRY(status);
    return print_result(cli, values, graph, dataset ? dataset->count : photos.file_count);
}

static thaw_status open_folder(const struct values *values, const char **classes, size_t count,
                               struct thaw_dataset **ret_dataset) {
    struct thaw_dataset_config config = thaw_dataset_config_folder(values->data, classes, count);
    return thaw_dataset_open(&config, ret_dataset);
}

/* ---- of an experiment ----------------------------------------------------------------------- */

static thaw_status of_experiment(const struct thaw_cli *cli, const struct values *values) {
    struct thaw_config config;
    struct thaw_experiment experiment = {0};
    struct thaw_dataset *folder = NULL;
    thaw_device *device = NULL;
    THAW_TRY(thaw_cli_open_experiment(cli, cli->arguments.items[0], &config, &device));
    thaw_status status = thaw_experiment_open(&config, device, &experiment);
    if (status == THAW_OK && values->data)
        status = open_folder(values, experiment.dataset->classes, experiment.dataset->class_count,
                             &folder);
    const struct thaw_dataset *dataset = folder ? folder : experiment.dataset;
    if (status == THAW_OK)
        status = save(cli, values, experiment.graph, &experiment.input,
                      cli->arguments.count > 1 ? NULL : dataset, config.conv_candidate);
    thaw_dataset_destroy(&folder);
    thaw_experiment_finish(&experiment);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

/* ---- of a run ------------------------------------------------------------------------------- */

/* The run's own photos, in the parts that they had. */
static thaw_status open_own_data(const struct thaw_cli *cli, const char *run,
                                 struct thaw_dataset **ret_dataset) {
    struct thaw_config config;
    struct thaw_dataset_config data;
    if (!thaw_path_is_directory(run)) {
        thaw_fail(THAW_ERROR_INPUT, "%s: a model file has no photos", run);
        return thaw_hint(THAW_ERROR_INPUT, "name photos after it, or give --data DIR");
    }
    char *file = thaw_path_join(cli->arena, run, "config.yaml");
    char *split = thaw_path_join(cli->arena, run, "split.csv");
    if (!file || !split)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_config_load(file, NULL, 0, &config));
    struct thaw_dataset *dataset = NULL;
    thaw_status status = thaw_dataset_config_parse(cli->arena, config.data, &data);
    if (status == THAW_OK)
        status = thaw_dataset_open(&data, &dataset);
    if (status == THAW_OK)
        status = thaw_dataset_read_split(dataset, split);
    thaw_config_finish(&config);
    if (status != THAW_OK)
        thaw_dataset_destroy(&dataset);
    else
        *ret_dataset = dataset;
    return status;
}

static thaw_status of_model(const struct thaw_cli *cli, const struct values *values,
                            const struct thaw_trained_model *model) {
    struct thaw_dataset *dataset = NULL;
    struct thaw_input_spec input;
    THAW_TRY(thaw_input_spec_parse(thaw_yaml_get(model->info.document, "input"), NULL, &input));
    if (values->data)
        THAW_TRY(open_folder(values, model->info.classes, model->info.class_count, &dataset));
    else if (cli->arguments.count == 1)
        THAW_TRY(open_own_data(cli, cli->arguments.items[0], &dataset));
    thaw_status status = save(cli, values, model->graph, &input, dataset, NULL);
    thaw_dataset_destroy(&dataset);
    return status;
}

static thaw_status of_run(const struct thaw_cli *cli, const struct values *values) {
    struct thaw_trained_model model = {0};
    thaw_device *device = NULL;
    if (cli->sets.count)
        return thaw_fail(THAW_ERROR_INPUT, "--set changes an experiment, and %s is a run",
                         cli->arguments.items[0]);
    THAW_TRY(thaw_device_open(cli->device, NULL, &device));
    thaw_status status = thaw_trained_model_open(cli->arguments.items[0], device, &model);
    if (status == THAW_OK) {
        status = of_model(cli, values, &model);
        thaw_trained_model_finish(&model);
    }
    thaw_device_destroy(&device);
    return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

static bool is_experiment(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml")) && !thaw_path_is_directory(path);
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    if (!values->at.count || !values->output) {
        thaw_fail(THAW_ERROR_INPUT, "thaw features needs %s",
                  values->at.count ? "-o FILE" : "--at NODE...");
        return thaw_hint(THAW_ERROR_INPUT,
                         "usage: thaw features RUN_OR_CONFIG [FILE...] --at NODE... -o FILE");
    }
    if (values->data && cli->arguments.count > 1)
        return thaw_fail(THAW_ERROR_INPUT, "give either --data or files, not both: \"%s\"",
                         cli->arguments.items[1]);
    return is_experiment(cli->arguments.items[0]) ? of_experiment(cli, values)
                                                  : of_run(cli, values);
}

const struct thaw_command thaw_command_features = {
    .name = "features",
    .summary = "save a network's activations for photos as safetensors",
    .usage = "RUN_OR_CONFIG [FILE...] --at NODE... -o FILE [--data DIR]",
    .help = "Computes the outputs of nodes for photos and saves them as safetensors: a tensor\n"
            "(photos, channels, height, width) for each node, and in the metadata (thaw.paths,\n"
            "thaw.labels, thaw.sets) which photo each row is of. The network is that of a run, or\n"
            "that of an experiment with its pretrained weights, untrained. The photos are the\n"
            "FILEs, or those of --data, or else those of the run or experiment, all sets.\n\n"
            "example:\n"
            "  thaw features runs/solar-cells --at global_pool -o features.safetensors\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = THAW_ANY_NUMBER,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
