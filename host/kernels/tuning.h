/* Remembered measurements: which candidate was fastest for a problem on this device.
 *
 * One text file for each device key, THAW_CACHE/tuning/<hash of the key>.txt:
 *
 *     thaw tuning 1: <device key>
 *     <problem key> -> <candidate>
 *
 * read once for each opened device, at the first question. A file that cannot be understood is
 * worth a warning and nothing more: it is ignored, and replaced by the next measurement. Names are
 * not checked here: a candidate that no longer exists or applies is passed over by selection. */
#ifndef THAW_KERNELS_TUNING_H
#define THAW_KERNELS_TUNING_H

#include "cl/cl.h"

/* The candidate remembered for `problem_key` ("conv forward ...", "gemm ..."), or NULL. Valid until
 * the next thaw_tuning_remember of this device. */
const char *thaw_tuning_find(thaw_device *device, const char *problem_key);

/* Remembers a choice and saves the file (whole or not at all). Neither text may contain a line
 * break or " -> ". THAW_ERROR_IO when it cannot be saved; the choice then still holds for this
 * device while it is open. */
thaw_status thaw_tuning_remember(thaw_device *device, const char *problem_key,
                                 const char *candidate);

/* The file that measurements of this device are kept in; NULL when there is no cache directory. */
const char *thaw_tuning_path(thaw_device *device);

#endif
