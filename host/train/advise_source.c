/* What the classes that weights were trained on say of other ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/weights.h"
#include "train/advise_internal.h"

#define LABELS "labels" /* the tensor of thaw features */

/* ---- the classifier that came with the weights ---------------------------------------------- */

/* The parameters of the new head's last layer; false when it has none. */
static bool find_layer(const struct thaw_graph *graph, const struct thaw_param **ret_weight,
                       const struct thaw_param **ret_bias) {
    *ret_weight = *ret_bias = NULL;
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].new_head) {
            bool bias = graph->params[i].spec->rank == 1;
            *(bias ? ret_bias : ret_weight) = &graph->params[i];
        }
    return *ret_weight != NULL;
}

/* A parameter's tensor in the weights file, if its last dimensions are `width`. */
static const struct thaw_weight *find_tensor(const struct thaw_weights *weights,
                                             const struct thaw_param *param, size_t width) {
    const struct thaw_weight *weight = thaw_weights_find(weights, param->name);
    if (!weight && param->alias)
        weight = thaw_weights_find(weights, param->alias);
    if (!weight || weight->rank < 1 || weight->dims[0] < 2 || weight->dims[0] > 1 << 20 ||
        thaw_weight_count(weight) != (size_t)weight->dims[0] * width)
        return NULL;
    return weight;
}

int thaw_advise_classifier_input(const struct thaw_advise_work *w) {
    const struct thaw_graph *graph = w->experiment->graph;
    const struct thaw_param *weight, *bias;
    if (!find_layer(graph, &weight, &bias))
        return -1;
    int node = graph->nodes[weight->node].inputs[0];
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].node <= node && graph->params[i].origin != THAW_ORIGIN_LOADED)
            return -1;
    const struct thaw_layout *in = &graph->nodes[node].out;
    if (in->h != 1 || in->w != 1 || !find_tensor(&w->experiment->weights, weight, (size_t)in->c))
        return -1;
    return node;
}

struct classifier {
    size_t classes, width;
    float *weight, *bias; /* (classes, width) and (classes) */
    double *p;            /* (images, classes): what it predicts */
};

static thaw_status read_classifier(struct thaw_advise_work *w, struct classifier *c) {
    const struct thaw_graph *graph = w->experiment->graph;
    const struct thaw_param *weight, *bias;
    const struct thaw_weight *tensor = NULL;
    if (find_layer(graph, &weight, &bias)) {
        c->width = (size_t)graph->nodes[graph->nodes[weight->node].inputs[0]].out.c;
        tensor = find_tensor(&w->experiment->weights, weight, c->width);
    }
    if (!tensor)
        return thaw_fail(THAW_ERROR_RUNTIME, "the weights file has no classifier of the model");
    c->classes = (size_t)tensor->dims[0];
    c->weight = thaw_arena_array(&w->scratch, c->classes * c->width, sizeof(float));
    c->bias = thaw_arena_array(&w->scratch, c->classes, sizeof(float));
    c->p = thaw_arena_array(&w->scratch, w->count * c->classes, sizeof(double));
    if (!c->weight || !c->bias || !c->p)
        return THAW_ERROR_MEMORY;
    thaw_weight_to_float(tensor, c->weight);
    tensor = bias ? find_tensor(&w->experiment->weights, bias, 1) : NULL;
    if (tensor && (size_t)tensor->dims[0] == c->classes)
        thaw_weight_to_float(tensor, c->bias);
    return THAW_OK;
}

static void predict(const struct classifier *c, const float *x, double *p) {
    double largest = -HUGE_VAL, sum = 0;
    for (size_t z = 0; z < c->classes; z++) {
        p[z] = (double)c->bias[z];
        for (size_t d = 0; d < c->width; d++)
            p[z] += (double)c->weight[z * c->width + d] * (double)x[d];
        largest = p[z] > largest ? p[z] : largest;
    }
    for (size_t z = 0; z < c->classes; z++)
        sum += p[z] = exp(p[z] - largest);
    for (size_t z = 0; z < c->classes; z++)
        p[z] /= sum;
}

