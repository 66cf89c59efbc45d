#include "cli/format.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "thaw/device.h"
#include "train/model.h"

const char *thaw_format_count(uint64_t count, char text[THAW_FORMAT_SIZE]) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), out = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

const char *thaw_format_bytes(uint64_t size_bytes, char text[THAW_FORMAT_SIZE]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)size_bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, THAW_FORMAT_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

/* ---- load reports --------------------------------------------------------------------------- */

static void append_part(struct thaw_text *text, size_t count, const char *what) {
    if (count)
        thaw_text_append(text, ", %zu %s", count, what);
}

char *thaw_format_load(const struct thaw_load_report *report) {
    struct thaw_text text = {0};
    thaw_text_append(&text, "%zu tensors loaded", report->loaded.count);
    append_part(&text, report->missing.count, "newly initialised");
    append_part(&text, report->mismatched.count, "of another shape, newly initialised");
    append_part(&text, report->unexpected.count, "left over");
    append_part(&text, report->counters.count, "counters ignored");
    if (!text.failed)
        return text.text;
    thaw_text_finish(&text);
    return NULL;
}

/* Names of the entries: of the model's tensors where they have one, else of the file's. */
static json_t *names_json(const struct thaw_load_list *list) {
    json_t *names = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct thaw_load_entry *entry = &list->items[i];
        const char *name = entry->wanted ? entry->wanted->name : entry->weight->name;
        json_array_append_new(names, thaw_json_text(name));
    }
    return names;
}

json_t *thaw_json_load(const char *file, const struct thaw_load_report *report) {
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:I}", "file", thaw_json_text(file), "loaded",
                     (json_int_t)report->loaded.count, "missing", names_json(&report->missing),
                     "mismatched", names_json(&report->mismatched), "unexpected",
                     names_json(&report->unexpected), "counters",
                     (json_int_t)report->counters.count);
}

/* ---- experiments ---------------------------------------------------------------------------- */

thaw_status thaw_cli_open_experiment(const struct thaw_cli *cli, const char *path,
                                     struct thaw_config *ret_config, thaw_device **ret_device) {
    struct thaw_config config;
    THAW_TRY(thaw_config_load(path, cli->sets.items, cli->sets.count, &config));
    struct thaw_device_options options = {.block = config.block,
                                          .memory_bytes = config.memory_bytes};
    thaw_status status = thaw_device_open(cli->device, &options, ret_device);
    if (status != THAW_OK)
        thaw_config_finish(&config);
    else
        *ret_config = config;
    return status;
}

thaw_status thaw_cli_open_run_device(const struct thaw_cli *cli, const char *run,
                                     thaw_device **ret_device) {
    struct thaw_config_device settings;
    THAW_TRY(thaw_trained_device(run, &settings));
    struct thaw_device_options options = {.block = settings.block};
    return thaw_device_open(cli->device, &options, ret_device);
}
