/* What a plan says of time on the device at hand: how long the steps of a stage take. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/rng.h"
#include "train/plan.h"

/* The first step compiles kernels and measures which ones to take. */
enum { STEPS_BEFORE = 1, STEPS_MEASURED = 3 };

/* Random images or features, class 0 for each. */
static thaw_status fill(thaw_device *device, thaw_exec *exec, int batch) {
    const struct thaw_tensor *tensors[] = {thaw_exec_input(exec), thaw_exec_targets(exec)};
    struct thaw_rng rng = thaw_rng_init(0, THAW_RNG_TEST, 0, 0);
    for (int t = 0; t < 2; t++) {
        if (!tensors[t])
            continue;
        const struct thaw_layout *layout = &tensors[t]->layout;
        size_t image = (size_t)layout->c * (size_t)layout->h * (size_t)layout->w;
        float *values = calloc(image * (size_t)batch, sizeof *values);
        if (!values)
            return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        for (size_t i = 0; i < image * (size_t)batch; i++)
            values[i] = t ? (float)(i % image == 0) : thaw_rng_between(&rng, -1, 1);
        thaw_status status = thaw_tensor_write(device, tensors[t], batch, values);
        free(values);
        THAW_TRY(status);
    }
    return THAW_OK;
}

/* A step of training, or a pass over as many images as go through at once, and what it gave read
 * back: that waits for the device. */
static thaw_status pass(struct thaw_session *session, thaw_exec *exec,
                        const struct thaw_tensor *output, bool training, float *values) {
    int batch = session->stage->batch, part = thaw_stage_part(session->stage);
    struct thaw_op_step step = {.batch = part, .loss_scale = 1 / (float)batch};
    for (; step.first < (training ? batch : part); step.first += part) {
        step.batch = batch - step.first < part ? batch - step.first : part;
        THAW_TRY(thaw_exec_forward(exec, &step));
        if (training)
            THAW_TRY(thaw_exec_backward(exec, &step));
    }
    if (training)
        THAW_TRY(thaw_session_update(session, 0));
    return thaw_tensor_read(session->graph->device, output, step.batch, values);
}

static thaw_status time_passes(struct thaw_session *session, thaw_exec *exec,
                               const struct thaw_tensor *output, bool training, double *ret_s) {
    const struct thaw_layout *layout = &output->layout;
    size_t image = (size_t)layout->c * (size_t)layout->h * (size_t)layout->w;
    int part = thaw_stage_part(session->stage);
    float *values = malloc(image * (size_t)part * sizeof *values);
    double start_s = 0;
    thaw_status status = values ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK)
        status = fill(session->graph->device, exec, part);
    for (int i = 0; i < STEPS_BEFORE + STEPS_MEASURED && status == THAW_OK; i++) {
        if (i == STEPS_BEFORE)
            start_s = thaw_clock_s();
        status = pass(session, exec, output, training, values);
    }
    free(values);
    if (status == THAW_OK)
        *ret_s = (thaw_clock_s() - start_s) / STEPS_MEASURED;
    return status;
}

static thaw_status measure_caching(const struct thaw_experiment *e, struct thaw_plan_stage *s) {
    int start = s->session.start;
    struct thaw_exec_options options = {.batch = thaw_stage_part(&s->stage),
                                        .keep = &start,
                                        .keep_count = 1,
                                        .only_keep = true,
                                        .conv_candidate = e->config->conv_candidate};
    thaw_exec *exec = NULL;
    THAW_TRY(thaw_exec_create(e->graph, &options, &exec));
    thaw_status status =
        time_passes(&s->session, exec, thaw_exec_output(exec, start), false, &s->caching_s);
    thaw_exec_destroy(&exec);
    return status;
}

/* On a session of its own, so that the plan's holds no device memory. */
thaw_status thaw_plan_measure(const struct thaw_experiment *e, struct thaw_plan_stage *s) {
    struct thaw_session work = {0};
    int train_count = (int)e->dataset->set_counts[THAW_SET_TRAIN];
    if (s->session.start)
        THAW_TRY(measure_caching(e, s));
    thaw_status status =
        thaw_session_init(e->config, s->session.stage, e->graph, train_count, &work);
    if (status == THAW_OK)
        status = thaw_session_start(&work);
    if (status == THAW_OK)
        status = time_passes(&work, work.train, thaw_exec_losses(work.train), true, &s->step_s);
    if (status == THAW_OK)
        status =
            time_passes(&work, work.eval, thaw_exec_losses(work.eval), false, &s->evaluation_s);
    thaw_session_finish(&work);
    return status;
}

static double batches(size_t images, int batch) {
    size_t count = (images + (size_t)batch - 1) / (size_t)batch;
    return (double)count;
}

struct thaw_plan_time thaw_plan_time(const struct thaw_experiment *e,
                                     const struct thaw_plan_stage *s) {
    const size_t *sets = e->dataset->set_counts;
    const struct thaw_stage *stage = s->session.stage;
    size_t views = stage->cache_views ? (size_t)stage->cache_views : 1;
    struct thaw_plan_time time = {0};
    int part = thaw_stage_part(stage);
    double cached = batches(sets[THAW_SET_TRAIN] * views, part) + batches(sets[THAW_SET_VAL], part);
    time.caching_s = s->session.start ? s->caching_s * cached : 0;
    time.epoch_s = s->step_s * s->session.steps_per_epoch +
                   s->evaluation_s * batches(sets[THAW_SET_VAL], part);
    time.total_s = time.caching_s + time.epoch_s * stage->epochs;
    return time;
}