static void describe_predictions(struct thaw_advise_work *w, const struct classifier *c) {
    double entropy = 0;
    w->m.confidence = 0;
    for (size_t z = 0; z < c->classes; z++) {
        double mean = 0;
        for (size_t i = 0; i < w->count; i++)
            mean += c->p[i * c->classes + z] / (double)w->count;
        entropy -= mean > 0 ? mean * log(mean) : 0;
    }
    for (size_t i = 0; i < w->count; i++) {
        double largest = 0;
        for (size_t z = 0; z < c->classes; z++)
            largest = fmax(largest, c->p[i * c->classes + z]);
        w->m.confidence += largest / (double)w->count;
    }
    w->m.source_classes = c->classes;
    w->m.classes_used = exp(entropy);
}

/* P(class | source class) from all folds but one, with as much of the classes' frequencies mixed in
 * as one image has. */
static void learn_joint(const struct thaw_advise_work *w, const struct classifier *c, int fold,
                        const double *frequency, double *joint) {
    size_t classes = w->m.classes;
    for (size_t z = 0; z < c->classes; z++)
        for (size_t y = 0; y < classes; y++)
            joint[z * classes + y] = frequency[y] / (double)c->classes;
    for (size_t i = 0; i < w->count; i++)
        for (size_t z = 0; z < c->classes && w->folds[i] != fold; z++)
            joint[z * classes + (size_t)w->labels[i]] += c->p[i * c->classes + z];
    for (size_t z = 0; z < c->classes; z++) {
        double sum = 0;
        for (size_t y = 0; y < classes; y++)
            sum += joint[z * classes + y];
        for (size_t y = 0; y < classes; y++)
            joint[z * classes + y] /= sum;
    }
}

thaw_status thaw_advise_classifier(struct thaw_advise_work *w, const float *features) {
    struct classifier c = {0};
    THAW_TRY(read_classifier(w, &c));
    double *joint = thaw_arena_array(&w->scratch, c.classes * w->m.classes, sizeof *joint);
    double *frequency = thaw_arena_array(&w->scratch, w->m.classes, sizeof *frequency);
    double leep = 0, entropy = 0;
    if (!joint || !frequency)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < w->count; i++) {
        predict(&c, features + i * c.width, c.p + i * c.classes);
        frequency[w->labels[i]] += 1 / (double)w->count;
    }
    for (size_t y = 0; y < w->m.classes; y++)
        entropy -= frequency[y] > 0 ? frequency[y] * log(frequency[y]) : 0;
    for (int fold = 0; fold < THAW_ADVISE_FOLDS; fold++) {
        learn_joint(w, &c, fold, frequency, joint);
        for (size_t i = 0; i < w->count; i++) {
            double likelihood = 1e-300;
            for (size_t z = 0; z < c.classes && w->folds[i] == fold; z++)
                likelihood +=
                    c.p[i * c.classes + z] * joint[z * w->m.classes + (size_t)w->labels[i]];
            leep += w->folds[i] == fold ? log(likelihood) / (double)w->count : 0;
        }
    }
    describe_predictions(w, &c);
    w->m.leep_share = entropy > 0 ? fmax(0, 1 + leep / entropy) : 0;
    w->m.source = THAW_SOURCE_CLASSIFIER;
    return THAW_OK;
}

/* ---- means of classes ----------------------------------------------------------------------- */

/* Sums rows by label and divides; `ret_counts` has the rows of each. */
static void class_means(const float *features, size_t width, const int *labels, size_t count,
                        double *means, size_t *counts, size_t classes) {
    for (size_t i = 0; i < count; i++) {
        counts[labels[i]]++;
        for (size_t d = 0; d < width; d++)
            means[(size_t)labels[i] * width + d] += (double)features[i * width + d];
    }
    for (size_t y = 0; y < classes; y++)
        for (size_t d = 0; d < width && counts[y]; d++)
            means[y * width + d] /= (double)counts[y];
}

struct source {
    size_t count, classes, width;
    float *features;
    int *labels;
    double *means;
    size_t *counts;
};

static thaw_status wrong_source(const char *path, const char *what) {
    return thaw_hint(
        thaw_fail(THAW_ERROR_INPUT, "%s: %s", path, what),
        "make it with `thaw features CONFIG --at BOTTLENECK -o FILE`, from images that "
        "the weights were trained on and with the same weights");
}

