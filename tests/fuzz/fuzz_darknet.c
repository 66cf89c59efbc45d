/* Any bytes as a Darknet network: what stands before a line "---" is the .cfg, what follows the
 * .weights. They fail with a message that names the file, or give a document that builds and
 * tensors whose bytes can be read. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "graph/graph.h"
#include "io/darknet/darknet.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\nbatch=1\nlearning_rate=0.1\n"
#define HEADER "---\n\0\0\0\0\x02\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
#define FLOATS "\0\0\x80?\0\0\0@\0\0\x80>\0\0\0\0\0\0\x80\xbf\0\0\x80\x7f\0\0\xc0\x7f\1\0\0\0"
#define MANY FLOATS FLOATS FLOATS FLOATS FLOATS FLOATS FLOATS FLOATS

static const struct fuzz_seed seeds[] = {
    FUZZ_SEED_TEXT(NET "[convolutional]\nbatch_normalize=1\nfilters=2\nsize=3\nstride=1\npad=1\n"
                       "activation=leaky\n[maxpool]\nsize=2\nstride=2\n[avgpool]\n"
                       "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
                       "[softmax]\ngroups=1\n" HEADER MANY),
    FUZZ_SEED_TEXT(NET "[conv]\nfilters=1\nactivation=relu\n[conv]\nfilters=1\nactivation=linear\n"
                       "[shortcut]\nfrom=-2\nactivation=logistic\n[route]\nlayers=-1,0\n"
                       "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n[connected]\noutput=2\n"
                       "[dropout]\nprobability=.5\n[cost]\ntype=sse\n" HEADER MANY MANY),
    FUZZ_SEED_TEXT(
        NET "[crop]\ncrop_height=4\ncrop_width=4\n[conv]\nfilters=3\n[batchnorm]\n[avgpool]\n"
            "[conv]\nfilters=3\n[scale_channels]\nfrom=2\n[local_avgpool]\nsize=3\n"
            "stride=2\n[activation]\nactivation=swish\n[yolo]\nmask=0\n" HEADER MANY),
    FUZZ_SEED_TEXT("# a comment\n;another\n[net]\r\n width = 4 # pixels\nheight=4\nchannels=1\n"
                   "[connected]\noutput=1\nbatch_normalize=1\n---\n\0\0\0\0\xe9\3\0\0\0\0\0\0\1\0\0"
                   "\0" MANY),
};

static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("[convolutional]\n"),
    FUZZ_SEED_TEXT("[connected]\n"),
    FUZZ_SEED_TEXT("[route]\nlayers="),
    FUZZ_SEED_TEXT("[shortcut]\nfrom="),
    FUZZ_SEED_TEXT("[maxpool]\n"),
    FUZZ_SEED_TEXT("[avgpool]\n"),
    FUZZ_SEED_TEXT("[batchnorm]\n"),
    FUZZ_SEED_TEXT("[upsample]\n"),
    FUZZ_SEED_TEXT("[reorg]\nstride=2\n"),
    FUZZ_SEED_TEXT("[softmax]\n"),
    FUZZ_SEED_TEXT("[scale_channels]\nfrom="),
    FUZZ_SEED_TEXT("[dropout]\n"),
    FUZZ_SEED_TEXT("activation="),
    FUZZ_SEED_TEXT("size="),
    FUZZ_SEED_TEXT("stride="),
    FUZZ_SEED_TEXT("padding="),
    FUZZ_SEED_TEXT("groups="),
    FUZZ_SEED_TEXT("dilation="),
    FUZZ_SEED_TEXT("filters="),
    FUZZ_SEED_TEXT("1048576"),
    FUZZ_SEED_TEXT("16384"),
    FUZZ_SEED_TEXT("-1,-2,"),
    FUZZ_SEED_TEXT("-1"),
    FUZZ_SEED_TEXT("255"),
    FUZZ_SEED_TEXT("1e9"),
    FUZZ_SEED_TEXT("\n"),
    FUZZ_SEED_TEXT("\n---\n"),
    FUZZ_SEED_TEXT("mish\n"),
    FUZZ_SEED_TEXT("linear\n"),
};

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    *ret_count = sizeof seeds / sizeof *seeds;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

static void build(const char *yaml) {
    struct thaw_device_caps caps = {.block = 8, .max_work_group_size = 1, .base_align_bytes = 128};
    struct thaw_graph_options options = {.caps = &caps, .classes = 2};
    struct thaw_arena arena = {0};
    struct thaw_graph *graph = NULL;
    thaw_yaml *document = NULL;
    FUZZ_REQUIRE(thaw_yaml_parse(&arena, yaml, strlen(yaml), "imported", &document) == THAW_OK);
    thaw_status status = thaw_graph_build(document, &options, &graph);
    if (status != THAW_OK)
        fprintf(stderr, "%s\n%s", thaw_error_message(), yaml);
    FUZZ_REQUIRE(status == THAW_OK);
    thaw_graph_destroy(&graph);
    thaw_arena_finish(&arena);
}

static void import(const struct thaw_darknet_bytes *cfg, const struct thaw_darknet_bytes *weights,
                   const char *until) {
    const struct thaw_darknet_options options = {.name = "fuzz", .until = until};
    struct thaw_darknet_import import;
    thaw_status status = thaw_darknet_import_bytes(cfg, weights, &options, &import);
    FUZZ_REQUIRE(status == THAW_OK ||
                 ((status == THAW_ERROR_INPUT || status == THAW_ERROR_UNSUPPORTED) &&
                  (strncmp(thaw_error_message(), "fuzz.cfg:", 9) == 0 ||
                   strncmp(thaw_error_message(), "fuzz.weights:", 13) == 0)));
    if (status != THAW_OK)
        return;
    build(import.yaml);
    for (size_t i = 0; i < import.weights.count; i++) {
        const struct thaw_weight *weight = &import.weights.items[i];
        unsigned char *copy = malloc(weight->size_bytes + 1);
        FUZZ_REQUIRE(copy);
        memcpy(copy, weight->data, weight->size_bytes);
        free(copy);
    }
    thaw_darknet_import_finish(&import);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t split = 0;
    while (split < size && !(size - split >= 5 && !memcmp(data + split, "\n---\n", 5)))
        split++;
    size_t rest = split < size ? split + 5 : size;
    const struct thaw_darknet_bytes cfg = {data, split, "fuzz.cfg"};
    const struct thaw_darknet_bytes weights = {data + rest, size - rest, "fuzz.weights"},
                                    none = {0};
    import(&cfg, &none, NULL);
    import(&cfg, &weights, NULL);
    import(&cfg, &weights, "2");
    return 0;
}
