#include "cli/import_model.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "io/safetensors.h"

/* ---- tensors -------------------------------------------------------------------------------- */

struct totals {
    size_t size_bytes, dtypes[THAW_DTYPE_COUNT];
};

static struct totals count(const struct thaw_weights *weights) {
    struct totals totals = {0};
    for (size_t i = 0; i < weights->count; i++) {
        totals.size_bytes += weights->items[i].size_bytes;
        totals.dtypes[weights->items[i].dtype]++;
    }
    return totals;
}

size_t thaw_import_size_bytes(const struct thaw_weights *weights) {
    return count(weights).size_bytes;
}

void thaw_import_print_table(const struct thaw_weights *weights) {
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        char shape[THAW_SHAPE_TEXT_SIZE];
        thaw_shape_text(weight->rank, weight->dims, shape);
        printf("%-5s %-16s %s\n", thaw_dtype_name(weight->dtype), shape, weight->name);
    }
}

/* "model.safetensors: 296 tensors, 18.8 MB (296 F32), from torch_legacy" */
void thaw_import_print_summary(const struct thaw_weights *weights, const char *output) {
    struct totals totals = count(weights);
    const char *separator = "";
    printf("%s: %zu tensors, %.1f MB (", output, weights->count, (double)totals.size_bytes / 1e6);
    for (int dtype = 0; dtype < THAW_DTYPE_COUNT; dtype++) {
        if (totals.dtypes[dtype]) {
            printf("%s%zu %s", separator, totals.dtypes[dtype],
                   thaw_dtype_name((enum thaw_dtype)dtype));
            separator = ", ";
        }
    }
    printf("), from %s\n", weights->format);
}

json_t *thaw_import_list_tensors(const struct thaw_weights *weights) {
    json_t *list = json_array();
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        json_t *shape = json_array();
        for (int d = 0; d < weight->rank; d++)
            json_array_append_new(shape, json_integer(weight->dims[d]));
        json_t *entry = json_pack("{s:s, s:s, s:o}", "name", weight->name, "dtype",
                                  thaw_dtype_name(weight->dtype), "shape", shape);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- paths ---------------------------------------------------------------------------------- */

thaw_status thaw_import_paths_make(struct thaw_arena *arena, const char *output,
                                   struct thaw_import_paths *ret_paths) {
    static const char *const endings[] = {".yaml", ".safetensors"};
    char *base = thaw_arena_copy(arena, output);
    if (!base)
        return THAW_ERROR_MEMORY;
    size_t length = strlen(base);
    for (int i = 0; i < 2; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && !strcmp(base + length - ending, endings[i])) {
            base[length - ending] = '\0';
            break;
        }
    }
    const char *slash = strrchr(base, '/');
    struct thaw_import_paths paths = {.model = thaw_arena_format(arena, "%s.yaml", base),
                                      .weights = thaw_arena_format(arena, "%s.safetensors", base),
                                      .name = slash ? slash + 1 : base};
    if (!paths.model || !paths.weights)
        return THAW_ERROR_MEMORY;
    if (!*paths.name)
        return thaw_fail(THAW_ERROR_INPUT, "-o %s names a folder, expected the model to write",
                         output);
    *ret_paths = paths;
    return THAW_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static thaw_status print_json(const struct thaw_cli *cli, const struct thaw_import_paths *paths,
                              const struct thaw_imported_model *model) {
    const struct thaw_weights *weights = model->weights;
    json_t *notes = json_array();
    for (size_t i = 0; i < model->note_count; i++)
        json_array_append_new(notes, thaw_json_text(model->notes[i]));
    return thaw_cli_print_json(
        json_pack("{s:o, s:o, s:o*, s:s?, s:I, s:o, s:o}", "input",
                  thaw_json_text(cli->arguments.items[0]), "model", thaw_json_text(paths->model),
                  "output", weights->count ? thaw_json_text(paths->weights) : NULL, "format",
                  weights->format, "size_bytes", (json_int_t)count(weights).size_bytes, "tensors",
                  thaw_import_list_tensors(weights), "notes", notes));
}

thaw_status thaw_import_write(const struct thaw_cli *cli, const struct thaw_import_paths *paths,
                              const struct thaw_imported_model *model) {
    const struct thaw_weights *weights = model->weights;
    if (weights->count)
        THAW_TRY(thaw_safetensors_write(paths->weights, weights, NULL, NULL));
    THAW_TRY(thaw_file_write(paths->model, model->yaml, strlen(model->yaml)));
    if (cli->json)
        return print_json(cli, paths, model);
    if (cli->quiet)
        return THAW_OK;
    if (cli->verbose)
        thaw_import_print_table(weights);
    for (size_t i = 0; i < model->note_count; i++)
        printf("note: %s\n", model->notes[i]);
    if (weights->count)
        thaw_import_print_summary(weights, paths->weights);
    printf("%s: in an experiment, model: {graph: %s", paths->model, paths->model);
    if (weights->count)
        printf(", weights: %s", paths->weights);
    printf("}\n");
    return THAW_OK;
}
