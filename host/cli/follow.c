#include "cli/follow.h"

static void on_message(void *user, const char *text) {
    const struct thaw_cli_follow *show = user;
    thaw_progress_line(show->cli->progress, "%s", text);
}

static void on_working(void *user, const char *what, size_t done, size_t total) {
    const struct thaw_cli_follow *show = user;
    thaw_progress_working(show->cli->progress, what, done, total);
}

static void on_load(void *user, const char *file, const struct thaw_load_report *report) {
    const struct thaw_cli_follow *show = user;
    if (show->brief)
        return;
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
    const struct thaw_cli_follow *show = user;
    int left_s = (int)(p->stage_left_s + 0.5);
    thaw_progress_update(show->cli->progress,
                         "%s  epoch %d/%d  step %d/%d  loss %.4f  %.0f images/s  %d:%02d left",
                         p->stage, p->epoch, p->epochs, p->step, p->steps, p->loss, p->images_per_s,
                         left_s / 60, left_s % 60);
}

static void on_epoch(void *user, const struct thaw_train_progress *p) {
    const struct thaw_cli_follow *show = user;
    if (!p->val) {
        thaw_progress_line(show->cli->progress, "%-10s epoch %3d/%d  loss %.4f  %.0f images/s",
                           p->stage, p->epoch, p->epochs, p->loss, p->images_per_s);
        return;
    }
    thaw_progress_line(show->cli->progress,
                       "%-10s epoch %3d/%d  loss %.4f  val: loss %.4f  top1 %.4f  balanced %.4f  "
                       "F1 %.4f  %.0f images/s%s",
                       p->stage, p->epoch, p->epochs, p->loss, p->val->loss, p->val->top1,
                       p->val->balanced, p->val->macro_f1, p->images_per_s, p->kept ? "  *" : "");
}

struct thaw_train_events thaw_cli_follow_training(struct thaw_cli_follow *show) {
    return (struct thaw_train_events){.user = show,
                                      .interrupted = show->cli->interrupted,
                                      .on_message = on_message,
                                      .on_working = on_working,
                                      .on_load = on_load,
                                      .on_step = on_step,
                                      .on_epoch = on_epoch};
}
