/* thaw train: runs experiments, writes their run folders and compares them. */
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/show_metrics.h"
#include "train/compare.h"
#include "train/conclude.h"
#include "train/run_record.h"

struct values {
    bool resume, overwrite;
    struct thaw_words sweeps;
};

static const struct thaw_option options[] = {
    {"resume", 'r', THAW_OPTION_FLAG, offsetof(struct values, resume), NULL,
     "continue the run in the folder from its last checkpoint", 0, 0},
    {"overwrite", 0, THAW_OPTION_FLAG, offsetof(struct values, overwrite), NULL,
     "replace an earlier run in the folder", 0, 0},
    {"sweep", 0, THAW_OPTION_LIST, offsetof(struct values, sweeps), "KEY=VALUE,VALUE",
     "run a variant for each value, and compare; may be repeated", 0, 0},
};

/* ---- one experiment ------------------------------------------------------------------------- */

static void print_part(const char *part, const struct thaw_metrics *m) {
    printf("%s: top1 %.4f, balanced %.4f, macro F1 %.4f, loss %.4f (%llu photos)\n", part, m->top1,
           m->balanced, m->macro_f1, m->loss, (unsigned long long)m->count);
}

static void print_people(struct thaw_run_record *record, bool verbose) {
    struct thaw_metrics val, test;
    const char *run = record->folder.path;
    printf("kept: stage '%s', epoch %d\n",
           json_string_value(json_object_get(record->kept, "stage")),
           (int)json_integer_value(json_object_get(record->kept, "epoch")));
    if (thaw_run_record_metrics(record, "val", &val)) {
        print_part("val", &val);
        if (thaw_run_record_metrics(record, "test", &test))
            print_part("test", &test);
        printf("\n");
        thaw_show_classes(&val, record->info.classes, verbose);
        thaw_show_confused(&val, record->info.classes);
        printf("\n");
    }
    printf("run: %s\nnext: thaw eval %s; thaw predict %s PHOTO...\n", run, run, run);
}

static json_t *metrics_json(struct thaw_run_record *record, const char *part) {
    struct thaw_metrics m;
    return thaw_run_record_metrics(record, part, &m)
               ? json_pack("{s:f, s:f, s:f, s:f}", "loss", m.loss, "top1", m.top1, "balanced",
                           m.balanced, "macro_f1", m.macro_f1)
               : json_null();
}

static thaw_status print_json(struct thaw_run_record *record) {
    json_t *kept = metrics_json(record, "val");
    if (json_is_object(kept)) {
        json_object_set(kept, "stage", json_object_get(record->kept, "stage"));
        json_object_set(kept, "epoch", json_object_get(record->kept, "epoch"));
    }
    return thaw_cli_print_json(json_pack(
        "{s:o, s:o, s:o, s:o}", "name", thaw_json_text(record->name), "run",
        thaw_json_text(record->folder.path), "kept", kept, "test", metrics_json(record, "test")));
}

static thaw_status print_result(const struct thaw_cli *cli, const struct thaw_config *config) {
    struct thaw_run_record record;
    char *folder = thaw_train_folder(cli->arena, config);
    char *model = folder ? thaw_path_join(cli->arena, folder, "model.safetensors") : NULL;
    if (!model)
        return THAW_ERROR_MEMORY;
    if (!thaw_path_exists(model)) { /* of stages without epochs */
        if (cli->json)
            return thaw_cli_print_json(json_pack("{s:o, s:o, s:n, s:n}", "name",
                                                 thaw_json_text(config->name), "run",
                                                 thaw_json_text(folder), "kept", "test"));
        printf("no epoch was trained: there are no weights to keep\nrun: %s\n", folder);
        return THAW_OK;
    }
    THAW_TRY(thaw_run_record_open(folder, &record));
    thaw_status status = THAW_OK;
    if (cli->json)
        status = print_json(&record);
    else
        print_people(&record, cli->verbose);
    thaw_run_record_finish(&record);
    return status;
}

static thaw_status train(const struct thaw_cli *cli, const struct thaw_train_options *how,
                         const struct thaw_config *config) {
    thaw_device *device = NULL;
    struct thaw_device_options device_options = {.block = config->block,
                                                 .memory_bytes = config->memory_bytes};
    struct thaw_cli_follow show = {.cli = cli};
    struct thaw_train_events events = thaw_cli_follow_training(&show);
    THAW_TRY(thaw_device_open(cli->device, &device_options, &device));
    thaw_progress_line(cli->progress, "%s on %s", config->name, thaw_device_get_info(device)->name);
    thaw_status status = thaw_train_and_conclude(config, device, how, &events);
    thaw_progress_clear(cli->progress);
    thaw_device_destroy(&device);
    return status == THAW_OK ? print_result(cli, config) : status;
}

