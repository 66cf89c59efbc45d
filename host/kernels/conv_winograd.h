/* What the files of the candidate `winograd` share: how a 3x3 convolution of stride 1 is cut into
 * tiles, chunks of tiles and work-items (cl/conv_winograd.cl). */
#ifndef THAW_KERNELS_CONV_WINOGRAD_H
#define THAW_KERNELS_CONV_WINOGRAD_H

#include "kernels/conv.h"

#define THAW_WINOGRAD_PLANES 36
#define THAW_WINOGRAD_TILE 4 /* output pixels of a tile's side */

/* A map, from where the window of its first tile begins; in floats. */
struct thaw_winograd_map {
    int64_t offset, block;
    int image, row;
};

struct thaw_winograd_plan {
    struct thaw_winograd_map in, out; /* what tiles read 6x6 of, and what they have 4x4 of */
    int blocks, panels, vectors;      /* channel blocks of `in`; of `out`: panels of vectors */
    int out_h, out_w, channels;       /* of `out` */
    int tile_rows;                    /* MT: tiles of a product */
    int chunk, items;                 /* tiles of a chunk; items of the fused kernels, 0: three
                                         launches a chunk */
    int tiles;                        /* of all allocated images */
};

/* The plan of a direction. `in` is x and `out` is y, for backward-data the other way round. */
struct thaw_winograd_plan thaw_winograd_plan_make(const struct thaw_conv_problem *problem,
                                                  const struct thaw_device_caps *caps);
/* Sizes in floats. */
size_t thaw_winograd_line(const struct thaw_winograd_plan *plan, int block);
size_t thaw_winograd_weights(const struct thaw_winograd_plan *plan, int block);
int thaw_winograd_tiles(const struct thaw_winograd_plan *plan, int batch);
/* Defines of every kernel of the file; STREAM and ACT are added for those with an epilogue. */
void thaw_winograd_define(const struct thaw_winograd_plan *plan, int block,
                          struct thaw_defines *defines);

#define THAW_WINOGRAD_MAP_ARGS(m)                                                                  \
    THAW_ARG_LONG((m)->offset), THAW_ARG_LONG((m)->block), THAW_ARG_INT((m)->image),               \
        THAW_ARG_INT((m)->row)
#define THAW_WINOGRAD_TILE_ARGS(p, tiles)                                                          \
    THAW_ARG_INT(tiles), THAW_ARG_INT(((p)->out_h + 3) / 4), THAW_ARG_INT(((p)->out_w + 3) / 4),   \
        THAW_ARG_INT((p)->out_h), THAW_ARG_INT((p)->out_w)

size_t thaw_winograd_weight_workspace(const struct thaw_conv_problem *problem,
                                      const struct thaw_device_caps *caps);
thaw_status thaw_winograd_weight_prepare(thaw_device *device,
                                         const struct thaw_conv_problem *problem,
                                         struct thaw_conv_state *state);
thaw_status thaw_winograd_weight_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                     const struct thaw_conv_state *state,
                                     const struct thaw_conv_run *run);

/* One of the transform launches of a chunk: `kernel` is winograd_input or winograd_gradient. */
thaw_status thaw_winograd_transform(thaw_device *device, thaw_kernel *kernel,
                                    const struct thaw_winograd_plan *plan,
                                    const struct thaw_winograd_map *map, int blocks, cl_mem from,
                                    cl_mem to, size_t to_offset, int tiles, int first);

#endif
