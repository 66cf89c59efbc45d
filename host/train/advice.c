#include "train/advice.h"

#include <math.h>
#include <stdio.h>

const char *const thaw_advice_signal_names[THAW_SIGNAL_COUNT] = {"statistics", "ladder", "source"};
const char *const thaw_regime_names[THAW_REGIMES] = {"small_similar", "small_different",
                                                     "large_similar", "large_different"};
const char *const thaw_advice_answer_names[] = {"not known", "similar", "different"};

static double at_most_one(double value) {
    return value < 1 ? value : 1;
}

/* A vote on which side of `threshold` a distance lies: full strength at a factor of four. */
static struct thaw_advice_vote vote_by_ratio(double value, double threshold) {
    double octaves = log2(fmax(value, 1e-9) / fmax(threshold, 1e-9));
    return (struct thaw_advice_vote){.answer =
                                         octaves > 0 ? THAW_ADVICE_DIFFERENT : THAW_ADVICE_SIMILAR,
                                     .strength = at_most_one(fabs(octaves) / 2)};
}

static struct thaw_advice_vote vote_statistics(const struct thaw_measurements *m) {
    struct thaw_advice_vote vote = {0};
    if (!m->norm_count) {
        snprintf(vote.evidence, sizeof vote.evidence, "the network has no batch norm");
        return vote;
    }
    vote = vote_by_ratio(m->norm_median, THAW_ADVICE_NORM_DISTANCE);
    snprintf(vote.evidence, sizeof vote.evidence,
             "median distance %.2f over %zu norm layers (different above %.1f)", m->norm_median,
             m->norm_count, THAW_ADVICE_NORM_DISTANCE);
    return vote;
}

static struct thaw_advice_vote vote_ladder(const struct thaw_measurements *m) {
    struct thaw_advice_vote vote = {0};
    if (m->rung_count < 2) {
        snprintf(vote.evidence, sizeof vote.evidence, "the network has one stage");
        return vote;
    }
    const struct thaw_advice_rung *last = &m->rungs[m->rung_count - 1];
    const struct thaw_advice_rung *middle = &m->rungs[(m->rung_count - 1) / 2];
    if (middle->accuracy >= THAW_ADVICE_EASY) {
        snprintf(vote.evidence, sizeof vote.evidence,
                 "%s is right in %.3f already: too easy to tell", middle->name, middle->accuracy);
        return vote;
    }
    double share = 1 - (1 - last->accuracy) / (1 - middle->accuracy);
    double distance = share - THAW_ADVICE_LADDER_SHARE;
    bool level = middle->accuracy >= last->accuracy - last->standard_error;
    vote.answer = level || distance < 0 ? THAW_ADVICE_DIFFERENT : THAW_ADVICE_SIMILAR;
    vote.strength = at_most_one(fabs(distance) / THAW_ADVICE_LADDER_SHARE);
    if (level && distance > 0)
        vote.strength = 0;
    snprintf(vote.evidence, sizeof vote.evidence,
             "above %s %.0f %% of the error goes (different below %.0f %%)", middle->name,
             100 * fmax(share, 0), 100 * THAW_ADVICE_LADDER_SHARE);
    return vote;
}

static struct thaw_advice_vote vote_source(const struct thaw_measurements *m) {
    struct thaw_advice_vote vote = {0};
    if (m->source == THAW_SOURCE_MEANS) {
        vote = vote_by_ratio(m->means_ratio, THAW_ADVICE_MEANS_RATIO);
        snprintf(vote.evidence, sizeof vote.evidence,
                 "classes are %.2f times as far from the nearest of %zu source classes as those "
                 "from each other",
                 m->means_ratio, m->source_classes);
    } else if (m->source == THAW_SOURCE_CLASSIFIER) {
        vote = vote_by_ratio(THAW_ADVICE_LEEP_SHARE, m->leep_share);
        snprintf(vote.evidence, sizeof vote.evidence,
                 "the %zu source classes tell %.0f %% of what there is to know of these "
                 "(different below %.0f %%)",
                 m->source_classes, 100 * m->leep_share, 100 * THAW_ADVICE_LEEP_SHARE);
    } else {
        snprintf(vote.evidence, sizeof vote.evidence,
                 "the weights came without a classifier, and no --source was given");
    }
    return vote;
}