static thaw_status read_labels(struct thaw_advise_work *w, const struct thaw_weight *labels,
                               struct source *s) {
    const char *path = w->options->source;
    if (!labels || labels->dtype != THAW_DTYPE_I64 || labels->rank != 1 ||
        (size_t)labels->dims[0] != s->count)
        return wrong_source(path, "has no labels for its rows");
    s->labels = thaw_arena_array(&w->scratch, s->count, sizeof *s->labels);
    if (!s->labels)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < s->count; i++) {
        int64_t label;
        memcpy(&label, (const char *)labels->data + i * sizeof label, sizeof label);
        if (label < 0 || label >= 1 << 20)
            return wrong_source(path, "has a label that is no class");
        s->labels[i] = (int)label;
        s->classes = (size_t)label + 1 > s->classes ? (size_t)label + 1 : s->classes;
    }
    return s->classes >= 2 ? THAW_OK : wrong_source(path, "has one class alone");
}

static thaw_status read_source(struct thaw_advise_work *w, const struct thaw_weights *file,
                               struct source *s) {
    const struct thaw_graph *graph = w->experiment->graph;
    const char *path = w->options->source, *node = graph->nodes[graph->features].name;
    const struct thaw_weight *tensor = thaw_weights_find(file, node);
    char what[200];
    if (!tensor || tensor->rank != 4 || tensor->dims[0] < 1 ||
        thaw_weight_count(tensor) != (size_t)tensor->dims[0] * s->width) {
        snprintf(what, sizeof what, "has no features of %zu channels at '%s', the bottleneck",
                 s->width, node);
        return wrong_source(path, what);
    }
    s->count = (size_t)tensor->dims[0];
    THAW_TRY(read_labels(w, thaw_weights_find(file, LABELS), s));
    s->features = thaw_arena_array(&w->scratch, s->count * s->width, sizeof *s->features);
    s->means = thaw_arena_array(&w->scratch, s->classes * s->width, sizeof *s->means);
    s->counts = thaw_arena_array(&w->scratch, s->classes, sizeof *s->counts);
    if (!s->features || !s->means || !s->counts)
        return THAW_ERROR_MEMORY;
    thaw_weight_to_float(tensor, s->features);
    class_means(s->features, s->width, s->labels, s->count, s->means, s->counts, s->classes);
    return THAW_OK;
}

/* The distance of `mean` to the nearest mean of the source, but of the class `except`. */
static double nearest(const struct source *s, const double *mean, size_t except) {
    double least = HUGE_VAL;
    for (size_t z = 0; z < s->classes; z++) {
        double sum = 0;
        if (z == except || !s->counts[z])
            continue;
        for (size_t d = 0; d < s->width; d++) {
            double difference = s->means[z * s->width + d] - mean[d];
            sum += difference * difference;
        }
        least = fmin(least, sqrt(sum));
    }
    return least;
}

static thaw_status compare_means(struct thaw_advise_work *w, const struct source *s,
                                 const float *features) {
    size_t classes = w->m.classes, present = 0;
    double *means = thaw_arena_array(&w->scratch, classes * s->width, sizeof *means);
    size_t *counts = thaw_arena_array(&w->scratch, classes, sizeof *counts);
    double ours = 0, theirs = 0;
    if (!means || !counts)
        return THAW_ERROR_MEMORY;
    class_means(features, s->width, w->labels, w->count, means, counts, classes);
    for (size_t y = 0; y < classes; y++)
        if (counts[y])
            ours +=
                nearest(s, means + y * s->width, s->classes) * (double)counts[y] / (double)w->count;
    for (size_t z = 0; z < s->classes; z++)
        if (s->counts[z]) {
            theirs += nearest(s, s->means + z * s->width, z);
            present++;
        }
    if (present < 2 || !(theirs > 0))
        return wrong_source(w->options->source, "has no two classes with means of their own");
    w->m.source = THAW_SOURCE_MEANS;
    w->m.source_classes = present;
    w->m.means_ratio = ours / (theirs / (double)present);
    return THAW_OK;
}

thaw_status thaw_advise_means(struct thaw_advise_work *w, const float *features, size_t width) {
    struct thaw_weights file;
    struct source s = {.width = width};
    THAW_TRY(thaw_weights_open(w->options->source, &file));
    thaw_status status = read_source(w, &file, &s);
    thaw_weights_finish(&file);
    return status == THAW_OK ? compare_means(w, &s, features) : status;
}
