/* Status codes and the error message behind them.
 *
 * Every fallible function of Thaw returns a thaw_status. Its outputs come last, are named ret_...,
 * and are untouched on failure. The message of the last failure is kept per thread; callers on the
 * way up prepend what they were doing, so that it reads from the outside in:
 *
 *     models/resnet18.yaml:41:7: node 'layer2.0.conv1' (conv2d): input has 64 channels, ...
 *
 * The library never prints, exits or aborts. */
#ifndef THAW_STATUS_H
#define THAW_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum thaw_status {
    THAW_OK = 0,
    THAW_ERROR_MEMORY,      /* the host is out of memory */
    THAW_ERROR_IO,          /* reading or writing failed: disk full, no permission */
    THAW_ERROR_INPUT,       /* usage, YAML, data or weights are wrong */
    THAW_ERROR_UNSUPPORTED, /* valid input that Thaw does not implement */
    THAW_ERROR_DEVICE,      /* no usable OpenCL device */
    THAW_ERROR_RUNTIME,     /* an OpenCL call failed while running */
    THAW_INTERRUPTED,       /* the caller's interrupt flag was raised */
    THAW_STATUS_COUNT
} thaw_status;

/* The message of this thread's last failure, "" if there was none. Valid until the next call. */
const char *thaw_error_message(void);

/* What could help after that failure: a line for the user, or "". */
const char *thaw_error_hint(void);

#ifdef __cplusplus
}
#endif
#endif
