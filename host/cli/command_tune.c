/* thaw tune: measures which kernel is the fastest for each convolution, and remembers it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/tune_show.h"
#include "core/clock.h"
#include "core/file.h"
#include "graph/profile.h"
#include "kernels/conv_im2col.h"
#include "kernels/tuning.h"
#include "train/problems.h"

struct values {
    int batch, size; /* 0: not given */
    int seconds;
    bool training, dry_run;
    const char *output;
};
static const struct values defaults = {.seconds = 60};

#define BATCH 8

static const struct thaw_option options[] = {
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N",
     "of a model: images in a batch (8)", 1, 4096},
    {"size", 0, THAW_OPTION_INT, offsetof(struct values, size), "PIXELS",
     "of a model: input height and width (its own)", 8, 4096},
    {"training", 't', THAW_OPTION_FLAG, offsetof(struct values, training), NULL,
     "of a model: training of all layers, too", 0, 0},
    {"seconds", 0, THAW_OPTION_INT, offsetof(struct values, seconds), "N",
     "measure for so long at most (60)", 1, 86400},
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "FILE",
     "write to this file instead of the cache's", 0, 0},
    {"dry-run", 0, THAW_OPTION_FLAG, offsetof(struct values, dry_run), NULL,
     "measure and show, remember nothing", 0, 0},
};

/* ---- measuring ------------------------------------------------------------------------------ */

/* How far a candidate stayed behind in the problems so far. */
struct record {
    int tried;
    double nearest; /* times the best */
};

/* One that was never near the best is not tried on what has less work. */
#define FAR_TRIES 3
#define FAR 5.0
#define HOPELESS 64.0
/* The product of `im2col_gemm` is worth measuring when it is so near the best. */
#define NEAR 2.0

struct tuner {
    const struct thaw_cli *cli;
    const struct values *values;
    thaw_device *device;
    struct thaw_tune_row *rows; /* room for a product of each convolution */
    size_t conv_count, count;
    struct record *records; /* of each candidate */
    double end_s;
};

static struct thaw_measure_limits limits_of(const struct tuner *t) {
    return (struct thaw_measure_limits){fmax(0, t->end_s - thaw_clock_s()), t->cli->interrupted};
}

static bool is_promising(const struct record *record) {
    return record->tried == 0 || record->nearest < FAR ||
           (record->tried < FAR_TRIES && record->nearest < HOPELESS);
}

static void note(struct record *records, const struct thaw_measurement *m) {
    if (m->best < 0)
        return;
    for (size_t k = 0; k < m->count; k++)
        for (size_t i = 0; i < thaw_conv_candidate_count; i++) {
            const struct thaw_measure_timing *timing = &m->timings[k];
            if (timing->candidate != thaw_conv_candidates[i]->name || !(timing->time_s > 0))
                continue;
            double times = timing->time_s / m->timings[m->best].time_s;
            struct record *record = &records[i];
            record->nearest = record->tried++ ? fmin(record->nearest, times) : times;
        }
}

static thaw_status measure_conv(struct tuner *t, struct thaw_tune_row *row) {
    const struct thaw_conv_candidate **list =
        thaw_arena_array(t->cli->arena, thaw_conv_candidate_count, sizeof *list);
    const struct thaw_conv_candidate *usual =
        thaw_conv_usual(row->conv, thaw_device_get_caps(t->device));
    struct thaw_measure_limits limits = limits_of(t);
    size_t count = 0;
    if (!list)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < thaw_conv_candidate_count; i++)
        if (thaw_conv_candidates[i] == usual || is_promising(&t->records[i]))
            list[count++] = thaw_conv_candidates[i];
    return thaw_measure_conv(t->device, row->conv, list, count, &limits, &row->measurement);
}

/* At once: what is measured is not lost when something happens to the next. */
static thaw_status remember(struct tuner *t, const struct thaw_tune_row *row) {
    if (t->values->dry_run || !row->measurement.complete || row->measurement.best < 0)
        return THAW_OK;
    THAW_TRY(thaw_measure_remember(t->device, row->key, &row->measurement));
    return thaw_tuning_save(t->device, t->values->output);
}

/* How near the best im2col_gemm came; infinite where it was not measured. */
static double im2col_distance(const struct thaw_measurement *m) {
    for (size_t i = 0; m->best >= 0 && i < m->count; i++)
        if (strcmp(m->timings[i].candidate, "im2col_gemm") == 0 && m->timings[i].time_s > 0)
            return m->timings[i].time_s / m->timings[m->best].time_s;
    return INFINITY;
}

