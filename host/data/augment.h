/* From decoded pictures to the network's input tensor, on the device, in one pass: geometry with
 * bilinear sampling, colour, erasing, normalisation and mixup (cl/augment.cl). Without augmentation
 * it is the preprocessing of evaluation and prediction: the middle of the picture, normalised.
 *
 *   augment:
 *     - {random_resized_crop: {scale: [0.5, 1]}}
 *     - hflip
 *     - {rotate: 15}
 *     - {color_jitter: {brightness: 0.2}}
 *
 * Augmentations act in the order of the list, each on the picture that the one before has left; the
 * middle of the last one is the input. Mixing and erasing act on the result, wherever they stand.
 * Sampling is bilinear without antialiasing and repeats the border. What is drawn for a picture
 * depends on seed, epoch and the picture's id alone (mixup's partner also on the batch). */
#ifndef THAW_DATA_AUGMENT_H
#define THAW_DATA_AUGMENT_H

#include "core/rng.h"
#include "data/input.h"
#include "tensor/tensor.h"

/* What has been drawn for one picture. */
struct thaw_augment_sample {
    int width, height; /* of the picture that the next augmentation sees */
    int size;          /* of the network's input */
    int index, count;  /* of the picture in its batch */
    /* Source x, y of output pixel (x, y), pixel centres being whole numbers:
     * {a, b, c, d, e, f}: (a x + b y + c, d x + e y + f). */
    double to_source[6];
    double colour[12]; /* 3 rows of 4: R' = c0 R + c1 G + c2 B + c3, of 0..1; then cut to 0..1 */
    double luma;       /* mean luma, as the augmentations so far have left it */
    int erase[4];      /* x0, y0, x1, y1 of the input, the ends excluded; empty: nothing */
    int partner;       /* in the batch; its own index for no mixup */
    double lambda;     /* the part of the picture itself */
};

/* An augmentation is host/data/augment_<name>.c and a word in the list `augmentations` of
 * meson.build. */
struct thaw_augmentation {
    const char *name, *summary;
    bool mixes; /* its result depends on other pictures of the batch, and so do the targets */
    size_t params_size;
    /* `value` is NULL where the list has the bare name. */
    thaw_status (*parse)(const thaw_yaml *value, void *params);
    void (*apply)(const void *params, struct thaw_rng *rng, struct thaw_augment_sample *sample);
};
extern const struct thaw_augmentation *const thaw_augmentations[];
extern const size_t thaw_augmentation_count;

/* For implementers: the picture from now on is `width` x `height` and shows at (x, y) what was at
 * `map` (x, y). */
void thaw_augment_map(struct thaw_augment_sample *sample, const double map[6], int width,
                      int height);
/* Colours go through `matrix` after what they have gone through. */
void thaw_augment_colour(struct thaw_augment_sample *sample, const double matrix[12]);
/* Reads `key: [LOW, HIGH]` with low_limit <= LOW <= HIGH <= high_limit; absent: as it was. */
thaw_status thaw_augment_parse_range(const thaw_yaml *map, const char *key, double low_limit,
                                     double high_limit, double range[2]);
/* Reads a number that may stand alone: `name: 15` or `name: {key: 15}`; NULL: as it was. */
thaw_status thaw_augment_parse_number(const thaw_yaml *value, const char *key, double low,
                                      double high, double *number);

/* The list, parsed. */
struct thaw_augment_entry {
    const struct thaw_augmentation *augmentation;
    void *params;
};
struct thaw_augment_list {
    struct thaw_augment_entry *entries;
    size_t count;
};
/* NULL is an empty list. Unknown names, keys and a name given twice fail at their place. */
thaw_status thaw_augment_parse(struct thaw_arena *arena, const thaw_yaml *list,
                               struct thaw_augment_list *ret_list);

/* The draws for one picture, for training; or the plain middle for list == NULL. */
struct thaw_augment_sample thaw_augment_draw(const struct thaw_augment_list *list,
                                             const struct thaw_input_spec *spec,
                                             const struct thaw_image *image, uint64_t seed,
                                             uint32_t epoch, uint32_t id, int index, int count);

typedef struct thaw_augmenter thaw_augmenter;

/* Borrows `list` and the device; list == NULL never augments. Builds the kernel. */
thaw_status thaw_augmenter_create(thaw_device *device, const struct thaw_input_spec *spec,
                                  const struct thaw_augment_list *list, uint64_t seed,
                                  thaw_augmenter **ret_augmenter);
void thaw_augmenter_destroy(thaw_augmenter **augmenter); /* accepts NULL, *augmenter == NULL */

struct thaw_augment_batch {
    const struct thaw_image *images; /* with spec's channels; read before run returns */
    const uint32_t *ids;             /* of the photos, for the draws; may be NULL for !augment */
    int count;
    uint32_t epoch; /* or the number of a view of the same photos */
    bool augment;   /* false: evaluation and prediction */
    /* `part` pictures from `first` on are written; 0: all of them. The draws, and whom mixup takes,
     * are those of the whole batch. */
    int first, part;
};
/* Device memory that an augmenter takes for batches to a tensor of `images`: their pixels, each as
 * large as the resize makes it, 3:2 where it keeps proportions. Pictures that need more go through
 * it in turns; only a single one that is larger than all of it takes more. */
size_t thaw_augmenter_bytes(const struct thaw_input_spec *spec, int images);
/* Writes images 0 .. count-1 (or part-1) of `out`, (N, C, size, size) with the device's block for
 * input images, the interior only; the work is queued. `ret_partner` and `ret_lambda` (count each)
 * tell how mixup has combined the batch and may be NULL. */
thaw_status thaw_augmenter_run(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                               const struct thaw_tensor *out, int *ret_partner, float *ret_lambda);

#endif
