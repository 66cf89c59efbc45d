/* thaw predict: classes of photos. */
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "thaw/model.h"

struct values {
    int top, batch;
};
static const struct values defaults = {.top = 3, .batch = 8};

static const struct thaw_option options[] = {
    {"top", 'k', THAW_OPTION_INT, offsetof(struct values, top), "K",
     "classes to show for a photo (3)", 1, 1000000},
    {"batch", 'b', THAW_OPTION_INT, offsetof(struct values, batch), "N", "photos at a time (8)", 1,
     4096},
};

/* Appends the lines of standard input. */
static thaw_status read_paths(const struct thaw_cli *cli, struct thaw_words *paths) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    thaw_status status = THAW_OK;
    while (status == THAW_OK && (length = getline(&line, &capacity, stdin)) >= 0) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = '\0';
        char *path = length ? thaw_arena_copy(cli->arena, line) : NULL;
        if (length)
            status = path ? thaw_words_append(cli->arena, paths, path) : THAW_ERROR_MEMORY;
    }
    free(line);
    return status;
}

static thaw_status collect_paths(const struct thaw_cli *cli, struct thaw_words *paths) {
    for (size_t i = 1; i < cli->arguments.count; i++) {
        const char *word = cli->arguments.items[i];
        THAW_TRY(strcmp(word, "-") ? thaw_words_append(cli->arena, paths, word)
                                   : read_paths(cli, paths));
    }
    return paths->count ? THAW_OK : thaw_fail(THAW_ERROR_INPUT, "no photos were given");
}

/* The index of the most probable class that is not marked, which it marks. */
static size_t take_best(const float *row, size_t classes, bool *taken) {
    size_t best = classes;
    for (size_t c = 0; c < classes; c++)
        if (!taken[c] && (best == classes || row[c] > row[best]))
            best = c;
    taken[best] = true;
    return best;
}

static json_t *photo_json(const thaw_model *model, const char *path, const float *row, size_t top,
                          bool *taken) {
    json_t *list = json_array();
    for (size_t k = 0; k < top; k++) {
        size_t best = take_best(row, thaw_model_class_count(model), taken);
        json_array_append_new(list, json_pack("{s:o, s:f}", "class",
                                              thaw_json_text(thaw_model_class_name(model, best)),
                                              "probability", (double)row[best]));
    }
    return json_pack("{s:o, s:o}", "file", thaw_json_text(path), "classes", list);
}

static void print_photo(const thaw_model *model, const char *path, const float *row, size_t top,
                        bool *taken) {
    printf("%s", path);
    for (size_t k = 0; k < top; k++) {
        size_t best = take_best(row, thaw_model_class_count(model), taken);
        printf("  %s %.3f", thaw_model_class_name(model, best), (double)row[best]);
    }
    printf("\n");
}

static thaw_status predict(const struct thaw_cli *cli, const struct values *values,
                           thaw_model *model) {
    struct thaw_words paths = {0};
    size_t classes = thaw_model_class_count(model);
    size_t top = (size_t)values->top < classes ? (size_t)values->top : classes;
    THAW_TRY(collect_paths(cli, &paths));
    float *rows = thaw_arena_array(cli->arena, paths.count * classes, sizeof *rows);
    bool *taken = thaw_arena_array(cli->arena, classes, sizeof *taken);
    if (!rows || !taken)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_model_predict_files(model, paths.items, paths.count, rows));
    json_t *list = json_array();
    for (size_t i = 0; i < paths.count; i++) {
        memset(taken, 0, classes * sizeof *taken);
        if (cli->json)
            json_array_append_new(
                list, photo_json(model, paths.items[i], rows + i * classes, top, taken));
        else
            print_photo(model, paths.items[i], rows + i * classes, top, taken);
    }
    if (cli->json)
        return thaw_cli_print_json(list);
    json_decref(list);
    return THAW_OK;
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    thaw_device *device = NULL;
    thaw_model *model = NULL;
    THAW_TRY(thaw_cli_open_run_device(cli, cli->arguments.items[0], &device));
    thaw_status status = thaw_model_open(cli->arguments.items[0], device, values->batch, &model);
    if (status == THAW_OK)
        status = predict(cli, values, model);
    thaw_model_destroy(&model);
    thaw_device_destroy(&device);
    return status;
}

const struct thaw_command thaw_command_predict = {
    .name = "predict",
    .summary = "the most probable classes of photos",
    .usage = "RUN FILE... [--top K] [--device SPEC] [--json]",
    .help = "Prints a line for each photo: its most probable classes with their probabilities. "
            "Classes\n"
            "and preprocessing come from the run. The file - reads paths from standard input.\n\n"
            "example:\n"
            "  find photos -name '*.jpg' | thaw predict runs/solar-cells - --top 1\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_JSON,
    .min_arguments = 2,
    .max_arguments = THAW_ANY_NUMBER,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
