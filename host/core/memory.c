#include "core/memory.h"

#include <stdio.h>
#include <unistd.h>

uint64_t thaw_memory_available_bytes(void) {
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    while (file && !kib && fgets(line, sizeof line, file))
        sscanf(line, "MemAvailable: %llu kB", &kib);
    if (file)
        fclose(file);
    if (kib)
        return kib * 1024;
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}
