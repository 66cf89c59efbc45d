/* A new head on each built-in model, its last layer replaced or a linear one on the features: the
 * head alone may be trained, what lies below only after it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/embedded.h"
#include "core/file.h"
#include "support/model.h"
#include "train/stage.h"

static struct thaw_config config;

/* Stages to apply to any model, in the order of `enum stages`. */
enum stages { HEAD, ALL, LAST, ALLOWED };

static int set_up(void **state) {
    (void)state;
    static const char text[] =
        "model: {graph: resnet18}\ndata: {format: folder, root: d}\n"
        "train:\n"
        "  - {stage: head, train: [head], lr: 1, epochs: 1}\n"
        "  - {stage: all, train: [all], lr: 1, epochs: 1}\n"
        "  - {stage: last, train: ['last:1', head], lr: 1, epochs: 1}\n"
        "  - {stage: allowed, train: [all], lr: 1, epochs: 1, allow_random: [head]}\n";
    char path[256];
    snprintf(path, sizeof path, "%s/e.yaml", test_directory());
    assert_ok(thaw_file_write(path, text, strlen(text)));
    assert_ok(thaw_config_load(path, NULL, 0, &config));
    return 0;
}

static int finish(void **state) {
    (void)state;
    thaw_config_finish(&config);
    return 0;
}

static thaw_status check(struct thaw_graph *graph, enum stages stage) {
    struct thaw_stage_rate *rates = calloc(graph->param_count, sizeof *rates);
    assert_non_null(rates);
    thaw_status status = thaw_stage_apply(&config, &config.stages[stage], graph, rates);
    free(rates);
    return status == THAW_OK ? thaw_stage_check_random(&config.stages[stage], graph) : status;
}

static void check_model(const char *name, const char *text, enum thaw_head_type head) {
    struct thaw_graph_options options = {.classes = 5, .head = head};
    struct thaw_graph *graph = test_model(text, &options, 8);
    size_t fresh = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        graph->params[i].origin =
            graph->params[i].new_head ? THAW_ORIGIN_INITIALISED : THAW_ORIGIN_LOADED;
        fresh += graph->params[i].new_head;
    }
    if (fresh < 1 || fresh > 2) /* one layer: a weight, and most have a bias */
        fail_msg("%s: %zu tensors of the head are new", name, fresh);
    assert_fails(check(graph, ALL), THAW_ERROR_INPUT, "which was never trained");
    assert_fails(check(graph, LAST), THAW_ERROR_INPUT, "stage 'last' would fine-tune");
    assert_ok(check(graph, ALLOWED));
    assert_ok(check(graph, HEAD));
    thaw_stage_mark_trained(graph);
    assert_ok(check(graph, ALL));
    assert_ok(check(graph, LAST));
    thaw_graph_destroy(&graph);
}

static void every_model(void **state) {
    (void)state;
    size_t models = 0;
    for (int i = 0; i < thaw_embedded_file_count; i++) {
        if (strncmp(thaw_embedded_files[i].name, "models/", 7) != 0)
            continue;
        models++;
        check_model(thaw_embedded_files[i].name, thaw_embedded_files[i].text, THAW_HEAD_LAST);
        check_model(thaw_embedded_files[i].name, thaw_embedded_files[i].text, THAW_HEAD_LINEAR);
    }
    assert_true(models > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_model)};
    return cmocka_run_group_tests(tests, set_up, finish);
}
