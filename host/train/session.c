#include "train/session.h"

/* A cached copy of a picture is computed once, alone. */
static thaw_status check_cached_augmentation(const struct thaw_session *session) {
    for (size_t i = 0; session->stage->cache && i < session->augment.count; i++)
        if (session->augment.entries[i].augmentation->mixes)
            return thaw_yaml_fail(session->stage->augment,
                                  "%s mixes the pictures of a batch, which can't be cached: set "
                                  "cache: false in stage '%s', or leave it out there",
                                  session->augment.entries[i].augmentation->name,
                                  session->stage->name);
    return THAW_OK;
}

/* Of what the schedule runs over: the stage as written. */
static int64_t whole_steps(const struct thaw_session *session) {
    return (int64_t)session->steps_per_epoch * session->stage->whole_epochs;
}

static thaw_status parse_schedule(struct thaw_session *session, const thaw_yaml *node,
                                  struct thaw_schedule *ret_schedule) {
    THAW_TRY(thaw_schedule_parse(&session->arena, node, ret_schedule));
    return thaw_schedule_check(ret_schedule, whole_steps(session), session->steps_per_epoch);
}

static thaw_status parse_rules(struct thaw_session *session, int train_count) {
    const struct thaw_stage *stage = session->stage;
    session->steps_per_epoch = (train_count + stage->batch - 1) / stage->batch;
    THAW_TRY(thaw_optimizer_parse(&session->arena, stage->optimizer, &session->optimizer));
    THAW_TRY(thaw_augment_parse(&session->arena, stage->augment, &session->augment));
    THAW_TRY(check_cached_augmentation(session));
    THAW_TRY(parse_schedule(session, stage->schedule, &session->schedule));
    THAW_TRY(thaw_average_parse(&session->arena, stage->average, &session->average));
    THAW_TRY(thaw_average_check(&session->average, stage->average, whole_steps(session),
                                session->steps_per_epoch));
    session->rule_schedules = thaw_arena_array(&session->arena, stage->lr_rule_count + 1,
                                               sizeof *session->rule_schedules);
    if (!session->rule_schedules)
        return THAW_ERROR_MEMORY;
    for (size_t r = 0; r < stage->lr_rule_count; r++) {
        session->rule_schedules[r] = session->schedule;
        if (stage->lr_rules[r].schedule)
            THAW_TRY(
                parse_schedule(session, stage->lr_rules[r].schedule, &session->rule_schedules[r]));
    }
    return THAW_OK;
}

thaw_status thaw_session_init(const struct thaw_config *config, const struct thaw_stage *stage,
                              struct thaw_graph *graph, int train_count,
                              struct thaw_session *ret_session) {
    struct thaw_session session = {.config = config, .stage = stage, .graph = graph};
    session.rates = thaw_arena_array(&session.arena, graph->param_count + 1, sizeof *session.rates);
    session.updates =
        thaw_arena_array(&session.arena, graph->param_count + 1, sizeof *session.updates);
    thaw_status status = session.rates && session.updates ? THAW_OK : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = thaw_stage_memory_init(&session.arena, graph, &session.memory);
    if (status == THAW_OK)
        status = thaw_stage_apply(config, stage, graph, session.rates);
    if (status == THAW_OK)
        status = thaw_stage_check_random(stage, graph);
    if (status == THAW_OK)
        status = parse_rules(&session, train_count);
    if (status == THAW_OK && stage->cache) {
        session.start = thaw_graph_cut(graph);
        if (session.start == 0 && !stage->phase)
            status =
                thaw_yaml_fail(stage->place,
                               "stage '%s' trains from the first layer on: there is nothing to "
                               "cache (cache: false)",
                               stage->name);
    }
    if (status != THAW_OK)
        thaw_session_finish(&session);
    else
        *ret_session = session;
    return status;
}

