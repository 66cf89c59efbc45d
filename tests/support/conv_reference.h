/* Convolution in plain double precision, from the definitions in kernels/conv.h. Data in logical
 * order: x (n, c, h, w), w (o, i, kh, kw), y (n, o, h, w); `batch` images. Layouts of the geometry
 * are read for their sizes only. */
#ifndef THAW_TESTS_CONV_REFERENCE_H
#define THAW_TESTS_CONV_REFERENCE_H

#include "kernels/conv.h"

/* `bias` may be NULL. The activation is that of the problem. */
void conv_reference_forward(const struct thaw_conv_problem *problem, int batch, const float *x,
                            const float *w, const float *bias, double *ret_y);
void conv_reference_backward_data(const struct thaw_conv_geometry *geometry, int batch,
                                  const float *y, const float *w, double *ret_x);
void conv_reference_backward_weight(const struct thaw_conv_geometry *geometry, int batch,
                                    const float *x, const float *y, double *ret_w);
double conv_reference_activation(enum thaw_activation activation, double value, double parameter);

#endif
