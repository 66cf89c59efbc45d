#include "cli/bench_candidates.h"

#include "core/clock.h"
#include "graph/profile.h"
#include "kernels/measure.h"
#include "kernels/tuning.h"

/* What was found of a problem. */
struct row {
    const struct thaw_profile_conv *conv;
    struct thaw_measurement measurement;
    bool remembered;
};

static double gflops(const struct row *row, const struct thaw_measure_timing *timing) {
    const struct thaw_conv_geometry *g = &row->conv->problem.geometry;
    return timing->time_s > 0 ? 1e-9 * thaw_conv_flops(g, g->x.n) / timing->time_s : 0;
}

static void print_row(const struct thaw_graph *graph, const struct row *row) {
    printf("\n%s\n  in %s", row->conv->key, graph->nodes[row->conv->node].name);
    if (row->conv->uses > 1)
        printf(" and %d more", row->conv->uses - 1);
    printf("\n");
    for (size_t i = 0; i < row->measurement.count; i++) {
        const struct thaw_measure_timing *timing = &row->measurement.timings[i];
        bool is_best = row->measurement.complete && (int)i == row->measurement.best;
        printf("  %c %-16s", is_best ? '*' : ' ', timing->candidate->name);
        if (timing->outcome == THAW_MEASURE_RIGHT)
            printf(" %c%10.3f ms %9.1f GFLOP/s\n", timing->extrapolated ? '~' : ' ',
                   1e3 * timing->time_s, gflops(row, timing));
        else
            printf("  %s\n", timing->outcome == THAW_MEASURE_WRONG ? "wrong result" : "failed");
    }
    fflush(stdout);
}

static void print_end(const struct thaw_graph *graph, const struct row *rows, size_t count,
                      const struct thaw_bench_candidates *options) {
    size_t remembered = 0, missing = 0;
    for (size_t i = 0; i < count; i++) {
        remembered += rows[i].remembered;
        missing += !rows[i].measurement.complete;
    }
    if (missing) {
        printf("\nnot measured in %d s (--seconds gives more time): %zu of %zu convolutions\n",
               options->seconds, missing, count);
        for (size_t i = 0; i < count; i++)
            if (!rows[i].measurement.complete)
                printf("    %s\n", rows[i].conv->key);
    }
    if (options->remember)
        printf("\nremembered the best candidate of %zu of %zu convolutions in %s\n", remembered,
               count, remembered ? thaw_tuning_path(graph->device) : "no file");
}

static json_t *json_of_timings(const struct row *row) {
    static const char *const outcomes[] = {[THAW_MEASURE_RIGHT] = "right",
                                           [THAW_MEASURE_WRONG] = "wrong",
                                           [THAW_MEASURE_FAILED] = "failed"};
    json_t *timings = json_array();
    for (size_t i = 0; i < row->measurement.count; i++) {
        const struct thaw_measure_timing *timing = &row->measurement.timings[i];
        json_array_append_new(timings, json_pack("{s:s, s:s, s:f, s:f, s:b}", "candidate",
                                                 timing->candidate->name, "result",
                                                 outcomes[timing->outcome], "time_s",
                                                 timing->time_s, "gflops", gflops(row, timing),
                                                 "extrapolated", (int)timing->extrapolated));
    }
    return timings;
}

static thaw_status print_json(const struct thaw_graph *graph, const struct row *rows, size_t count,
                              const struct thaw_bench_candidates *options) {
    json_t *problems = json_array();
    bool any_remembered = false;
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const struct thaw_measurement *m = &row->measurement;
        const char *best = m->complete && m->best >= 0 ? m->timings[m->best].candidate->name : NULL;
        any_remembered = any_remembered || row->remembered;
        json_array_append_new(problems,
                              json_pack("{s:s, s:s, s:i, s:b, s:s?, s:b, s:o}", "problem",
                                        row->conv->key, "layer", graph->nodes[row->conv->node].name,
                                        "uses", row->conv->uses, "complete", (int)m->complete,
                                        "best", best, "remembered", (int)row->remembered,
                                        "candidates", json_of_timings(row)));
    }
    const char *path = any_remembered ? thaw_tuning_path(graph->device) : NULL;
    return thaw_cli_print_json(json_pack(
        "{s:s, s:o, s:i, s:i, s:b, s:o, s:o}", "model", graph->name, "device",
        thaw_json_text(thaw_device_get_info(graph->device)->name), "batch", options->batch, "size",
        graph->nodes[0].out.h, "training", (int)options->training, "remembered_in",
        path ? thaw_json_text(path) : json_null(), "problems", problems));
}

static thaw_status measure(const struct thaw_cli *cli, struct thaw_graph *graph,
                           const struct thaw_bench_candidates *options, struct row *rows,
                           size_t count) {
    double end = thaw_clock_s() + options->seconds;
    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        double left_s = end - thaw_clock_s();
        thaw_progress_update(cli->progress, "measuring convolution %zu of %zu, %.0f s left: %s",
                             i + 1, count, left_s > 0 ? left_s : 0, row->conv->key);
        THAW_TRY(thaw_measure_conv(graph->device, &row->conv->problem, thaw_conv_candidates,
                                   thaw_conv_candidate_count, left_s, &row->measurement));
        /* at once: what is measured is not lost when the next one is interrupted */
        if (options->remember && row->measurement.complete && row->measurement.best >= 0) {
            THAW_TRY(thaw_measure_remember(graph->device, &row->conv->problem, &row->measurement));
            row->remembered = true;
        }
        if (cli->json || !row->measurement.count)
            continue;
        thaw_progress_clear(cli->progress);
        print_row(graph, row);
    }
    thaw_progress_clear(cli->progress);
    return THAW_OK;
}

thaw_status thaw_cli_bench_candidates(const struct thaw_cli *cli, struct thaw_graph *graph,
                                      const struct thaw_bench_candidates *options) {
    struct thaw_profile_options profile_options = {.batch = options->batch,
                                                   .training = options->training};
    struct thaw_profile_conv *convs;
    size_t count;
    thaw_progress_update(cli->progress, "preparing %s", graph->name);
    THAW_TRY(thaw_profile_convs(graph, &profile_options, cli->arena, &convs, &count));
    struct row *rows = thaw_arena_array(cli->arena, count, sizeof *rows);
    if (!rows)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        rows[i].conv = &convs[i];
    if (!cli->json) {
        thaw_progress_clear(cli->progress);
        printf("%s, batch %d, %dx%d, on %s\n%zu different convolutions, most work first\n",
               graph->name, options->batch, graph->nodes[0].out.h, graph->nodes[0].out.w,
               thaw_device_get_info(graph->device)->name, count);
    }
    THAW_TRY(measure(cli, graph, options, rows, count));
    if (cli->json)
        return print_json(graph, rows, count, options);
    print_end(graph, rows, count, options);
    return THAW_OK;
}
