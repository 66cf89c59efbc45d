/* Any bytes as an ONNX file: they fail with a message, or give a model YAML that can be read and
 * weights whose bytes can. Some of the seeds are the small models of ONNX's own tests, Debian's
 * libonnx-testdata; the other is a network written by hand. */
#include <string.h>

#include "core/file.h"
#include "fuzz/fuzz.h"
#include "graph/graph.h"
#include "io/onnx/onnx.h"

#define DATA "/usr/share/libonnx-testdata/data/"

static const char *const files[] = {
    DATA "node/test_conv_with_autopad_same/model.onnx",
    DATA "node/test_convtranspose_output_shape/model.onnx",
    DATA "node/test_averagepool_2d_ceil/model.onnx",
    DATA "node/test_batchnorm_example/model.onnx",
    DATA "node/test_celu_expanded/model.onnx",
    DATA "node/test_clip/model.onnx",
    DATA "node/test_concat_3d_axis_negative_2/model.onnx",
    DATA "node/test_gemm_all_attributes/model.onnx",
    DATA "node/test_layer_normalization_3d_axis1_epsilon_expanded/model.onnx",
    DATA "node/test_reduce_mean_negative_axes_keepdims_random/model.onnx",
    DATA "node/test_resize_upsample_scales_cubic/model.onnx",
    DATA "node/test_transpose_all_permutations_3/model.onnx",
    DATA "pytorch-converted/test_BatchNorm2d_eval/model.onnx",
    DATA "pytorch-converted/test_Conv2d_groups/model.onnx",
    DATA "pytorch-converted/test_GLU_dim/model.onnx",
    DATA "pytorch-converted/test_PReLU_2d_multiparam/model.onnx",
    DATA "pytorch-converted/test_PixelShuffle/model.onnx",
    DATA "pytorch-operator/test_operator_addmm/model.onnx",
    DATA "pytorch-operator/test_operator_pad/model.onnx",
    "tests/golden/onnx/convnext.onnx",
    "tests/golden/onnx/new.onnx",
    "tests/golden/onnx/old.onnx",
};
#define FILE_COUNT (sizeof files / sizeof *files)

/* IR 8, opset 17: input (batch, 3, 4, 4) -> Relu -> Reshape to (0, 48) by a constant. */
static const struct fuzz_seed network = FUZZ_SEED_TEXT(
    "\10\10\72t\12\14\12\1x\22\1r\42\4Relu\12\22\12\1r\12\1s\22\1y\42\7Reshape\22\1g\52"
    "\31\10\2\20\7B\1sJ\20\0\0\0\0\0\0\0\0000\0\0\0\0\0\0\0Z\34\12\1x\22\27\12\25\10\1\22"
    "\21\12\3\22\1N\12\2\10\3\12\2\10\4\12\2\10\4b\24\12\1y\22\17\12\15\10\1\22\11\12\3"
    "\22\1N\12\2\0100B\4\12\0\20\21");

static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("Conv"),
    FUZZ_SEED_TEXT("MaxPool"),
    FUZZ_SEED_TEXT("Slice"),
    FUZZ_SEED_TEXT("Gather"),
    FUZZ_SEED_TEXT("Shape"),
    FUZZ_SEED_TEXT("Concat"),
    FUZZ_SEED_TEXT("ConstantOfShape"),
    FUZZ_SEED_TEXT("Resize"),
    FUZZ_SEED_TEXT("Pad"),
    FUZZ_SEED_TEXT("MatMul"),
    FUZZ_SEED_TEXT("\x0a\x01x"),
    FUZZ_SEED_TEXT("\x12\x01x"),
    FUZZ_SEED_TEXT("\x0a\x02\x08\x04"),
    FUZZ_SEED_TEXT("\x08\x00"),
    FUZZ_SEED_TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    FUZZ_SEED_TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    FUZZ_SEED_TEXT("\x42\x02\x10\x0d"),
    FUZZ_SEED_TEXT("\x4a\x08\xff\xff\xff\xff\xff\xff\xff\xff"),
    FUZZ_SEED_TEXT("\x0b\x0b\x0b\x0b"),
};

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    static struct fuzz_seed seeds[1 + FILE_COUNT];
    static bool loaded;
    for (size_t i = 0; !loaded && i < FILE_COUNT; i++) {
        struct thaw_map map; /* stays open */
        FUZZ_REQUIRE(thaw_map_open(files[i], &map) == THAW_OK);
        seeds[1 + i] = (struct fuzz_seed){map.bytes, map.size_bytes};
    }
    seeds[0] = network;
    loaded = true;
    *ret_count = 1 + FILE_COUNT;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

/* The document parses, whatever names the file has; whether a graph can be made of it is its own
 * question, which may be answered with an error but not with a crash. */
static void read_document(const struct thaw_onnx_import *import) {
    const struct thaw_device_caps caps = {.type = THAW_DEVICE_CPU,
                                          .is_cpu = true,
                                          .block = 8,
                                          .compute_units = 2,
                                          .max_work_group_size = 64,
                                          .base_align_bytes = 128};
    struct thaw_graph_options options = {.caps = &caps};
    struct thaw_arena arena = {0};
    struct thaw_graph *graph = NULL;
    thaw_yaml *document;
    FUZZ_REQUIRE(thaw_yaml_parse(&arena, import->yaml, strlen(import->yaml), "fuzz", &document) ==
                 THAW_OK);
    if (thaw_graph_build(document, &options, &graph) == THAW_OK)
        thaw_graph_destroy(&graph);
    thaw_arena_finish(&arena);
}

static void read_weights(const struct thaw_weights *weights) {
    for (size_t i = 0; i < weights->count; i++) {
        const struct thaw_weight *weight = &weights->items[i];
        unsigned char *copy = malloc(weight->size_bytes + 1);
        FUZZ_REQUIRE(copy);
        memcpy(copy, weight->data, weight->size_bytes);
        free(copy);
    }
}

static void import(const uint8_t *data, size_t size, const struct thaw_onnx_options *options) {
    struct thaw_onnx_import imported;
    thaw_status status = thaw_onnx_import_bytes(data, size, "fuzz", options, &imported);
    FUZZ_REQUIRE(status == THAW_OK ||
                 ((status == THAW_ERROR_INPUT || status == THAW_ERROR_UNSUPPORTED) &&
                  strncmp(thaw_error_message(), "fuzz", 4) == 0));
    if (status != THAW_OK)
        return;
    if (imported.yaml) /* else nothing depends on the inputs */
        read_document(&imported);
    read_weights(&imported.weights);
    thaw_onnx_import_finish(&imported);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    import(data, size, &(struct thaw_onnx_options){0});
    import(data, size, &(struct thaw_onnx_options){.as_is = true});
    import(data, size, &(struct thaw_onnx_options){.as_is = true, .whole = true});
    return 0;
}