/* ---- several -------------------------------------------------------------------------------- */

static void on_check(void *user, const struct thaw_config *config, size_t number, size_t count) {
    const struct thaw_cli_follow *show = user;
    thaw_progress_update(show->cli->progress, "checking %s (%zu of %zu)", config->name, number,
                         count);
}

static void on_begin(void *user, const struct thaw_config *config, size_t number, size_t count,
                     bool skipped) {
    const struct thaw_cli_follow *show = user;
    thaw_progress_line(show->cli->progress, "experiment %zu of %zu: %s%s", number, count,
                       config->name, skipped ? " is complete already" : "");
}

static void on_failure(void *user, const struct thaw_config *config, const char *message) {
    const struct thaw_cli_follow *show = user;
    thaw_progress_line(show->cli->progress, "%s failed: %s", config->name, message);
}

static thaw_status print_comparison(const struct thaw_cli *cli, const struct thaw_comparison *c) {
    struct thaw_text table = {0};
    thaw_status status = THAW_OK;
    if (cli->json) {
        status = thaw_cli_print_json(thaw_comparison_json(c));
    } else {
        thaw_comparison_table(c, &table);
        if (table.failed)
            status = thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        else
            printf("%s\ncomparison: %s/comparison.md\n", table.text, c->folder);
        thaw_text_finish(&table);
    }
    if (status == THAW_OK && c->failures)
        status =
            thaw_fail(THAW_ERROR_RUNTIME, "%zu of %zu experiments failed", c->failures, c->count);
    return status;
}

static thaw_status compare(const struct thaw_cli *cli, const struct thaw_train_options *how,
                           const struct thaw_sweep *sweep) {
    struct thaw_cli_follow show = {cli, true};
    struct thaw_compare_options compare_options = {cli->device, *how};
    struct thaw_compare_events events = {.train = thaw_cli_follow_training(&show),
                                         .user = &show,
                                         .on_check = on_check,
                                         .on_begin = on_begin,
                                         .on_failure = on_failure};
    struct thaw_comparison comparison = {0};
    thaw_status status = thaw_compare(sweep, &compare_options, &events, &comparison);
    thaw_progress_clear(cli->progress);
    if (status == THAW_OK)
        status = print_comparison(cli, &comparison);
    thaw_comparison_finish(&comparison);
    return status;
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    struct thaw_train_options how = {.resume = values->resume, .overwrite = values->overwrite};
    struct thaw_sweep_request request = {.paths = cli->arguments.items,
                                         .path_count = cli->arguments.count,
                                         .sets = cli->sets.items,
                                         .set_count = cli->sets.count,
                                         .sweeps = values->sweeps.items,
                                         .sweep_count = values->sweeps.count};
    struct thaw_sweep sweep;
    THAW_TRY(thaw_sweep_load(&request, &sweep));
    thaw_status status =
        sweep.is_comparison ? compare(cli, &how, &sweep) : train(cli, &how, &sweep.runs[0].config);
    thaw_sweep_finish(&sweep);
    return status;
}

const struct thaw_command thaw_command_train = {
    .name = "train",
    .summary = "run an experiment: fine-tune a network on photos; or several, and compare",
    .usage =
        "CONFIG... [--resume | --overwrite] [--sweep KEY=VALUE,VALUE]... [--set KEY=VALUE]...\n"
        "                  [--device SPEC] [--json]",
    .help =
        "Runs the stages of the experiment and writes the run folder <output>/<name>: the kept\n"
        "weights, a checkpoint, metrics, the split, a report, and a proof of what was frozen.\n"
        "Ctrl-C writes a checkpoint and exits with 130; --resume continues to the same bits.\n\n"
        "Several files, `sweep: {seed: [0, 1, 2]}` in a file or --sweep run one after another and\n"
        "end in a table of their metrics (mean and standard error over seeds), time, trained\n"
        "parameters and cache, which also goes to <output>/<name>/comparison.md and .json. All\n"
        "are checked before the first one starts; one that fails does not stop the others (exit\n"
        "code 1). --resume skips those that are complete.\n\n"
        "examples:\n"
        "  thaw train solar-cells.yaml --set seed=1 --set name=solar-1\n"
        "  thaw train photos.yaml --sweep regime=small_similar,small_different --sweep "
        "seed=0,1,2\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = THAW_ANY_NUMBER,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .run = run,
};