/* ---- together ------------------------------------------------------------------------------- */

static void judge_size(const struct thaw_measurements *m, struct thaw_advice *advice) {
    bool many =
        m->images >= THAW_ADVICE_LARGE_IMAGES && m->class_median >= THAW_ADVICE_LARGE_MEDIAN_FLOOR;
    bool deep = m->class_median >= THAW_ADVICE_LARGE_MEDIAN;
    advice->large = many || deep;
    if (deep && !many)
        snprintf(advice->size, sizeof advice->size, "large: %d images of the median class or more",
                 THAW_ADVICE_LARGE_MEDIAN);
    else if (many)
        snprintf(advice->size, sizeof advice->size, "large: %d images or more",
                 THAW_ADVICE_LARGE_IMAGES);
    else if (m->images >= THAW_ADVICE_LARGE_IMAGES)
        snprintf(advice->size, sizeof advice->size,
                 "small: fewer than %d images of the median class", THAW_ADVICE_LARGE_MEDIAN_FLOOR);
    else
        snprintf(advice->size, sizeof advice->size,
                 "small: fewer than %d images, and than %d of the median class",
                 THAW_ADVICE_LARGE_IMAGES, THAW_ADVICE_LARGE_MEDIAN);
}

static void judge_similarity(struct thaw_advice *advice) {
    double sum = 0;
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++) {
        const struct thaw_advice_vote *vote = &advice->votes[i];
        if (vote->answer == THAW_ADVICE_UNKNOWN)
            continue;
        advice->known++;
        sum += vote->answer == THAW_ADVICE_DIFFERENT ? vote->strength : -vote->strength;
    }
    advice->margin = advice->known ? sum / advice->known : 0;
    advice->different = sum >= 0;
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++)
        advice->agree += advice->votes[i].answer ==
                         (advice->different ? THAW_ADVICE_DIFFERENT : THAW_ADVICE_SIMILAR);
}

static void write_sentence(const struct thaw_measurements *m, struct thaw_advice *advice) {
    static const char *const what[2][2] = {
        {"train the head alone", "train the last stages and the head at a tenth of the rate"},
        {"train the later stages and the head at a tenth of the rate",
         "train everything at a tenth of the rate"}};
    char similar[120];
    const char *answer = advice->different ? "unlike" : "like";
    if (!advice->known)
        snprintf(similar, sizeof similar, "nothing tells how like the network's own they are");
    else if (advice->agree == 0)
        snprintf(similar, sizeof similar, "the signals leave open how like the network's own");
    else
        snprintf(similar, sizeof similar, "%s the network's own (%d of %d signals%s)", answer,
                 advice->agree, advice->known, fabs(advice->margin) < 0.25 ? ", narrowly" : "");
    snprintf(advice->sentence, sizeof advice->sentence, "%s photos (%zu), %s: %s.",
             advice->large ? "Many" : "Few", m->images, similar,
             what[advice->large][advice->different]);
}

struct thaw_advice thaw_advice_make(const struct thaw_measurements *m) {
    struct thaw_advice advice = {0};
    judge_size(m, &advice);
    advice.votes[THAW_SIGNAL_STATISTICS] = vote_statistics(m);
    advice.votes[THAW_SIGNAL_LADDER] = vote_ladder(m);
    advice.votes[THAW_SIGNAL_SOURCE] = vote_source(m);
    judge_similarity(&advice);
    advice.regime = thaw_regime_names[2 * advice.large + advice.different];
    write_sentence(m, &advice);
    return advice;
}
