/* What the ONNX import says of files that are damaged, hostile, or hold what Thaw does not have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/onnx/onnx.h"
#include "support/support.h"

typedef Thaw__Onnx__NodeProto node_proto;
typedef Thaw__Onnx__AttributeProto attribute_proto;
typedef Thaw__Onnx__TensorProto tensor_proto;

/* ---- small models -----------------------------------------------------------------------------
 */

/* x, float32 [N, 3, 8, 8], through one operator `node` to y. */
struct sketch {
    int opset;
    const char *op, *domain;
    const char *inputs[4]; /* "x", "w", ...; NULL ends */
    attribute_proto *attributes[4];
    tensor_proto *tensors[4];
    const char *output; /* of the graph; NULL: y */
};

#define INT(name_, value)                                                                          \
    (&(attribute_proto){PROTOBUF_C_MESSAGE_INIT(&thaw__onnx__attribute_proto__descriptor),         \
                        .name = name_, .has_i = true, .i = (value), .has_type = true,              \
                        .type = THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT})
#define INTS(name_, ...)                                                                           \
    (&(attribute_proto){PROTOBUF_C_MESSAGE_INIT(&thaw__onnx__attribute_proto__descriptor),         \
                        .name = name_,                                                             \
                        .n_ints = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),              \
                        .ints = (int64_t[]){__VA_ARGS__}})
#define TEXT(name_, value)                                                                         \
    (&(attribute_proto){PROTOBUF_C_MESSAGE_INIT(&thaw__onnx__attribute_proto__descriptor),         \
                        .name = name_, .has_s = true,                                              \
                        .s = {sizeof(value) - 1, (uint8_t *)(value)}})
/* `count` int64 or float numbers, all of them `value`. */
static tensor_proto *tensor(const char *name, bool integers, float value, size_t rank,
                            int64_t *dims, size_t count) {
    tensor_proto *t = calloc(1, sizeof *t);
    assert_non_null(t);
    thaw__onnx__tensor_proto__init(t);
    t->name = (char *)name;
    t->has_data_type = true;
    t->data_type = integers ? THAW__ONNX__TENSOR_PROTO__DATA_TYPE__INT64
                            : THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    t->n_dims = rank;
    t->dims = dims;
    if (integers) {
        t->n_int64_data = count;
        t->int64_data = calloc(count + 1, sizeof *t->int64_data);
        for (size_t i = 0; i < count; i++)
            t->int64_data[i] = (int64_t)value;
    } else {
        t->n_float_data = count;
        t->float_data = calloc(count + 1, sizeof *t->float_data);
        for (size_t i = 0; i < count; i++)
            t->float_data[i] = value;
    }
    return t;
}
#define FLOATS(name, count, ...)                                                                   \
    tensor((name), false, 0.5f, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                \
           (int64_t[]){__VA_ARGS__}, (count))
#define INTEGERS(name, value, count)                                                               \
    tensor((name), true, (value), 1, (int64_t[]){(int64_t)(count)}, (count))

