#include "core/json.h"

#include <math.h>

#include "core/text.h"

/* The length of the valid UTF-8 sequence that `text` starts with, by its lead byte and the number
 * of continuation bytes; 0 when there is none. jansson checks the finer points. */
static size_t sequence_length(const char *text) {
    unsigned char lead = (unsigned char)*text;
    size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead > 0xF4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
    if (length > 1) { /* overlong forms and surrogates are jansson's to refuse */
        json_t *trial = json_stringn(text, length);
        if (!trial)
            return 0;
        json_decref(trial);
    }
    return length;
}

json_t *thaw_json_text(const char *text) {
    json_t *string = json_string(text);
    if (string)
        return string;
    struct thaw_text clean = {0};
    while (*text) {
        size_t length = sequence_length(text);
        if (length)
            thaw_text_append_bytes(&clean, text, length);
        else
            thaw_text_append_bytes(&clean, "\xEF\xBF\xBD", 3);
        text += length ? length : 1;
    }
    string = clean.failed ? NULL : json_string(clean.text);
    thaw_text_finish(&clean);
    return string;
}

json_t *thaw_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}
