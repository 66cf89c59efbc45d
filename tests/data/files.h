/* Small files for the tests of the data floor. */
#ifndef THAW_TESTS_DATA_FILES_H
#define THAW_TESTS_DATA_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "support/support.h"

/* Writes below test_directory(), creating folders. */
static inline void file_save(const char *name, const void *bytes, size_t size_bytes) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_ok(thaw_path_make_directories(path));
    *slash = '/';
    assert_ok(thaw_file_write(path, bytes, size_bytes));
}

static inline void file_save_text(const char *name, const char *text) {
    file_save(name, text, strlen(text));
}

static inline void file_make_folder(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    assert_ok(thaw_path_make_directories(path));
}

/* A picture of one band, in PGM: pixel (x, y) is (seed * 31 + 3 x + 5 y) % 256. */
static inline void file_save_picture(const char *name, int width, int height, int seed) {
    char head[64];
    int length = snprintf(head, sizeof head, "P5 %d %d 255\n", width, height);
    size_t count = (size_t)(width * height);
    unsigned char *bytes = malloc((size_t)length + count);
    memcpy(bytes, head, (size_t)length);
    for (int i = 0; i < width * height; i++)
        bytes[length + i] = (unsigned char)(seed * 31 + 3 * (i % width) + 5 * (i / width));
    file_save(name, bytes, (size_t)length + count);
    free(bytes);
}

#endif
