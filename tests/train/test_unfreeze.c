/* Stages that are run in parts: gradual unfreezing and repetition. What thaws starts with no
 * momentum, what stays trained goes on with its own, and frozen tensors are never touched; against
 * a reference in double precision. Whole runs resume to the same bits. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/file.h"
#include "support/device.h"
#include "support/model.h"
#include "support/tiny.h"
#include "train/session.h"
#include "train/trainer.h"

#define TRAIN_COUNT 64 /* 2 steps of 32 */

static struct thaw_config config;
static struct thaw_graph *graph;

static int finish(void **state) {
    (void)state;
    thaw_graph_destroy(&graph);
    thaw_config_finish(&config);
    return 0;
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* An experiment on the residual network (stem, layer1, layer2, head) with this stage. */
static thaw_status load(const char *stage) {
    char path[256], text[1024];
    finish(NULL);
    snprintf(path, sizeof path, "%s/residual.yaml", test_directory());
    assert_ok(thaw_file_write(path, test_residual_model, strlen(test_residual_model)));
    snprintf(path, sizeof path, "%s/e.yaml", test_directory());
    snprintf(text, sizeof text,
             "train: [{stage: tune, %s}]\nmodel: {graph: ./residual.yaml}\n"
             "data: {format: folder, root: d}\n",
             stage);
    assert_ok(thaw_file_write(path, text, strlen(text)));
    return thaw_config_load(path, NULL, 0, &config);
}

static void open_graph(void) {
    graph = test_model_on(test_device(), test_residual_model, NULL, 5);
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].origin = THAW_ORIGIN_LOADED;
}

static size_t param(const char *name) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    return (size_t)index;
}

/* ---- which phases --------------------------------------------------------------------------- */

/* A letter for each part that a phase trains: stem, 1, 2, head. */
static void expect_phase(size_t index, const char *name, const char *trained, int first_epoch,
                         int epochs) {
    const struct {
        const char *param;
        char letter;
    } parts[] = {{"conv1.weight", 's'},
                 {"layer1.0.conv1.weight", '1'},
                 {"layer2.0.downsample.0.weight", '2'},
                 {"hidden.weight", 'h'}};
    struct thaw_session session;
    const struct thaw_stage *stage = &config.stages[index];
    assert_string_equal(stage->name, name);
    assert_string_equal(stage->written, "tune");
    assert_int_equal(stage->first_epoch, first_epoch);
    assert_int_equal(stage->epochs, epochs);
    assert_int_equal(stage->continues, index > 0);
    assert_ok(thaw_session_init(&config, stage, graph, TRAIN_COUNT, &session));
    for (size_t i = 0; i < 4; i++)
        if (graph->params[param(parts[i].param)].trainable != !!strchr(trained, parts[i].letter))
            fail_msg("%s: %s is %s", name, parts[i].param,
                     graph->params[param(parts[i].param)].trainable ? "trained" : "frozen");
    thaw_session_finish(&session);
}

static void phases(void **state) {
    (void)state;
    assert_ok(load("train: [all], lr: 1, epochs: 9, unfreeze: {every: 2}"));
    open_graph();
    assert_int_equal(config.stage_count, 4);
    expect_phase(0, "tune.1", "h", 0, 2);
    expect_phase(1, "tune.2", "h2", 2, 2);
    expect_phase(2, "tune.3", "h21", 4, 2);
    expect_phase(3, "tune.4", "h21s", 6, 3);

    assert_ok(load("train: [all], lr: 1, epochs: 5, unfreeze: {from: layer2, step: 2}"));
    open_graph();
    assert_int_equal(config.stage_count, 2);
    expect_phase(0, "tune.1", "h2", 0, 1);
    expect_phase(1, "tune.2", "h21s", 1, 4);

    /* as far as `train` reaches, and no phase without something new */
    assert_ok(load("train: [layer1, head], lr: 1, epochs: 5, unfreeze: {}"));
    open_graph();
    assert_int_equal(config.stage_count, 2);
    expect_phase(0, "tune.1", "h", 0, 1);
    expect_phase(1, "tune.2", "h1", 1, 4);
    const thaw_yaml *unfreeze = thaw_yaml_get(config.stages[0].place, "unfreeze");
    assert_string_equal(thaw_yaml_get(unfreeze, "from")->text, "head"); /* defaults are explicit */
    assert_string_equal(thaw_yaml_get(unfreeze, "every")->text, "1");
    assert_string_equal(thaw_yaml_get(unfreeze, "step")->text, "1");
}

