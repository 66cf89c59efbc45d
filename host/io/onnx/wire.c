#include "io/onnx/wire.h"

#include <stdint.h>

#define DEPTH_MAX 24         /* a graph in an attribute of a node is three more */
#define MESSAGES_MAX 1000000 /* of a few hundred bytes each, once unpacked */
#define ITEMS_MAX 8000000    /* strings and numbers that stand one by one */

enum { WIRE_VARINT, WIRE_8_BYTES, WIRE_LENGTH, WIRE_4_BYTES = 5 };

struct scan {
    const unsigned char *bytes; /* the whole file */
    size_t at, end;             /* of the message being read */
    size_t messages, items;
    int depth;
};

static thaw_status fail_cut(const struct scan *scan) {
    return thaw_fail(THAW_ERROR_INPUT,
                     "byte %zu: a value goes beyond the end of its message "
                     "(damaged, cut off, or no ONNX file)",
                     scan->at);
}

static thaw_status read_varint(struct scan *scan, uint64_t *ret_value) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (scan->at >= scan->end)
            return fail_cut(scan);
        unsigned char byte = scan->bytes[scan->at++];
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return THAW_OK;
        }
    }
    return thaw_fail(THAW_ERROR_INPUT, "byte %zu: a number of more than ten bytes", scan->at);
}

static thaw_status skip(struct scan *scan, uint64_t count) {
    if (count > scan->end - scan->at)
        return fail_cut(scan);
    scan->at += (size_t)count;
    return THAW_OK;
}

static thaw_status check_message(struct scan *scan, const ProtobufCMessageDescriptor *kind);

static thaw_status check_length(struct scan *scan, const ProtobufCFieldDescriptor *field) {
    uint64_t length = 0;
    THAW_TRY(read_varint(scan, &length));
    if (length > scan->end - scan->at)
        return fail_cut(scan);
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return skip(scan, length);
    size_t outer = scan->end;
    scan->end = scan->at + (size_t)length;
    THAW_TRY(check_message(scan, field->descriptor));
    scan->end = outer;
    return THAW_OK;
}

static thaw_status check_field(struct scan *scan, const ProtobufCMessageDescriptor *kind) {
    uint64_t tag = 0, value;
    size_t start = scan->at;
    THAW_TRY(read_varint(scan, &tag));
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "byte %zu: no field of a protocol buffer", start);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(kind, (unsigned)(tag >> 3));
    if (++scan->items > ITEMS_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "more than %d fields", ITEMS_MAX);
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(scan, &value);
    case WIRE_8_BYTES:
        return skip(scan, 8);
    case WIRE_LENGTH:
        return check_length(scan, field);
    case WIRE_4_BYTES:
        return skip(scan, 4);
    default:
        return thaw_fail(THAW_ERROR_INPUT, "byte %zu: no field of a protocol buffer", start);
    }
}

static thaw_status check_message(struct scan *scan, const ProtobufCMessageDescriptor *kind) {
    if (++scan->messages > MESSAGES_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "more than %d messages", MESSAGES_MAX);
    if (++scan->depth > DEPTH_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "byte %zu: messages nested deeper than %d", scan->at,
                         DEPTH_MAX);
    while (scan->at < scan->end)
        THAW_TRY(check_field(scan, kind));
    scan->depth--;
    return THAW_OK;
}

thaw_status thaw_onnx_wire_check(const ProtobufCMessageDescriptor *kind, const void *bytes,
                                 size_t size_bytes) {
    struct scan scan = {.bytes = bytes, .end = size_bytes};
    return check_message(&scan, kind);
}
