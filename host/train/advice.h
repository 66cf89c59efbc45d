/* Which of the four regimes fits: a rule over measured numbers. Measuring them is advise.h.
 *
 * Size. A set is large from 20,000 images with 100 of the median class on (below some 20,000 BiT's
 * rule, too, takes its shortest schedule: Kolesnikov et al., "Big Transfer", ECCV 2020), or from
 * 5,000 of the median class: as many as CIFAR-10 has of each, from which networks learn well even
 * without pretraining. Otherwise it is small: there are millions of weights and a few thousand
 * images to move them.
 *
 * Similarity. No single number tells whether photos resemble the ones that weights were trained on
 * for the purpose of a new task, so there are three signals, each with a vote:
 *
 *   statistics  For each batch norm layer, how far the statistics of the photos are from the stored
 *               ones, in units of the stored deviation: the mean over channels of
 *               ((mu_t - mu_s)^2 / sigma_s^2 + (sigma_t / sigma_s - 1)^2). The vote is on the
 *               median over layers: it asks whether the network is at work on inputs like its own.
 *   ladder      Accuracy of linear probes on the pooled features of each stage (Alain and Bengio,
 *               2016). Where the upper half of the network was learnt for something else, it adds
 *               little: the vote is on the share of the middle stage's error that the stages above
 *               it take away, and "different" in any case where the middle stage is within one
 *               standard error of the last. (Neighbours are not compared: the last stage often has
 *               several times the features of the one before.) Where the middle stage already is
 *               right nearly always there is no vote: the task is easy for any network.
 *   source      What the classes that the weights were trained on say. With features of source
 *               images: the distance of each class's mean to the nearest source class, relative to
 *               the distance between neighbouring source classes (the relaxed form of the earth
 *               mover's distance of Cui et al., "Large Scale Fine-Grained Categorization", CVPR
 *               2018). Else, where the weights came with their classifier: the share of what there
 *               is to know of the new classes that its predictions carry, held out (LEEP, Nguyen et
 *               al., ICML 2020, over the entropy of the classes).
 *
 * The thresholds were set with these: 0.00, 86 % and 96 % for the images that a network was trained
 * on; 0.09 and 63 % (an easy task) for landscapes and still lifes, 0.34, 11 % and 11 % for
 * photographs of solar cells, both to ImageNet weights.
 *
 * Each vote has a strength from 0 (at its threshold) to 1 (a factor of four from it; for the
 * ladder, all of the error or none), and the sum of strengths with their signs decides. Without any
 * vote, or with votes that cancel, the answer is "different": its regimes train more, and start
 * from the same trained head. */
#ifndef THAW_TRAIN_ADVICE_H
#define THAW_TRAIN_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

#define THAW_ADVICE_LARGE_IMAGES 20000
#define THAW_ADVICE_LARGE_MEDIAN_FLOOR 100
#define THAW_ADVICE_LARGE_MEDIAN 5000
/* Thresholds of the votes. */
#define THAW_ADVICE_NORM_DISTANCE 0.1
#define THAW_ADVICE_LADDER_SHARE 0.5
#define THAW_ADVICE_EASY 0.95 /* accuracy of the middle stage */
#define THAW_ADVICE_MEANS_RATIO 1.0
#define THAW_ADVICE_LEEP_SHARE 0.3

enum thaw_advice_signal {
    THAW_SIGNAL_STATISTICS,
    THAW_SIGNAL_LADDER,
    THAW_SIGNAL_SOURCE,
    THAW_SIGNAL_COUNT
};
extern const char *const thaw_advice_signal_names[THAW_SIGNAL_COUNT];

enum thaw_advice_answer { THAW_ADVICE_UNKNOWN, THAW_ADVICE_SIMILAR, THAW_ADVICE_DIFFERENT };
extern const char *const thaw_advice_answer_names[]; /* "not known", "similar", "different" */

/* A step of the ladder, from the image up; the last one is the bottleneck. */
struct thaw_advice_rung {
    const char *name;
    size_t width;
    double accuracy, standard_error;
};

/* A batch norm layer. */
struct thaw_advice_norm {
    const char *name;
    double distance;
    size_t channels, dead; /* dead: stored variance 0; left out */
};

enum thaw_advice_source { THAW_SOURCE_NONE, THAW_SOURCE_CLASSIFIER, THAW_SOURCE_MEANS };

/* A short training of one regime. */
struct thaw_advice_pilot {
    const char *regime;
    size_t trained; /* values in its last stage */
    int folds;      /* that count; 0: no time was left for it */
    bool diverged;
    double mean, difference, standard_error; /* see train/auto.h: to the best, paired by folds */
    bool within;                             /* at most one standard error worse than the best */
    double cpu_s;
};
#define THAW_REGIMES 4
extern const char *const thaw_regime_names[THAW_REGIMES]; /* from the least trained */

/* What was measured. */
struct thaw_measurements {
    size_t images, classes;      /* of the training part */
    size_t class_min, class_max; /* images of the smallest and the largest class */
    double class_median;
    size_t sampled; /* images that the signals were measured on */
    struct thaw_advice_rung *rungs;
    size_t rung_count;
    struct thaw_advice_norm *norms; /* empty: the network has no batch norm */
    size_t norm_count;
    double norm_median; /* of the distances */
    enum thaw_advice_source source;
    size_t source_classes;
    double leep_share, confidence;    /* with a classifier; confidence: mean highest probability */
    double classes_used;              /* exp of the entropy of its mean prediction */
    double means_ratio;               /* with means */
    struct thaw_advice_pilot *pilots; /* THAW_REGIMES of them; NULL: not asked for */
    int pilot_best;                   /* -1: none is usable */
    size_t pilot_images;
    bool pilots_full; /* all of the regimes' epochs, not a fifth */
};

struct thaw_advice_vote {
    enum thaw_advice_answer answer;
    double strength;    /* 0 .. 1 */
    char evidence[160]; /* a phrase with the numbers */
};

struct thaw_advice {
    bool large, different;
    const char *regime; /* "small_different" */
    struct thaw_advice_vote votes[THAW_SIGNAL_COUNT];
    int agree, known; /* votes for the answer, and votes in all */
    double margin;    /* -1 (all say similar) .. 1 (different): mean of the known votes */
    char size[160], sentence[400];
};

struct thaw_advice thaw_advice_make(const struct thaw_measurements *measurements);

#endif