/* The product of a convolution that may be computed by it; *ret_changes when a measurement says
 * that another candidate is better for it than the usual one. */
static thaw_status tune_product(struct tuner *t, const struct thaw_tune_row *conv,
                                bool *ret_changes) {
    struct thaw_tune_row *row = &t->rows[t->count];
    struct thaw_gemm_problem product =
        thaw_im2col_product(conv->conv, thaw_device_get_caps(t->device));
    struct thaw_measure_limits limits = limits_of(t);
    *ret_changes = false;
    *row = (struct thaw_tune_row){.layer = conv->layer, .uses = conv->uses};
    thaw_gemm_problem_key(&product, row->key);
    row->flops = 2.0 * product.m * product.n * product.k;
    for (size_t i = t->conv_count; i < t->count; i++)
        if (strcmp(t->rows[i].key, row->key) == 0)
            return THAW_OK;
    THAW_TRY(thaw_measure_gemm(t->device, &product, thaw_gemm_candidates, thaw_gemm_candidate_count,
                               &limits, &row->measurement));
    if (!row->measurement.complete)
        return THAW_OK;
    t->count++;
    *ret_changes = row->measurement.best > 0;
    return remember(t, row);
}

static thaw_status tune_row(struct tuner *t, struct thaw_tune_row *row) {
    bool changes = false;
    THAW_TRY(measure_conv(t, row));
    if (row->measurement.complete && im2col_distance(&row->measurement) < NEAR)
        THAW_TRY(tune_product(t, row, &changes));
    if (changes && !t->values->dry_run) {
        struct thaw_measurement before = row->measurement;
        THAW_TRY(measure_conv(t, row));
        if (!row->measurement.complete)
            row->measurement = before;
    }
    note(t->records, &row->measurement);
    return remember(t, row);
}

static thaw_status tune_rows(struct tuner *t) {
    const struct thaw_cli *cli = t->cli;
    for (size_t i = 0; i < t->conv_count; i++) {
        struct thaw_tune_row *row = &t->rows[i];
        double left_s = t->end_s - thaw_clock_s();
        if (left_s <= 0 || *cli->interrupted)
            break;
        thaw_progress_update(cli->progress, "measuring convolution %zu of %zu, %.0f s left: %s",
                             i + 1, t->conv_count, left_s, row->key);
        THAW_TRY(tune_row(t, row));
        if (cli->json || !cli->verbose || !row->measurement.count)
            continue;
        thaw_progress_clear(cli->progress);
        thaw_tune_show_timings(row);
    }
    thaw_progress_clear(cli->progress);
    return THAW_OK;
}

static thaw_status make_rows(struct tuner *t, const struct thaw_graph *graph,
                             const struct thaw_problems *problems) {
    t->rows = thaw_arena_array(t->cli->arena, 2 * problems->count + 1, sizeof *t->rows);
    t->records = thaw_arena_array(t->cli->arena, thaw_conv_candidate_count, sizeof *t->records);
    if (!t->rows || !t->records)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < problems->count; i++) {
        const struct thaw_problem *problem = &problems->items[i];
        struct thaw_tune_row *row = &t->rows[i];
        memcpy(row->key, problem->key, sizeof row->key);
        row->conv = &problem->conv;
        row->layer = graph->nodes[problem->node].name;
        row->uses = problem->uses;
        row->flops = thaw_conv_flops(&problem->conv.geometry, problem->conv.geometry.x.n);
    }
    t->conv_count = t->count = problems->count;
    return THAW_OK;
}

static thaw_status tune(const struct thaw_cli *cli, const struct values *values,
                        const struct thaw_graph *graph, const struct thaw_problems *problems) {
    struct tuner t = {.cli = cli, .values = values, .device = graph->device};
    THAW_TRY(make_rows(&t, graph, problems));
    const char *device = thaw_device_get_info(t.device)->name;
    if (!cli->json) {
        thaw_progress_clear(cli->progress);
        printf("%s on %s: %zu different convolutions, most work first\n", graph->name, device,
               problems->count);
        fflush(stdout);
    }
    t.end_s = thaw_clock_s() + values->seconds;
    THAW_TRY(tune_rows(&t));
    const char *path = values->output ? values->output : thaw_tuning_path(t.device);
    struct thaw_tune_result result = {graph->name,     device, values->dry_run ? NULL : path,
                                      values->seconds, t.rows, t.count};
    if (cli->json)
        THAW_TRY(thaw_cli_print_json(thaw_tune_json(&result)));
    else
        thaw_tune_show(&result);
    return *cli->interrupted ? THAW_INTERRUPTED : THAW_OK;
}

