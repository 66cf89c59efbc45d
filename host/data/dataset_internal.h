/* What the files of dataset.h share. */
#ifndef THAW_DATA_DATASET_INTERNAL_H
#define THAW_DATA_DATASET_INTERNAL_H

#include "data/dataset.h"

/* A dataset while it is listed. */
struct thaw_dataset_builder {
    const struct thaw_dataset_config *config;
    struct thaw_dataset *dataset;
    size_t capacity;        /* of dataset->photos */
    bool has_explicit_sets; /* the data say the sets */
};

thaw_status thaw_dataset_list_folder(struct thaw_dataset_builder *builder);
thaw_status thaw_dataset_list_csv(struct thaw_dataset_builder *builder);
thaw_status thaw_dataset_list_idx(struct thaw_dataset_builder *builder);
/* Appends; texts are of dataset->arena. */
thaw_status thaw_dataset_add(struct thaw_dataset_builder *builder, struct thaw_photo photo);

/* Fills set_counts. */
void thaw_dataset_count_sets(struct thaw_dataset *dataset);
/* Gives every photo its set, as the config says. */
thaw_status thaw_dataset_split(struct thaw_dataset_builder *builder);

/* `select`: classes before the split, photos per class after it. */
thaw_status thaw_dataset_select_classes(struct thaw_dataset_builder *builder);
thaw_status thaw_dataset_select_photos(struct thaw_dataset_builder *builder);

/* The order of classes and photos: runs of digits by their value, the rest by bytes. */
int thaw_dataset_compare_names(const char *a, const char *b);

#endif
