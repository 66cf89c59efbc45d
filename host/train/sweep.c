#include "train/sweep.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"

#define DIMENSIONS_MAX 16
#define NAME_LENGTH_MAX 200 /* of a folder's 255 bytes */

/* One of the alternatives of a dimension: what it changes, and its part of the name. */
struct alternative {
    struct thaw_config_change *changes;
    size_t count;
    const char *name, *row; /* "seed=0" and, without the seed, "" */
};

struct dimension {
    const char *key; /* NULL: a list of variants, which has several */
    const thaw_yaml *place;
    struct alternative *items;
    size_t count;
};

/* The variants of one file while they are made. */
struct maker {
    struct thaw_sweep *sweep;
    const struct thaw_sweep_request *request;
    const char *path, *base;
    struct dimension dimensions[DIMENSIONS_MAX];
    size_t count;
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The value in few characters that a folder's name may have. */
static void append_value(struct thaw_text *text, const thaw_yaml *value) {
    if (value->kind == THAW_YAML_SCALAR) {
        const char *c = thaw_yaml_is_null(value) ? "none" : value->text;
        const char *slash = strrchr(c, '/'); /* of a path, the file */
        for (c = slash && slash[1] ? slash + 1 : c; *c; c++)
            thaw_text_append(
                text, "%c",
                (unsigned char)*c <= ' ' || strchr("/\\:*?\"<>|'`$&;(){}[]#!", *c) ? '_' : *c);
        return;
    }
    if (!value->count)
        thaw_text_append(text, "none");
    for (size_t i = 0; i < value->count; i++) {
        thaw_text_append(text, "%s", i ? "," : "");
        if (value->kind == THAW_YAML_MAPPING)
            thaw_text_append(text, "%s", value->keys[i]->text);
        append_value(text, value->items[i]);
    }
}

/* "train.tune.lr" -> "lr", unless another key of the sweep ends so, too. */
static const char *short_key(const char *key, const thaw_yaml *siblings) {
    const char *dot = strrchr(key, '.');
    if (!dot)
        return key;
    for (size_t i = 0; siblings && i < siblings->count; i++) {
        const char *other = siblings->keys[i]->text, *end = strrchr(other, '.');
        if (strcmp(other, key) != 0 && !strcmp(end ? end + 1 : other, dot + 1))
            return key;
    }
    return dot + 1;
}

static thaw_status keep_text(struct thaw_arena *arena, struct thaw_text *text,
                             const char **ret_text) {
    *ret_text = text->failed ? NULL : thaw_arena_copy(arena, text->text ? text->text : "");
    thaw_text_finish(text);
    return *ret_text ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

/* ---- alternatives --------------------------------------------------------------------------- */

static thaw_status check_key(const thaw_yaml *key) {
    static const char *const fixed[] = {"name", "output", "extends", "sweep"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!strcmp(key->text, fixed[i]))
            return thaw_yaml_fail(key, "`%s` can't be swept", key->text);
    return THAW_OK;
}

/* `label` stands for the value in the name; NULL: the value does. */
static thaw_status make_single(struct maker *m, const thaw_yaml *key, const thaw_yaml *siblings,
                               const thaw_yaml *value, const thaw_yaml *label,
                               struct alternative *ret) {
    struct thaw_arena *arena = &m->sweep->arena;
    struct thaw_text name = {0};
    ret->changes = thaw_arena_array(arena, 2, sizeof *ret->changes);
    if (!ret->changes)
        return THAW_ERROR_MEMORY;
    ret->changes[0] = (struct thaw_config_change){key, value};
    ret->count = 1;
    thaw_text_append(&name, "%s=", short_key(key->text, siblings));
    append_value(&name, label ? label : value);
    THAW_TRY(keep_text(arena, &name, &ret->name));
    ret->row = strcmp(key->text, "seed") == 0 ? "" : ret->name;
    return THAW_OK;
}

/* One variant of a list: a mapping of changes, perhaps with a name. */
static thaw_status make_variant(struct maker *m, const thaw_yaml *variant,
                                struct alternative *ret) {
    struct thaw_arena *arena = &m->sweep->arena;
    struct thaw_text name = {0}, row = {0};
    const char *given = NULL;
    THAW_TRY(thaw_yaml_expect(variant, THAW_YAML_MAPPING, "a variant of `sweep`"));
    THAW_TRY(thaw_yaml_get_string(variant, "name", &given));
    ret->changes = thaw_arena_array(arena, variant->count + 2, sizeof *ret->changes);
    if (!ret->changes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < variant->count; i++) {
        const thaw_yaml *key = variant->keys[i];
        if (!strcmp(key->text, "name"))
            continue;
        THAW_TRY(check_key(key));
        ret->changes[ret->count++] = (struct thaw_config_change){key, variant->items[i]};
        struct thaw_text *parts[] = {&name, strcmp(key->text, "seed") ? &row : NULL};
        for (size_t p = 0; p < 2 && parts[p]; p++) {
            thaw_text_append(parts[p], "%s%s=", parts[p]->length ? "-" : "",
                             short_key(key->text, variant));
            append_value(parts[p], variant->items[i]);
        }
    }
    thaw_status status = keep_text(arena, &name, &ret->name);
    thaw_status row_status = keep_text(arena, &row, &ret->row);
    if (given)
        ret->name = ret->row = given;
    return status != THAW_OK ? status : row_status;
}

/* ---- dimensions ----------------------------------------------------------------------------- */

static thaw_status add_dimension(struct maker *m, const char *key, const thaw_yaml *place,
                                 size_t count, struct dimension **ret) {
    if (m->count == DIMENSIONS_MAX)
        return thaw_yaml_fail(place, "a sweep has at most %d keys", DIMENSIONS_MAX);
    if (!count)
        return thaw_yaml_fail(place, "`sweep` needs values%s%s", key ? " for " : "",
                              key ? key : "");
    struct dimension *d = &m->dimensions[m->count++];
    *d = (struct dimension){.key = key, .place = place, .count = count};
    d->items = thaw_arena_array(&m->sweep->arena, count, sizeof *d->items);
    *ret = d;
    return d->items ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status add_key(struct maker *m, const thaw_yaml *key, const thaw_yaml *siblings,
                           const thaw_yaml *values) {
    struct dimension *d = NULL;
    THAW_TRY(check_key(key));
    if (values->kind == THAW_YAML_SCALAR)
        return thaw_yaml_fail(values, "the values of `%s` must be a list such as [%s, ...]",
                              key->text, values->text);
    THAW_TRY(add_dimension(m, key->text, values, values->count, &d));
    for (size_t i = 0; i < values->count; i++)
        THAW_TRY(make_single(m, key, siblings, values->items[i],
                             values->kind == THAW_YAML_MAPPING ? values->keys[i] : NULL,
                             &d->items[i]));
    return THAW_OK;
}

/* "key.path=v1,v2": the values are the items of a YAML list. */
static thaw_status parse_word(struct thaw_arena *arena, const char *word, thaw_yaml **ret_map) {
    const char *equals = strchr(word, '=');
    thaw_yaml place = {.file = "--sweep", .line = 1, .column = 1}, *values = NULL;
    if (!equals || equals == word)
        return thaw_hint(
            thaw_fail(THAW_ERROR_INPUT, "--sweep: '%s': expected key.path=value,value", word),
            "--sweep seed=0,1,2");
    char *key = thaw_arena_copy_bytes(arena, word, (size_t)(equals - word));
    char *list = thaw_arena_format(arena, "[%s]", equals + 1);
    thaw_yaml *scalar = key ? thaw_yaml_new_scalar(arena, key, &place) : NULL;
    *ret_map = thaw_arena_alloc(arena, sizeof **ret_map);
    if (!list || !scalar || !*ret_map)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_parse_at(arena, list, strlen(list), "--sweep", (int)(equals - word) + 1,
                                &values));
    (*ret_map)->kind = THAW_YAML_MAPPING;
    return thaw_yaml_append(arena, *ret_map, scalar, values);
}

/* The command line's dimensions, over those of the file. */
static thaw_status collect_dimensions(struct maker *m, const thaw_yaml *own) {
    struct thaw_arena *arena = &m->sweep->arena;
    thaw_yaml *map = thaw_arena_alloc(arena, sizeof *map);
    struct dimension *list = NULL;
    if (!map)
        return THAW_ERROR_MEMORY;
    map->kind = THAW_YAML_MAPPING;
    if (own && own->kind == THAW_YAML_MAPPING)
        THAW_TRY(thaw_yaml_copy(arena, own, &map));
    for (size_t i = 0; i < m->request->sweep_count; i++) {
        thaw_yaml *word = NULL;
        THAW_TRY(parse_word(arena, m->request->sweeps[i], &word));
        THAW_TRY(thaw_yaml_put(arena, map, word->keys[0]->text, word->items[0]));
    }
    if (own && own->kind == THAW_YAML_SEQUENCE) {
        THAW_TRY(add_dimension(m, NULL, own, own->count, &list));
        for (size_t i = 0; i < own->count; i++)
            THAW_TRY(make_variant(m, own->items[i], &list->items[i]));
    } else if (own && !thaw_yaml_is_null(own)) {
        THAW_TRY(thaw_yaml_expect(own, THAW_YAML_MAPPING, "`sweep`"));
    }
    for (size_t i = 0; i < map->count; i++)
        THAW_TRY(add_key(m, map->keys[i], map, map->items[i]));
    return THAW_OK;
}

/* What --set fixes can't be swept. */
static thaw_status check_sets(const struct maker *m) {
    for (size_t d = 0; d < m->count; d++)
        for (size_t a = 0; a < m->dimensions[d].count; a++)
            for (size_t c = 0; c < m->dimensions[d].items[a].count; c++) {
                const thaw_yaml *key = m->dimensions[d].items[a].changes[c].path;
                size_t length = strlen(key->text);
                for (size_t s = 0; s < m->request->set_count; s++)
                    if (!strncmp(m->request->sets[s], key->text, length) &&
                        m->request->sets[s][length] == '=')
                        return thaw_hint(
                            thaw_yaml_fail(key, "`%s` is swept, and --set fixes it", key->text),
                            "--sweep %s replaces the values of the sweep", m->request->sets[s]);
            }
    return THAW_OK;
}

/* ---- experiments ---------------------------------------------------------------------------- */

/* Hashes the experiment without its seed and name. */
static thaw_status hash_group(const struct thaw_config *config, uint64_t *ret_hash) {
    struct thaw_arena arena = {0};
    struct thaw_text text = {0};
    thaw_yaml *copy = NULL;
    thaw_status status = thaw_yaml_copy(&arena, config->document, &copy);
    if (status == THAW_OK) {
        thaw_yaml_drop(copy, "seed");
        thaw_yaml_drop(copy, "name");
    }
    if (status == THAW_OK)
        thaw_yaml_emit(copy, &text);
    if (text.failed)
        status = thaw_fail(THAW_ERROR_INPUT, "%s: the experiment is not UTF-8 text", config->path);
    if (status == THAW_OK)
        *ret_hash = thaw_hash64(text.text, text.length, 0);
    thaw_text_finish(&text);
    thaw_arena_finish(&arena);
    return status;
}

/* The experiment that takes alternative `picks[d]` of each dimension. */
static thaw_status add_run(struct maker *m, const size_t *picks) {
    struct thaw_arena *arena = &m->sweep->arena;
    struct thaw_text name = {0}, row = {0};
    struct thaw_config_change *changes;
    size_t count = 0, capacity = 1;
    for (size_t d = 0; d < m->count; d++)
        capacity += m->dimensions[d].items[picks[d]].count;
    changes = thaw_arena_array(arena, capacity, sizeof *changes);
    thaw_yaml *key = thaw_yaml_new_scalar(arena, "name", NULL);
    if (!changes || !key)
        return THAW_ERROR_MEMORY;
    thaw_text_append(&name, "%s", m->base);
    thaw_text_append(&row, "%s", m->base);
    for (size_t d = 0; d < m->count; d++) {
        const struct alternative *item = &m->dimensions[d].items[picks[d]];
        memcpy(changes + count, item->changes, item->count * sizeof *changes);
        count += item->count;
        thaw_text_append(&name, "-%s", item->name);
        if (*item->row)
            thaw_text_append(&row, "-%s", item->row);
    }
    const char *name_text = NULL, *row_text = NULL;
    thaw_status status = keep_text(arena, &name, &name_text);
    thaw_status row_status = keep_text(arena, &row, &row_text);
    THAW_TRY(status);
    THAW_TRY(row_status);
    if (m->count) {
        const thaw_yaml *place = m->dimensions[0].place;
        if (strlen(name_text) > NAME_LENGTH_MAX)
            return thaw_hint(thaw_yaml_fail(place, "'%s' is too long for a folder", name_text),
                             "give the values names: {key: {short: value}}");
        thaw_yaml *value = thaw_yaml_new_scalar(arena, name_text, place);
        if (!value)
            return THAW_ERROR_MEMORY;
        value->quoted = true;
        changes[count++] = (struct thaw_config_change){key, value};
    }
    struct thaw_sweep_run *run = &m->sweep->runs[m->sweep->count];
    THAW_TRY(thaw_config_load_changed(m->path, m->request->sets, m->request->set_count, changes,
                                      count, &run->config));
    m->sweep->count++;
    run->row = m->count ? row_text : run->config.name;
    return hash_group(&run->config, &run->group);
}

/* The name that variants begin with: --set name, the file's, or the file's own name. */
static thaw_status base_name(struct maker *m, const thaw_yaml *document) {
    const char *slash = strrchr(m->path, '/'), *file = slash ? slash + 1 : m->path;
    const char *dot = strrchr(file, '.');
    m->base = thaw_arena_copy_bytes(&m->sweep->arena, file,
                                    dot && dot > file ? (size_t)(dot - file) : strlen(file));
    if (!m->base)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_get_string(document, "name", &m->base));
    for (size_t i = 0; i < m->request->set_count; i++)
        if (!strncmp(m->request->sets[i], "name=", 5))
            m->base = m->request->sets[i] + 5;
    return THAW_OK;
}

static thaw_status add_file(struct maker *m) {
    size_t picks[DIMENSIONS_MAX] = {0}, d, total = 1;
    thaw_yaml *document = NULL;
    THAW_TRY(thaw_config_document(&m->sweep->arena, m->path, &document));
    THAW_TRY(base_name(m, document));
    THAW_TRY(collect_dimensions(m, thaw_yaml_get(document, "sweep")));
    THAW_TRY(check_sets(m));
    for (d = 0; d < m->count; d++)
        total *= m->dimensions[d].count <= THAW_SWEEP_RUNS_MAX && total <= THAW_SWEEP_RUNS_MAX
                     ? m->dimensions[d].count
                     : THAW_SWEEP_RUNS_MAX + 1;
    if (m->sweep->count + total > THAW_SWEEP_RUNS_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "%s: more than %d experiments", m->path,
                         THAW_SWEEP_RUNS_MAX);
    m->sweep->is_comparison |= m->count > 0;
    do { /* the last dimension fastest, like an odometer */
        THAW_TRY(add_run(m, picks));
        for (d = m->count; d > 0 && ++picks[d - 1] == m->dimensions[d - 1].count; d--)
            picks[d - 1] = 0;
    } while (d > 0);
    return THAW_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static thaw_status check_names(const struct thaw_sweep *sweep) {
    for (size_t i = 0; i < sweep->count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct thaw_config *a = &sweep->runs[j].config, *b = &sweep->runs[i].config;
            if (strcmp(a->name, b->name) != 0 || strcmp(a->output, b->output) != 0)
                continue;
            if (!strcmp(a->path, b->path))
                return thaw_fail(THAW_ERROR_INPUT, "%s: two experiments are named '%s'", a->path,
                                 a->name);
            return thaw_fail(THAW_ERROR_INPUT, "%s and %s: both experiments are named '%s'",
                             a->path, b->path, a->name);
        }
    return THAW_OK;
}

/* "a", or of several files "a+b", or with many "a+b+3-more". */
static thaw_status name_comparison(struct thaw_sweep *sweep, const char *const *bases,
                                   size_t count) {
    struct thaw_text name = {0};
    size_t i = 0;
    for (; i < count && (i < 2 || count <= 3); i++)
        thaw_text_append(&name, "%s%s", i ? "+" : "", bases[i]);
    if (i < count)
        thaw_text_append(&name, "+%zu-more", count - i);
    sweep->output = sweep->runs[0].config.output;
    return keep_text(&sweep->arena, &name, &sweep->name);
}

static thaw_status load(const struct thaw_sweep_request *request, struct thaw_sweep *sweep) {
    const char **bases = thaw_arena_array(&sweep->arena, request->path_count, sizeof *bases);
    sweep->runs = thaw_arena_array(&sweep->arena, THAW_SWEEP_RUNS_MAX, sizeof *sweep->runs);
    if (!bases || !sweep->runs)
        return THAW_ERROR_MEMORY;
    sweep->is_comparison = request->path_count > 1;
    for (size_t i = 0; i < request->path_count; i++) {
        struct maker maker = {.sweep = sweep, .request = request, .path = request->paths[i]};
        THAW_TRY(add_file(&maker));
        bases[i] = maker.base;
    }
    THAW_TRY(check_names(sweep));
    return name_comparison(sweep, bases, request->path_count);
}

thaw_status thaw_sweep_load(const struct thaw_sweep_request *request,
                            struct thaw_sweep *ret_sweep) {
    struct thaw_sweep sweep = {0};
    thaw_status status = load(request, &sweep);
    if (status != THAW_OK)
        thaw_sweep_finish(&sweep);
    else
        *ret_sweep = sweep;
    return status;
}

void thaw_sweep_finish(struct thaw_sweep *sweep) {
    for (size_t i = 0; i < sweep->count; i++)
        thaw_config_finish(&sweep->runs[i].config);
    thaw_arena_finish(&sweep->arena);
    *sweep = (struct thaw_sweep){0};
}
