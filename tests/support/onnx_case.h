/* A test of ONNX's own suite: a folder with model.onnx and test_data_set_0/{input,output}_<k>.pb.
 */
#ifndef THAW_TESTS_ONNX_CASE_H
#define THAW_TESTS_ONNX_CASE_H

#include "io/onnx/onnx.h"
#include "support/support.h"

#define ONNX_CASE_TENSORS 32

struct onnx_case {
    struct thaw_arena arena;
    const char *name;              /* the folder's own name */
    Thaw__Onnx__ModelProto *model; /* without the outputs that are not compared */
    struct thaw_onnx_tensor inputs[ONNX_CASE_TENSORS], outputs[ONNX_CASE_TENSORS];
    size_t input_count, output_count;
    size_t dropped_outputs; /* masks, indices, statistics: only the first output is compared */
};

/* Fails the test when the folder can't be read. */
void onnx_case_open(const char *folder, struct onnx_case *ret_case);
void onnx_case_finish(struct onnx_case *test);

/* Whether all nodes are of `operators` or of `folded` (words), at least one of the former, and all
 * tensors that are compared are float32. */
bool onnx_case_is_of(const struct onnx_case *test, const char *operators, const char *folded);

/* Imports the model, as it is, and compares what it computes on the test device. `whole`: without a
 * batch. THAW_OK: it agrees. THAW_ERROR_UNSUPPORTED: the importer refuses it. THAW_ERROR_RUNTIME:
 * other values. Everything else is a defect. thaw_error_message() says more. */
thaw_status onnx_case_run(const struct onnx_case *test, bool whole);

#endif