static void pack(const struct sketch *sketch, uint8_t **ret_bytes, size_t *ret_size) {
    Thaw__Onnx__TensorShapeProto__Dimension dims[4], *dim_list[4];
    Thaw__Onnx__TensorShapeProto shape = THAW__ONNX__TENSOR_SHAPE_PROTO__INIT;
    Thaw__Onnx__TypeProto__Tensor type_tensor = THAW__ONNX__TYPE_PROTO__TENSOR__INIT;
    Thaw__Onnx__TypeProto type = THAW__ONNX__TYPE_PROTO__INIT;
    Thaw__Onnx__ValueInfoProto x = THAW__ONNX__VALUE_INFO_PROTO__INIT, y = x;
    node_proto node = THAW__ONNX__NODE_PROTO__INIT;
    Thaw__Onnx__GraphProto graph = THAW__ONNX__GRAPH_PROTO__INIT;
    Thaw__Onnx__OperatorSetIdProto opset = THAW__ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Thaw__Onnx__ModelProto model = THAW__ONNX__MODEL_PROTO__INIT;
    for (int i = 0; i < 4; i++) {
        thaw__onnx__tensor_shape_proto__dimension__init(&dims[i]);
        dims[i].value_case = THAW__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dims[i].dim_value = i == 0 ? 1 : i == 1 ? 3 : 8;
        dim_list[i] = &dims[i];
    }
    shape.n_dim = 4;
    shape.dim = dim_list;
    type_tensor.has_elem_type = true;
    type_tensor.elem_type = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    type_tensor.shape = &shape;
    type.value_case = THAW__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &type_tensor;
    x.name = "x";
    x.type = &type;
    y.name = (char *)(sketch->output ? sketch->output : "y");
    node.name = "the node";
    node.op_type = (char *)sketch->op;
    node.domain = (char *)sketch->domain;
    node.input = (char **)sketch->inputs;
    while (node.n_input < 4 && sketch->inputs[node.n_input])
        node.n_input++;
    node.attribute = (attribute_proto **)sketch->attributes;
    while (node.n_attribute < 4 && sketch->attributes[node.n_attribute])
        node.n_attribute++;
    node.n_output = 1;
    node.output = (char *[]){"y"};
    graph.initializer = (tensor_proto **)sketch->tensors;
    while (graph.n_initializer < 4 && sketch->tensors[graph.n_initializer])
        graph.n_initializer++;
    graph.n_node = graph.n_input = graph.n_output = 1;
    graph.node = (node_proto *[]){&node};
    graph.input = (Thaw__Onnx__ValueInfoProto *[]){&x};
    graph.output = (Thaw__Onnx__ValueInfoProto *[]){&y};
    opset.has_version = true;
    opset.version = sketch->opset ? sketch->opset : 17;
    model.has_ir_version = true;
    model.ir_version = 8;
    model.graph = &graph;
    model.n_opset_import = 1;
    model.opset_import = (Thaw__Onnx__OperatorSetIdProto *[]){&opset};
    *ret_size = thaw__onnx__model_proto__get_packed_size(&model);
    *ret_bytes = malloc(*ret_size + 1);
    assert_non_null(*ret_bytes);
    thaw__onnx__model_proto__pack(&model, *ret_bytes);
}

static void release(const struct sketch *sketch, uint8_t *bytes) {
    for (int i = 0; i < 4 && sketch->tensors[i]; i++) {
        free(sketch->tensors[i]->float_data);
        free(sketch->tensors[i]->int64_data);
        free(sketch->tensors[i]);
    }
    free(bytes);
}

static void expect_error(const struct sketch *sketch, thaw_status status, const char *part) {
    uint8_t *bytes;
    size_t size;
    struct thaw_onnx_import import;
    const struct thaw_onnx_options options = {0};
    pack(sketch, &bytes, &size);
    assert_fails(thaw_onnx_import_bytes(bytes, size, "sketch.onnx", &options, &import), status,
                 part);
    release(sketch, bytes);
}
#define EXPECT_UNSUPPORTED(part, ...)                                                              \
    expect_error(&(struct sketch){__VA_ARGS__}, THAW_ERROR_UNSUPPORTED, part)
#define EXPECT_INPUT(part, ...) expect_error(&(struct sketch){__VA_ARGS__}, THAW_ERROR_INPUT, part)

/* ---- what Thaw does not have ------------------------------------------------------------------
 */

