/* thaw init: a first experiment for a folder of photos. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/advise.h"
#include "core/file.h"

struct values {
    const char *model, *weights, *output;
    bool overwrite;
};
static const struct values defaults = {.output = "thaw.yaml"};

static const struct thaw_option options[] = {
    {"model", 0, THAW_OPTION_TEXT, offsetof(struct values, model), "NAME",
     "a built-in model or a YAML file", 0, 0},
    {"weights", 0, THAW_OPTION_TEXT, offsetof(struct values, weights), "FILE",
     "its pretrained weights", 0, 0},
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "FILE",
     "the experiment to write (thaw.yaml)", 0, 0},
    {"overwrite", 0, THAW_OPTION_FLAG, offsetof(struct values, overwrite), NULL,
     "replace FILE if it exists", 0, 0},
};

/* ---- weights that are there ----------------------------------------------------------------- */

static bool is_weights(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".pth") || !strcmp(dot, ".pt") || !strcmp(dot, ".safetensors"));
}

/* The first entry of a folder, by name, that `accepts`; NULL when there is none. */
static const char *first_entry(struct thaw_arena *arena, const char *path,
                               bool (*accepts)(const char *path, const char *name, void *user),
                               void *user) {
    const char *first = NULL;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && (!first || strcmp(entry->d_name, first) < 0) &&
            accepts(path, entry->d_name, user))
            first = thaw_arena_copy(arena, entry->d_name);
    if (folder)
        closedir(folder);
    return first;
}

static bool accepts_weights(const char *path, const char *name, void *user) {
    (void)path;
    (void)user;
    return is_weights(name);
}

struct search {
    struct thaw_arena *arena;
    const char *model; /* wanted, or NULL: any that is built in */
};

/* "efficientnet-lite0" of the cache is for efficientnet_lite0. */
static char *model_of_folder(struct thaw_arena *arena, const char *folder) {
    char *model = thaw_arena_copy(arena, folder);
    for (char *c = model; c && *c; c++)
        if (*c == '-')
            *c = '_';
    return model;
}

static bool accepts_model(const char *path, const char *name, void *user) {
    const struct search *search = user;
    const char *model = model_of_folder(search->arena, name);
    char *folder = thaw_path_join(search->arena, path, name);
    thaw_yaml *document;
    return model && folder && (!search->model || !strcmp(model, search->model)) &&
           first_entry(search->arena, folder, accepts_weights, NULL) &&
           thaw_model_document(search->arena, model, NULL, &document) == THAW_OK;
}

static thaw_status no_weights(const char *model, const char *path) {
    thaw_fail(THAW_ERROR_INPUT, "there are no weights for %s in %s", model ? model : "any model",
              path);
    return thaw_hint(THAW_ERROR_INPUT,
                     "give --model NAME --weights FILE (PyTorch's .pth or safetensors), or let "
                     "./quickstart.sh fetch those of efficientnet_lite0");
}

/* Fills in what the command line leaves open, from what the cache holds. */
static thaw_status choose_weights(const struct thaw_cli *cli, const struct values *values,
                                  const char **model, const char **weights) {
    struct search search = {cli->arena, values->model};
    char *cache = NULL;
    *model = values->model;
    *weights = values->weights;
    if (values->weights && !values->model)
        return thaw_fail(THAW_ERROR_INPUT, "--weights needs --model, the network they are for");
    if (values->weights)
        return THAW_OK;
    THAW_TRY(thaw_path_cache_directory(cli->arena, &cache));
    char *path = thaw_path_join(cli->arena, cache, "examples");
    if (!path)
        return THAW_ERROR_MEMORY;
    const char *folder = first_entry(cli->arena, path, accepts_model, &search);
    if (!folder)
        return no_weights(values->model, path);
    path = thaw_path_join(cli->arena, path, folder);
    *model = model_of_folder(cli->arena, folder);
    *weights = path ? first_entry(cli->arena, path, accepts_weights, NULL) : NULL;
    *weights = *weights ? thaw_path_join(cli->arena, path, *weights) : NULL;
    if (!*weights || !*model)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (!cli->json)
        printf("model: %s, weights: %s (found in the cache)\n", *model, *weights);
    return THAW_OK;
}

/* ---- the experiment ------------------------------------------------------------------------- */

