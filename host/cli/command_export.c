/* thaw export: a network for other programs. */
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "core/file.h"
#include "train/export.h"

struct values {
    const char *output, *weights;
    int seed; /* -1: not given */
    bool fold, softmax, external;
};
static const struct values defaults = {.seed = -1};

static const struct thaw_option options[] = {
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "OUT",
     "the file to write: .onnx or .safetensors", 0, 0},
    {"weights", 'w', THAW_OPTION_TEXT, offsetof(struct values, weights), "FILE",
     "of a model: its weights (.safetensors, .pth)", 0, 0},
    {"untrained", 0, THAW_OPTION_INT, offsetof(struct values, seed), "SEED",
     "of a model: random weights instead", 0, 2147483647},
    {"fold", 0, THAW_OPTION_FLAG, offsetof(struct values, fold), NULL,
     "put batch norm into the convolutions before it", 0, 0},
    {"softmax", 0, THAW_OPTION_FLAG, offsetof(struct values, softmax), NULL,
     "end in probabilities instead of logits", 0, 0},
    {"external-data", 0, THAW_OPTION_FLAG, offsetof(struct values, external), NULL,
     "put the weights into a file beside it, OUT.data", 0, 0},
};

static bool has_suffix(const char *path, const char *suffix) {
    size_t length = strlen(path), end = strlen(suffix);
    return length > end && !strcmp(path + length - end, suffix);
}

static thaw_status check(const struct thaw_cli *cli, const struct values *values, bool *ret_onnx) {
    const char *output = values->output;
    if (!output)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "thaw export does not know where to write"),
                         "name the new file: thaw export %s -o OUT.onnx", cli->arguments.items[0]);
    *ret_onnx = has_suffix(output, ".onnx");
    if (!*ret_onnx && !has_suffix(output, ".safetensors"))
        return thaw_fail(THAW_ERROR_INPUT,
                         "%s: its name has to end in .onnx or .safetensors, which says the format",
                         output);
    const char *wrong = values->fold       ? "--fold"
                        : values->softmax  ? "--softmax"
                        : values->external ? "--external-data"
                                           : NULL;
    if (!*ret_onnx && wrong)
        return thaw_fail(THAW_ERROR_INPUT, "%s is for ONNX files; %s is none", wrong, output);
    if (values->weights && values->seed >= 0)
        return thaw_fail(THAW_ERROR_INPUT, "give either --weights or --untrained, not both");
    return THAW_OK;
}

static thaw_status print_json(const struct values *values, const struct thaw_export_source *source,
                              const struct thaw_onnx_export_summary *summary) {
    const struct thaw_graph *graph = source->graph;
    const struct thaw_layout *in = &graph->nodes[0].out;
    const struct thaw_layout *out = &graph->nodes[graph->output].out;
    json_t *root =
        json_pack("{s:o, s:o, s:[i, i, i], s:i, s:s}", "file", thaw_json_text(values->output),
                  "model", thaw_json_text(graph->name), "input", in->c, in->h, in->w, "outputs",
                  out->c, "output_node", graph->nodes[graph->output].name);
    if (root && summary)
        json_object_set_new(root, "onnx",
                            json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "opset", THAW_ONNX_OPSET,
                                      "nodes", (json_int_t)summary->node_count, "tensors",
                                      (json_int_t)summary->tensor_count, "folded",
                                      (json_int_t)summary->folded_count, "size_bytes",
                                      (json_int_t)summary->size_bytes, "external_size_bytes",
                                      (json_int_t)summary->external_size_bytes));
    return thaw_cli_print_json(root);
}

static void print_onnx(const struct values *values, const struct thaw_export_source *source,
                       const struct thaw_onnx_export_summary *summary) {
    const struct thaw_layout *in = &source->graph->nodes[0].out;
    printf("%s: %s, %zu nodes, %.1f MB, ONNX opset %d, input (batch, %d, %d, %d)\n", values->output,
           source->graph->name, summary->node_count, (double)summary->size_bytes / 1e6,
           THAW_ONNX_OPSET, in->c, in->h, in->w);
    if (summary->folded_count)
        printf("%zu batch norms folded\n", summary->folded_count);
    if (summary->external_size_bytes)
        printf("its weights, %.1f MB, are in %s.data: keep the two together\n",
               (double)summary->external_size_bytes / 1e6, values->output);
}

static thaw_status write(const struct thaw_cli *cli, const struct values *values, bool onnx,
                         const struct thaw_export_source *source) {
    struct thaw_onnx_export_summary summary;
    struct thaw_onnx_export_options export_options = {
        .fold = values->fold, .softmax = values->softmax, .external = values->external};
    if (onnx)
        THAW_TRY(thaw_export_onnx(source, &export_options, values->output, &summary));
    else
        THAW_TRY(thaw_export_safetensors(source, values->output));
    if (cli->json)
        return print_json(values, source, onnx ? &summary : NULL);
    if (onnx && !cli->quiet)
        print_onnx(values, source, &summary);
    else if (!cli->quiet)
        printf("%s: %s, %zu tensors\n", values->output, source->graph->name,
               source->graph->param_count);
    return THAW_OK;
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    thaw_device *device = NULL;
    struct thaw_export_source source;
    bool onnx = false;
    THAW_TRY(check(cli, values, &onnx));
    struct thaw_export_origin origin = {.model = cli->arguments.items[0],
                                        .weights = values->weights,
                                        .untrained = values->seed >= 0,
                                        .seed = values->seed};
    THAW_TRY(thaw_cli_open_run_device(cli, origin.model, &device));
    thaw_status status = thaw_export_open(&origin, device, &source);
    if (status == THAW_OK) {
        status = write(cli, values, onnx, &source);
        thaw_export_finish(&source);
    }
    thaw_device_destroy(&device);
    return status;
}

const struct thaw_command thaw_command_export = {
    .name = "export",
    .summary = "write a network as ONNX or safetensors",
    .usage = "RUN_OR_MODEL -o OUT.onnx|OUT.safetensors [--weights FILE | --untrained SEED] "
             "[--fold] [--softmax] [--external-data] [--device SPEC] [--json]",
    .help =
        "Writes the network of a run (or of a model.safetensors; or a built-in model or a model\n"
        "YAML with --weights) for other programs. ONNX: opset 17, one input \"input\" (batch,\n"
        "channels, height, width) with any batch, one output \"logits\" (batch, classes), batch\n"
        "norm kept, weights under their own names. The metadata says what to do to a photo\n"
        "(`preprocessing`, JSON) and the classes' names (`classes`, JSON). Beyond 2 GiB the\n"
        "weights go to OUT.data by themselves. Safetensors: weights, graph, preprocessing and\n"
        "classes, which `thaw predict` reads like a run.\n\n"
        "examples:\n"
        "  thaw export runs/solar-cells -o solar-cells.onnx --fold --softmax\n"
        "  thaw export resnet18 --weights resnet18-f37072fd.pth -o resnet18.onnx\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
