/* PyTorch's .pth since 1.6: a zip archive without compression that holds, below one folder,
 * data.pkl (the saved object), data/<key> (the bytes of each storage) and byteorder. Storages are
 * copied out rather than borrowed, because only so libzip checks their CRC. */
#include <string.h>
#include <zip.h>

#include "io/importer.h"
#include "io/torch.h"

struct archive {
    zip_t *zip;
    size_t file_size_bytes;
    struct thaw_arena *arena; /* of the weights */
    char *folder;             /* "archive/" or "" */
    bool big_endian;
};

static bool matches(const unsigned char *bytes, size_t size_bytes) {
    return size_bytes >= 4 && memcmp(bytes, "PK\3\4", 4) == 0;
}

static thaw_status fail_entry(const char *name, const char *what) {
    return thaw_fail(THAW_ERROR_INPUT, "the zip archive's entry '%.128s' %s", name, what);
}

/* Reads a whole entry into `arena`. */
static thaw_status read_entry(const struct archive *archive, const char *name,
                              struct thaw_arena *arena, unsigned char **ret_bytes,
                              size_t *ret_size_bytes) {
    const zip_uint64_t needed = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    zip_stat_t stat;
    if (zip_stat(archive->zip, name, 0, &stat) != 0)
        return fail_entry(name, "is missing");
    if ((stat.valid & needed) != needed || stat.comp_method != ZIP_CM_STORE)
        return fail_entry(name, "is compressed, which PyTorch never does");
    if (stat.size > archive->file_size_bytes)
        return fail_entry(name, "is larger than the file");
    unsigned char *bytes = thaw_arena_alloc(arena, (size_t)stat.size);
    if (!bytes)
        return THAW_ERROR_MEMORY;
    zip_file_t *file = zip_fopen_index(archive->zip, stat.index, 0);
    if (!file)
        return fail_entry(name, "is damaged");
    unsigned char past_end;
    /* The checksum is looked at by the read that finds the end. */
    bool good = zip_fread(file, bytes, stat.size) == (zip_int64_t)stat.size &&
                zip_fread(file, &past_end, 1) == 0;
    zip_fclose(file);
    if (!good)
        return fail_entry(name, "is damaged (its checksum or length is wrong)");
    *ret_bytes = bytes;
    *ret_size_bytes = (size_t)stat.size;
    return THAW_OK;
}

static void swap_bytes(unsigned char *bytes, size_t size_bytes, size_t element) {
    for (size_t at = 0; at + element <= size_bytes; at += element) {
        for (size_t i = 0; i < element / 2; i++) {
            unsigned char kept = bytes[at + i];
            bytes[at + i] = bytes[at + element - 1 - i];
            bytes[at + element - 1 - i] = kept;
        }
    }
}

static thaw_status load_storage(void *user, struct thaw_torch_storage *storage) {
    const struct archive *archive = user;
    unsigned char *bytes = NULL;
    size_t size_bytes = 0;
    char *name = thaw_arena_format(archive->arena, "%sdata/%s", archive->folder, storage->key);
    if (!name)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(read_entry(archive, name, archive->arena, &bytes, &size_bytes));
    if (archive->big_endian)
        swap_bytes(bytes, size_bytes, thaw_dtype_size_bytes(storage->dtype));
    storage->bytes = bytes;
    storage->size_bytes = size_bytes;
    return THAW_OK;
}

/* The folder is what stands before "data.pkl" in the first entry of that name. */
static thaw_status find_folder(struct archive *archive, struct thaw_arena *arena) {
    static const char file_name[] = "data.pkl";
    size_t file_length = strlen(file_name);
    zip_int64_t count = zip_get_num_entries(archive->zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *name = zip_get_name(archive->zip, (zip_uint64_t)i, 0);
        size_t length = name ? strlen(name) : 0;
        if (length < file_length || strcmp(name + length - file_length, file_name) != 0)
            continue;
        size_t folder_length = length - file_length;
        if (folder_length && name[folder_length - 1] != '/')
            continue;
        archive->folder = thaw_arena_copy_bytes(arena, name, folder_length);
        return archive->folder ? THAW_OK : THAW_ERROR_MEMORY;
    }
    return thaw_fail(THAW_ERROR_INPUT,
                     "the zip archive holds no data.pkl: it was not written by PyTorch");
}

static thaw_status read_byte_order(struct archive *archive, struct thaw_arena *arena) {
    unsigned char *order = NULL;
    size_t length = 0;
    char *name = thaw_arena_format(arena, "%sbyteorder", archive->folder);
    if (!name)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (zip_name_locate(archive->zip, name, 0) < 0) /* before PyTorch 2.1: little */
        return THAW_OK;
    THAW_TRY(read_entry(archive, name, arena, &order, &length));
    archive->big_endian = length == 3 && memcmp(order, "big", 3) == 0;
    if (!archive->big_endian && (length != 6 || memcmp(order, "little", 6) != 0))
        return fail_entry(name, "is neither 'little' nor 'big'");
    return THAW_OK;
}

static thaw_status read_archive(struct archive *archive, struct thaw_arena *arena,
                                struct thaw_weights *weights) {
    unsigned char *pickle = NULL;
    size_t pickle_size = 0;
    THAW_TRY(find_folder(archive, arena));
    THAW_TRY(read_byte_order(archive, arena));
    char *name = thaw_arena_format(arena, "%sdata.pkl", archive->folder);
    if (!name)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(read_entry(archive, name, arena, &pickle, &pickle_size));

    struct thaw_torch torch;
    struct thaw_pickle *root;
    thaw_torch_init(&torch, pickle, pickle_size, archive->file_size_bytes);
    torch.load = load_storage;
    torch.user = archive;
    thaw_status status = thaw_torch_read(&torch, &root);
    if (status == THAW_OK)
        status = thaw_torch_collect(&torch, root, weights);
    thaw_torch_finish(&torch);
    return status;
}

static thaw_status open_zip(const struct thaw_map *file, struct thaw_weights *weights) {
    struct archive archive = {.file_size_bytes = file->size_bytes, .arena = &weights->arena};
    struct thaw_arena arena = {0};
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(file->bytes, file->size_bytes, 0, &error);
    archive.zip = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : NULL;
    thaw_status status;
    if (archive.zip) {
        status = read_archive(&archive, &arena, weights);
        zip_discard(archive.zip); /* frees the source */
    } else {
        status = thaw_fail(THAW_ERROR_INPUT, "the zip archive is damaged or truncated: %s",
                           zip_error_strerror(&error));
        zip_source_free(source);
    }
    zip_error_fini(&error);
    thaw_arena_finish(&arena);
    return status;
}

const struct thaw_importer thaw_importer_torch_zip = {
    .name = "torch_zip",
    .description = "PyTorch since 1.6",
    .matches = matches,
    .open = open_zip,
};
