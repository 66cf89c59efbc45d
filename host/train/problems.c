#include "train/problems.h"

#include "train/plan.h"

static thaw_status add_stage(const struct thaw_experiment *e, struct thaw_plan_stage *s,
                             struct thaw_arena *arena, struct thaw_problems *problems) {
    int part = thaw_stage_part(&s->stage), start = s->session.start;
    struct thaw_exec_options options = {.batch = part,
                                        .start = start,
                                        .training = true,
                                        .loss = true,
                                        .adds_up = part < s->stage.batch};
    THAW_TRY(thaw_stage_apply(e->config, s->session.stage, e->graph, s->session.rates));
    THAW_TRY(thaw_problems_add(problems, arena, e->graph, &options));
    options.training = options.adds_up = false;
    THAW_TRY(thaw_problems_add(problems, arena, e->graph, &options));
    struct thaw_exec_options cache = {
        .batch = part, .keep = &start, .keep_count = 1, .only_keep = true};
    return start ? thaw_problems_add(problems, arena, e->graph, &cache) : THAW_OK;
}

thaw_status thaw_experiment_problems(struct thaw_experiment *e, struct thaw_arena *arena,
                                     struct thaw_problems *ret_problems) {
    struct thaw_plan plan = {0};
    struct thaw_problems problems = {0};
    THAW_TRY(thaw_plan_make(e, &plan));
    thaw_status status = THAW_OK;
    for (size_t i = 0; i < plan.stage_count && status == THAW_OK; i++)
        status = add_stage(e, &plan.stages[i], arena, &problems);
    thaw_plan_finish(&plan);
    THAW_TRY(status);
    thaw_problems_sort(&problems);
    *ret_problems = problems;
    return THAW_OK;
}
