/* thaw cache: what lies in the folder of feature caches, and making room there. */
#include <string.h>
#include <time.h>

#include "cli/format.h"
#include "train/feature_file.h"

#define BYTES(n) thaw_format_bytes((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})

struct values {
    bool clear;
};

struct view {
    const char *folder;
    uint64_t limit_bytes, size_bytes; /* of all entries */
    struct thaw_feature_entry *entries;
    size_t count;
    size_t removed; /* by --clear */
    uint64_t removed_bytes;
};

static thaw_status look(const struct thaw_cli *cli, struct view *view) {
    THAW_TRY(thaw_feature_list(cli->arena, view->folder, &view->entries, &view->count));
    view->size_bytes = 0;
    for (size_t i = 0; i < view->count; i++)
        view->size_bytes += view->entries[i].size_bytes;
    return THAW_OK;
}

static thaw_status clear(const struct thaw_cli *cli, struct view *view) {
    uint64_t before = view->size_bytes;
    THAW_TRY(thaw_feature_shrink(view->folder, 0, &view->removed));
    THAW_TRY(look(cli, view));
    view->removed_bytes = before > view->size_bytes ? before - view->size_bytes : 0;
    return THAW_OK;
}

/* ---- printing ------------------------------------------------------------------------------- */

static const char *what_of(const struct thaw_feature_entry *entry) {
    return entry->what ? entry->what : "of another version of Thaw, or damaged";
}

static void print_entry(const struct thaw_feature_entry *entry) {
    char used[32] = "";
    struct tm local;
    if (localtime_r(&entry->used, &local))
        strftime(used, sizeof used, "%Y-%m-%d %H:%M", &local);
    printf("  %10s  %16s  %s\n", BYTES(entry->size_bytes), used, what_of(entry));
}

static void print_view(const struct thaw_cli *cli, const struct view *view, bool cleared) {
    printf("%s\n", view->folder);
    if (view->count)
        printf("  %10s  %16s  %s\n", "size", "last use", "features");
    for (size_t i = view->count; i-- > 0;) { /* the latest first */
        print_entry(&view->entries[i]);
        if (cli->verbose)
            printf("  %10s  %16s  %s\n", "", "", strrchr(view->entries[i].path, '/') + 1);
    }
    if (cleared)
        printf("removed %zu, %s; %zu left, %s\n", view->removed, BYTES(view->removed_bytes),
               view->count, BYTES(view->size_bytes));
    else if (view->limit_bytes)
        printf("%zu take %s of %s\n", view->count, BYTES(view->size_bytes),
               BYTES(view->limit_bytes));
    else
        printf("%zu take %s; THAW_CACHE_LIMIT is 0: no more are kept\n", view->count,
               BYTES(view->size_bytes));
}

static json_t *entry_json(const struct thaw_feature_entry *entry) {
    char used[32] = "";
    struct tm utc;
    if (gmtime_r(&entry->used, &utc))
        strftime(used, sizeof used, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_pack("{s:o, s:o, s:I, s:s}", "file", thaw_json_text(entry->path), "what",
                     entry->what ? thaw_json_text(entry->what) : json_null(), "size_bytes",
                     (json_int_t)entry->size_bytes, "used", used);
}

static thaw_status print_json(const struct view *view, bool cleared) {
    json_t *list = json_array();
    for (size_t i = view->count; i-- > 0;)
        if (json_array_append_new(list, entry_json(&view->entries[i]))) {
            json_decref(list);
            return thaw_cli_print_json(NULL);
        }
    json_t *root = json_pack("{s:o, s:I, s:I, s:o}", "folder", thaw_json_text(view->folder),
                             "limit_bytes", (json_int_t)view->limit_bytes, "size_bytes",
                             (json_int_t)view->size_bytes, "caches", list);
    if (root && cleared)
        json_object_update_new(root, json_pack("{s:I, s:I}", "removed", (json_int_t)view->removed,
                                               "removed_bytes", (json_int_t)view->removed_bytes));
    return thaw_cli_print_json(root);
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    const struct values *v = values;
    struct view view = {0};
    char *folder = NULL;
    THAW_TRY(thaw_feature_folder(cli->arena, &folder));
    view.folder = folder;
    THAW_TRY(thaw_feature_limit(folder, &view.limit_bytes));
    THAW_TRY(look(cli, &view));
    if (v->clear)
        THAW_TRY(clear(cli, &view));
    if (cli->json)
        return print_json(&view, v->clear);
    print_view(cli, &view, v->clear);
    return THAW_OK;
}

static const struct thaw_option options[] = {
    {"clear", 0, THAW_OPTION_FLAG, offsetof(struct values, clear), NULL,
     "remove those that no process is using", 0, 0},
};

const struct thaw_command thaw_command_cache = {
    .name = "cache",
    .summary = "the features that `cache: true` keeps on disk; --clear removes them",
    .usage = "[--clear] [--json]",
    .help = "Lists the feature caches in THAW_CACHE/features, the latest used first: of which\n"
            "model, at which node, how many values of which type, of how many views and photos.\n"
            "And how much they take, of the limit: THAW_CACHE_LIMIT, else 20 GiB or a quarter of\n"
            "the free disk. Old ones go by themselves when a new one needs room. -v names files;\n"
            "`strings FILE` says all that the values depend on.\n\n"
            "example:\n"
            "  thaw cache --clear\n",
    .takes = THAW_TAKES_JSON,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .run = run,
};