static void unsupported_things_are_named(void **state) {
    (void)state;
    EXPECT_UNSUPPORTED("sketch.onnx: node 'the node' (LSTM): the operator is not supported",
                       .op = "LSTM", .inputs = {"x"});
    EXPECT_UNSUPPORTED("(Rel\?): the operator is not supported (nearest: 'Relu')", .op = "Rel\x1b",
                       .inputs = {"x"});
    EXPECT_UNSUPPORTED("the domain 'com.microsoft'", .op = "FusedConv", .domain = "com.microsoft",
                       .inputs = {"x"});
    EXPECT_UNSUPPORTED("node 'the node' (MaxPool): attribute 'magic' is not supported",
                       .op = "MaxPool", .inputs = {"x"},
                       .attributes = {INTS("kernel_shape", 2, 2), INT("magic", 1)});
    EXPECT_UNSUPPORTED("(Resize): attribute 'antialias' is not supported", .op = "Resize",
                       .opset = 18, .inputs = {"x", "", "s"}, .attributes = {INT("antialias", 1)},
                       .tensors = {FLOATS("s", 4, 4)});
    EXPECT_UNSUPPORTED("(Pad): attribute 'mode': 'wrap'", .op = "Pad", .inputs = {"x", "p"},
                       .attributes = {TEXT("mode", "wrap")}, .tensors = {INTEGERS("p", 0, 8)});
    EXPECT_UNSUPPORTED("opset 22, read are 1 to 21", .op = "Relu", .opset = 22, .inputs = {"x"});
    EXPECT_UNSUPPORTED("(Exp): the operator is supported on constants only", .op = "Exp",
                       .inputs = {"x"});
    EXPECT_UNSUPPORTED("(Cast): attribute 'to': values of the network cannot become int64",
                       .op = "Cast", .inputs = {"x"}, .attributes = {INT("to", 7)});
    EXPECT_UNSUPPORTED("(Conv): input 2 ('W') is computed from the network's input", .op = "Conv",
                       .inputs = {"x", "x"});
    EXPECT_UNSUPPORTED("(Concat): batches cannot be joined", .op = "Concat", .inputs = {"x", "x"},
                       .attributes = {INT("axis", 0)});
    EXPECT_UNSUPPORTED("(Reshape): [N, 3, 8, 8] cannot be seen as [5, 5]", .op = "Reshape",
                       .inputs = {"x", "s"}, .tensors = {INTEGERS("s", 5, 2)});
    EXPECT_UNSUPPORTED("the output 'c': it does not depend on the input", .op = "Relu",
                       .inputs = {"x"}, .tensors = {FLOATS("c", 2, 2)}, .output = "c");
}

/* ---- wrong files ------------------------------------------------------------------------------
 */

static void contradictions_are_named(void **state) {
    (void)state;
    EXPECT_INPUT("(Relu): reads 'z', which nothing makes", .op = "Relu", .inputs = {"z"});
    EXPECT_INPUT("(Relu): reads 'y', which nothing before it makes", .op = "Relu", .inputs = {"y"});
    EXPECT_INPUT("nothing makes the output 'q'", .op = "Relu", .inputs = {"x"}, .output = "q");
    EXPECT_INPUT("(Conv): input 2 ('W') is missing", .op = "Conv", .inputs = {"x"});
    EXPECT_INPUT("(Conv): input 1 has 3 channels, the weights expect 2", .op = "Conv",
                 .inputs = {"x", "w"}, .tensors = {FLOATS("w", 8, 1, 2, 2, 2)});
    EXPECT_INPUT("tensor 'w': holds 7 values, its shape needs 8", .op = "Conv",
                 .inputs = {"x", "w"}, .tensors = {FLOATS("w", 7, 1, 2, 2, 2)});
    EXPECT_INPUT("tensor 'w': the dimension -1", .op = "Conv", .inputs = {"x", "w"},
                 .tensors = {FLOATS("w", 8, -1, 2, 2, 2)});
    EXPECT_INPUT("tensor 'w': the dimension 1152921504606846976 is impossible or too large",
                 .op = "Conv", .inputs = {"x", "w"},
                 .tensors = {FLOATS("w", 8, INT64_C(1) << 60, 16, 1, 1)});
    EXPECT_INPUT("tensor 'w': holds 8 values, its shape needs 1000000000", .op = "Conv",
                 .inputs = {"x", "w"}, .tensors = {FLOATS("w", 8, 1000000000)});
    EXPECT_INPUT("the value 'x' is made twice", .op = "Relu", .inputs = {"x"},
                 .tensors = {FLOATS("x", 1, 1), FLOATS("x", 1, 1)});
    EXPECT_INPUT("(Transpose): attribute 'perm' is no permutation", .op = "Transpose",
                 .inputs = {"x"}, .attributes = {INTS("perm", 0, 1, 1, 2)});
    EXPECT_INPUT("(MaxPool): attribute 'kernel_shape': -2, expected 1 to 65535", .op = "MaxPool",
                 .inputs = {"x"}, .attributes = {INTS("kernel_shape", -2, 2)});
    EXPECT_INPUT("(MaxPool): attribute 'kernel_shape': expected integers", .op = "MaxPool",
                 .inputs = {"x"}, .attributes = {INT("kernel_shape", 2)});
    EXPECT_INPUT("(Flatten): attribute 'axis': 9 of 4 dimensions", .op = "Flatten", .inputs = {"x"},
                 .attributes = {INT("axis", 9)});
}

