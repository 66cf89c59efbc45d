#include "train/folds.h"

#include "core/rng.h"

/* Sets fold_of[i] for the images of one class; `next` is the fold whose turn it is. */
static size_t deal_class(const int *labels, size_t count, int label, int folds, uint64_t seed,
                         uint32_t *members, int *fold_of, int *next) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (labels[i] == label)
            members[found++] = (uint32_t)i;
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_FOLDS, (uint32_t)label, (uint32_t)folds);
    thaw_rng_shuffle(&rng, members, found);
    for (size_t i = 0; i < found; i++) {
        fold_of[members[i]] = *next;
        *next = (*next + 1) % folds;
    }
    return found;
}

static thaw_status collect(struct thaw_arena *arena, const int *fold_of, size_t count, int fold,
                           struct thaw_folds *f) {
    f->train[fold] = thaw_arena_array(arena, count + 1, sizeof(uint32_t));
    f->val[fold] = thaw_arena_array(arena, count + 1, sizeof(uint32_t));
    if (!f->train[fold] || !f->val[fold])
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (fold_of[i] == fold)
            f->val[fold][f->val_count[fold]++] = (uint32_t)i;
        else
            f->train[fold][f->train_count[fold]++] = (uint32_t)i;
    return THAW_OK;
}

thaw_status thaw_folds_make(struct thaw_arena *arena, const int *labels, size_t count,
                            const char *const *names, int classes, int folds, uint64_t seed,
                            struct thaw_folds *ret_folds) {
    struct thaw_folds f = {.count = folds};
    uint32_t *members = thaw_arena_array(arena, count + 1, sizeof *members);
    int *fold_of = thaw_arena_array(arena, count + 1, sizeof *fold_of), next = 0;
    if (!members || !fold_of)
        return THAW_ERROR_MEMORY;
    for (int c = 0; c < classes; c++) {
        size_t found = deal_class(labels, count, c, folds, seed, members, fold_of, &next);
        if (found < (size_t)folds)
            return thaw_fail(THAW_ERROR_INPUT,
                             "class '%s' has %zu images to train on, too few for %d folds",
                             names[c], found, folds);
    }
    for (int fold = 0; fold < folds; fold++)
        THAW_TRY(collect(arena, fold_of, count, fold, &f));
    *ret_folds = f;
    return THAW_OK;
}
