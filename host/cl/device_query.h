/* Asking the OpenCL loader what there is. */
#ifndef THAW_CL_DEVICE_QUERY_H
#define THAW_CL_DEVICE_QUERY_H

#include "cl/cl.h"

/* Every device of every platform, in the loader's order, and what it says of itself. */
struct thaw_device_set {
    size_t count;
    cl_device_id *ids;
    struct thaw_device_info *infos;
};

/* THAW_ERROR_DEVICE, with a hint on what to install, when there is none. */
thaw_status thaw_device_set_query(struct thaw_device_set *ret_set);
void thaw_device_set_finish(struct thaw_device_set *set); /* accepts {0} */

/* The index in `set` that `spec` picks, by the rules of thaw_device_choose(). */
thaw_status thaw_device_set_choose(const struct thaw_device_set *set, const char *spec,
                                   size_t *ret_index);

#endif