static thaw_status put(struct thaw_arena *arena, thaw_yaml *map, const char *key, const char *text,
                       bool quoted) {
    thaw_yaml *value = text ? thaw_yaml_new_scalar(arena, text, NULL) : NULL;
    if (!value)
        return THAW_ERROR_MEMORY;
    value->file = "init"; /* paths are absolute, or relative to where the command stands */
    value->quoted = quoted;
    return thaw_yaml_put(arena, map, key, value);
}

static thaw_status absolute(struct thaw_arena *arena, const char *path, const char **ret_path) {
    char *real = realpath(path, NULL);
    if (!real)
        return thaw_fail(THAW_ERROR_INPUT, "%s: does not exist", path);
    *ret_path = thaw_arena_copy(arena, real);
    free(real);
    return *ret_path ? THAW_OK : THAW_ERROR_MEMORY;
}

/* photos/<class>, or photos/train/<class> with photos/val/<class>. */
static thaw_status describe_data(struct thaw_arena *arena, const char *root, thaw_yaml *data) {
    char *train = thaw_path_join(arena, root, "train"), *val = thaw_path_join(arena, root, "val");
    if (!train || !val)
        return THAW_ERROR_MEMORY;
    bool parts = thaw_path_is_directory(train) && thaw_path_is_directory(val);
    THAW_TRY(put(arena, data, "format", "folder", false));
    THAW_TRY(put(arena, data, "root", parts ? train : root, true));
    return parts ? put(arena, data, "val_root", val, true) : put(arena, data, "val", "0.2", false);
}

static thaw_status make_document(struct thaw_arena *arena, const char *root, const char *graph,
                                 const char *weights, thaw_yaml **ret_document) {
    thaw_yaml *root_map, *model, *data;
    THAW_TRY(thaw_yaml_parse(arena, "{}", 2, "init", &root_map));
    THAW_TRY(thaw_yaml_parse(arena, "{}", 2, "init", &model));
    THAW_TRY(thaw_yaml_parse(arena, "{}", 2, "init", &data));
    if (thaw_model_name_is_path(graph))
        THAW_TRY(absolute(arena, graph, &graph));
    THAW_TRY(absolute(arena, weights, &weights));
    THAW_TRY(put(arena, model, "graph", graph, false));
    THAW_TRY(put(arena, model, "weights", weights, true));
    THAW_TRY(describe_data(arena, root, data));
    THAW_TRY(thaw_yaml_put(arena, root_map, "model", model));
    *ret_document = root_map;
    return thaw_yaml_put(arena, root_map, "data", data);
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    const char *root = NULL, *model = NULL, *weights = NULL, *photos = cli->arguments.items[0];
    thaw_yaml *document = NULL;
    struct thaw_config config;
    thaw_device *device = NULL;
    if (!thaw_path_is_directory(photos))
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s: is no folder", photos),
                         "expected a folder with a folder of photos for each class");
    THAW_TRY(thaw_advise_config_check(NULL, values->output, values->overwrite));
    THAW_TRY(absolute(cli->arena, photos, &root));
    THAW_TRY(choose_weights(cli, values, &model, &weights));
    THAW_TRY(make_document(cli->arena, root, model, weights, &document));
    THAW_TRY(thaw_config_read_untrained(document, values->output, &config));
    const char *slash = strrchr(root, '/');
    struct thaw_advise_values advise = {.output = values->output,
                                        .overwrite = values->overwrite,
                                        .name = slash && slash[1] ? slash + 1 : NULL,
                                        .images = THAW_ADVISE_IMAGES};
    if (advise.name && advise.name[0] == '.')
        advise.name = NULL; /* can't name a run folder */
    struct thaw_device_options device_options = {.block = config.block};
    thaw_status status = thaw_device_open(cli->device, &device_options, &device);
    if (status == THAW_OK)
        status = thaw_cli_advise(cli, &advise, &config, device);
    if (status == THAW_OK && !cli->json)
        printf("next: thaw train %s\n", values->output);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_init = {
    .name = "init",
    .summary = "write a first experiment for a folder of photos",
    .usage = "DIR [--model NAME [--weights FILE]] [-o FILE] [--overwrite] [--json]",
    .help = "Writes an experiment for DIR, which has a folder of photos for each class (or train/\n"
            "and val/ with those), with the regime that `thaw advise` recommends and the evidence\n"
            "as comments. Without --weights it takes what the cache has for the model, without\n"
            "--model the first built-in model that the cache has weights for.\n\n"
            "example:\n"
            "  thaw init photos --model resnet18 --weights resnet18.pth\n",
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