/* A cache where there is something below what a phase trains. */
static void cut_anew(void **state) {
    (void)state;
    struct thaw_session session;
    const int cuts[] = {1, 1, 1, 0};
    int last = 1 << 20;
    assert_ok(load("train: [all], lr: 1, epochs: 4, cache: true, norm: eval, unfreeze: {}"));
    open_graph();
    for (size_t i = 0; i < 4; i++) {
        assert_ok(thaw_session_init(&config, &config.stages[i], graph, TRAIN_COUNT, &session));
        assert_int_equal(session.start > 0, cuts[i]);
        assert_true(session.start < last);
        last = session.start;
        thaw_session_finish(&session);
    }
}

/* One cosine over all phases, one for each turn of a repetition. */
static void schedules(void **state) {
    (void)state;
    struct thaw_session session;
    assert_ok(load("train: [all], lr: 1, epochs: 8, schedule: cosine, unfreeze: {every: 2}"));
    open_graph();
    for (int p = 0; p < 4; p++) {
        assert_ok(thaw_session_init(&config, &config.stages[p], graph, TRAIN_COUNT, &session));
        for (int step = 0; step < 4; step++)
            assert_float_equal(thaw_session_lr_factor(&session, step),
                               (1 + cos(acos(-1) * (p * 4 + step) / 16)) / 2, 1e-12);
        thaw_session_finish(&session);
    }
    assert_ok(load("train: [all], lr: 1, epochs: 2, schedule: cosine, repeat: 3"));
    open_graph();
    assert_int_equal(config.stage_count, 3);
    for (size_t p = 0; p < 3; p++) {
        expect_phase(p, p == 0 ? "tune.1" : p == 1 ? "tune.2" : "tune.3", "h21s", 0, 2);
        assert_ok(thaw_session_init(&config, &config.stages[p], graph, TRAIN_COUNT, &session));
        for (int step = 0; step < 4; step++)
            assert_float_equal(thaw_session_lr_factor(&session, step),
                               (1 + cos(acos(-1) * step / 4)) / 2, 1e-12);
        thaw_session_finish(&session);
    }
}

/* `epochs: 0.5x` halves the rhythm, too. */
static void at_another_pace(void **state) {
    (void)state;
    const char *set = "epochs=0.5x";
    char path[256];
    assert_ok(load("train: [all], lr: 1, epochs: 18, unfreeze: {every: 4}"));
    thaw_config_finish(&config);
    snprintf(path, sizeof path, "%s/e.yaml", test_directory());
    assert_ok(thaw_config_load(path, &set, 1, &config));
    open_graph();
    assert_int_equal(config.stage_count, 4);
    expect_phase(1, "tune.2", "h2", 2, 2);
    expect_phase(3, "tune.4", "h21s", 6, 3);
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *stage, *message;
    } list[] = {
        {"epochs: 9, train: [all], unfreeze: {form: head}", "unknown key 'form' (nearest: 'from'"},
        {"epochs: 9, train: [all], unfreeze: {from: layr2}", "(nearest: 'layer2'"},
        {"epochs: 9, train: [all], unfreeze: {every: 0}", "'every': expected"},
        {"epochs: 9, train: [all], unfreeze: {step: 0}", "'step': expected"},
        {"epochs: 9, train: [all], unfreeze: 3", "e.yaml:1:65: "},
        {"epochs: 3, train: [all], unfreeze: {every: 1}",
         "e.yaml:1:65: stage 'tune' thaws in 4 phases of 1 epochs, which needs at least 4 epochs, "
         "not 3"},
        {"epochs: 9, train: [layer1], unfreeze: {}",
         "nothing that stage 'tune' trains lies where `unfreeze` starts"},
        {"epochs: 9, train: [layr1], unfreeze: {}", "'layr1' matches no tensor"},
        {"epochs: 9, train: [all], unfreeze: {}, repeat: 2",
         "stage 'tune' has `unfreeze`, too: one of them"},
        {"epochs: 9, train: [all], repeat: 0", "from 1 to 1000"},
        {"epochs: 9, train: [all], repeat: twice", "'twice'"},
        {"epochs: 9, train: [auto, head], unfreeze: {}", "does not go with `auto`"},
        {"epochs: 9, train: [auto, head], repeat: 2", "does not go with `auto`"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char stage[256];
        snprintf(stage, sizeof stage, "lr: 1, %s", list[i].stage);
        assert_fails(load(stage), THAW_ERROR_INPUT, list[i].message);
    }
    assert_fails(load("epochs: 9, train: [all], lr: probe, unfreeze: {}"), THAW_ERROR_INPUT,
                 "does not go with lr: probe");
    assert_fails(load("epochs: 4, train: [all], lr: 1, repeat: 2}, {stage: tune.2, epochs: 1, "
                      "train: [all], lr: 1"),
                 THAW_ERROR_INPUT, "there is already a stage 'tune.2'");
}

