/* thaw train: runs an experiment and writes its run folder. */
#include <string.h>

#include "cli/cli.h"
#include "train/trainer.h"

struct values {
    bool resume, overwrite;
};

static const struct thaw_option options[] = {
    {"resume", 'r', THAW_OPTION_FLAG, offsetof(struct values, resume), NULL,
     "continue the run in the folder from its last checkpoint", 0, 0},
    {"overwrite", 0, THAW_OPTION_FLAG, offsetof(struct values, overwrite), NULL,
     "replace an earlier run in the folder", 0, 0},
};

/* What the callbacks need, and the last epoch for the summary. */
struct show {
    const struct thaw_cli *cli;
    struct thaw_metrics last; /* arrays are copies of the arena */
    struct thaw_train_progress kept;
    double kept_loss, kept_top1, kept_balanced, kept_macro_f1;
    bool any;
};

static void on_message(void *user, const char *text) {
    const struct show *show = user;
    thaw_progress_line(show->cli->progress, "%s", text);
}

static void on_working(void *user, const char *what, size_t done, size_t total) {
    const struct show *show = user;
    thaw_progress_update(show->cli->progress, "%s %zu/%zu", what, done, total);
}

static void on_load(void *user, const char *file, const struct thaw_load_report *report) {
    const struct show *show = user;
    const struct {
        const char *what;
        const struct thaw_load_list *list;
    } lists[] = {{"newly initialised", &report->missing},
                 {"shape differs, newly initialised", &report->mismatched},
                 {"left over", &report->unexpected}};
    thaw_progress_line(show->cli->progress,
                       "%s: %zu tensors loaded, %zu missing, %zu of another shape, %zu left over",
                       file, report->loaded.count, report->missing.count, report->mismatched.count,
                       report->unexpected.count);
    for (size_t l = 0; l < 3; l++)
        for (size_t i = 0; i < lists[l].list->count; i++) {
            const struct thaw_load_entry *entry = &lists[l].list->items[i];
            thaw_progress_line(show->cli->progress, "  %s: %s", lists[l].what,
                               entry->wanted ? entry->wanted->name : entry->weight->name);
        }
}

static void on_step(void *user, const struct thaw_train_progress *p) {
    const struct show *show = user;
    int left_s = (int)(p->stage_left_s + 0.5);
    thaw_progress_update(show->cli->progress,
                         "%s  epoch %d/%d  step %d/%d  loss %.4f  %.0f images/s  %d:%02d left",
                         p->stage, p->epoch, p->epochs, p->step, p->steps, p->loss, p->images_per_s,
                         left_s / 60, left_s % 60);
}

static void on_epoch(void *user, const struct thaw_train_progress *p) {
    struct show *show = user;
    if (!p->val) {
        thaw_progress_line(show->cli->progress, "%-10s epoch %3d/%d  loss %.4f  %.0f images/s",
                           p->stage, p->epoch, p->epochs, p->loss, p->images_per_s);
    } else {
        thaw_progress_line(
            show->cli->progress,
            "%-10s epoch %3d/%d  loss %.4f  val: loss %.4f  top1 %.4f  balanced %.4f  F1 "
            "%.4f  %.0f images/s%s",
            p->stage, p->epoch, p->epochs, p->loss, p->val->loss, p->val->top1, p->val->balanced,
            p->val->macro_f1, p->images_per_s, p->kept ? "  *" : "");
    }
    if (!p->kept)
        return;
    show->any = p->val != NULL;
    show->kept = *p;
    if (p->val) {
        show->kept_loss = p->val->loss;
        show->kept_top1 = p->val->top1;
        show->kept_balanced = p->val->balanced;
        show->kept_macro_f1 = p->val->macro_f1;
    }
}

static thaw_status print_result(const struct show *show, const struct thaw_config *config,
                                const char *folder) {
    const struct thaw_cli *cli = show->cli;
    if (cli->json)
        return thaw_cli_print_json(json_pack(
            "{s:s, s:o, s:o}", "name", config->name, "run", thaw_cli_json_text(folder), "kept",
            show->any
                ? json_pack("{s:s, s:i, s:f, s:f, s:f, s:f}", "stage", show->kept.stage, "epoch",
                            show->kept.epoch, "loss", show->kept_loss, "top1", show->kept_top1,
                            "balanced", show->kept_balanced, "macro_f1", show->kept_macro_f1)
                : json_null()));
    if (show->any)
        printf("kept: stage '%s', epoch %d: top1 %.4f, balanced %.4f, macro F1 %.4f, loss %.4f\n",
               show->kept.stage, show->kept.epoch, show->kept_top1, show->kept_balanced,
               show->kept_macro_f1, show->kept_loss);
    printf("run: %s\nnext: thaw eval %s; thaw predict %s PHOTO...\n", folder, folder, folder);
    return THAW_OK;
}

static thaw_status train(const struct thaw_cli *cli, const struct values *values,
                         const struct thaw_config *config) {
    thaw_device *device = NULL;
    struct thaw_device_options device_options = {.block = config->block};
    struct show show = {.cli = cli};
    struct thaw_train_events events = {.user = &show,
                                       .interrupted = cli->interrupted,
                                       .on_message = on_message,
                                       .on_working = on_working,
                                       .on_load = on_load,
                                       .on_step = on_step,
                                       .on_epoch = on_epoch};
    struct thaw_train_options train_options = {.resume = values->resume,
                                               .overwrite = values->overwrite};
    char *folder = thaw_train_folder(cli->arena, config);
    if (!folder)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_device_open(cli->device, &device_options, &device));
    thaw_progress_line(cli->progress, "%s on %s", config->name, thaw_device_get_info(device)->name);
    thaw_status status = thaw_train(config, device, &train_options, &events);
    thaw_progress_clear(cli->progress);
    thaw_device_destroy(&device);
    return status == THAW_OK ? print_result(&show, config, folder) : status;
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    struct thaw_config config;
    THAW_TRY(thaw_config_load(cli->arguments.items[0], cli->sets.items, cli->sets.count, &config));
    thaw_status status = train(cli, values, &config);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_train = {
    .name = "train",
    .summary = "run an experiment: fine-tune a network on photos",
    .usage = "CONFIG [--resume | --overwrite] [--set key.path=value]... [--device SPEC] [--json]",
    .help =
        "Runs the stages of the experiment and writes the run folder <output>/<name>: the kept\n"
        "weights, a checkpoint, metrics, the split, and a proof of what was frozen. Ctrl-C writes "
        "a\n"
        "checkpoint and exits with 130; --resume continues to the same bits.\n\n"
        "example:\n"
        "  thaw train solar-cells.yaml --set seed=1 --set name=solar-1\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .catches_interrupt = true,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .run = run,
};
