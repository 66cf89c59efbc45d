/* JSON beyond what jansson does. */
#ifndef THAW_CORE_JSON_H
#define THAW_CORE_JSON_H

#include <jansson.h>

/* A JSON string from any bytes: what is no UTF-8 becomes U+FFFD. NULL when out of memory. */
json_t *thaw_json_text(const char *text);

/* A number; null when it is not finite, which JSON has no way to write. */
json_t *thaw_json_real(double value);

#endif
