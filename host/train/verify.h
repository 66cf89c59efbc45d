/* Checks a model file against the record of what its run trained (freeze.json; train/freeze.h):
 *
 *   - each tensor is bit for bit what the run kept, and none is missing or new
 *   - each stage began with what the one before it ended with
 *   - what a stage froze is the same before and after it, and in the file as that stage found it
 *   - what no stage up to the kept epoch trained is as it was when the run began, and, while the
 *     pretrained weights file is still there and unchanged, is that file's
 *
 * Needs no device: hashes are of the tensors' float32 values. */
#ifndef THAW_TRAIN_VERIFY_H
#define THAW_TRAIN_VERIFY_H

#include <stdbool.h>

#include "core/arena.h"
#include <thaw/status.h>

struct thaw_verify_stage {
    const char *name;
    size_t trained, frozen;
    size_t untouched; /* frozen in it and in every stage before it: as at the start */
    bool has_kept;    /* model.safetensors is of an epoch of this stage */
    bool complete;    /* has its hashes after */
};

struct thaw_verify_failure {
    const char *tensor; /* or file */
    const char *what;
};

struct thaw_verify {
    struct thaw_arena arena;
    const char *model; /* the file that was checked */
    struct thaw_verify_stage *stages;
    size_t stage_count;
    size_t tensors;        /* of the file that match */
    size_t untouched;      /* of these, that no stage up to the kept epoch trained */
    int kept_epoch;        /* from 1, of its stage */
    const char *weights;   /* the pretrained file; NULL: from scratch */
    const char *unchecked; /* why `weights` was not compared; NULL: it was */
    size_t pretrained;     /* tensors whose content at the start is that file's */
    struct thaw_verify_failure *failures;
    size_t failure_count;
};

/* `run` is a run folder; `model` NULL: its model.safetensors. THAW_OK also with failures: those are
 * in the list. THAW_ERROR_INPUT when the folder has no record or the files can't be read. */
thaw_status thaw_verify_run(const char *run, const char *model, struct thaw_verify *ret_verify);
void thaw_verify_finish(struct thaw_verify *verify); /* accepts {0} */

#endif
