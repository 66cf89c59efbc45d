/* Measures what advice.h decides by: how many images there are, and what the network makes of
 * them. Nothing is trained; validation and test photos are not looked at.
 *
 * Signals are measured on a sample of the training part, drawn with the data's proportions (but ten
 * images of a class where it has them), and in inference mode: the preprocessing of prediction,
 * running statistics. Maps are pooled to their means before they leave a batch, so memory is that
 * of the sample's pooled features. The ladder has the stages that the model's YAML names, each at
 * its last node (and the activation after that), then the bottleneck; its folds are five. The
 * statistics take the first 256 images of the sample, which is drawn in random order. */
#ifndef THAW_TRAIN_ADVISE_H
#define THAW_TRAIN_ADVISE_H

#include <signal.h>

#include "train/advice.h"
#include "train/experiment.h"

#define THAW_ADVISE_IMAGES 2000 /* of the sample, unless said otherwise */
#define THAW_ADVISE_FOLDS 5

/* Pilots (train/pilot.h) show whether the advice is right: each regime is tried on stratified folds
 * of up to 1,000 images of the sample, so of the training part alone. In each fold the new head is
 * trained first, on the fold's own training rows, as small_similar would; that is small_similar's
 * result, and where the last stages of the three others start from. Those take a fifth of their
 * epochs; where that took less than a sixth of the budget, the pilots are run anew with all. The
 * budget ends them between two steps: only folds that every regime has finished count, or, if there
 * is none, what was finished of the first. 1,000 images are less than a large set has, which
 * favours the regimes for small ones. */
#define THAW_ADVISE_PILOT_PART 5
#define THAW_ADVISE_PILOT_IMAGES 1000
#define THAW_ADVISE_PILOT_FOLDS 3

struct thaw_advise_options {
    size_t images;      /* at most so many in the sample, about */
    double probe_s;     /* pilots of all regimes, for about so long; 0: none */
    const char *source; /* features of source images as `thaw features` writes them; or NULL */
    const volatile sig_atomic_t *interrupted;                                    /* or NULL */
    void (*on_working)(void *user, const char *what, size_t done, size_t total); /* or NULL */
    void *user;
};

/* Texts and arrays of the measurements are of `arena`. THAW_ERROR_INPUT for an experiment without
 * weights, for data of one class or with fewer images than folds, and for a source file that is
 * none or has features of another network. */
thaw_status thaw_advise_measure(const struct thaw_experiment *experiment,
                                const struct thaw_advise_options *options, struct thaw_arena *arena,
                                struct thaw_measurements *ret_measurements);

#endif
