/* Checks a file before protobuf-c is let at it: protobuf-c recurses as deep as the file says, and
 * makes a structure of hundreds of bytes from a message of two. */
#ifndef THAW_IO_ONNX_WIRE_H
#define THAW_IO_ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "core/error.h"

/* THAW_ERROR_INPUT, with the byte's number, when `bytes` is no whole message of the kind, is nested
 * deeper than ONNX has a use for, or has more messages than any model. */
thaw_status thaw_onnx_wire_check(const ProtobufCMessageDescriptor *kind, const void *bytes,
                                 size_t size_bytes);

#endif
