#include "io/onnx/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/onnx/onnx.h"
#include "io/onnx/text.h"
#include "io/onnx/wire.h"

/* Exporters write the version of the format first: field 1, a small number. A safetensors file may
 * begin alike, and has a brace there. */
bool thaw_onnx_matches(const unsigned char *bytes, size_t size_bytes) {
    return size_bytes > 8 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 64 && bytes[8] != '{';
}

static thaw_status find_opset(struct thaw_onnx_model *model) {
    const Thaw__Onnx__ModelProto *proto = model->proto;
    const Thaw__Onnx__OperatorSetIdProto *found = NULL;
    for (size_t i = 0; i < proto->n_opset_import && !found; i++) {
        const char *domain = proto->opset_import[i]->domain;
        if (!domain || !*domain || !strcmp(domain, "ai.onnx"))
            found = proto->opset_import[i];
    }
    if (!found)
        return thaw_fail(THAW_ERROR_INPUT, "the model does not say which opset it is written in");
    if (found->version < THAW_ONNX_OPSET_MIN || found->version > THAW_ONNX_OPSET_MAX)
        return thaw_hint(thaw_fail(THAW_ERROR_UNSUPPORTED,
                                   "the model is written in opset %lld, read are %d to %d",
                                   (long long)found->version, THAW_ONNX_OPSET_MIN,
                                   THAW_ONNX_OPSET_MAX),
                         "export it with opset %d, or convert it with "
                         "onnx.version_converter.convert_version(model, %d)",
                         THAW_ONNX_OPSET_MAX, THAW_ONNX_OPSET_MAX);
    model->opset = (int)found->version;
    return THAW_OK;
}

static thaw_status unpack(const void *bytes, size_t size_bytes, struct thaw_onnx_model *model) {
    if (size_bytes == 0)
        return thaw_fail(THAW_ERROR_INPUT, "the file is empty");
    THAW_TRY(thaw_onnx_wire_check(&thaw__onnx__model_proto__descriptor, bytes, size_bytes));
    model->proto = thaw__onnx__model_proto__unpack(NULL, size_bytes, bytes);
    if (!model->proto)
        return thaw_fail(THAW_ERROR_INPUT, "no ONNX file: its parts are not what ONNX has there");
    model->graph = model->proto->graph;
    model->size_bytes = size_bytes;
    if (!model->graph)
        return thaw_fail(THAW_ERROR_INPUT, "no ONNX file, or one without a graph");
    return find_opset(model);
}

static thaw_status open_named(const void *bytes, size_t size_bytes, const char *name,
                              bool has_folder, struct thaw_onnx_model *ret_model) {
    struct thaw_onnx_model model = {.has_folder = has_folder};
    model.path = thaw_arena_copy(&model.arena, name);
    thaw_status status = model.path ? unpack(bytes, size_bytes, &model) : THAW_ERROR_MEMORY;
    if (status != THAW_OK) {
        thaw_onnx_model_finish(&model);
        return thaw_context(status, "%s", name);
    }
    *ret_model = model;
    return THAW_OK;
}

thaw_status thaw_onnx_model_open(const char *path, struct thaw_onnx_model *ret_model) {
    struct thaw_map map;
    THAW_TRY(thaw_map_open(path, &map));
    thaw_status status = open_named(map.bytes, map.size_bytes, path, true, ret_model);
    thaw_map_close(&map); /* protobuf-c copies */
    return status;
}

thaw_status thaw_onnx_model_open_bytes(const void *bytes, size_t size_bytes, const char *name,
                                       struct thaw_onnx_model *ret_model) {
    return open_named(bytes, size_bytes, name, false, ret_model);
}

void thaw_onnx_model_finish(struct thaw_onnx_model *model) {
    for (struct thaw_onnx_external *e = model->externals; e; e = e->next)
        thaw_map_close(&e->map);
    if (model->proto)
        thaw__onnx__model_proto__free_unpacked(model->proto, NULL);
    thaw_arena_finish(&model->arena);
    *model = (struct thaw_onnx_model){0};
}

/* ---- external data -------------------------------------------------------------------------- */

struct place {
    const char *location; /* NULL: not given */
    uint64_t offset, length;
    bool has_length;
};

static thaw_status read_number(const char *key, const char *text, uint64_t *ret_value) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return thaw_fail(THAW_ERROR_INPUT, "the %s of its external data is no number", key);
    *ret_value = value;
    return THAW_OK;
}

