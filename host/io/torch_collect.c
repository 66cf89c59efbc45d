/* From the tree of a saved object to a flat list of named tensors. */
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "io/torch.h"

#define DEPTH_MAX 32
#define VISITS_MAX ((size_t)1 << 20) /* entries, each as often as the tree shows it */
#define NAME_SIZE 512
#define IGNORED_LISTED 20

struct walk {
    const struct thaw_torch *torch;
    struct thaw_weights *weights;
    size_t visits, budget_bytes;
    struct thaw_text ignored;
    size_t ignored_count;
};

/* The name of an entry: the key, text or a number, after the names around it. */
static bool join_name(const char *prefix, const struct thaw_pickle *key, char ret_name[NAME_SIZE]) {
    const char *dot = *prefix ? "." : "";
    int length = -1;
    if (key->kind == THAW_PICKLE_TEXT && strlen(key->text) == key->length)
        length = snprintf(ret_name, NAME_SIZE, "%s%s%s", prefix, dot, key->text);
    else if (key->kind == THAW_PICKLE_INT)
        length = snprintf(ret_name, NAME_SIZE, "%s%s%lld", prefix, dot, (long long)key->integer);
    return length >= 0 && length < NAME_SIZE;
}

/* The list goes into metadata and messages: plain characters only. */
static void ignore(struct walk *walk, const char *name) {
    if (++walk->ignored_count > IGNORED_LISTED)
        return;
    if (walk->ignored_count > 1)
        thaw_text_append(&walk->ignored, ", ");
    for (const char *c = name; *c; c++)
        thaw_text_append(&walk->ignored, "%c", *c >= 0x20 && *c < 0x7f ? *c : '?');
}

static thaw_status walk_dict(struct walk *walk, const struct thaw_pickle *dict, const char *prefix,
                             int depth) {
    if (depth > DEPTH_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "dictionaries are nested more than %d deep", DEPTH_MAX);
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        const struct thaw_pickle *value = dict->items[i + 1];
        char name[NAME_SIZE];
        if (++walk->visits > VISITS_MAX)
            return thaw_fail(THAW_ERROR_INPUT, "more than %zu entries", VISITS_MAX);
        bool named = join_name(prefix, dict->items[i], name);
        if (!named && (value->kind == THAW_PICKLE_DICT || thaw_torch_is_tensor(value)))
            return thaw_fail(THAW_ERROR_INPUT,
                             "an entry of '%.64s' has a key that is no text or number of less than "
                             "%d characters",
                             prefix, NAME_SIZE);
        if (value->kind == THAW_PICKLE_DICT)
            THAW_TRY(walk_dict(walk, value, name, depth + 1));
        else if (thaw_torch_is_tensor(value))
            THAW_TRY(thaw_torch_add_tensor(walk->torch, value, name, &walk->budget_bytes,
                                           walk->weights));
        else
            ignore(walk, named ? name : "?");
    }
    return THAW_OK;
}

/* Of a training checkpoint, the entry with the model's weights; else `root` itself. */
static thaw_status find_state_dict(struct walk *walk, const struct thaw_pickle *root,
                                   const struct thaw_pickle **ret_dict) {
    static const char *const keys[] = {"state_dict", "model", "model_state_dict", "state_dict_ema"};
    const struct thaw_pickle *found = NULL;
    const char *found_key = NULL;
    for (size_t k = 0; !found && k < sizeof keys / sizeof *keys; k++) {
        for (size_t i = 0; i + 1 < root->count; i += 2) {
            if (thaw_pickle_is_text(root->items[i], keys[k]) &&
                root->items[i + 1]->kind == THAW_PICKLE_DICT) {
                found = root->items[i + 1];
                found_key = keys[k];
            }
        }
    }
    *ret_dict = found ? found : root;
    if (!found)
        return THAW_OK;
    for (size_t i = 0; i + 1 < root->count; i += 2) {
        char name[NAME_SIZE];
        if (root->items[i + 1] != found)
            ignore(walk, join_name("", root->items[i], name) ? name : "?");
    }
    return thaw_weights_set_metadata(walk->weights, "thaw.checkpoint_key", found_key);
}

/* nn.DataParallel puts "module." before every name. */
static void drop_module_prefix(struct thaw_weights *weights) {
    static const char prefix[] = "module.";
    size_t length = strlen(prefix);
    for (size_t i = 0; i < weights->count; i++) {
        const char *name = weights->items[i].name;
        if (strncmp(name, prefix, length) != 0 || !name[length])
            return;
    }
    for (size_t i = 0; i < weights->count; i++)
        weights->items[i].name += length;
}

static thaw_status collect(struct walk *walk, const struct thaw_pickle *root) {
    const struct thaw_pickle *dict;
    if (root->kind != THAW_PICKLE_DICT)
        return thaw_fail(THAW_ERROR_INPUT,
                         "the file holds a %s, expected a dictionary of named tensors",
                         thaw_pickle_kind_name(root));
    THAW_TRY(find_state_dict(walk, root, &dict));
    THAW_TRY(walk_dict(walk, dict, "", 0));
    if (walk->weights->count == 0)
        return thaw_fail(THAW_ERROR_INPUT, "the file holds no tensors");
    drop_module_prefix(walk->weights);
    if (walk->ignored_count == 0)
        return THAW_OK;
    if (walk->ignored_count > IGNORED_LISTED)
        thaw_text_append(&walk->ignored, " and %zu more", walk->ignored_count - IGNORED_LISTED);
    if (walk->ignored.failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    return thaw_weights_set_metadata(walk->weights, "thaw.ignored", walk->ignored.text);
}

thaw_status thaw_torch_collect(const struct thaw_torch *torch, const struct thaw_pickle *root,
                               struct thaw_weights *weights) {
    /* Copies of transposed tensors are at most as large as the file, unless storages are shared. */
    struct walk walk = {torch, weights, 0, 4 * torch->file_size_bytes + (1u << 20)};
    thaw_status status = collect(&walk, root);
    thaw_text_finish(&walk.ignored);
    return status;
}
