/* Reading attributes that several ops have. */
#ifndef THAW_OPS_PARSE_H
#define THAW_OPS_PARSE_H

#include "core/yaml.h"

/* The mapping of attributes checked for unknown keys: *ret_map is NULL when the YAML gives none. */
thaw_status thaw_op_parse_map(const thaw_yaml *node, const char *const *keys, size_t count,
                              const thaw_yaml **ret_map);

/* `key`: n or [vertical, horizontal], each from `low` to `high`; absent: *pair stays as it was. */
thaw_status thaw_op_parse_pair(const thaw_yaml *map, const char *key, int low, int high,
                               int pair[2]);

/* Axes of one image's content, and their names in YAML. */
enum thaw_axis { THAW_AXIS_CHANNELS, THAW_AXIS_HEIGHT, THAW_AXIS_WIDTH, THAW_AXIS_COUNT };
extern const char *const thaw_axis_names[THAW_AXIS_COUNT];

/* `axis: height`; absent: *axis stays as it was. */
thaw_status thaw_op_parse_axis(const thaw_yaml *map, enum thaw_axis *axis);

/* `axes: [height, width]`, at least one and none twice: marks them. Fails at `node` when absent. */
thaw_status thaw_op_parse_axes(const thaw_yaml *node, const thaw_yaml *map,
                               bool ret_axes[THAW_AXIS_COUNT]);

/* `key`: a list of `least` to `most` whole numbers, each from `low` to `high`. Absent: *ret_count
 * is 0. */
thaw_status thaw_op_parse_list(const thaw_yaml *map, const char *key, size_t least, size_t most,
                               int low, int high, int *ret_values, int *ret_count);

/* `pad`: n, [vertical, horizontal] or [top, left, bottom, right] (ONNX's order), each from 0 to
 * `high`; absent: *pads stay as they were. `also` ends the list of forms in an error: " or same".
 */
enum { THAW_PAD_TOP, THAW_PAD_LEFT, THAW_PAD_BOTTOM, THAW_PAD_RIGHT };
thaw_status thaw_op_parse_pads(const thaw_yaml *map, int high, const char *also, int pads[4]);

/* Fails when a required key is absent. */
thaw_status thaw_op_parse_require(const thaw_yaml *node, const thaw_yaml *map, const char *key);

#endif