/* ---- what to tune --------------------------------------------------------------------------- */

static thaw_status tune_experiment(const struct thaw_cli *cli, const struct values *values,
                                   const char *path) {
    struct thaw_config config;
    struct thaw_experiment experiment = {0};
    struct thaw_problems problems;
    thaw_device *device = NULL;
    if (values->batch || values->size || values->training)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT,
                                   "batch, size and what is trained come from the experiment %s",
                                   path),
                         "leave out --batch, --size and --training; --set batch=16 changes it");
    THAW_TRY(thaw_cli_open_experiment(cli, path, &config, &device));
    thaw_progress_update(cli->progress, "reading data and weights");
    thaw_status status = thaw_experiment_open(&config, device, &experiment);
    if (status == THAW_OK)
        status = thaw_experiment_problems(&experiment, cli->arena, &problems);
    if (status == THAW_OK)
        status = tune(cli, values, experiment.graph, &problems);
    thaw_experiment_finish(&experiment);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

static thaw_status tune_graph(const struct thaw_cli *cli, const struct values *values,
                              const thaw_yaml *document, thaw_device *device,
                              struct thaw_graph **graph) {
    struct thaw_graph_options graph_options = {.caps = thaw_device_get_caps(device),
                                               .size = values->size};
    struct thaw_problems problems;
    THAW_TRY(thaw_graph_build(document, &graph_options, graph));
    thaw_progress_update(cli->progress, "preparing %s", (*graph)->name);
    THAW_TRY(thaw_graph_allocate(*graph, device, 0));
    THAW_TRY(thaw_profile_problems(*graph, values->batch ? values->batch : BATCH, values->training,
                                   cli->arena, &problems));
    return tune(cli, values, *graph, &problems);
}

static thaw_status tune_model(const struct thaw_cli *cli, const struct values *values,
                              const thaw_yaml *document) {
    thaw_device *device = NULL;
    struct thaw_graph *graph = NULL;
    if (cli->sets.count)
        return thaw_fail(THAW_ERROR_INPUT, "--set changes an experiment; %s is a model",
                         cli->arguments.items[0]);
    THAW_TRY(thaw_device_open(cli->device, NULL, &device));
    thaw_status status = tune_graph(cli, values, document, device, &graph);
    thaw_graph_destroy(&graph);
    thaw_device_destroy(&device);
    return status;
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    const char *name = cli->arguments.items[0];
    thaw_yaml *document;
    if (thaw_path_is_directory(name)) {
        const char *config = thaw_path_join(cli->arena, name, "config.yaml");
        return config ? tune_experiment(cli, values, config) : THAW_ERROR_MEMORY;
    }
    THAW_TRY(thaw_model_document(cli->arena, name, NULL, &document));
    bool is_experiment = thaw_yaml_get(document, "data") || thaw_yaml_get(document, "extends");
    return is_experiment ? tune_experiment(cli, values, name) : tune_model(cli, values, document);
}

const struct thaw_command thaw_command_tune = {
    .name = "tune",
    .summary = "measure which kernel is the fastest for each convolution, and remember it",
    .usage = "MODEL|CONFIG|RUN [--training] [--batch N] [--seconds N] [-o FILE] [--json] [-v]",
    .help =
        "Each convolution of a network can be computed in several ways, some of them with tiles "
        "of\n"
        "different sizes. Thaw chooses by the type of the device; this measures them all, those\n"
        "with the most work first, and remembers the fastest whose results are right: all\n"
        "commands use it from then on where device, driver, shapes and batch are the same. Batch,\n"
        "size and layers to train are those of an experiment or run, or for a model (built-in or\n"
        "YAML) those of the options. Another choice may round differently.\n\n"
        "The file is YAML, in the cache folder (THAW_CACHE/tuning) or where --output says; "
        "without\n"
        "it Thaw chooses by itself again. THAW_TUNING names such a file, or a folder of them, to "
        "be\n"
        "used on another machine with the same device. Files of another driver or build of Thaw\n"
        "are not used; -v says so, and shows every candidate's time (~: an estimate, it is far\n"
        "behind). Ctrl-C keeps what was measured.\n\n"
        "examples:\n"
        "  thaw tune pets.yaml\n"
        "  thaw tune resnet50 --training --batch 16 --seconds 120 -o my-device.yaml\n",
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