/* A new head is warmed up by the phase that trains it alone; starting lower is refused. */
static void untrained_head(void **state) {
    (void)state;
    struct thaw_session session;
    assert_ok(load("train: [all], lr: 1, epochs: 4, unfreeze: {}"));
    open_graph();
    graph->params[param("fc.weight")].origin = THAW_ORIGIN_INITIALISED;
    graph->params[param("fc.bias")].origin = THAW_ORIGIN_INITIALISED;
    assert_fails(thaw_session_init(&config, &config.stages[1], graph, TRAIN_COUNT, &session),
                 THAW_ERROR_INPUT, "stage 'tune.2' would fine-tune layer2.0.conv1.weight below fc");
    for (size_t p = 0; p < 4; p++) {
        assert_ok(thaw_session_init(&config, &config.stages[p], graph, TRAIN_COUNT, &session));
        thaw_session_finish(&session);
        thaw_stage_mark_trained(graph);
    }
    assert_ok(load("train: [all], lr: 1, epochs: 4, unfreeze: {from: layer2}"));
    open_graph();
    graph->params[param("fc.weight")].origin = THAW_ORIGIN_INITIALISED;
    assert_fails(thaw_session_init(&config, &config.stages[0], graph, TRAIN_COUNT, &session),
                 THAW_ERROR_INPUT, "stage 'tune.1' would fine-tune layer2.0.conv1.weight below fc");
}

/* ---- momentum ------------------------------------------------------------------------------- */

#define VALUES_MAX 2048

/* A tensor in double precision: its value and what the optimizer remembers. */
struct reference {
    const char *name;
    int first_phase;
    double value[VALUES_MAX], slot[2][VALUES_MAX];
    int updates;
};

static void sgd_step(struct reference *r, const float *grad, size_t count) {
    for (size_t i = 0; i < count; i++) {
        r->slot[0][i] = 0.9 * r->slot[0][i] + (double)grad[i] + 0.01 * r->value[i];
        r->value[i] -= 0.05 * r->slot[0][i];
    }
}

static void adamw_step(struct reference *r, const float *grad, size_t count) {
    int t = ++r->updates;
    for (size_t i = 0; i < count; i++) {
        double g = (double)grad[i];
        r->slot[0][i] = 0.9 * r->slot[0][i] + 0.1 * g;
        r->slot[1][i] = 0.99 * r->slot[1][i] + 0.01 * g * g;
        r->value[i] *= 1 - 0.05 * 0.01;
        r->value[i] -= 0.05 / (1 - pow(0.9, t)) * r->slot[0][i] /
                       (sqrt(r->slot[1][i] / (1 - pow(0.99, t))) + 1e-8);
    }
}

typedef void reference_step(struct reference *r, const float *grad, size_t count);

