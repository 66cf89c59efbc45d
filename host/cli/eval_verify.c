#include "cli/eval_verify.h"

#include "train/verify.h"

static void print_people(const struct thaw_verify *v) {
    printf("%-16s %8s %8s   %s\n", "stage", "trained", "frozen", "frozen since load");
    for (size_t i = 0; i < v->stage_count; i++) {
        const struct thaw_verify_stage *s = &v->stages[i];
        printf("%-16s %8zu %8zu   %zu", s->name, s->trained, s->frozen, s->untouched);
        if (s->has_kept)
            printf("   epoch %d of it was kept", v->kept_epoch);
        printf(s->complete ? "\n" : "   not finished\n");
    }
    printf("\n%s\n  %zu tensors are what the run kept, %zu of them verified frozen since load\n",
           v->model, v->tensors, v->untouched);
    if (v->weights && v->unchecked)
        printf("  %s was not compared: %s\n", v->weights, v->unchecked);
    else if (v->weights)
        printf("  %zu tensors started as %s has them\n", v->pretrained, v->weights);
    for (size_t i = 0; i < v->failure_count; i++)
        printf("  FAILED %s: %s\n", v->failures[i].tensor, v->failures[i].what);
}

static json_t *verify_json(const struct thaw_verify *v) {
    json_t *stages = json_array(), *failures = json_array();
    for (size_t i = 0; i < v->stage_count; i++) {
        const struct thaw_verify_stage *s = &v->stages[i];
        json_array_append_new(
            stages, json_pack("{s:o, s:I, s:I, s:I, s:b, s:b}", "stage", thaw_json_text(s->name),
                              "trained", (json_int_t)s->trained, "frozen", (json_int_t)s->frozen,
                              "frozen_since_load", (json_int_t)s->untouched, "kept",
                              (int)s->has_kept, "complete", (int)s->complete));
    }
    for (size_t i = 0; i < v->failure_count; i++)
        json_array_append_new(failures, json_pack("{s:o, s:o}", "tensor",
                                                  thaw_json_text(v->failures[i].tensor), "what",
                                                  thaw_json_text(v->failures[i].what)));
    return json_pack("{s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "model",
                     thaw_json_text(v->model), "verified", (int)!v->failure_count, "tensors",
                     (json_int_t)v->tensors, "frozen_since_load", (json_int_t)v->untouched,
                     "pretrained", (json_int_t)v->pretrained, "weights",
                     v->weights ? thaw_json_text(v->weights) : json_null(), "not_compared",
                     v->unchecked ? thaw_json_text(v->unchecked) : json_null(), "stages", stages,
                     "failures", failures);
}

thaw_status thaw_eval_verify(const struct thaw_cli *cli, const char *run, const char *model) {
    struct thaw_verify verify = {0};
    THAW_TRY(thaw_verify_run(run, model, &verify));
    thaw_status status = THAW_OK;
    if (cli->json)
        status = thaw_cli_print_json(verify_json(&verify));
    else
        print_people(&verify);
    if (status == THAW_OK && verify.failure_count)
        status = thaw_fail(THAW_ERROR_RUNTIME, "%s: %zu of its tensors do not match the record: %s",
                           verify.model, verify.failure_count, verify.failures[0].tensor);
    thaw_verify_finish(&verify);
    return status;
}
