/* Predicts photos with a model that `thaw train` wrote:
 *
 *     cc predict.c $(pkg-config --cflags --libs thaw) -o predict
 *     ./predict runs/solar-cells cell.png
 */
#include <stdio.h>
#include <stdlib.h>

#include <thaw/thaw.h>

static int fail(void) {
    fprintf(stderr, "error: %s\n", thaw_error_message());
    if (thaw_error_hint()[0])
        fprintf(stderr, "hint: %s\n", thaw_error_hint());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s RUN PHOTO...\n", argv[0]);
        return 2;
    }
    size_t photos = (size_t)argc - 2;
    thaw_device *device = NULL;
    thaw_model *model = NULL;
    float *probabilities = NULL;
    int exit_code = 1;
    if (thaw_device_open(NULL, NULL, &device) || thaw_model_open(argv[1], device, 8, &model))
        goto done;
    size_t classes = thaw_model_class_count(model);
    probabilities = malloc(photos * classes * sizeof *probabilities);
    if (!probabilities ||
        thaw_model_predict_files(model, (const char *const *)argv + 2, photos, probabilities))
        goto done;
    for (size_t i = 0; i < photos; i++) {
        const float *row = probabilities + i * classes;
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        printf("%s: %s (%.1f %%)\n", argv[i + 2], thaw_model_class_name(model, best),
               100 * (double)row[best]);
    }
    exit_code = 0;
done:
    if (exit_code)
        exit_code = fail();
    free(probabilities);
    thaw_model_destroy(&model);
    thaw_device_destroy(&device);
    return exit_code;
}