static void one_update(struct thaw_session *session, struct reference *refs, size_t ref_count,
                       int phase, int step, reference_step *reference) {
    for (size_t k = 0; k < ref_count; k++) {
        struct reference *r = &refs[k];
        size_t index = param(r->name), count = thaw_param_count_values(&graph->params[index]);
        float grad[VALUES_MAX];
        assert_true(count <= VALUES_MAX);
        if (phase < r->first_phase) {
            assert_null(thaw_exec_gradient(session->train, (int)index));
            continue;
        }
        test_random(grad, count, (uint32_t)(phase * 100 + step * 10) + (uint32_t)k, -1, 1);
        assert_ok(thaw_filter_write(graph->device, &graph->params[index].spec->filter,
                                    thaw_exec_gradient(session->train, (int)index), grad));
        reference(r, grad, count);
    }
    assert_ok(thaw_session_update(session, step));
    for (size_t k = 0; k < ref_count; k++) {
        const struct thaw_param *p = &graph->params[param(refs[k].name)];
        float value[VALUES_MAX];
        assert_ok(thaw_param_read(graph, p, value));
        for (size_t i = 0; phase < refs[k].first_phase && i < thaw_param_count_values(p); i++)
            assert_true((double)value[i] == refs[k].value[i]); /* frozen: not a bit */
        test_compare(value, refs[k].value, thaw_param_count_values(p), 2e-5, 2e-5, refs[k].name);
    }
}

/* Four phases of two epochs of two steps, with made-up gradients. */
static void against_reference(const char *optimizer, reference_step *reference) {
    static struct reference refs[4];
    const char *names[] = {"fc.weight", "layer2.0.bn1.weight", "layer1.0.conv1.weight",
                           "conv1.weight"};
    struct thaw_stage_memory between;
    char stage[256];
    snprintf(stage, sizeof stage,
             "train: [all], lr: 0.05, epochs: 8, norm: eval, unfreeze: {every: 2}, optimizer: %s",
             optimizer);
    assert_ok(load(stage));
    open_graph();
    assert_ok(thaw_stage_memory_init(&graph->arena, graph, &between));
    memset(refs, 0, sizeof refs);
    for (size_t k = 0; k < 4; k++) {
        float value[VALUES_MAX];
        refs[k].name = names[k];
        refs[k].first_phase = (int)k;
        const struct thaw_param *p = &graph->params[param(names[k])];
        assert_ok(thaw_param_read(graph, p, value));
        for (size_t i = 0; i < thaw_param_count_values(p); i++)
            refs[k].value[i] = (double)value[i];
    }
    for (int phase = 0; phase < 4; phase++) {
        struct thaw_session session;
        assert_ok(thaw_session_init(&config, &config.stages[phase], graph, TRAIN_COUNT, &session));
        assert_ok(thaw_session_continue(&session, &between));
        assert_ok(thaw_session_start(&session));
        for (int step = 0; step < 4; step++)
            one_update(&session, refs, 4, phase, step, reference);
        thaw_stage_memory_take(&between, &session.memory, graph);
        thaw_session_finish(&session);
    }
    thaw_stage_memory_clear(&between, graph);
}

static void sgd_momentum_over_phases(void **state) {
    (void)state;
    against_reference("{type: sgd, momentum: 0.9, weight_decay: 0.01}", sgd_step);
}

static void adamw_moments_over_phases(void **state) {
    (void)state;
    against_reference("{type: adamw, beta1: 0.9, beta2: 0.99, weight_decay: 0.01}", adamw_step);
}

/* ---- whole runs ----------------------------------------------------------------------------- */

struct follower {
    volatile sig_atomic_t interrupted;
    int stop_at_step, steps; /* of the process; 0: never */
    int epochs;
    char stages[32][16]; /* of each epoch */
};

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    (void)progress;
    if (++f->steps == f->stop_at_step)
        f->interrupted = 1;
}

static void on_epoch(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    snprintf(f->stages[f->epochs++ % 32], sizeof f->stages[0], "%s", progress->stage);
}

/* Interrupts while features are computed, too: stop_at_step < 0. */
static void on_working(void *user, const char *what, size_t done, size_t total) {
    struct follower *f = user;
    (void)done, (void)total;
    if (f->stop_at_step < 0 && f->steps >= -f->stop_at_step && !strcmp(what, "computing features"))
        f->interrupted = 1;
}

static thaw_status train(const char *path, bool resume, struct follower *follower) {
    struct thaw_config own;
    struct thaw_train_events events = {.user = follower,
                                       .interrupted = &follower->interrupted,
                                       .on_working = on_working,
                                       .on_step = on_step,
                                       .on_epoch = on_epoch};
    struct thaw_train_options options = {.resume = resume};
    assert_ok(thaw_config_load(path, NULL, 0, &own));
    thaw_status status = thaw_train(&own, test_device(), &options, &events);
    thaw_config_finish(&own);
    return status;
}

