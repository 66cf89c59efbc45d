/* A graph with its weights as an ONNX file: nodes by the hooks `onnx` of the ops (ops/export.h),
 * weights under their own names, a free batch dimension.
 *
 * The file has one input "input" (batch, C, H, W), the picture as the network sees it (what to do
 * to a photo before stands in the metadata that the caller gives), and one output "logits", or
 * "probabilities" with `softmax`: (batch, K), or (batch, C, H, W) where the network ends in maps.
 */
#ifndef THAW_IO_ONNX_EXPORT_H
#define THAW_IO_ONNX_EXPORT_H

#include "graph/graph.h"
#include "ops/export.h"

struct thaw_onnx_entry {
    const char *key, *value;
};

struct thaw_onnx_export_options {
    bool fold;     /* batch norm into the convolution or linear layer before it, where none but it
                    * reads that one's output */
    bool softmax;  /* probabilities at the end */
    bool external; /* weights in a file of their own, `path`.data; always so beyond 2 GiB, the most
                    * that a file of this format holds */
    const struct thaw_onnx_entry *metadata;
    size_t metadata_count;
};

struct thaw_onnx_export_summary {
    size_t node_count, tensor_count, folded_count;
    size_t size_bytes;          /* of `path` */
    size_t external_size_bytes; /* of `path`.data; 0: there is none */
};

/* The graph must be allocated. The files appear whole or not at all. THAW_ERROR_UNSUPPORTED names
 * the node whose op has no form in ONNX. */
thaw_status thaw_onnx_export(const struct thaw_graph *graph,
                             const struct thaw_onnx_export_options *options, const char *path,
                             struct thaw_onnx_export_summary *ret_summary);

/* The two steps of it. A description starts as {0} and is finished by the caller, also after a
 * failure. */
struct thaw_onnx_description {
    struct thaw_export_model model;
    const struct thaw_graph *graph;
    const char *output; /* name of the graph's output */
    bool flat;          /* it is (batch, K) */
    size_t folded_count;
};
thaw_status thaw_onnx_describe(const struct thaw_graph *graph,
                               const struct thaw_onnx_export_options *options,
                               struct thaw_onnx_description *description);
void thaw_onnx_description_finish(struct thaw_onnx_description *description);
thaw_status thaw_onnx_write(const struct thaw_onnx_description *description,
                            const struct thaw_onnx_export_options *options, const char *path,
                            struct thaw_onnx_export_summary *ret_summary);

#endif
