/* thaw eval: metrics of a run. */
#include "cli/cli.h"
#include "cli/eval_verify.h"
#include "train/evaluate_run.h"

struct values {
    const char *data, *model;
    bool verify;
    int batch;
};
static const struct values defaults = {.batch = 32};

static const struct thaw_option options[] = {
    {"data", 0, THAW_OPTION_TEXT, offsetof(struct values, data), "DIR",
     "evaluate on this folder (a folder for each class) instead of the run's validation part", 0,
     0},
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "images at a time (32)", 1,
     4096},
    {"verify", 0, THAW_OPTION_FLAG, offsetof(struct values, verify), NULL,
     "check instead that the model is what the run recorded: what was frozen did not change", 0, 0},
    {"model", 0, THAW_OPTION_TEXT, offsetof(struct values, model), "FILE",
     "with --verify: this model file instead of the run's", 0, 0},
};

/* Beyond that many classes a matrix is no help to read. */
#define CONFUSION_MAX 12

static void print_confusion(const struct thaw_metrics *m, const char **classes) {
    printf("\n%-20s predicted\n%-20s", "confusion", "true");
    for (int j = 0; j < m->classes; j++)
        printf(" %11.11s", classes[j]);
    printf("\n");
    for (int i = 0; i < m->classes; i++) {
        printf("%-20.20s", classes[i]);
        for (int j = 0; j < m->classes; j++)
            printf(" %11llu", (unsigned long long)m->confusion[i * m->classes + j]);
        printf("\n");
    }
}

static void print_people(const struct thaw_evaluation *e) {
    const struct thaw_metrics *m = &e->metrics;
    const char **classes = e->model.info.classes;
    printf("%llu photos of %s\n", (unsigned long long)m->count, e->set);
    printf("top1 %.4f   balanced %.4f   macro F1 %.4f   loss %.4f\n\n", m->top1, m->balanced,
           m->macro_f1, m->loss);
    printf("%-20s %9s %9s %9s %8s\n", "class", "recall", "precision", "F1", "photos");
    for (int c = 0; c < m->classes; c++) {
        unsigned long long photos = 0;
        for (int j = 0; j < m->classes; j++)
            photos += m->confusion[c * m->classes + j];
        printf("%-20.20s %9.4f %9.4f %9.4f %8llu\n", classes[c], m->recall[c], m->precision[c],
               m->f1[c], photos);
    }
    if (m->classes <= CONFUSION_MAX)
        print_confusion(m, classes);
}

static thaw_status print_json(const struct thaw_evaluation *e) {
    const struct thaw_metrics *m = &e->metrics;
    json_t *classes = json_array(), *confusion = json_array();
    for (int c = 0; c < m->classes; c++) {
        json_t *row = json_array();
        for (int j = 0; j < m->classes; j++)
            json_array_append_new(row, json_integer((json_int_t)m->confusion[c * m->classes + j]));
        json_array_append_new(confusion, row);
        json_array_append_new(classes, json_pack("{s:o, s:f, s:f, s:f}", "name",
                                                 thaw_cli_json_text(e->model.info.classes[c]),
                                                 "recall", m->recall[c], "precision",
                                                 m->precision[c], "f1", m->f1[c]));
    }
    return thaw_cli_print_json(json_pack(
        "{s:o, s:I, s:f, s:f, s:f, s:f, s:o, s:o}", "set", thaw_cli_json_text(e->set), "photos",
        (json_int_t)m->count, "loss", m->loss, "top1", m->top1, "balanced", m->balanced, "macro_f1",
        m->macro_f1, "classes", classes, "confusion", confusion));
}

static void on_working(void *user, const char *what, size_t done, size_t total) {
    thaw_progress_update(user, "%s %zu/%zu", what, done, total);
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    struct thaw_evaluation_options evaluation_options = {.run = cli->arguments.items[0],
                                                         .data = values->data,
                                                         .batch = values->batch,
                                                         .interrupted = cli->interrupted,
                                                         .on_working = on_working,
                                                         .user = cli->progress};
    if (values->model && !values->verify)
        return thaw_fail(THAW_ERROR_INPUT, "--model goes with --verify");
    if (values->verify && values->data)
        return thaw_fail(THAW_ERROR_INPUT, "--verify takes no --data: it looks at the model alone");
    if (values->verify)
        return thaw_eval_verify(cli, cli->arguments.items[0], values->model);
    struct thaw_evaluation evaluation = {0};
    thaw_device *device = NULL;
    THAW_TRY(thaw_device_open(cli->device, NULL, &device));
    thaw_status status = thaw_evaluate_run(device, &evaluation_options, &evaluation);
    thaw_progress_clear(cli->progress);
    if (status == THAW_OK && cli->json)
        status = print_json(&evaluation);
    else if (status == THAW_OK)
        print_people(&evaluation);
    thaw_evaluation_finish(&evaluation);
    thaw_device_destroy(&device);
    return status;
}

const struct thaw_command thaw_command_eval = {
    .name = "eval",
    .summary = "metrics of a run, on its validation part or on another folder",
    .usage = "RUN [--data DIR | --verify [--model FILE]] [--device SPEC] [--json]",
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
