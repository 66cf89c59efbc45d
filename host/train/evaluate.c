#include "train/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "data/targets.h"

int thaw_argmax(const float *values, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* Host buffers of one batch. */
struct scratch {
    uint32_t *rows, *next; /* of this batch and of the one after */
    int next_count;
    int *labels;
    float *targets, *logits, *losses;
};

/* The batch that begins at `first`; its size, 0 at the end. */
static int choose_batch(const struct thaw_members *members, size_t first, size_t batch,
                        uint32_t *rows) {
    size_t left = members->count - first;
    int count = (int)(left < batch ? left : batch);
    for (int i = 0; i < count; i++)
        rows[i] = thaw_members_row(members, first + (size_t)i);
    return count;
}

static thaw_status evaluate_batch(thaw_exec *exec, const struct thaw_graph *graph,
                                  const struct thaw_members *members, int count, struct scratch *s,
                                  struct thaw_metrics *metrics) {
    struct thaw_op_step step = {.batch = count};
    double norm;
    THAW_TRY(thaw_feed_fill(members->feed, members->photos, s->rows, count, 0, false,
                            thaw_exec_input(exec), NULL));
    THAW_TRY(thaw_feed_announce(members->feed, members->photos, s->next, s->next_count));
    struct thaw_targets targets = {
        .labels = s->labels, .count = count, .classes = metrics->classes};
    thaw_targets_fill(&targets, s->targets, &norm);
    THAW_TRY(thaw_tensor_write(graph->device, thaw_exec_targets(exec), count, s->targets));
    THAW_TRY(thaw_exec_forward(exec, &step));
    THAW_TRY(
        thaw_tensor_read(graph->device, thaw_exec_output(exec, graph->output), count, s->logits));
    THAW_TRY(thaw_tensor_read(graph->device, thaw_exec_losses(exec), count, s->losses));
    for (int i = 0; i < count; i++) {
        const float *logits = s->logits + (size_t)i * (size_t)metrics->classes;
        thaw_metrics_add(metrics, s->labels[i], thaw_argmax(logits, metrics->classes));
        metrics->loss_sum += (double)s->losses[i];
    }
    metrics->loss_norm += norm;
    return THAW_OK;
}

thaw_status thaw_evaluate(thaw_exec *exec, const struct thaw_graph *graph, int batch,
                          const struct thaw_members *members, thaw_feed_progress *progress,
                          void *user, struct thaw_metrics *metrics, float *ret_logits) {
    size_t n = (size_t)batch, set_count = members->count, classes = (size_t)metrics->classes;
    struct thaw_arena arena = {0};
    struct scratch s = {.rows = thaw_arena_array(&arena, n, sizeof *s.rows),
                        .next = thaw_arena_array(&arena, n, sizeof *s.next),
                        .labels = thaw_arena_array(&arena, n, sizeof *s.labels),
                        .targets = thaw_arena_array(&arena, n * classes, sizeof(float)),
                        .logits = thaw_arena_array(&arena, n * classes, sizeof(float)),
                        .losses = thaw_arena_array(&arena, n, sizeof(float))};
    thaw_status status = s.rows && s.next && s.labels && s.targets && s.logits && s.losses
                             ? THAW_OK
                             : THAW_ERROR_MEMORY;
    thaw_metrics_reset(metrics);
    for (size_t first = 0; first < set_count && status == THAW_OK; first += n) {
        int count = choose_batch(members, first, n, s.rows);
        s.next_count = choose_batch(members, first + (size_t)count, n, s.next);
        for (int i = 0; i < count; i++)
            s.labels[i] = members->labels[s.rows[i]];
        status = evaluate_batch(exec, graph, members, count, &s, metrics);
        if (status == THAW_OK && ret_logits)
            memcpy(ret_logits + first * classes, s.logits, (size_t)count * classes * sizeof(float));
        if (status == THAW_OK && progress)
            status = progress(user, first + (size_t)count, set_count);
    }
    thaw_arena_finish(&arena);
    thaw_metrics_finish(metrics);
    return status;
}
