#include "support/tiny_bench.h"

#include <stdlib.h>

#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"

void tiny_bench_open(const char *name, const char *stages, const char *more,
                     struct tiny_bench *bench) {
    *bench = (struct tiny_bench){0};
    assert_ok(thaw_config_load(tiny_experiment(name, stages, more), NULL, 0, &bench->config));
    assert_ok(thaw_experiment_open(&bench->config, test_device(), &bench->experiment));
    bench->graph = bench->experiment.graph;
    struct thaw_loader_options options =
        thaw_loader_options_make(&bench->experiment.data, &bench->experiment.input.image);
    assert_ok(thaw_loader_open(bench->experiment.dataset, &options, &bench->loader));
    assert_ok(
        thaw_augmenter_create(test_device(), &bench->experiment.input, NULL, 0, &bench->augmenter));
    bench->feed = (struct thaw_feed){
        .device = test_device(), .loader = bench->loader, .augmenter = bench->augmenter};
    bench->photos = thaw_loader_set(bench->loader, THAW_SET_TRAIN, &bench->count);
    bench->labels = malloc(bench->count * sizeof *bench->labels);
    assert_non_null(bench->labels);
    for (size_t i = 0; i < bench->count; i++)
        bench->labels[i] = bench->experiment.dataset->photos[bench->photos[i]].label;
}

void tiny_bench_close(struct tiny_bench *bench) {
    free(bench->labels);
    thaw_augmenter_destroy(&bench->augmenter);
    thaw_loader_destroy(&bench->loader);
    thaw_experiment_finish(&bench->experiment);
    thaw_config_finish(&bench->config);
    *bench = (struct tiny_bench){0};
}

static thaw_status poll(void *user, const char *what, size_t done, size_t total) {
    struct tiny_bench *bench = user;
    assert_non_null(what);
    assert_true(done <= total);
    return ++bench->polls == bench->stop_at ? thaw_fail(THAW_INTERRUPTED, "interrupted") : THAW_OK;
}

struct thaw_pilot_options tiny_bench_pilots(struct tiny_bench *bench, int epochs) {
    return (struct thaw_pilot_options){.config = &bench->config,
                                       .graph = bench->graph,
                                       .loader = bench->loader,
                                       .input = &bench->experiment.input,
                                       .photos = bench->photos,
                                       .labels = bench->labels,
                                       .count = bench->count,
                                       .classes = 2,
                                       .epochs = epochs,
                                       .poll = poll,
                                       .user = bench};
}

float *tiny_bench_values(const struct tiny_bench *bench, size_t *ret_count) {
    size_t count = 0, at = 0;
    for (size_t i = 0; i < bench->graph->param_count; i++)
        count += thaw_param_count_values(&bench->graph->params[i]);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < bench->graph->param_count; i++) {
        assert_ok(thaw_param_read(bench->graph, &bench->graph->params[i], values + at));
        at += thaw_param_count_values(&bench->graph->params[i]);
    }
    *ret_count = count;
    return values;
}
