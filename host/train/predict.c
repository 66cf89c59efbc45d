/* Prediction with a trained model: the implementation of include/thaw/model.h. */
#include <math.h>
#include <stdlib.h>

#include "data/augment.h"
#include "graph/exec.h"
#include "thaw/model.h"
#include "train/model.h"

struct thaw_model {
    struct thaw_trained_model trained;
    struct thaw_input_spec input;
    thaw_device *device;
    thaw_augmenter *augmenter;
    thaw_exec *exec;
    int batch;
    float *logits;
};

static thaw_status open_model(const char *path, thaw_model *model) {
    THAW_TRY(thaw_trained_model_open(path, model->device, &model->trained));
    const thaw_yaml *input = thaw_yaml_get(model->trained.info.document, "input");
    THAW_TRY(thaw_input_spec_parse(input, NULL, &model->input));
    THAW_TRY(thaw_augmenter_create(model->device, &model->input, NULL, 0, &model->augmenter));
    struct thaw_exec_options exec_options = {.batch = model->batch,
                                             .conv_candidate = model->trained.conv_candidate};
    THAW_TRY(thaw_exec_create(model->trained.graph, &exec_options, &model->exec));
    model->logits = malloc((size_t)model->batch * model->trained.info.class_count * sizeof(float));
    return model->logits ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

thaw_status thaw_model_open(const char *path, thaw_device *device, int batch,
                            thaw_model **ret_model) {
    thaw_model *model = calloc(1, sizeof *model);
    if (!model)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    model->device = device;
    model->batch = batch > 0 ? batch : 1;
    thaw_status status = open_model(path, model);
    if (status != THAW_OK)
        thaw_model_destroy(&model);
    else
        *ret_model = model;
    return status;
}

void thaw_model_destroy(thaw_model **model) {
    if (!model || !*model)
        return;
    thaw_exec_destroy(&(*model)->exec);
    thaw_augmenter_destroy(&(*model)->augmenter);
    thaw_trained_model_finish(&(*model)->trained);
    free((*model)->logits);
    free(*model);
    *model = NULL;
}

size_t thaw_model_class_count(const thaw_model *model) {
    return model->trained.info.class_count;
}

const char *thaw_model_class_name(const thaw_model *model, size_t index) {
    return index < model->trained.info.class_count ? model->trained.info.classes[index] : NULL;
}

static void softmax(const float *logits, size_t count, float *ret_probabilities) {
    double largest = logits[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    for (size_t i = 0; i < count; i++)
        sum += exp(logits[i] - largest);
    for (size_t i = 0; i < count; i++)
        ret_probabilities[i] = (float)(exp(logits[i] - largest) / sum);
}

static thaw_status predict_batch(thaw_model *model, const char *const *paths, size_t count,
                                 struct thaw_image *images, float *ret_probabilities) {
    size_t classes = thaw_model_class_count(model);
    const struct thaw_graph *graph = model->trained.graph;
    struct thaw_op_step step = {.batch = (int)count};
    for (size_t i = 0; i < count; i++)
        THAW_TRY(thaw_image_decode(paths[i], &model->input.image, &images[i]));
    struct thaw_augment_batch batch = {.images = images, .count = (int)count};
    THAW_TRY(
        thaw_augmenter_run(model->augmenter, &batch, thaw_exec_input(model->exec), NULL, NULL));
    THAW_TRY(thaw_exec_forward(model->exec, &step));
    THAW_TRY(thaw_tensor_read(model->device, thaw_exec_output(model->exec, graph->output),
                              (int)count, model->logits));
    for (size_t i = 0; i < count; i++)
        softmax(model->logits + i * classes, classes, ret_probabilities + i * classes);
    return THAW_OK;
}

thaw_status thaw_model_predict_files(thaw_model *model, const char *const *paths, size_t count,
                                     float *ret_probabilities) {
    size_t batch = (size_t)model->batch, classes = thaw_model_class_count(model);
    struct thaw_image *images = calloc(batch, sizeof *images);
    thaw_status status = images ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (size_t first = 0; first < count && status == THAW_OK; first += batch) {
        size_t n = count - first < batch ? count - first : batch;
        status =
            predict_batch(model, paths + first, n, images, ret_probabilities + first * classes);
        for (size_t i = 0; i < n; i++) {
            thaw_image_finish(&images[i]);
            images[i] = (struct thaw_image){0};
        }
    }
    free(images);
    return status;
}
