#include "train/experiment.h"

#include "train/model.h"

/* The model document with the input in use, so that what is built and what is saved agree. */
static thaw_status resolve_input(struct thaw_experiment *e) {
    const thaw_yaml *input = thaw_yaml_get(e->config->graph, "input");
    struct thaw_text text = {0};
    thaw_yaml *emitted = NULL, *document = NULL;
    if (!input)
        return thaw_yaml_fail(e->config->graph,
                              "a model needs `input: {channels: 3, size: 224, ...}`");
    THAW_TRY(thaw_input_spec_parse(input, e->config->model, &e->input));
    thaw_input_spec_emit(&e->input, &text);
    thaw_status status = text.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory") : THAW_OK;
    if (status == THAW_OK)
        status = thaw_yaml_parse(&e->arena, text.text, text.length, "input", &emitted);
    thaw_text_finish(&text);
    THAW_TRY(status);
    THAW_TRY(thaw_yaml_copy(&e->arena, e->config->graph, &document));
    THAW_TRY(thaw_yaml_put(&e->arena, document, "input", emitted));
    e->document = document;
    return THAW_OK;
}

struct thaw_graph_options thaw_experiment_options(const struct thaw_experiment *e,
                                                  const thaw_device *device) {
    return (struct thaw_graph_options){
        .caps = thaw_device_get_caps(device),
        .size = e->input.size,
        .classes = (int)e->dataset->class_count,
        .head = e->config->head,
        .dropout = e->config->dropout,
    };
}

static thaw_status open_all(struct thaw_experiment *e, thaw_device *device) {
    const struct thaw_config *config = e->config;
    THAW_TRY(resolve_input(e));
    THAW_TRY(thaw_dataset_config_parse(&e->arena, config->data, &e->data));
    THAW_TRY(thaw_dataset_open(&e->data, &e->dataset));
    struct thaw_graph_options options = thaw_experiment_options(e, device);
    THAW_TRY(thaw_graph_build(e->document, &options, &e->graph));
    THAW_TRY(thaw_graph_create_params(e->graph, device));
    struct thaw_model_allow allow = {config->allow_missing, config->allow_unexpected,
                                     config->allow_mismatch};
    if (config->weights)
        THAW_TRY(
            thaw_model_load_weights(e->graph, config->weights, &allow, &e->weights, &e->report));
    return thaw_graph_initialise(e->graph, config->seed);
}

thaw_status thaw_experiment_open(const struct thaw_config *config, thaw_device *device,
                                 struct thaw_experiment *ret_experiment) {
    struct thaw_experiment experiment = {.config = config};
    thaw_status status = open_all(&experiment, device);
    if (status != THAW_OK)
        thaw_experiment_finish(&experiment);
    else
        *ret_experiment = experiment;
    return status;
}

void thaw_experiment_finish(struct thaw_experiment *experiment) {
    thaw_load_report_finish(&experiment->report);
    thaw_weights_finish(&experiment->weights);
    thaw_graph_destroy(&experiment->graph);
    thaw_dataset_destroy(&experiment->dataset);
    thaw_arena_finish(&experiment->arena);
    *experiment = (struct thaw_experiment){0};
}
