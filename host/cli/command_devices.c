/* thaw devices: what OpenCL offers here, and which device would be used. */
#include <stdlib.h>

#include "cli/cli.h"
#include "thaw/device.h"

#define MIB (1024.0 * 1024.0)
#define GIB (1024.0 * MIB)

static const char *type_name(enum thaw_device_type type) {
    return type == THAW_DEVICE_GPU ? "gpu" : type == THAW_DEVICE_CPU ? "cpu" : "other";
}

static void print_features(const struct thaw_device_info *info) {
    const struct {
        bool has;
        const char *name;
    } features[] = {
        {info->has_fp16, "fp16"},
        {info->has_fp64, "fp64"},
        {info->has_subgroups, "sub-groups"},
        {info->unified_memory, "memory shared with the host"},
    };
    const char *separator = "     features  ";
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (features[i].has) {
            printf("%s%s", separator, features[i].name);
            separator = ", ";
        }
    if (separator[0] == ',')
        printf("\n");
}

static void print_device(const struct thaw_device_info *info, bool is_chosen) {
    printf("%s %d  %s (%s)\n", is_chosen ? "*" : " ", info->index, info->name,
           type_name(info->type));
    if (info->unusable[0])
        printf("     can't be used: %s\n", info->unusable);
    printf("     platform  %s, by %s\n", info->platform, info->vendor);
    printf("     version   %s, %s, driver %s\n", info->version, info->c_version, info->driver);
    printf("     compute   %u units, %u MHz, vectors of %u floats, work-groups up to %zu\n",
           info->compute_units, info->clock_mhz, info->native_vector_width_float,
           info->max_work_group_size);
    printf("     memory    %.1f GiB, %.1f GiB in one buffer, %.0f KiB local%s\n",
           (double)info->global_memory_bytes / GIB, (double)info->max_allocation_bytes / GIB,
           (double)info->local_memory_bytes / 1024.0,
           info->local_memory_is_global ? " (no faster than global)" : "");
    print_features(info);
}

static json_t *device_json(const struct thaw_device_info *info) {
    return json_pack(
        "{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, "
        "s:b, "
        "s:b, s:b, s:b}",
        "index", info->index, "type", type_name(info->type), "name", thaw_json_text(info->name),
        "platform", thaw_json_text(info->platform), "vendor", thaw_json_text(info->vendor),
        "version", thaw_json_text(info->version), "c_version", thaw_json_text(info->c_version),
        "driver", thaw_json_text(info->driver), "unusable",
        info->unusable[0] ? thaw_json_text(info->unusable) : json_null(), "compute_units",
        (json_int_t)info->compute_units, "clock_mhz", (json_int_t)info->clock_mhz,
        "native_vector_width_float", (json_int_t)info->native_vector_width_float,
        "global_memory_bytes", (json_int_t)info->global_memory_bytes, "max_allocation_bytes",
        (json_int_t)info->max_allocation_bytes, "local_memory_bytes",
        (json_int_t)info->local_memory_bytes, "local_memory_is_global",
        info->local_memory_is_global, "max_work_group_size", (json_int_t)info->max_work_group_size,
        "unified_memory", info->unified_memory, "fp16", info->has_fp16, "fp64", info->has_fp64,
        "subgroups", info->has_subgroups);
}

/* `chosen` is an index, or -1 when no device can be used. */
static thaw_status print_json(const struct thaw_device_info *infos, size_t count, int chosen) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, device_json(&infos[i]))) {
            json_decref(list);
            return thaw_cli_print_json(NULL);
        }
    return thaw_cli_print_json(
        json_pack("{s:o, s:o}", "devices", list, "chosen",
                  chosen < 0 ? json_null() : json_integer((json_int_t)chosen)));
}

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    (void)values;
    struct thaw_device_info *infos = NULL, chosen;
    size_t count = 0;
    THAW_TRY(thaw_device_list(&infos, &count));
    thaw_status choice = thaw_device_choose(cli->device, &chosen);
    int index = choice == THAW_OK ? chosen.index : -1;
    thaw_status status = THAW_OK;
    if (cli->json) {
        status = print_json(infos, count, index);
    } else {
        for (size_t i = 0; i < count; i++)
            print_device(&infos[i], infos[i].index == index);
        if (index >= 0)
            printf("\n* is used unless --device or THAW_DEVICE says otherwise\n");
    }
    free(infos);
    /* The list is worth printing even when the choice fails; the failure is still the result. */
    return status == THAW_OK ? choice : status;
}

const struct thaw_command thaw_command_devices = {
    .name = "devices",
    .summary = "list OpenCL devices, what each can do, and the one that would be used",
    .usage = "[--device SPEC] [--json]",
    .help = "Lists every device of every OpenCL platform. The one marked * would be used: the one\n"
            "that --device or THAW_DEVICE names, else the strongest GPU, else a CPU. Without any\n"
            "device, says what to install.\n\n"
            "example:\n"
            "  thaw devices --device gpu\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_JSON,
    .run = run,
};
