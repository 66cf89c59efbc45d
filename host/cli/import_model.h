/* The end of `thaw import` for files that hold a network and not only weights: a model YAML and a
 * safetensors file beside it. */
#ifndef THAW_CLI_IMPORT_MODEL_H
#define THAW_CLI_IMPORT_MODEL_H

#include "cli/cli.h"
#include "io/weights.h"

/* What -o names: "flowers", "flowers.yaml" and "flowers.safetensors" are all the pair flowers.yaml,
 * flowers.safetensors, of the model `flowers`. Texts are of the arena. */
struct thaw_import_paths {
    const char *model, *weights; /* paths */
    const char *name;
};
thaw_status thaw_import_paths_make(struct thaw_arena *arena, const char *output,
                                   struct thaw_import_paths *ret_paths);

struct thaw_imported_model {
    const char *yaml;
    const struct thaw_weights *weights; /* without tensors: no file is written for them */
    const char *const *notes;
    size_t note_count;
};

/* Writes the weights, then the model, and prints what was written. */
thaw_status thaw_import_write(const struct thaw_cli *cli, const struct thaw_import_paths *paths,
                              const struct thaw_imported_model *model);

/* Parts of the result that both kinds of import print. */
void thaw_import_print_table(const struct thaw_weights *weights);
void thaw_import_print_summary(const struct thaw_weights *weights, const char *output);
json_t *thaw_import_list_tensors(const struct thaw_weights *weights);
size_t thaw_import_size_bytes(const struct thaw_weights *weights);

#endif