static thaw_status read_place(const Thaw__Onnx__TensorProto *proto, struct place *ret_place) {
    struct place place = {0};
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        if (!key || !value)
            continue;
        if (!strcmp(key, "location")) {
            place.location = value;
        } else if (!strcmp(key, "offset")) {
            THAW_TRY(read_number(key, value, &place.offset));
        } else if (!strcmp(key, "length")) {
            THAW_TRY(read_number(key, value, &place.length));
            place.has_length = true;
        }
    }
    if (!place.location || !*place.location)
        return thaw_fail(THAW_ERROR_INPUT, "does not say where its external data is");
    *ret_place = place;
    return THAW_OK;
}

/* Neither absolute nor with a part "..": below the model's folder. A link there may lead anywhere,
 * but whoever made it could read the file anyway. */
static bool stays_below(const char *location) {
    if (*location == '/' || strchr(location, '\\'))
        return false;
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        if (length == 2 && !strncmp(part, "..", 2))
            return false;
    }
    return true;
}

static thaw_status open_external(struct thaw_onnx_model *model, const char *location,
                                 const struct thaw_map **ret_map) {
    const char *shown = thaw_onnx_printable(&model->arena, location);
    if (!shown)
        return THAW_ERROR_MEMORY;
    for (struct thaw_onnx_external *e = model->externals; e; e = e->next)
        if (!strcmp(e->location, location)) {
            *ret_map = &e->map;
            return THAW_OK;
        }
    if (!model->has_folder)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "has its data in another file, '%s'", shown);
    if (!stays_below(location))
        return thaw_fail(THAW_ERROR_INPUT,
                         "wants to read '%s', which is not below the model's folder", shown);
    struct thaw_onnx_external *external = thaw_arena_alloc(&model->arena, sizeof *external);
    char *path = thaw_path_beside(&model->arena, model->path, location);
    if (!external || !path)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_map_open(path, &external->map));
    external->location = location;
    external->next = model->externals;
    model->externals = external;
    model->size_bytes += external->map.size_bytes;
    *ret_map = &external->map;
    return THAW_OK;
}

static thaw_status find_external(struct thaw_onnx_model *model,
                                 const Thaw__Onnx__TensorProto *proto, const void **ret_bytes,
                                 size_t *ret_size_bytes) {
    struct place place = {0};
    const struct thaw_map *map = NULL;
    THAW_TRY(read_place(proto, &place));
    THAW_TRY(open_external(model, place.location, &map));
    if (place.offset > map->size_bytes ||
        (place.has_length && place.length > map->size_bytes - place.offset))
        return thaw_fail(THAW_ERROR_INPUT, "its data lies beyond the end of '%s' (%zu bytes)",
                         thaw_onnx_printable(&model->arena, place.location), map->size_bytes);
    *ret_bytes = map->bytes ? map->bytes + place.offset : (const unsigned char *)"";
    *ret_size_bytes =
        place.has_length ? (size_t)place.length : map->size_bytes - (size_t)place.offset;
    return THAW_OK;
}

thaw_status thaw_onnx_model_tensor(struct thaw_onnx_model *model,
                                   const Thaw__Onnx__TensorProto *proto,
                                   struct thaw_onnx_tensor *ret_tensor) {
    bool external = proto->has_data_location &&
                    proto->data_location == THAW__ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (!external)
        return thaw_onnx_tensor_decode(&model->arena, proto, ret_tensor);
    const void *bytes = NULL;
    size_t size_bytes = 0;
    thaw_status status = find_external(model, proto, &bytes, &size_bytes);
    if (status != THAW_OK)
        return thaw_context(status, "tensor '%s'",
                            thaw_onnx_printable(&model->arena, proto->name ? proto->name : ""));
    return thaw_onnx_tensor_decode_bytes(&model->arena, proto, bytes, size_bytes, ret_tensor);
}

const char *thaw_onnx_model_metadata(const struct thaw_onnx_model *model, const char *key) {
    for (size_t i = 0; i < model->proto->n_metadata_props; i++) {
        const Thaw__Onnx__StringStringEntryProto *entry = model->proto->metadata_props[i];
        if (entry->key && entry->value && !strcmp(entry->key, key))
            return entry->value;
    }
    return NULL;
}
