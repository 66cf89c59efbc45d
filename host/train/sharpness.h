/* How steep a step is, before it is taken: the largest eigenvalue of D^1/2 H D^1/2, where H is the
 * Hessian of the loss of one batch over the trained tensors and D holds their learning rates.
 *
 * On a quadratic, gradient descent diverges above 2 and with momentum m above 2 (1 + m) (Polyak,
 * 1964); training of networks hovers around that limit and falls apart well above it (Cohen et al.,
 * "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability", ICLR 2021).
 *
 * Why it matters here: with batch statistics a norm layer makes the loss blind to the scale of the
 * weights below it; with running ones it is a fixed gain, and the gains of a stack multiply.
 * EfficientNet-Lite0 on the solar cells, last three stages and a warm head: the largest eigenvalue
 * of H is 4900 with running statistics and 113 with the batch's (power iteration, PyTorch, 64
 * images), so SGD with momentum 0.9 is stable up to a rate of 0.0008 and 0.034. In the first mode
 * it collapsed to one class at 0.002 and learned at 0.00005; in the second it learns at 0.01.
 * Channels without variance have no part in it: the eigenvector lies in the pointwise convolutions.
 */
#ifndef THAW_TRAIN_SHARPNESS_H
#define THAW_TRAIN_SHARPNESS_H

#include "train/fit.h"

#define THAW_SHARPNESS_LIMIT 4.0 /* 2 (1 + m) for the largest momentum, 1 */

/* Whether it says anything of a fit: SGD, and a norm layer above trained weights that is a fixed
 * gain. */
bool thaw_sharpness_matters(const struct thaw_fit *fit);

/* Power iteration with differences of gradients of the batch that is next, at the cost of some
 * steps. Rates are the session's base rates. Values and the fit's state are as before. The estimate
 * is from below. For executables without batch statistics, whose forward moves nothing. */
thaw_status thaw_sharpness_measure(struct thaw_fit *fit, double *ret_sharpness);

/* What rates of this sharpness are to be divided by so that a step is well inside the limit, at a
 * sharpness of 1; 1: nothing. */
int thaw_sharpness_divisor(double sharpness);
/* Divides the session's rates. */
void thaw_sharpness_divide(struct thaw_session *session, int divisor);

#endif