/* A file of few bytes cannot ask for much memory or time. */
static void small_files_stay_small(void **state) {
    (void)state;
    EXPECT_UNSUPPORTED("values would be computed from constants", .op = "ConstantOfShape",
                       .inputs = {"s"}, .tensors = {INTEGERS("s", 1000, 3)});
    EXPECT_INPUT("impossible or too large", .op = "ConstantOfShape", .inputs = {"s"},
                 .tensors = {INTEGERS("s", 100000, 8)});
    EXPECT_UNSUPPORTED(
        "values would be computed from constants", .op = "Range", .inputs = {"a", "b", "c"},
        .tensors = {INTEGERS("a", 0, 1), INTEGERS("b", 900000000, 1), INTEGERS("c", 1, 1)});
    EXPECT_INPUT("it has no end", .op = "Range", .inputs = {"a", "b", "c"},
                 .tensors = {INTEGERS("a", 0, 1), INTEGERS("b", 9, 1), INTEGERS("c", 0, 1)});
    EXPECT_INPUT("a division by zero", .op = "Div", .inputs = {"a", "b"},
                 .tensors = {INTEGERS("a", 3, 1), INTEGERS("b", 0, 1)});
}

/* Attributes in graphs in attributes: protobuf-c would follow them down to the end of the stack. */
static void nesting_is_limited(void **state) {
    enum { LEVELS = 20000 };
    (void)state;
    uint8_t *bytes = malloc(LEVELS * 20), *at = bytes + LEVELS * 20;
    assert_non_null(bytes);
    size_t size = 0;
    static const uint8_t tags[] = {0x32, 0x2a, 0x0a}; /* attribute.g, node.attribute, graph.node */
    for (int i = 0; i <= LEVELS * 3; i++) {
        uint8_t head[8];
        size_t length = 0;
        head[length++] = i == LEVELS * 3 ? 0x3a : tags[i % 3]; /* model.graph */
        for (size_t rest = size;; rest >>= 7) {
            head[length++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
            if (rest <= 0x7f)
                break;
        }
        at -= length;
        memcpy(at, head, length);
        size += length;
    }
    struct thaw_onnx_import import;
    const struct thaw_onnx_options options = {0};
    assert_fails(thaw_onnx_import_bytes(at, size, "deep", &options, &import), THAW_ERROR_INPUT,
                 "messages nested deeper than");
    free(bytes);
}

/* ---- cut and changed files --------------------------------------------------------------------
 */

static void every_cut_is_noticed(void **state) {
    static const char *const names[] = {"residual", "keras", "old", "new"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        struct thaw_map file;
        snprintf(path, sizeof path, "tests/golden/onnx/%s.onnx", names[i]);
        assert_ok(thaw_map_open(path, &file));
        for (size_t size = 0; size < file.size_bytes; size += 1 + file.size_bytes / 97) {
            struct thaw_onnx_import import;
            const struct thaw_onnx_options options = {.size = 32};
            thaw_status status =
                thaw_onnx_import_bytes(file.bytes, size, "cut.onnx", &options, &import);
            if (status == THAW_OK)
                fail_msg("%s: %zu of %zu bytes are accepted", names[i], size, file.size_bytes);
            assert_true(status == THAW_ERROR_INPUT);
            assert_non_null(strstr(thaw_error_message(), "cut.onnx: "));
        }
        thaw_map_close(&file);
    }
}

static void no_onnx_at_all(void **state) {
    static const char *const contents[] = {"", "hello", "\x80\x02", "{\"a\": 1}", "\x08\x08"};
    (void)state;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct thaw_onnx_import import;
        const struct thaw_onnx_options options = {0};
        assert_fails(
            thaw_onnx_import_bytes(contents[i], strlen(contents[i]), "no.onnx", &options, &import),
            THAW_ERROR_INPUT, "no.onnx: ");
    }
    assert_false(thaw_onnx_matches((const unsigned char *)"\x80\x02}q\x01(X\x08", 9));
}

