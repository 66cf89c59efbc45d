/* thaw bench: how fast a network runs here, and where the time goes. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/bench_step.h"
#include "cli/cli.h"
#include "graph/profile.h"
#include "kernels/peak.h"
#include "train/config.h"

struct values {
    int batch, size;
    int repeats;
    bool layers, training;
    const char *conv;
};
static const struct values defaults = {.batch = 8, .repeats = 3};

static const struct thaw_option options[] = {
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "images in a batch (8)", 1,
     4096},
    {"size", 0, THAW_OPTION_INT, offsetof(struct values, size), "PIXELS",
     "input height and width (the model's)", 8, 4096},
    {"training", 't', THAW_OPTION_FLAG, offsetof(struct values, training), NULL,
     "a training step (SGD with momentum) instead of inference", 0, 0},
    {"layers", 'l', THAW_OPTION_FLAG, offsetof(struct values, layers), NULL, "time every layer", 0,
     0},
    {"repeats", 'r', THAW_OPTION_INT, offsetof(struct values, repeats), "N",
     "repeat N times (3): the best of each pass, the median step", 1, 1000},
    {"conv", 0, THAW_OPTION_TEXT, offsetof(struct values, conv), "NAME",
     "force a convolution candidate where it applies", 0, 0},
};

static double gflops(double flops, double seconds) {
    return seconds > 0 ? 1e-9 * flops / seconds : 0;
}

/* A backward pass computes two products of the size of the forward one: for data and for weights.
 */
static void print_pass(const char *name, double seconds, double flops, int batch, double peak) {
    double rate = gflops(flops, seconds);
    printf("%-9s %9.1f ms  %8.1f images/s  %7.1f GFLOP/s  %3.0f %% of peak\n", name, 1e3 * seconds,
           batch / seconds, rate, 100 * rate / peak);
}

static void print_people(const struct thaw_graph *graph, const struct thaw_profile *profile,
                         const struct thaw_peak *peak, const struct values *values) {
    int size = graph->nodes[0].out.h;
    printf("%s, batch %d, %dx%d, on %s\n", graph->name, values->batch, size, size,
           thaw_device_get_info(graph->device)->name);
    printf("peak measured: %.0f GFLOP/s (fp32 FMA), %.1f GB/s (copy)\n\n", peak->fma_gflops,
           peak->copy_gb_per_s);
    print_pass("forward", profile->forward_s, profile->flops, values->batch, peak->fma_gflops);
    if (values->training) {
        print_pass("backward", profile->backward_s, 2 * profile->flops, values->batch,
                   peak->fma_gflops);
        printf("%-9s %9.1f ms\n", "update", 1e3 * profile->update_s);
    }
    print_pass("step", profile->step_s, (values->training ? 3 : 1) * profile->flops, values->batch,
               peak->fma_gflops);
    printf("memory    %9.1f MiB for activations, gradients and workspace\n",
           (double)profile->memory.pool_bytes / (1 << 20));
    if (!profile->node_count)
        return;
    printf("\n%-32s %-12s %10s %9s %6s%s\n", "layer", "op", "fwd ms", "GFLOP/s", "peak",
           values->training ? "     bwd ms   GFLOP/s" : "");
    for (size_t i = 0; i < profile->node_count; i++) {
        const struct thaw_profile_node *n = &profile->nodes[i];
        const struct thaw_node *node = &graph->nodes[n->node];
        double rate = gflops(n->flops, n->forward_s);
        printf("%-32s %-12s %10.3f ", node->name, node->op->type, 1e3 * n->forward_s);
        if (n->flops > 0)
            printf("%9.1f %4.0f %%", rate, 100 * rate / peak->fma_gflops);
        else
            printf("%9s %6s", "-", "-");
        if (values->training && n->flops > 0)
            printf(" %10.3f %9.1f", 1e3 * n->backward_s, gflops(2 * n->flops, n->backward_s));
        else if (values->training)
            printf(" %10.3f %9s", 1e3 * n->backward_s, "-");
        printf("\n");
    }
}

