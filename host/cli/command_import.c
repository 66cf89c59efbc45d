/* thaw import IN -o OUT: weights of any format that Thaw reads, as safetensors; networks of ONNX
 * and Darknet, as a model YAML and safetensors. */
#include <stdio.h>
#include <string.h>

#include "cli/import_model.h"
#include "core/file.h"
#include "io/darknet/darknet.h"
#include "io/onnx/onnx.h"
#include "io/weights.h"

struct import_values {
    const char *output;
    const char *weights, *until;                    /* Darknet */
    const char *mean, *std, *layout, *graph_output; /* ONNX */
    int size;
};

static const struct thaw_option options[] = {
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct import_values, output), "OUT",
     "the file to write: safetensors, and for networks OUT.yaml too", 0, 0},
    {"weights", 'w', THAW_OPTION_TEXT, offsetof(struct import_values, weights), "FILE",
     "of a Darknet .cfg: its .weights", 0, 0},
    {"until", 0, THAW_OPTION_TEXT, offsetof(struct import_values, until), "LAYER",
     "of a Darknet .cfg: stop before this layer, by number (from 0) or type", 0, 0},
    {"mean", 0, THAW_OPTION_TEXT, offsetof(struct import_values, mean), "M[,M,M]",
     "of an ONNX file: what is taken from a picture's values (0 to 1), per channel", 0, 0},
    {"std", 0, THAW_OPTION_TEXT, offsetof(struct import_values, std), "S[,S,S]",
     "of an ONNX file: what they are divided by then", 0, 0},
    {"size", 0, THAW_OPTION_INT, offsetof(struct import_values, size), "N",
     "of an ONNX file: height and width of its input, where it leaves them open", 1, 16384},
    {"layout", 0, THAW_OPTION_TEXT, offsetof(struct import_values, layout), "nchw|nhwc",
     "of an ONNX file: where its input has the channels, where that is not plain", 0, 0},
    {"graph-output", 0, THAW_OPTION_TEXT, offsetof(struct import_values, graph_output), "NAME",
     "of an ONNX file: which of its outputs to keep (the first)", 0, 0},
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

/* ---- what the file is, and the options that go with it -------------------------------------- */

static bool has_ending(const char *path, const char *ending) {
    size_t length = strlen(path), end = strlen(ending);
    return length > end && !strcmp(path + length - end, ending);
}

static thaw_status refuse_darknet_options(const struct import_values *values, const char *input) {
    if (!values->weights && !values->until)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_INPUT, "--%s goes with a Darknet .cfg, which %s is not",
                     values->weights ? "weights" : "until", input);
}

static thaw_status refuse_onnx_options(const struct import_values *values, const char *input) {
    const char *given = values->mean           ? "mean"
                        : values->std          ? "std"
                        : values->layout       ? "layout"
                        : values->graph_output ? "graph-output"
                        : values->size         ? "size"
                                               : NULL;
    if (!given)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_INPUT, "--%s goes with an ONNX file, which %s is not", given,
                     input);
}

static thaw_status import_weights(const struct thaw_cli *cli, const char *input,
                                  const struct import_values *values) {
    struct thaw_weights weights;
    THAW_TRY(refuse_darknet_options(values, input));
    THAW_TRY(refuse_onnx_options(values, input));
    thaw_status status = thaw_weights_import(input, values->output, &weights);
    if (status == THAW_ERROR_INPUT && has_ending(input, ".weights"))
        return thaw_hint(status,
                         "Darknet's weights come in with their network: thaw import NET.cfg "
                         "--weights %s -o OUT",
                         input);
    THAW_TRY(status);
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
    THAW_TRY(refuse_onnx_options(values, input));
    THAW_TRY(thaw_import_paths_make(cli->arena, values->output, &paths));
    const struct thaw_darknet_options darknet = {.name = paths.name, .until = values->until};
    THAW_TRY(thaw_darknet_import_files(input, values->weights, &darknet, &import));
    const struct thaw_imported_model model = {import.yaml, &import.weights, import.notes,
                                              import.note_count};
    thaw_status status = thaw_import_write(cli, &paths, &model);
    thaw_darknet_import_finish(&import);
    return status;
}

static thaw_status import_onnx(const struct thaw_cli *cli, const char *input,
                               const struct import_values *values) {
    struct thaw_import_paths paths;
    struct thaw_onnx_import import;
    THAW_TRY(refuse_darknet_options(values, input));
    THAW_TRY(thaw_import_paths_make(cli->arena, values->output, &paths));
    const struct thaw_onnx_options onnx = {.name = paths.name,
                                           .layout = values->layout,
                                           .size = values->size,
                                           .output = values->graph_output,
                                           .mean = values->mean,
                                           .std = values->std};
    THAW_TRY(thaw_onnx_import_file(input, &onnx, &import));
    const struct thaw_imported_model model = {import.yaml, &import.weights, import.notes,
                                              import.note_count};
    thaw_status status = thaw_import_write(cli, &paths, &model);
    thaw_onnx_import_finish(&import);
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
    bool onnx = has_ending(input, ".onnx") || thaw_onnx_matches(file.bytes, file.size_bytes);
    thaw_map_close(&file);
    if (onnx)
        return import_onnx(cli, input, values);
    return darknet ? import_darknet(cli, input, values) : import_weights(cli, input, values);
}

const struct thaw_command thaw_command_import = {
    .name = "import",
    .summary = "convert weights (.pth, safetensors) and networks (ONNX, Darknet)",
    .usage = "IN -o OUT [options of the format] [-v] [--json]",
    .help =
        "Reads the weights file IN, whose format is told by its content, and writes its tensors\n"
        "to OUT as safetensors, with their names, types and bytes unchanged. A PyTorch file is\n"
        "read without running anything in it; one that asks for more than tensors and\n"
        "containers is refused. Of a training checkpoint, the model's weights are taken. With\n"
        "-v, lists the tensors.\n\n"
        "Of an ONNX file, writes OUT.yaml, a model like the built-in ones, and OUT.safetensors.\n"
        "Opsets 7 to 21. A softmax at the end is left out, as training adds its own.\n\n"
        "Of a Darknet .cfg, writes OUT.yaml, a model like the built-in ones, and with --weights\n"
        "OUT.safetensors. --until stops before a layer, by its number as Darknet counts (from 0)\n"
        "or its type: what lies below a detection head is a model to train.\n\n"
        "examples:\n"
        "  thaw import resnet18-f37072fd.pth -o resnet18.safetensors\n"
        "  thaw import resnet18.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o resnet18\n"
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
