/* thaw import IN -o OUT: weights of any format that Thaw reads, as safetensors. */
#include <stdio.h>

#include "cli/cli.h"
#include "io/weights.h"

struct import_values {
    const char *output;
};

static const struct thaw_option options[] = {
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct import_values, output), "OUT",
     "the safetensors file to write", 0, 0},
};

struct totals {
    size_t size_bytes, dtypes[THAW_DTYPE_COUNT];
};

static struct totals count(const struct thaw_weights *weights) {
    struct totals totals = {0};
    for (size_t i = 0; i < weights->count; i++) {
        totals.size_bytes += weights->items[i].size_bytes;
        totals.dtypes[weights->items[i].dtype]++;
    }
    return totals;
}

static void print_table(const struct thaw_weights *weights) {
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        char shape[THAW_SHAPE_TEXT_SIZE];
        thaw_shape_text(weight->rank, weight->dims, shape);
        printf("%-5s %-16s %s\n", thaw_dtype_name(weight->dtype), shape, weight->name);
    }
}

/* "model.safetensors: 296 tensors, 18.8 MB (296 F32), from torch_legacy" */
static void print_summary(const struct thaw_weights *weights, const char *output) {
    struct totals totals = count(weights);
    const char *separator = "";
    printf("%s: %zu tensors, %.1f MB (", output, weights->count, (double)totals.size_bytes / 1e6);
    for (int dtype = 0; dtype < THAW_DTYPE_COUNT; dtype++) {
        if (totals.dtypes[dtype]) {
            printf("%s%zu %s", separator, totals.dtypes[dtype],
                   thaw_dtype_name((enum thaw_dtype)dtype));
            separator = ", ";
        }
    }
    printf("), from %s\n", weights->format);
    const char *key = thaw_weights_get_metadata(weights, "thaw.checkpoint_key");
    const char *ignored = thaw_weights_get_metadata(weights, "thaw.ignored");
    if (key)
        printf("read the checkpoint's entry '%s'\n", key);
    if (ignored)
        printf("left out, being no weights: %s\n", ignored);
}

static json_t *list_tensors(const struct thaw_weights *weights) {
    json_t *list = json_array();
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        json_t *shape = json_array();
        for (int d = 0; d < weight->rank; d++)
            json_array_append_new(shape, json_integer(weight->dims[d]));
        json_t *entry = json_pack("{s:s, s:s, s:o}", "name", weight->name, "dtype",
                                  thaw_dtype_name(weight->dtype), "shape", shape);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static thaw_status print_json(const struct thaw_weights *weights, const char *input,
                              const char *output) {
    const char *key = thaw_weights_get_metadata(weights, "thaw.checkpoint_key");
    const char *ignored = thaw_weights_get_metadata(weights, "thaw.ignored");
    return thaw_cli_print_json(
        json_pack("{s:o, s:o, s:s, s:s?, s:s?, s:I, s:o}", "input", thaw_json_text(input), "output",
                  thaw_json_text(output), "format", weights->format, "checkpoint_key", key,
                  "left_out", ignored, "size_bytes", (json_int_t)count(weights).size_bytes,
                  "tensors", list_tensors(weights)));
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    const char *input = cli->arguments.items[0];
    const char *output = ((const struct import_values *)values)->output;
    struct thaw_weights weights;
    if (!output)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "thaw import does not know where to write"),
                         "name the new file: thaw import %s -o OUT.safetensors", input);
    THAW_TRY(thaw_weights_import(input, output, &weights));
    thaw_status status = THAW_OK;
    if (cli->json) {
        status = print_json(&weights, input, output);
    } else if (!cli->quiet) {
        if (cli->verbose)
            print_table(&weights);
        print_summary(&weights, output);
    }
    thaw_weights_finish(&weights);
    return status;
}

const struct thaw_command thaw_command_import = {
    .name = "import",
    .summary = "convert weights (.pth, safetensors) to safetensors",
    .usage = "IN -o OUT [-v] [--json]",
    .help =
        "Reads the weights file IN, whose format is told by its content, and writes its tensors\n"
        "to OUT as safetensors, with their names, types and bytes unchanged. A PyTorch file is\n"
        "read without running anything in it; one that asks for more than tensors and\n"
        "containers is refused. Of a training checkpoint, the model's weights are taken. With\n"
        "-v, lists the tensors.\n\n"
        "example:\n"
        "  thaw import resnet18-f37072fd.pth -o resnet18.safetensors\n",
    .takes = THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct import_values),
    .run = run,
};
