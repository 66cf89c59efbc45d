/* Models as YAML text, for tests of the graph and of training. */
#ifndef THAW_TESTS_MODEL_H
#define THAW_TESTS_MODEL_H

#include "graph/exec.h"
#include "support/support.h"

/* A small residual network over 3 x 12 x 12 with every kind of op that matters to the executor:
 * two residual blocks (the second with a projection), batch norm, pooling, dropout, two linear
 * layers; 7 classes. Stages stem, layer1, layer2; the bottleneck is `avgpool`. */
extern const char test_residual_model[];

/* Parses `text`, named m.yaml; lives until the program ends. */
thaw_yaml *test_yaml(const char *text);

/* Builds a graph for a device that has the channel block `block`; no device is needed. Everything
 * else of `options` (NULL: all zero) is as given. */
thaw_status test_try_model(const char *text, const struct thaw_graph_options *options, int block,
                           struct thaw_graph **ret_graph);
struct thaw_graph *test_model(const char *text, const struct thaw_graph_options *options,
                              int block);

/* The same for the capabilities of a device, allocated there and seeded with `seed`: every weight
 * random, batch norm's scale, shift and statistics too, so that nothing is trivially one or zero.
 */
struct thaw_graph *test_model_on(thaw_device *device, const char *text,
                                 const struct thaw_graph_options *options, uint32_t seed);

/* Another one, of branches: of unlike length that meet again, a node with five readers, one that is
 * read twice by the same op, gates, and an alias with two readers. Its bottleneck is `avgpool`. */
extern const char test_branching_model[];

/* Trains what the patterns (ending in NULL) select; norm layers that are trained use batch
 * statistics if so asked. */
void test_train(struct thaw_graph *graph, bool batch_statistics, const char *const *patterns);
#define TEST_TRAIN(graph, batch_statistics, ...)                                                   \
    test_train((graph), (batch_statistics), (const char *const[]){__VA_ARGS__, NULL})

/* Up to TEST_IMAGES images of the models above with soft targets, always the same. */
#define TEST_IMAGES 5
struct thaw_op_step test_step(int batch);
/* Writes images and targets, and runs forward. */
void test_forward(thaw_exec *exec, const struct thaw_graph *graph, int batch);
/* The mean loss after forward, summed in double precision. */
double test_loss(const thaw_exec *exec, const struct thaw_graph *graph, int batch);
/* The first `batch` images of an output, (N, C, H, W); freed by the caller. */
float *test_output(const thaw_exec *exec, const struct thaw_graph *graph, const char *node,
                   int batch, size_t *ret_count);

#endif