static thaw_status create_memory(struct thaw_session *session) {
    THAW_TRY(thaw_stage_memory_create(&session->memory, session->graph,
                                      thaw_optimizer_slots(&session->optimizer)));
    return session->average.type
               ? thaw_stage_memory_create_averages(&session->memory, session->graph)
               : THAW_OK;
}

thaw_status thaw_session_continue(struct thaw_session *session, struct thaw_stage_memory *from) {
    if (from)
        thaw_stage_memory_take(&session->memory, from, session->graph);
    return create_memory(session);
}

thaw_status thaw_session_start(struct thaw_session *session) {
    const struct thaw_stage *stage = session->stage;
    struct thaw_exec_options options = {.batch = thaw_stage_part(stage),
                                        .start = session->start,
                                        .training = true,
                                        .loss = true,
                                        .adds_up = thaw_stage_part(stage) < stage->batch,
                                        .conv_candidate = session->config->conv_candidate};
    THAW_TRY(thaw_exec_create(session->graph, &options, &session->train));
    options.training = options.adds_up = false;
    THAW_TRY(thaw_exec_create(session->graph, &options, &session->eval));
    return create_memory(session);
}

void thaw_session_finish(struct thaw_session *session) {
    thaw_stage_memory_clear(&session->memory, session->graph);
    thaw_exec_destroy(&session->train);
    thaw_exec_destroy(&session->eval);
    thaw_arena_finish(&session->arena);
    *session = (struct thaw_session){0};
}

static double factor_at(const struct thaw_session *session, const struct thaw_schedule *schedule,
                        int stage_step) {
    int64_t step = stage_step + (int64_t)session->steps_per_epoch * session->stage->first_epoch;
    if (session->pressed_epochs)
        step = step * session->stage->epochs / session->pressed_epochs;
    struct thaw_schedule_clock clock = {
        .step = step,
        .total_steps = whole_steps(session),
        .steps_per_epoch = session->steps_per_epoch,
    };
    return thaw_schedule_factor(schedule, &clock);
}

double thaw_session_lr_factor(const struct thaw_session *session, int stage_step) {
    return factor_at(session, &session->schedule, stage_step);
}

/* Of one parameter at one step. */
static double rate_at(const struct thaw_session *session, size_t param, int stage_step) {
    const struct thaw_stage_rate *rate = &session->rates[param];
    size_t rule = (size_t)(rate->rule - session->stage->lr_rules);
    return rate->lr * factor_at(session, &session->rule_schedules[rule], stage_step);
}

static thaw_status update_averages(struct thaw_session *session, int stage_step) {
    if (!session->average.type)
        return THAW_OK;
    struct thaw_average_clock clock = {
        .step = stage_step + 1 + (int64_t)session->steps_per_epoch * session->stage->first_epoch,
        .total_steps = whole_steps(session),
        .steps_per_epoch = session->steps_per_epoch,
        .averaged = session->memory.averaged};
    double share = thaw_average_share(&session->average, &clock);
    return share > 0 ? thaw_stage_memory_average(&session->memory, session->graph, share) : THAW_OK;
}

thaw_status thaw_session_update(struct thaw_session *session, int stage_step) {
    const struct thaw_graph *graph = session->graph;
    size_t count = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        cl_mem grad = thaw_exec_gradient(session->train, (int)i);
        if (!param->trainable || !grad)
            continue;
        cl_mem const *slots = &session->memory.slots[i * THAW_OPTIMIZER_SLOTS_MAX];
        session->updates[count++] = (struct thaw_optimizer_update){
            .value = param->value,
            .grad = grad,
            .slots = {slots[0], slots[1]},
            .size = thaw_filter_size(&param->spec->filter),
            .lr = (float)rate_at(session, i, stage_step),
            .weight_decay = thaw_optimizer_weight_decay(&session->optimizer),
            .step = ++session->memory.updates[i],
        };
    }
    THAW_TRY(thaw_optimizer_update(graph->device, &session->optimizer, session->updates, count));
    return update_averages(session, stage_step);
}
