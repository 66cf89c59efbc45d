/* Stochastic weight averaging (Izmailov et al. 2018): the plain mean of the weights at the end of
 * every so many epochs or steps, once `from` of the stage's steps are done. Running statistics are
 * measured anew for the mean.
 *
 * Attributes: from (0.75, a fraction of the steps), every ("1 epoch"; "2 epochs", or a number of
 * steps). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/average.h"

#define EVERY_MAX 1000000

struct attrs {
    double from;
    int64_t every;
    bool epochs; /* the unit of every; else steps */
};

/* "1 epoch", "2 epochs", or steps: 50. */
static thaw_status parse_every(const thaw_yaml *node, struct attrs *attrs) {
    const char *text = node && node->kind == THAW_YAML_SCALAR ? node->text : "";
    char *end = NULL;
    if (!node)
        return THAW_OK;
    long value = strtol(text, &end, 10);
    bool number = strspn(text, "0123456789") > 0 && value >= 1 && value <= EVERY_MAX;
    attrs->epochs = number && (!strcmp(end, " epoch") || !strcmp(end, " epochs"));
    attrs->every = value;
    if (!number || (!attrs->epochs && *end))
        return thaw_yaml_fail(node, "'every': expected \"2 epochs\" or a number of steps");
    return THAW_OK;
}

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    static const char *const keys[] = {"type", "from", "every"};
    struct attrs attrs = {.from = 0.75, .every = 1, .epochs = true};
    THAW_TRY(thaw_yaml_only(map, keys, sizeof keys / sizeof *keys));
    THAW_TRY(thaw_yaml_get_double(map, "from", 0, 1, &attrs.from));
    THAW_TRY(parse_every(thaw_yaml_get(map, "every"), &attrs));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double share(const void *attrs_, const struct thaw_average_clock *clock) {
    const struct attrs *attrs = attrs_;
    int64_t every = attrs->every * (attrs->epochs ? clock->steps_per_epoch : 1);
    int64_t from = llround(attrs->from * (double)clock->total_steps);
    return clock->step <= from || clock->step % every ? 0 : 1 / (double)(clock->averaged + 1);
}

const struct thaw_average_type thaw_average_swa = {
    .type = "swa",
    .summary = "mean of the weights at the ends of the last epochs",
    .attrs_size = sizeof(struct attrs),
    .measures_statistics = true,
    .parse = parse,
    .share = share,
};
