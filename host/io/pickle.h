/* A reader of Python pickles that only builds data. Nothing is imported, called or executed: a
 * pickle is turned into a tree of the values below, and what Python would call becomes a CALL value
 * that names the callable, if that is on the caller's list. A pickle that calls anything else is
 * refused by that name.
 *
 * Format: Python's Lib/pickletools.py; opcodes of protocols 0 to 5 that hold numbers, text and
 * containers in binary form. */
#ifndef THAW_IO_PICKLE_H
#define THAW_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"

enum thaw_pickle_kind {
    THAW_PICKLE_NONE,
    THAW_PICKLE_BOOL,       /* integer */
    THAW_PICKLE_INT,        /* integer */
    THAW_PICKLE_LONG,       /* beyond 64 bits: text, little-endian two's complement */
    THAW_PICKLE_FLOAT,      /* number */
    THAW_PICKLE_TEXT,       /* text; also Python 2 strings and bytes */
    THAW_PICKLE_TUPLE,      /* items */
    THAW_PICKLE_LIST,       /* items; also sets */
    THAW_PICKLE_DICT,       /* items: key, value, key, value ...; also collections.OrderedDict */
    THAW_PICKLE_GLOBAL,     /* text "module.name"; never looked up */
    THAW_PICKLE_CALL,       /* items[0] the GLOBAL, items[1] the TUPLE of arguments */
    THAW_PICKLE_PERSISTENT, /* items[0]: the id of an object outside the pickle */
};

/* Values are shared wherever the pickle refers to one twice, and a list may contain itself: who
 * walks a tree bounds depth and number of visits. */
struct thaw_pickle {
    enum thaw_pickle_kind kind;
    union {
        int64_t integer;
        double number;
        struct {
            const char *text; /* NUL-terminated, and may hold NUL itself */
            size_t length;
        };
        struct {
            struct thaw_pickle **items;
            size_t count, capacity;
        };
    };
};

/* Several pickles one after the other in memory. Set the first four members, zero the rest. */
struct thaw_pickle_reader {
    struct thaw_arena *arena; /* of all values */
    const unsigned char *bytes;
    size_t size_bytes;
    const char *const
        *callables; /* what may become a CALL: "torch._utils._rebuild_tensor_v2" ... */
    size_t callable_count;

    size_t position;                 /* after the last pickle read */
    struct thaw_pickle **persistent; /* every PERSISTENT value, in order */
    size_t persistent_count, persistent_capacity;
    size_t value_count;
    struct thaw_pickle_machine *machine; /* private */
};

/* Reads the pickle at `position`. THAW_ERROR_INPUT, with the byte's number, for damage, for an
 * opcode that tensors and containers do not need and for a callable not on the list. */
thaw_status thaw_pickle_read(struct thaw_pickle_reader *reader, struct thaw_pickle **ret_value);

/* Whether `value` is TEXT equal to `text`. */
bool thaw_pickle_is_text(const struct thaw_pickle *value, const char *text);

/* What Python would call the value's type, for messages. */
const char *thaw_pickle_kind_name(const struct thaw_pickle *value);

#endif
