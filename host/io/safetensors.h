/* Writing safetensors files (https://huggingface.co/docs/safetensors): eight bytes of header
 * length, a JSON header, then the tensors' bytes. Reading is host/io/import_safetensors.c. */
#ifndef THAW_IO_SAFETENSORS_H
#define THAW_IO_SAFETENSORS_H

#include "io/weights.h"

/* Supplies the data of item `index`: its size_bytes at *ret_data, valid until the next call. */
typedef thaw_status thaw_weight_supply(void *user, size_t index, const void **ret_data);

/* Writes `weights` with its metadata to `path`, whole or not at all. The header lists tensors in
 * the given order; their data stands widest type first, else in that order, so that each is aligned
 * to its element. The same list gives the same bytes. With a `supply` the items' data pointers are
 * not looked at: each tensor is asked for when it is its turn, so a model need not be in memory at
 * once. THAW_ERROR_INPUT for duplicate names or text that is not UTF-8, THAW_ERROR_IO when the disk
 * says no. */
thaw_status thaw_safetensors_write(const char *path, const struct thaw_weights *weights,
                                   thaw_weight_supply *supply, void *user);

#endif
