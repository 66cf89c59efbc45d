/* What convolutions and poolings have in common: a window over one or two dimensions. */
#ifndef THAW_IO_ONNX_WINDOW_H
#define THAW_IO_ONNX_WINDOW_H

#include "io/onnx/convert.h"

struct thaw_onnx_window {
    int spatial; /* 2, or 1: a row, in W */
    int64_t kernel[2], stride[2], dilation[2];
    int64_t pads[4]; /* top, left, bottom, right */
    bool ceil_mode;
};

/* Reads kernel_shape, strides, dilations, pads, auto_pad, ceil_mode for `value`, which is an image
 * already. `kernel`: the kernel's extent where the weights say it (spatial numbers), else NULL. For
 * auto_pad the pads are worked out; `ceil_mode` counts for them as ONNX has it. */
thaw_status thaw_onnx_window_read(const struct thaw_onnx_call *call,
                                  const struct thaw_onnx_value *value, const int64_t *kernel,
                                  struct thaw_onnx_window *ret_window);

/* Lets the window's pads take the place of a padding with zeros before it, when nothing else reads
 * that; input 0's node is then the one before. */
void thaw_onnx_window_absorb_pad(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                 struct thaw_onnx_window *window);

/* "kernel: 3, stride: 2, pad: 1"; `stride`: the op's default, which is left out, or 0. */
#define THAW_ONNX_WINDOW_TEXT_SIZE 300
void thaw_onnx_window_text(const struct thaw_onnx_window *window, int64_t stride,
                           char ret_text[THAW_ONNX_WINDOW_TEXT_SIZE]);

/* The result's view: an image like the input's, of the node's size. */
struct thaw_onnx_view thaw_onnx_window_view(const struct thaw_onnx_call *call,
                                            const struct thaw_onnx_view *in, int node);

#endif
