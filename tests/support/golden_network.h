/* A cmocka test that compares a whole network, forward, backward and ten steps of training, with a
 * golden of PyTorch. */
#ifndef THAW_TESTS_GOLDEN_NETWORK_H
#define THAW_TESTS_GOLDEN_NETWORK_H

struct golden_check {
    const char *model, *conv; /* convolution candidate; NULL: the default ones */
    double factor;            /* of PyTorch's own single-precision error that is allowed */
};

/* Sums are added in another order than PyTorch's; Winograd's transforms lose about a digit, which
 * ten steps amplify. */
#define GOLDEN_DIRECT 16
#define GOLDEN_DEFAULT 96

/* *state is a struct golden_check. */
void golden_check_network(void **state);

#endif
