/* thaw import IN -o OUT: weights of any format that Thaw reads, as safetensors; networks of other
 * programs, as a model YAML and safetensors. */
#include <stdio.h>

#include "cli/import_model.h"
#include "core/file.h"
#include "io/darknet/darknet.h"
#include "io/weights.h"

struct import_values {
    const char *output, *weights, *until;
};

static const struct thaw_option options[] = {
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct import_values, output), "OUT",
     "the file to write: safetensors, and for networks OUT.yaml too", 0, 0},
    {"weights", 'w', THAW_OPTION_TEXT, offsetof(struct import_values, weights), "FILE",
     "of a Darknet .cfg: its .weights", 0, 0},
    {"until", 0, THAW_OPTION_TEXT, offsetof(struct import_values, until), "LAYER",
     "of a Darknet .cfg: stop before this layer, by number (from 0) or type", 0, 0},
};

static void print_summary(const struct thaw_weights *weights, const char *output) {
    thaw_import_print_summary(weights, output);
    const char *key = thaw_weights_get_metadata(weights, "thaw.checkpoint_key");
    const char *ignored = thaw_weights_get_metadata(weights, "thaw.ignored");
    if (key)
        printf("read the checkpoint's entry '%s'\n", key);
    if (ignored)
        printf("left out, being no weights: %s\n", ignored);
}

static thaw_status print_json(const struct thaw_weights *weights, const char *input,
                              const char *output) {
    const char *key = thaw_weights_get_metadata(weights, "thaw.checkpoint_key");
    const char *ignored = thaw_weights_get_metadata(weights, "thaw.ignored");
    return thaw_cli_print_json(
        json_pack("{s:o, s:o, s:s, s:s?, s:s?, s:I, s:o}", "input", thaw_json_text(input), "output",
                  thaw_json_text(output), "format", weights->format, "checkpoint_key", key,
                  "left_out", ignored, "size_bytes", (json_int_t)thaw_import_size_bytes(weights),
                  "tensors", thaw_import_list_tensors(weights)));
}

/* ---- what the file is ----------------------------------------------------------------------- */

static thaw_status import_weights(const struct thaw_cli *cli, const char *input,
                                  const struct import_values *values) {
    struct thaw_weights weights;
    if (values->weights || values->until)
        return thaw_fail(THAW_ERROR_INPUT, "--%s goes with a Darknet .cfg, which %s is not",
                         values->weights ? "weights" : "until", input);
    THAW_TRY(thaw_weights_import(input, values->output, &weights));
    thaw_status status = THAW_OK;
    if (cli->json) {
        status = print_json(&weights, input, values->output);
    } else if (!cli->quiet) {
        if (cli->verbose)
            thaw_import_print_table(&weights);
        print_summary(&weights, values->output);
    }
    thaw_weights_finish(&weights);
    return status;
}

static thaw_status import_darknet(const struct thaw_cli *cli, const char *input,
                                  const struct import_values *values) {
    struct thaw_import_paths paths;
    struct thaw_darknet_import import;
    THAW_TRY(thaw_import_paths_make(cli->arena, values->output, &paths));
    const struct thaw_darknet_options darknet = {.name = paths.name, .until = values->until};
    THAW_TRY(thaw_darknet_import_files(input, values->weights, &darknet, &import));
    const struct thaw_imported_model model = {import.yaml, &import.weights, import.notes,
                                              import.note_count};
    thaw_status status = thaw_import_write(cli, &paths, &model);
    thaw_darknet_import_finish(&import);
    return status;
}

static thaw_status run(const struct thaw_cli *cli, const void *values_) {
    const struct import_values *values = values_;
    const char *input = cli->arguments.items[0];
    if (!values->output)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "thaw import does not know where to write"),
                         "name the new file: thaw import %s -o OUT.safetensors", input);
    struct thaw_map file;
    THAW_TRY(thaw_map_open(input, &file));
    bool darknet = thaw_darknet_matches(file.bytes, file.size_bytes);
    thaw_map_close(&file);
    return darknet ? import_darknet(cli, input, values) : import_weights(cli, input, values);
}

const struct thaw_command thaw_command_import = {
    .name = "import",
    .summary = "convert weights (.pth, safetensors) and networks (Darknet)",
    .usage = "IN -o OUT [--weights FILE] [--until LAYER] [-v] [--json]",
    .help =
        "Reads the weights file IN, whose format is told by its content, and writes its tensors\n"
        "to OUT as safetensors, with their names, types and bytes unchanged. A PyTorch file is\n"
        "read without running anything in it; one that asks for more than tensors and\n"
        "containers is refused. Of a training checkpoint, the model's weights are taken. With\n"
        "-v, lists the tensors.\n\n"
        "Of a Darknet .cfg, writes OUT.yaml, a model like the built-in ones, and with --weights\n"
        "OUT.safetensors. --until stops before a layer, by its number as Darknet counts (from 0)\n"
        "or its type: what lies below a detection head is a model to train.\n\n"
        "examples:\n"
        "  thaw import resnet18-f37072fd.pth -o resnet18.safetensors\n"
        "  thaw import darknet19.cfg --weights darknet19.weights -o darknet19\n"
        "  thaw import yolov3.cfg --weights yolov3.weights --until 75 -o backbone\n",
    .takes = THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct import_values),
    .run = run,
};
