#include "io/onnx/normalisation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/onnx/text.h"

/* "0.485,0.456,0.406", or one number for all channels. */
static thaw_status read_numbers(const char *option, const char *text, bool positive,
                                float values[3]) {
    int count = 0;
    const char *at = text;
    while (count < 3) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || !isfinite(value) || (positive && value <= 0))
            break;
        values[count++] = (float)value;
        at = end + (*end == ',');
        if (*end != ',')
            break;
    }
    if (!count || *at || count == 2)
        return thaw_fail(THAW_ERROR_INPUT,
                         "--%s: '%.60s' is neither a number nor three with commas between%s",
                         option, text, positive ? ", above 0" : "");
    for (; count < 3; count++)
        values[count] = values[0];
    return THAW_OK;
}

static thaw_status read_sequence(const thaw_yaml *input, const char *key, bool positive,
                                 float values[3]) {
    const thaw_yaml *list = thaw_yaml_get(input, key);
    if (!list)
        return THAW_OK;
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, key));
    for (size_t i = 0; i < list->count && i < 3; i++) {
        double value = 0;
        THAW_TRY(thaw_yaml_double(list->items[i], positive ? 1e-9 : -1e9, 1e9, &value));
        values[i] = (float)value;
    }
    return THAW_OK;
}

static thaw_status read_metadata(struct thaw_onnx_converter *cv) {
    const char *said = thaw_onnx_model_metadata(cv->model, "thaw.input");
    thaw_yaml *input;
    if (!said)
        return THAW_OK;
    THAW_TRY(thaw_yaml_parse(&cv->scratch, said, strlen(said), "thaw.input", &input));
    THAW_TRY(thaw_yaml_expect(input, THAW_YAML_MAPPING, "thaw.input"));
    cv->knows_input = thaw_yaml_get(input, "mean") && thaw_yaml_get(input, "std");
    THAW_TRY(read_sequence(input, "mean", false, cv->mean));
    return read_sequence(input, "std", true, cv->std);
}

/* The file's name without folder and ending, as a plain word. */
static const char *file_name(struct thaw_onnx_converter *cv) {
    const char *slash = strrchr(cv->model->path, '/');
    char *name = thaw_onnx_plain_name(cv->arena, slash ? slash + 1 : cv->model->path);
    if (!name)
        return NULL;
    char *end = strrchr(name, '.');
    if (end)
        *end = '\0';
    return *name ? name : "model";
}

thaw_status thaw_onnx_read_options(struct thaw_onnx_converter *cv) {
    const struct thaw_onnx_options *options = cv->options;
    for (int i = 0; i < 3; i++) {
        cv->mean[i] = 0;
        cv->std[i] = 1;
    }
    cv->name = options->name ? thaw_onnx_plain_name(cv->arena, options->name) : file_name(cv);
    if (!cv->name)
        return THAW_ERROR_MEMORY;
    if (options->as_is)
        return THAW_OK;
    THAW_TRY(read_metadata(cv));
    if (options->mean)
        THAW_TRY(read_numbers("mean", options->mean, false, cv->mean));
    if (options->std)
        THAW_TRY(read_numbers("std", options->std, true, cv->std));
    cv->knows_input = cv->knows_input || (options->mean && options->std);
    if (cv->knows_input)
        return THAW_OK;
    return thaw_onnx_note(cv,
                          "ONNX does not say what the network expects of a picture: %s; --mean "
                          "and --std say it (torchvision's networks: --mean 0.485,0.456,0.406 "
                          "--std 0.229,0.224,0.225)",
                          options->mean || options->std ? "one of mean and std is assumed"
                                                        : "values from 0 to 1 are assumed");
}