/* ---- external data ----------------------------------------------------------------------------
 */

/* external.onnx with its data's name replaced by one of the same length, in a folder of its own. */
static void expect_external_error(const char *location, const char *part) {
    static const char original[] = "external.data";
    struct thaw_map file;
    char path[512];
    assert_int_equal(strlen(location), strlen(original));
    assert_ok(thaw_map_open("tests/golden/onnx/external.onnx", &file));
    char *copy = malloc(file.size_bytes);
    assert_non_null(copy);
    memcpy(copy, file.bytes, file.size_bytes);
    for (size_t i = 0; i + strlen(original) <= file.size_bytes; i++)
        if (!memcmp(copy + i, original, strlen(original)))
            memcpy(copy + i, location, strlen(location));
    snprintf(path, sizeof path, "%s/changed.onnx", test_directory());
    assert_ok(thaw_file_write(path, copy, file.size_bytes));
    struct thaw_onnx_import import;
    const struct thaw_onnx_options options = {0};
    assert_fails(thaw_onnx_import_file(path, &options, &import), THAW_ERROR_INPUT, part);
    free(copy);
    thaw_map_close(&file);
}

static void external_data_stays_below_the_model(void **state) {
    char path[512];
    (void)state;
    expect_external_error("../exter.data", "which is not below the model's folder");
    expect_external_error("/etc/hostname", "which is not below the model's folder");
    expect_external_error("a/../../b.bin", "which is not below the model's folder");
    expect_external_error("no-such-a.bin", "no-such-a.bin");
    snprintf(path, sizeof path, "%s/short-one.bin", test_directory());
    assert_ok(thaw_file_write(path, "short", 5));
    expect_external_error("short-one.bin", "its data lies beyond the end of 'short-one.bin'");
}

/* ---- options ----------------------------------------------------------------------------------
 */

static void expect_option_error(const struct thaw_onnx_options *options, const char *name,
                                const char *part) {
    char path[128];
    struct thaw_onnx_import import;
    snprintf(path, sizeof path, "tests/golden/onnx/%s.onnx", name);
    assert_fails(thaw_onnx_import_file(path, options, &import), THAW_ERROR_INPUT, part);
}

static void options_that_do_not_fit(void **state) {
    (void)state;
    expect_option_error(&(struct thaw_onnx_options){0}, "new",
                        "the input 'x': the file leaves dimension 2 open");
    expect_option_error(&(struct thaw_onnx_options){.size = 48}, "residual",
                        "the input 'x': is 32 x 32 in the file, not 48 x 48");
    expect_option_error(&(struct thaw_onnx_options){.layout = "hwc"}, "residual",
                        "the layout is nchw or nhwc, not 'hwc'");
    expect_option_error(&(struct thaw_onnx_options){.output = "yy"}, "residual",
                        "the graph has no output 'yy' (nearest: 'y')");
    expect_option_error(&(struct thaw_onnx_options){.mean = "0.4,0.5"}, "residual",
                        "--mean: '0.4,0.5' is neither a number nor three");
    expect_option_error(&(struct thaw_onnx_options){.std = "0"}, "residual", "above 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsupported_things_are_named),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(small_files_stay_small),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(no_onnx_at_all),
        cmocka_unit_test(external_data_stays_below_the_model),
        cmocka_unit_test(options_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
