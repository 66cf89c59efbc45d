/* What PyTorch's two file forms (import_torch_zip.c, import_torch_legacy.c) share: a pickle says
 * which tensors there are and which part of which storage each one views; the storages' bytes stand
 * elsewhere in the file. Reference: torch/_utils.py and torch/serialization.py of PyTorch 2. */
#ifndef THAW_IO_TORCH_H
#define THAW_IO_TORCH_H

#include "io/pickle.h"
#include "io/weights.h"

/* A run of elements of one type, viewed by one or more tensors. */
struct thaw_torch_storage {
    const char *key;
    enum thaw_dtype dtype;
    uint64_t count;             /* elements, as the pickle says */
    const unsigned char *bytes; /* NULL until loaded */
    size_t size_bytes;
};

struct thaw_torch {
    struct thaw_arena arena; /* of the pickles */
    struct thaw_pickle_reader reader;
    struct thaw_torch_storage *storages; /* sorted by key */
    size_t storage_count;
    size_t file_size_bytes;
    /* Sets bytes and size_bytes of a storage that a tensor needs; NULL when all are loaded. */
    thaw_status (*load)(void *user, struct thaw_torch_storage *storage);
    void *user;
};

/* Prepares to read the pickles in `bytes`, part of a file of `file_size_bytes`. */
void thaw_torch_init(struct thaw_torch *torch, const unsigned char *bytes, size_t size_bytes,
                     size_t file_size_bytes);
void thaw_torch_finish(struct thaw_torch *torch);

/* Reads the pickle of the saved object, and lists the storages it refers to. */
thaw_status thaw_torch_read(struct thaw_torch *torch, struct thaw_pickle **ret_root);

/* NULL when the pickle refers to no storage of that key. */
struct thaw_torch_storage *thaw_torch_find_storage(const struct thaw_torch *torch, const char *key);

/* Adds the tensors of the saved object to `weights`. Nested dictionaries are flattened with '.'; of
 * a training checkpoint, only the entry with the model's weights is read (metadata
 * "thaw.checkpoint_key"); "module." before all names is dropped; what is no tensor is left out and
 * listed in the metadata "thaw.ignored". Tensors that are not contiguous are copied into order. */
thaw_status thaw_torch_collect(const struct thaw_torch *torch, const struct thaw_pickle *root,
                               struct thaw_weights *weights);

/* Adds one tensor; fails when `value` is no tensor or does not fit its storage. `*budget_bytes`
 * bounds, over all tensors, what copies of non-contiguous ones may take. */
bool thaw_torch_is_tensor(const struct thaw_pickle *value);
thaw_status thaw_torch_add_tensor(const struct thaw_torch *torch, const struct thaw_pickle *value,
                                  const char *name, size_t *budget_bytes,
                                  struct thaw_weights *weights);

#endif
