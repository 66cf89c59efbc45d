/* How much memory the host can spare. */
#ifndef THAW_CORE_MEMORY_H
#define THAW_CORE_MEMORY_H

#include <stdint.h>

/* What a program may still use before others suffer: MemAvailable of Linux, which counts what the
 * page cache would give back; elsewhere all of the machine's memory. */
uint64_t thaw_memory_available_bytes(void);

#endif
