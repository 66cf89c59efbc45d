/* Checkpoints: everything comes back to the same bits, and what is damaged is refused. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/safetensors.h"
#include "support/device.h"
#include "support/model.h"

static const char *path_of(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", test_directory(), name);
    return text;
}

static const struct thaw_train_state moment = {.stage = 1,
                                               .epoch = 4,
                                               .step = 17,
                                               .counter = 4000000000u,
                                               .stage_steps = 317,
                                               .stage_begun = true,
                                               .loss_sum = 1.0 / 3,
                                               .loss_norm = 1e-300,
                                               .has_best = true,
                                               .stage_has_best = false,
                                               .best = 0.8767123287671232,
                                               .stage_best = -0.1,
                                               .stale_epochs = 2,
                                               .elapsed_s = 123.456789};

/* A slot 0 and a count of updates for each weight of the graph's layer2, with random values. */
static struct thaw_stage_memory make_memory(struct thaw_graph *graph, bool fill) {
    struct thaw_stage_memory memory;
    assert_ok(thaw_stage_memory_init(&graph->arena, graph, &memory));
    for (size_t i = 0; i < graph->param_count; i++) {
        struct thaw_param *param = &graph->params[i];
        param->trainable = !strncmp(param->name, "layer2", 6);
    }
    assert_ok(thaw_stage_memory_create(&memory, graph, 1));
    for (size_t i = 0; i < graph->param_count && fill; i++) {
        const struct thaw_param *param = &graph->params[i];
        cl_mem slot = memory.slots[i * THAW_OPTIMIZER_SLOTS_MAX];
        float values[1024];
        size_t count = thaw_param_count_values(param);
        if (!slot)
            continue;
        assert_true(count <= 1024);
        memory.updates[i] = 5000000000u + i;
        test_random(values, count, 100 + (uint32_t)i, -1, 1);
        assert_ok(thaw_filter_write(graph->device, &param->spec->filter, slot, values));
    }
    return memory;
}

static void expect_equal_buffers(const struct thaw_graph *graph, const struct thaw_param *param,
                                 cl_mem a, cl_mem b) {
    float x[1024], y[1024];
    size_t count = thaw_param_count_values(param);
    assert_true(count <= 1024);
    assert_ok(thaw_filter_read(graph->device, &param->spec->filter, a, x));
    assert_ok(thaw_filter_read(graph->device, &param->spec->filter, b, y));
    assert_memory_equal(x, y, count * sizeof *x);
}

static void save(const struct thaw_graph *graph, const struct thaw_stage_memory *memory,
                 const char *path) {
    json_t *freeze = json_pack("{s:[{s:s}]}", "stages", "stage", "warmup");
    json_t *choices = json_pack("{s:{s:{s:s}}}", "tune", "depth", "chosen", "2");
    assert_ok(thaw_checkpoint_save(path, graph, memory, &moment, freeze, choices, "seed: 3\n"));
    json_decref(freeze);
    json_decref(choices);
}

static void round_trip(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 3);
    struct thaw_graph *other = test_model_on(test_device(), test_residual_model, NULL, 4);
    struct thaw_stage_memory memory = make_memory(graph, true), others = make_memory(other, false);
    save(graph, &memory, path_of("last.safetensors"));
    struct thaw_checkpoint *checkpoint = NULL;
    struct thaw_train_state back;
    json_t *freeze, *choices;
    assert_ok(thaw_checkpoint_open(path_of("last.safetensors"), &checkpoint));
    assert_string_equal(thaw_checkpoint_config(checkpoint), "seed: 3\n");
    assert_ok(thaw_checkpoint_state(checkpoint, &back, &freeze, &choices));
    assert_int_equal(back.stage, 1);
    assert_int_equal(back.epoch, 4);
    assert_int_equal(back.step, 17);
    assert_true(back.counter == 4000000000u);
    assert_int_equal(back.stage_steps, 317);
    assert_true(back.stage_begun && back.has_best && !back.stage_has_best);
    assert_true(back.loss_sum == moment.loss_sum && back.loss_norm == moment.loss_norm);
    assert_true(back.best == moment.best && back.stage_best == moment.stage_best);
    assert_int_equal(back.stale_epochs, 2);
    assert_true(back.elapsed_s == moment.elapsed_s);
    assert_int_equal(json_array_size(json_object_get(freeze, "stages")), 1);
    json_t *depth = json_object_get(json_object_get(choices, "tune"), "depth");
    assert_string_equal(json_string_value(json_object_get(depth, "chosen")), "2");
    json_decref(freeze);
    json_decref(choices);
    assert_ok(thaw_checkpoint_load_params(checkpoint, other));
    assert_ok(thaw_checkpoint_load_memory(checkpoint, other, &others));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t slot = i * THAW_OPTIMIZER_SLOTS_MAX;
        expect_equal_buffers(graph, param, param->value, other->params[i].value);
        if (memory.slots[slot])
            expect_equal_buffers(graph, param, memory.slots[slot], others.slots[slot]);
        assert_true(others.updates[i] == memory.updates[i]);
    }
    thaw_checkpoint_close(&checkpoint);
    thaw_checkpoint_close(&checkpoint); /* accepts NULL */
    thaw_stage_memory_clear(&memory, graph);
    thaw_stage_memory_clear(&others, other);
    thaw_graph_destroy(&graph);
    thaw_graph_destroy(&other);
}

