/* PyTorch's legacy .pth (before 1.6, and _use_new_zipfile_serialization=False): four pickles (magic
 * number, protocol version, system information, saved object), a fifth with the list of storage
 * keys, then for each key an int64 element count and the elements. */
#include <string.h>

#include "io/importer.h"
#include "io/torch.h"

#define PROTOCOL_VERSION 1001

static const unsigned char magic_number[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                               0x20, 0x6a, 0xa8, 0x50, 0x19};

/* PROTO, a FRAME from protocol 4 on, LONG1 of the magic number. */
static bool matches(const unsigned char *bytes, size_t size_bytes) {
    size_t at = 2;
    if (size_bytes < at + 1 || bytes[0] != 0x80)
        return false;
    if (bytes[2] == 0x95)
        at += 9;
    return size_bytes >= at + 2 + sizeof magic_number && bytes[at] == 0x8a &&
           bytes[at + 1] == sizeof magic_number &&
           memcmp(bytes + at + 2, magic_number, sizeof magic_number) == 0;
}

static thaw_status read_preamble(struct thaw_torch *torch) {
    struct thaw_pickle *magic, *version, *system;
    THAW_TRY(thaw_pickle_read(&torch->reader, &magic));
    THAW_TRY(thaw_pickle_read(&torch->reader, &version));
    if (version->kind != THAW_PICKLE_INT || version->integer != PROTOCOL_VERSION)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "the legacy PyTorch file is not of protocol version %d", PROTOCOL_VERSION);
    THAW_TRY(thaw_pickle_read(&torch->reader, &system));
    for (size_t i = 0; system->kind == THAW_PICKLE_DICT && i + 1 < system->count; i += 2) {
        const struct thaw_pickle *value = system->items[i + 1];
        if (thaw_pickle_is_text(system->items[i], "little_endian") &&
            value->kind == THAW_PICKLE_BOOL && !value->integer)
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "the legacy PyTorch file was written on a big-endian machine");
    }
    return THAW_OK;
}

/* Finds the bytes of storage `key` at the reader's position, and moves past them. */
static thaw_status read_storage(struct thaw_torch *torch, const struct thaw_pickle *key) {
    struct thaw_pickle_reader *reader = &torch->reader;
    struct thaw_torch_storage *storage =
        key->kind == THAW_PICKLE_TEXT ? thaw_torch_find_storage(torch, key->text) : NULL;
    if (!storage)
        return thaw_fail(THAW_ERROR_INPUT, "the file has a storage that no tensor refers to");
    size_t rest = reader->size_bytes - reader->position;
    uint64_t count;
    if (rest < sizeof count)
        return thaw_fail(THAW_ERROR_INPUT, "truncated before storage '%s'", storage->key);
    memcpy(&count, reader->bytes + reader->position, sizeof count);
    rest -= sizeof count;
    if (count != storage->count)
        return thaw_fail(THAW_ERROR_INPUT, "storage '%s' has %llu elements, its tensors say %llu",
                         storage->key, (unsigned long long)count,
                         (unsigned long long)storage->count);
    size_t element = thaw_dtype_size_bytes(storage->dtype);
    if (count > rest / element)
        return thaw_fail(THAW_ERROR_INPUT,
                         "truncated: storage '%s' needs %llu elements of %zu "
                         "bytes, the file has %zu bytes more",
                         storage->key, (unsigned long long)count, element, rest);
    storage->bytes = reader->bytes + reader->position + sizeof count;
    storage->size_bytes = (size_t)count * element;
    reader->position += sizeof count + storage->size_bytes;
    return THAW_OK;
}

static thaw_status read_file(struct thaw_torch *torch, struct thaw_weights *weights) {
    struct thaw_pickle *root, *keys;
    THAW_TRY(read_preamble(torch));
    THAW_TRY(thaw_torch_read(torch, &root));
    THAW_TRY(thaw_pickle_read(&torch->reader, &keys));
    if (keys->kind != THAW_PICKLE_LIST)
        return thaw_fail(THAW_ERROR_INPUT, "the file has no list of storages");
    for (size_t i = 0; i < keys->count; i++)
        THAW_TRY(read_storage(torch, keys->items[i]));
    return thaw_torch_collect(torch, root, weights);
}

static thaw_status open_legacy(const struct thaw_map *file, struct thaw_weights *weights) {
    struct thaw_torch torch;
    thaw_torch_init(&torch, file->bytes, file->size_bytes, file->size_bytes);
    thaw_status status = read_file(&torch, weights);
    thaw_torch_finish(&torch);
    return status;
}

const struct thaw_importer thaw_importer_torch_legacy = {
    .name = "torch_legacy",
    .description = "PyTorch before 1.6",
    .matches = matches,
    .open = open_legacy,
};