static thaw_status print_json(const struct thaw_graph *graph, const struct thaw_profile *profile,
                              const struct thaw_peak *peak, uint64_t resident_bytes,
                              const struct values *values) {
    json_t *layers = json_array();
    for (size_t i = 0; i < profile->node_count; i++) {
        const struct thaw_profile_node *n = &profile->nodes[i];
        json_array_append_new(
            layers, json_pack("{s:s, s:s, s:f, s:f, s:f}", "name", graph->nodes[n->node].name, "op",
                              graph->nodes[n->node].op->type, "forward_s", n->forward_s,
                              "backward_s", n->backward_s, "flops", n->flops));
    }
    return thaw_cli_print_json(json_pack(
        "{s:s, s:o, s:i, s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:o}", "model",
        graph->name, "device", thaw_json_text(thaw_device_get_info(graph->device)->name), "batch",
        values->batch, "size", graph->nodes[0].out.h, "training", (int)values->training,
        "peak_gflops", peak->fma_gflops, "copy_gb_per_s", peak->copy_gb_per_s, "forward_s",
        profile->forward_s, "backward_s", profile->backward_s, "update_s", profile->update_s,
        "step_s", profile->step_s, "flops", profile->flops, "memory_bytes",
        (json_int_t)profile->memory.pool_bytes, "resident_bytes", (json_int_t)resident_bytes,
        "layers", layers));
}

/* The memory of the process is read before the peak is measured, which takes half a GiB. */
static thaw_status measure_steps(const struct thaw_cli *cli, struct thaw_graph *graph,
                                 struct thaw_profile_options *what,
                                 struct thaw_profile *ret_profile, uint64_t *ret_resident_bytes) {
    struct thaw_bench_step step = {0};
    struct rusage usage;
    THAW_TRY(thaw_bench_step_init(cli->arena, graph, &step));
    what->update = thaw_bench_step_update;
    what->update_user = &step;
    thaw_status status = thaw_profile_graph(graph, what, cli->arena, ret_profile);
    thaw_bench_step_finish(&step);
    THAW_TRY(status);
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return thaw_fail(THAW_ERROR_RUNTIME, "the process's memory can't be read: %s",
                         strerror(errno));
    *ret_resident_bytes = (uint64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
    return THAW_OK;
}

static thaw_status bench(const struct thaw_cli *cli, const struct values *values,
                         thaw_device *device, struct thaw_graph **graph) {
    const char *name = cli->arguments.items[0];
    struct thaw_peak peak;
    struct thaw_profile profile;
    struct thaw_profile_options profile_options = {.batch = values->batch,
                                                   .training = values->training,
                                                   .layers = values->layers,
                                                   .repeats = values->repeats,
                                                   .conv_candidate = values->conv};
    thaw_yaml *document;
    THAW_TRY(thaw_model_document(cli->arena, name, NULL, &document));
    struct thaw_graph_options graph_options = {.caps = thaw_device_get_caps(device),
                                               .size = values->size};
    THAW_TRY(thaw_graph_build(document, &graph_options, graph));
    uint64_t resident_bytes = 0;
    thaw_progress_update(cli->progress, "compiling and measuring %s", (*graph)->name);
    THAW_TRY(thaw_graph_allocate(*graph, device, 0));
    THAW_TRY(measure_steps(cli, *graph, &profile_options, &profile, &resident_bytes));
    thaw_progress_update(cli->progress, "measuring the device's peak");
    THAW_TRY(thaw_peak_measure(device, &peak));
    thaw_progress_clear(cli->progress);
    if (cli->json)
        return print_json(*graph, &profile, &peak, resident_bytes, values);
    print_people(*graph, &profile, &peak, values);
    return THAW_OK;
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    thaw_device *device = NULL;
    struct thaw_graph *graph = NULL;
    THAW_TRY(thaw_device_open(cli->device, NULL, &device));
    thaw_status status = bench(cli, values, device, &graph);
    thaw_graph_destroy(&graph);
    thaw_device_destroy(&device);
    return status;
}

const struct thaw_command thaw_command_bench = {
    .name = "bench",
    .summary = "time a network, whole and per layer, against the device's measured peak",
    .usage = "MODEL [--training] [--layers] [--batch N] [--device SPEC] [--json]",
    .help =
        "MODEL is a built-in model or a model's YAML file. Prints the time of a pass, images per\n"
        "second, GFLOP/s and the fraction of the device's measured peak; with --layers the same\n"
        "for every layer. `step` is what a batch takes, the median: a pass forward, and with\n"
        "--training backward and an update of every weight by SGD with momentum. Weights are\n"
        "random: only the speed is real.\n\n"
        "`thaw tune` measures the candidates that can compute a convolution, and remembers the\n"
        "best.\n\n"
        "example:\n"
        "  thaw bench resnet18 --training --layers --batch 16\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
