/* thaw features: activations of a network, as a file for other programs. */
#include <string.h>

#include "cli/format.h"
#include "core/file.h"
#include "train/features.h"

struct values {
    struct thaw_words at, files;
    const char *output, *data;
    int batch;
};
static const struct values defaults = {.batch = 32};

static const struct thaw_option options[] = {
    {"at", 0, THAW_OPTION_WORDS, offsetof(struct values, at), "NODE",
     "the nodes whose outputs are saved; a stage stands for its last node", 0, 0},
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "FILE",
     "the safetensors file to write", 0, 0},
    {"files", 0, THAW_OPTION_WORDS, offsetof(struct values, files), "PHOTO",
     "these photos instead of those of the data", 0, 0},
    {"data", 0, THAW_OPTION_TEXT, offsetof(struct values, data), "DIR",
     "the photos of this folder (a folder for each class) instead", 0, 0},
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "photos at a time (32)", 1,
     4096},
};

static thaw_status print_json(const struct values *values, const struct thaw_graph *graph,
                              const struct thaw_features_summary *summary) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < summary->tensor_count; i++) {
        const struct thaw_features_tensor *tensor = &summary->tensors[i];
        json_array_append_new(
            tensors, json_pack("{s:o, s:o, s:[I, I, I, I]}", "name", thaw_json_text(tensor->name),
                               "node", thaw_json_text(graph->nodes[tensor->node].name), "shape",
                               (json_int_t)tensor->dims[0], (json_int_t)tensor->dims[1],
                               (json_int_t)tensor->dims[2], (json_int_t)tensor->dims[3]));
    }
    return thaw_cli_print_json(
        json_pack("{s:o, s:o, s:I, s:I, s:b, s:I, s:o}", "file", thaw_json_text(values->output),
                  "model", thaw_json_text(graph->name), "photos", (json_int_t)summary->photos,
                  "skipped", (json_int_t)summary->skipped, "labels", (int)summary->has_labels,
                  "size_bytes", (json_int_t)summary->size_bytes, "tensors", tensors));
}

static void print_people(const struct values *values, const struct thaw_graph *graph,
                         const struct thaw_features_summary *summary) {
    for (size_t i = 0; i < summary->tensor_count; i++) {
        char shape[THAW_SHAPE_TEXT_SIZE];
        thaw_shape_text(4, summary->tensors[i].dims, shape);
        printf("%-24s %s\n", summary->tensors[i].name, shape);
    }
    if (summary->has_labels)
        printf("%-24s %zu\n", "labels", summary->photos);
    printf("%zu photos through %s: %s\n", summary->photos, graph->name, values->output);
}

static thaw_status compute(const struct thaw_cli *cli, const struct values *values,
                           const struct thaw_config *config, thaw_device *device) {
    struct thaw_features_origin origin = {.config = config,
                                          .run = cli->arguments.items[0],
                                          .sets = config ? NULL : cli->sets.items,
                                          .set_count = config ? 0 : cli->sets.count,
                                          .files = values->files.items,
                                          .file_count = values->files.count,
                                          .folder = values->data};
    struct thaw_features_options features_options = {.nodes = values->at.items,
                                                     .node_count = values->at.count,
                                                     .batch = values->batch,
                                                     .interrupted = cli->interrupted,
                                                     .on_working = thaw_progress_working,
                                                     .user = cli->progress};
    struct thaw_features_source source;
    struct thaw_features_summary summary;
    THAW_TRY(thaw_features_source_open(&origin, device, &source));
    thaw_status status = thaw_features_write(&source, &features_options, values->output, &summary);
    thaw_progress_clear(cli->progress);
    if (status == THAW_OK) {
        if (cli->json)
            status = print_json(values, source.graph, &summary);
        else
            print_people(values, source.graph, &summary);
        thaw_features_summary_finish(&summary);
    }
    thaw_features_source_finish(&source);
    return status;
}

static bool is_experiment(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml")) && !thaw_path_is_directory(path);
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    struct thaw_config config = {0};
    struct thaw_device_options device_options = {0};
    thaw_device *device = NULL;
    if (!values->at.count || !values->output)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "thaw features needs %s",
                                   values->at.count ? "-o FILE" : "--at NODE..."),
                         "usage: thaw features RUN_OR_CONFIG --at NODE... -o FILE");
    if (values->files.count && values->data)
        return thaw_fail(THAW_ERROR_INPUT, "give either --files or --data, not both");
    bool experiment = is_experiment(cli->arguments.items[0]);
    if (experiment)
        THAW_TRY(
            thaw_config_load(cli->arguments.items[0], cli->sets.items, cli->sets.count, &config));
    device_options.block = config.block;
    thaw_status status = experiment
                             ? thaw_device_open(cli->device, &device_options, &device)
                             : thaw_cli_open_run_device(cli, cli->arguments.items[0], &device);
    if (status == THAW_OK)
        status = compute(cli, values, experiment ? &config : NULL, device);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_features = {
    .name = "features",
    .summary = "save a network's activations for photos as safetensors",
    .usage = "RUN_OR_CONFIG --at NODE... -o FILE [--files PHOTO... | --data DIR] [--device SPEC] "
             "[--json]",
    .help =
        "Runs photos through a network and saves the outputs of nodes: for each a float32 tensor\n"
        "(photos, channels, height, width), and the photos' labels as a tensor \"labels\". The\n"
        "metadata says which photo each row is (thaw.photos), its set (thaw.sets), and what the\n"
        "labels mean (thaw.classes). The network is that of a run, or that of an experiment's\n"
        "YAML before training, with its pretrained weights; the photos are all of its data\n"
        "(training, validation and test set), in the data's order. `thaw plan` and\n"
        "`thaw bench --layers` show the names of nodes. Of a run, --set changes the data only.\n\n"
        "example:\n"
        "  thaw features runs/solar-cells --at avgpool -o features.safetensors\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
