/* The contract of a weights format: host/io/import_<name>.c defines `thaw_importer_<name>`, and a
 * line in meson.build's `importers` registers it. */
#ifndef THAW_IO_IMPORTER_H
#define THAW_IO_IMPORTER_H

#include "io/weights.h"

struct thaw_importer {
    const char *name;
    const char *description; /* for the list of formats in messages */
    /* Whether the content claims to be this format; a damaged file of the format still does. */
    bool (*matches)(const unsigned char *bytes, size_t size_bytes);
    /* Adds the tensors and metadata of `file`, which outlives `weights`. What it added before a
     * failure is finished by the caller, who also puts the file's name before the message. */
    thaw_status (*open)(const struct thaw_map *file, struct thaw_weights *weights);
};

#endif
