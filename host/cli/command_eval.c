/* thaw eval: metrics of a run. */
#include <string.h>

#include "cli/cli.h"
#include "cli/eval_verify.h"
#include "cli/format.h"
#include "cli/show_metrics.h"
#include "train/evaluate_run.h"

struct values {
    const char *data, *part, *model;
    bool verify;
    int batch;
};
static const struct values defaults = {.batch = 32};

static const struct thaw_option options[] = {
    {"data", 0, THAW_OPTION_TEXT, offsetof(struct values, data), "DIR",
     "evaluate on this folder (a folder for each class) instead of the run's own data", 0, 0},
    {"part", 0, THAW_OPTION_TEXT, offsetof(struct values, part), "PART",
     "the part of the run's data: val (the default), test or train", 0, 0},
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "images at a time (32)", 1,
     4096},
    {"verify", 0, THAW_OPTION_FLAG, offsetof(struct values, verify), NULL,
     "check instead that the model is what the run recorded: what was frozen did not change", 0, 0},
    {"model", 0, THAW_OPTION_TEXT, offsetof(struct values, model), "FILE",
     "with --verify: this model file instead of the run's", 0, 0},
};

static void print_people(const struct thaw_evaluation *e, bool verbose) {
    const struct thaw_metrics *m = &e->metrics;
    const char **classes = e->model.info.classes;
    printf("%llu photos of %s\n", (unsigned long long)m->count, e->set);
    printf("top1 %.4f   balanced %.4f   macro F1 %.4f   loss %.4f\n\n", m->top1, m->balanced,
           m->macro_f1, m->loss);
    thaw_show_classes(m, classes, verbose);
    printf("\n");
    thaw_show_confusion(m, classes);
}

static thaw_status print_json(const struct thaw_evaluation *e) {
    const struct thaw_metrics *m = &e->metrics;
    json_t *classes = json_array();
    for (int c = 0; c < m->classes; c++)
        json_array_append_new(classes, json_pack("{s:o, s:f, s:f, s:f}", "name",
                                                 thaw_json_text(e->model.info.classes[c]), "recall",
                                                 m->recall[c], "precision", m->precision[c], "f1",
                                                 m->f1[c]));
    return thaw_cli_print_json(json_pack(
        "{s:o, s:I, s:f, s:f, s:f, s:f, s:o, s:o}", "set", thaw_json_text(e->set), "photos",
        (json_int_t)m->count, "loss", m->loss, "top1", m->top1, "balanced", m->balanced, "macro_f1",
        m->macro_f1, "classes", classes, "confusion", thaw_metrics_confusion_json(m)));
}

static thaw_status read_part(const struct values *values, enum thaw_set *ret_part) {
    *ret_part = THAW_SET_VAL;
    if (!values->part)
        return THAW_OK;
    if (values->data)
        return thaw_fail(THAW_ERROR_INPUT,
                         "thaw eval: --part is of the run's own data, --data another folder");
    for (int set = 0; set < THAW_SET_COUNT; set++)
        if (!strcmp(values->part, thaw_set_names[set])) {
            *ret_part = (enum thaw_set)set;
            return THAW_OK;
        }
    return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "thaw eval: unknown part \"%s\"", values->part),
                     "expected val, test or train");
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    enum thaw_set part;
    THAW_TRY(read_part(values, &part));
    struct thaw_evaluation_options evaluation_options = {.run = cli->arguments.items[0],
                                                         .data = values->data,
                                                         .part = part,
                                                         .batch = values->batch,
                                                         .interrupted = cli->interrupted,
                                                         .on_working = thaw_progress_working,
                                                         .user = cli->progress};
    if (values->model && !values->verify)
        return thaw_fail(THAW_ERROR_INPUT, "--model goes with --verify");
    if (values->verify && (values->data || values->part))
        return thaw_fail(THAW_ERROR_INPUT, "--verify takes no --%s: it looks at the model alone",
                         values->data ? "data" : "part");
    if (values->verify)
        return thaw_eval_verify(cli, cli->arguments.items[0], values->model);
    struct thaw_evaluation evaluation = {0};
    thaw_device *device = NULL;
    THAW_TRY(thaw_cli_open_run_device(cli, cli->arguments.items[0], &device));
    thaw_status status = thaw_evaluate_run(device, &evaluation_options, &evaluation);
    thaw_progress_clear(cli->progress);
    if (status == THAW_OK && cli->json)
        status = print_json(&evaluation);
    else if (status == THAW_OK)
        print_people(&evaluation, cli->verbose);
    thaw_evaluation_finish(&evaluation);
    thaw_device_destroy(&device);
    return status;
}

const struct thaw_command thaw_command_eval = {
    .name = "eval",
    .summary = "metrics of a run, on a part of its data or on another folder",
    .usage = "RUN [--part val|test|train | --data DIR | --verify [--model FILE]] [--device SPEC]\n"
             "              [--json]",
    .help = "Evaluates the kept weights of a run: loss, top-1, balanced accuracy, macro F1, each "
            "class,\n"
            "and the confusion matrix. Classes and preprocessing come from the run.\n\n"
            "With --verify nothing is evaluated: hashes prove that the model file is the one that\n"
            "the run kept, and that what each stage froze has not changed by a bit since it was\n"
            "loaded. Exits with 1 and names each tensor that does not match.\n\n"
            "examples:\n"
            "  thaw eval runs/solar-cells\n"
            "  thaw eval --verify runs/solar-cells\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
