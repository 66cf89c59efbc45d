/* Goldens: what PyTorch computes for a network, in tests/golden/<model>.json, written by
 * tests/golden/make_goldens.py, which says what they hold and where the tolerances come from. */
#ifndef THAW_TESTS_GOLDEN_H
#define THAW_TESTS_GOLDEN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/yaml.h"
#include "support/support.h"

/* Reads tests/golden/<model>.json; fails the test when it cannot. Released with json_decref. */
json_t *golden_load(const char *model);
double golden_number(const json_t *golden, const char *key);

/* The model's YAML with the golden's changes applied; of `arena`. */
const thaw_yaml *golden_document(struct thaw_arena *arena, const json_t *golden);

/* The tensor `name` (of parameters, or "input") of the golden's formula, in file order. */
void golden_fill(const json_t *golden, const char *name, const int64_t *dims, int rank,
                 float *ret_values);

/* Compares `count` values with what the golden says of them: all values or a summary. `factor` is
 * the multiple of PyTorch's own single-precision error that is allowed. Prints each difference that
 * is too large and returns their number. */
int golden_compare(const json_t *expected, const float *actual, size_t count, double factor,
                   const char *what);

#endif
