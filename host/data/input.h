/* What a network expects of a picture: the `input` section of a model file, which training,
 * evaluation and prediction all read, so that they cannot differ.
 *
 *   input:
 *     channels: 3                          # or 1
 *     size: 224                            # height and width
 *     mean: [0.485, 0.456, 0.406]          # of 0..1; one number per channel
 *     std: [0.229, 0.224, 0.225]           # the network sees (v / 255 - mean) / std
 *     resize: {mode: short, size: 256}     # default: mode short, to the input's own size
 *     crop: center                         # the default, and all there is
 */
#ifndef THAW_DATA_INPUT_H
#define THAW_DATA_INPUT_H

#include "core/yaml.h"
#include "data/image.h"

#define THAW_INPUT_CHANNELS_MAX 3

struct thaw_input_spec {
    int size; /* height and width that the network sees: the middle of the resized picture */
    float mean[THAW_INPUT_CHANNELS_MAX], std[THAW_INPUT_CHANNELS_MAX];
    struct thaw_image_request image; /* channels, and how pictures are resized before */
};

/* Reads `input`. `override` is the mapping `model` of an experiment, or NULL: its `size` replaces
 * the input's, and the resize goes along in proportion; its `resize` replaces the resize (without
 * a size of its own: to the input size). Other keys of `override` are not looked at. */
thaw_status thaw_input_spec_parse(const thaw_yaml *input, const thaw_yaml *override,
                                  struct thaw_input_spec *ret_spec);

/* Appends `spec` as a YAML mapping on one line, "{channels: 3, size: 224, ...}", that
 * thaw_input_spec_parse() reads back to the same bits: for run folders and checkpoints. */
void thaw_input_spec_emit(const struct thaw_input_spec *spec, struct thaw_text *text);

#endif