/* Saving twice gives the same file. */
static void same_bytes(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 3);
    struct thaw_map a, b;
    save(graph, NULL, path_of("a.safetensors"));
    save(graph, NULL, path_of("b.safetensors"));
    assert_ok(thaw_map_open(path_of("a.safetensors"), &a));
    assert_ok(thaw_map_open(path_of("b.safetensors"), &b));
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.bytes, b.bytes, a.size_bytes);
    for (size_t size = 0; size < a.size_bytes; size += 1 + a.size_bytes / 40) {
        struct thaw_checkpoint *checkpoint = NULL;
        assert_ok(thaw_file_write(path_of("cut.safetensors"), a.bytes, size));
        assert_fails(thaw_checkpoint_open(path_of("cut.safetensors"), &checkpoint),
                     THAW_ERROR_INPUT, "cut.safetensors");
        assert_null(checkpoint);
    }
    thaw_map_close(&a);
    thaw_map_close(&b);
    thaw_graph_destroy(&graph);
}

static void write_metadata(const char *state, const char *freeze, const char *config) {
    struct thaw_weights weights = {0};
    if (state)
        assert_ok(thaw_weights_set_metadata(&weights, "thaw.state", state));
    if (freeze)
        assert_ok(thaw_weights_set_metadata(&weights, "thaw.freeze", freeze));
    assert_ok(thaw_weights_set_metadata(&weights, "thaw.auto", "{}"));
    if (config)
        assert_ok(thaw_weights_set_metadata(&weights, "thaw.config", config));
    assert_ok(thaw_safetensors_write(path_of("odd.safetensors"), &weights, NULL, NULL));
    thaw_weights_finish(&weights);
}

static void damaged(void **state) {
    (void)state;
    struct thaw_checkpoint *checkpoint = NULL;
    struct thaw_train_state back;
    json_t *freeze, *choices;
    assert_fails(thaw_checkpoint_open(path_of("none.safetensors"), &checkpoint), THAW_ERROR_INPUT,
                 "none.safetensors");
    write_metadata("{}", "{}", NULL);
    assert_fails(thaw_checkpoint_open(path_of("odd.safetensors"), &checkpoint), THAW_ERROR_INPUT,
                 "this is no checkpoint of Thaw");
    const char *const states[] = {NULL, "", "{}", "[1]", "{\"stage\": \"x\"}"};
    for (int i = 0; i < 5; i++) {
        write_metadata(states[i], "{}", "seed: 1\n");
        assert_ok(thaw_checkpoint_open(path_of("odd.safetensors"), &checkpoint));
        assert_fails(thaw_checkpoint_state(checkpoint, &back, &freeze, &choices), THAW_ERROR_INPUT,
                     "odd.safetensors: the checkpoint's state is damaged");
        thaw_checkpoint_close(&checkpoint);
    }
}

static size_t param_of(const struct thaw_graph *graph, const char *name) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    return (size_t)index;
}

static void of_another_model(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 3);
    struct thaw_graph *other = test_model_on(test_device(), test_branching_model, NULL, 3);
    struct thaw_stage_memory memory = make_memory(graph, true);
    struct thaw_checkpoint *checkpoint = NULL;
    save(graph, &memory, path_of("last.safetensors"));
    assert_ok(thaw_checkpoint_open(path_of("last.safetensors"), &checkpoint));
    assert_fails(thaw_checkpoint_load_params(checkpoint, other), THAW_ERROR_INPUT,
                 "the checkpoint has no stem.weight that fits the model");
    thaw_checkpoint_close(&checkpoint);
    cl_mem *slot = &memory.slots[param_of(graph, "layer2.0.bn2.bias") * THAW_OPTIMIZER_SLOTS_MAX];
    thaw_buffer_destroy(slot); /* updated, but without its momentum */
    save(graph, &memory, path_of("last.safetensors"));
    assert_ok(thaw_stage_memory_create(&memory, graph, 1));
    assert_ok(thaw_checkpoint_open(path_of("last.safetensors"), &checkpoint));
    assert_fails(thaw_checkpoint_load_memory(checkpoint, graph, &memory), THAW_ERROR_INPUT,
                 "the checkpoint has no optimizer.0.layer2.0.bn2.bias");
    thaw_checkpoint_close(&checkpoint);
    thaw_stage_memory_clear(&memory, graph);
    thaw_graph_destroy(&graph);
    thaw_graph_destroy(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(damaged),
        cmocka_unit_test(of_another_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