/* 36 photos, 5 steps an epoch: 10 steps of the head, 5 with the body, 10 with the stem. */
static const char thawing[] =
    "  - {stage: tune, train: [all], lr: 0.5x, epochs: 4, cache: {views: 2}, augment: [hflip],\n"
    "     schedule: cosine, optimizer: {type: adamw}, unfreeze: {}}\n";

static void resumes_in_every_phase(void **state) {
    (void)state;
    const int stops[] = {1, 5, 6, 10, 11, 19, -5, -10};
    struct follower whole = {0};
    assert_ok(train(tiny_experiment("whole", thawing, "keep: last"), false, &whole));
    assert_int_equal(whole.epochs, 4);
    assert_string_equal(whole.stages[0], "tune.1");
    assert_string_equal(whole.stages[1], "tune.2");
    assert_string_equal(whole.stages[3], "tune.3");
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct follower f = {.stop_at_step = stops[i]}, g = {0};
        char name[32];
        snprintf(name, sizeof name, "stopped%d", stops[i]);
        const char *path = tiny_experiment(name, thawing, "keep: last");
        thaw_status status = train(path, false, &f);
        if (status == THAW_INTERRUPTED)
            assert_ok(train(path, true, &g));
        else
            assert_true(status == THAW_OK && stops[i] == -10); /* no cache in the last phase */
        assert_int_equal(f.steps + g.steps, 20);
        tiny_same_tensors(tiny_run_file(name, "last.safetensors"),
                          tiny_run_file("whole", "last.safetensors"));
        tiny_same_tensors(tiny_run_file(name, "model.safetensors"),
                          tiny_run_file("whole", "model.safetensors"));
    }
}

/* Nothing below what a phase trains changes in it: freeze.json says so, hash by hash. */
static void frozen_in_each_phase(void **state) {
    (void)state;
    json_t *root = json_load_file(tiny_run_file("whole", "freeze.json"), 0, NULL);
    json_t *stages = json_object_get(root, "stages");
    const char *name;
    json_t *entry;
    assert_int_equal(json_array_size(stages), 3);
    for (size_t p = 0; p < 3; p++)
        json_object_foreach(json_object_get(json_array_get(stages, p), "tensors"), name, entry) {
            size_t thaws = strstr(name, "fc") ? 0 : strchr(name, '2') ? 1 : 2;
            bool same = !strcmp(json_string_value(json_object_get(entry, "before")),
                                json_string_value(json_object_get(entry, "after")));
            if (same != (p < thaws))
                fail_msg("%s in phase %zu: %s", name, p + 1, same ? "unchanged" : "changed");
        }
    json_decref(root);
}

/* Stopping early ends a phase, or a turn; the next one begins. */
static void early_stop_ends_a_part(void **state) {
    (void)state;
    struct follower f = {0}, g = {0};
    assert_ok(train(tiny_experiment("early",
                                    "  - {stage: tune, train: [all], lr: 1.0e-9, epochs: 12, "
                                    "norm: eval, unfreeze: {every: 5},\n"
                                    "     early_stop: {metric: val.top1, patience: 2}}\n",
                                    ""),
                    false, &f));
    assert_int_equal(f.epochs, 8); /* 3 and 3 of 5, and both of the last 2 */
    assert_string_equal(f.stages[2], "tune.1");
    assert_string_equal(f.stages[3], "tune.2");
    assert_string_equal(f.stages[7], "tune.3");
    assert_ok(train(tiny_experiment("turns",
                                    "  - {stage: tune, train: [all], lr: 1.0e-9, epochs: 5, "
                                    "norm: eval, repeat: 2,\n"
                                    "     early_stop: {metric: val.top1, patience: 1}}\n",
                                    ""),
                    false, &g));
    assert_int_equal(g.epochs, 4);
    assert_string_equal(g.stages[2], "tune.2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases),
        cmocka_unit_test(cut_anew),
        cmocka_unit_test(schedules),
        cmocka_unit_test(at_another_pace),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(untrained_head),
        cmocka_unit_test(sgd_momentum_over_phases),
        cmocka_unit_test(adamw_moments_over_phases),
        cmocka_unit_test(resumes_in_every_phase),
        cmocka_unit_test(frozen_in_each_phase),
        cmocka_unit_test(early_stop_ends_a_part),
    };
    return cmocka_run_group_tests(tests, set_up, finish);
}
