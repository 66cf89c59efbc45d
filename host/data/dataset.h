/* Which photos there are, what each shows, and which are for training and which for validation.
 * Nothing is decoded here; see loader.h.
 *
 *   data:
 *     format: folder              # root/<class>/x.jpg; or csv
 *     root: photos                # paths in YAML: "~/", "${NAME}"; relative to the YAML file
 *     val: 0.2                    # this part of each class is for validation ...
 *     seed: 0                     # ... drawn with this seed; or
 *     val_root: photos-val        # (folder) a folder of its own with the same classes; or
 *     split: runs/a/split.csv     # as thaw_dataset_write_split() has written it; beside `select`
 *                                 # it may know more classes
 *     classes: [cat, dog]         # their order; default: sorted, numbers by value (2 before 10)
 *     broken: fail                # or skip: photos that cannot be decoded
 *     select:                     # for every format: less than there is
 *       classes: [dog, cat]       # these only, in this order
 *       per_class: 50             # at most so many photos of each for training ...
 *       val_per_class: 20         # ... and for validation
 *       seed: 0                   # of the draw
 *     memory: 4000                # MiB for decoded photos; default: half of what is free
 *     workers: 4                  # decoding threads; default: the cores
 *
 *   data:
 *     format: csv
 *     file: labels.csv
 *     root: photos                # what paths are relative to; default: the folder of `file`
 *     delimiter: ","              # one character, or whitespace (a run of blanks)
 *     header: true                # false: columns are numbered from 0
 *     path: path                  # columns, by header name
 *     label: label
 *     set: set                    # train, val or test; default: a column named so; ~: ignore it
 *     threshold: 0.5              # classes[0] below, classes[1] from here on; or
 *     map: {"0": good, "1": bad}  # label text (or number) -> class; else labels are classes
 *
 *   data:
 *     format: idx                 # MNIST's; see idx.h
 *     images: train-images-idx3-ubyte.gz
 *     labels: train-labels-idx1-ubyte.gz
 *     val_images: ...             # with val_labels, test_images, test_labels: more parts
 *     classes: [top, trouser]     # the names of labels 0, 1, ...; default: the numbers
 *
 * Pixels of an IDX file stay in memory, and its photos are called train-images#0 and so on. Beside
 * `test_images`, `val` is a part of `images`, and the test photos are kept apart.
 *
 * CSV is RFC 4180: quoted fields may hold delimiters, quotes ("") and line breaks. Photos are
 * ordered by class and name for folders, as in the file for CSV and IDX. `select` takes classes out
 * before the split and photos after it.
 *
 * The test set is kept apart from training and validation, unless there is no validation set: then
 * it is that. Where `set` or `val_root` says the sets, `val` and `seed` have no meaning and are
 * refused. */
#ifndef THAW_DATA_DATASET_H
#define THAW_DATA_DATASET_H

#include <stdint.h>

#include "core/yaml.h"
#include "data/image.h"

enum thaw_dataset_format {
    THAW_DATASET_FOLDER,
    THAW_DATASET_CSV,
    THAW_DATASET_IDX,
    THAW_DATASET_FORMAT_COUNT
};
enum thaw_set { THAW_SET_TRAIN, THAW_SET_VAL, THAW_SET_TEST, THAW_SET_COUNT };
extern const char *const thaw_set_names[THAW_SET_COUNT]; /* "train", "val", "test" */

/* A column of a CSV file. */
struct thaw_dataset_column {
    const char *name; /* NULL: by index */
    int index;        /* from 0; -1 without a column */
    const thaw_yaml *place;
};

struct thaw_dataset_mapping {
    const char *value, *class_name;
};

/* The files of one part of `format: idx`; NULL for a part that there is not. */
struct thaw_dataset_idx {
    const char *images, *labels;
};

struct thaw_dataset_select {
    const thaw_yaml *classes;     /* a sequence of different names; NULL: all */
    int per_class, val_per_class; /* 0: all */
    uint64_t seed;
};

/* The section `data`, parsed. Texts and arrays are of the arena given to parse. */
struct thaw_dataset_config {
    enum thaw_dataset_format format;
    const char *root, *val_root, *file, *split; /* ready to open; NULL when absent */
    struct thaw_dataset_column path, label, set;
    bool header, has_threshold;
    bool ignore_set; /* `set: ~` */
    char delimiter;  /* ' ': any run of blanks and tabs */
    double threshold;
    struct thaw_dataset_idx idx[THAW_SET_COUNT];
    struct thaw_dataset_select select;
    struct thaw_dataset_mapping *mappings;
    size_t mapping_count;
    const char **classes; /* NULL: found in the data */
    size_t class_count;
    double val;
    uint64_t seed;
    const thaw_yaml *val_place; /* of `val` or `seed`; NULL when absent */
    bool skip_broken;
    int memory_mib; /* 0: half of what is free */
    int workers;    /* 0: the cores */
    const thaw_yaml *place;
    /* Set by the program, not by YAML: the data is only evaluated. Every photo is in the validation
     * set, and a class may have any number of photos. */
    bool evaluate_only;
};

/* Strict: unknown keys, keys of another format and contradictions fail at their place. No file is
 * opened. */
thaw_status thaw_dataset_config_parse(struct thaw_arena *arena, const thaw_yaml *data,
                                      struct thaw_dataset_config *ret_config);
/* For `eval RUN --data DIR`: a folder per class, with the classes of the run. The arrays are
 * borrowed. */
struct thaw_dataset_config thaw_dataset_config_folder(const char *root, const char **classes,
                                                      size_t class_count);

struct thaw_photo {
    const char *path; /* to open; FILE#NUMBER for one of an IDX file */
    const char *name; /* relative to the root, or FILE#NUMBER: what split files say */
    int label;        /* index into classes */
    enum thaw_set set;
    int line;                  /* of the CSV file; else 0 */
    struct thaw_raster raster; /* its pixels, of the dataset's arena; NULL ones: open the path */
};

struct thaw_dataset {
    const char **classes;
    size_t class_count;
    struct thaw_photo *photos;
    size_t count;
    size_t set_counts[THAW_SET_COUNT];
    struct thaw_arena arena; /* owns all of it */
};

/* Lists the photos and splits them. THAW_ERROR_INPUT with place or path for: a folder or file that
 * cannot be read, no class folders, a class without photos, one photo to split, an unknown column
 * or set or label, a photo that is missing or named twice, IDX files that are damaged or do not fit
 * each other. */
thaw_status thaw_dataset_open(const struct thaw_dataset_config *config,
                              struct thaw_dataset **ret_dataset);
void thaw_dataset_destroy(struct thaw_dataset **dataset); /* accepts NULL and *dataset == NULL */

/* "path,label,set" for each photo, as CSV that `format: csv` reads too. */
thaw_status thaw_dataset_write_split(const struct thaw_dataset *dataset, const char *path);
/* Takes the sets from such a file; every photo must be in it with the same label, and no other. */
thaw_status thaw_dataset_read_split(struct thaw_dataset *dataset, const char *path);

#endif
