#include "io/pickle.h"

#include <string.h>

/* A state dict has some ten values per tensor. The bounds keep a hostile file from asking for much
 * more memory than it has bytes. */
#define VALUES_MAX ((size_t)4 << 20)

/* Python's stack machine, for the time of one pickle. A mark is a NULL on the stack. */
struct thaw_pickle_machine {
    struct thaw_arena arena;
    struct thaw_pickle **stack;
    size_t depth, stack_capacity;
    struct thaw_pickle **memo;
    size_t memo_count, memo_capacity; /* memo_count: one past the largest index in use */
    bool stopped;
};

static thaw_status fail(const struct thaw_pickle_reader *reader, const char *what) {
    thaw_fail(THAW_ERROR_INPUT, "the pickle is damaged at byte %zu: %s", reader->position, what);
    return THAW_ERROR_INPUT; /* a constant, so that compilers see what is initialised */
}

/* --- Bytes ------------------------------------------------------------------------------------ */

static thaw_status take(struct thaw_pickle_reader *reader, uint64_t count,
                        const unsigned char **ret_bytes) {
    if (count > reader->size_bytes - reader->position)
        return fail(reader, "it ends too early");
    *ret_bytes = reader->bytes + reader->position;
    reader->position += (size_t)count;
    return THAW_OK;
}

/* Little-endian, unsigned, 1 to 8 bytes. */
static thaw_status take_number(struct thaw_pickle_reader *reader, int size_bytes,
                               uint64_t *ret_number) {
    const unsigned char *bytes;
    THAW_TRY(take(reader, (uint64_t)size_bytes, &bytes));
    uint64_t number = 0;
    for (int i = 0; i < size_bytes; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    *ret_number = number;
    return THAW_OK;
}

/* The bytes up to a newline. */
static thaw_status take_line(struct thaw_pickle_reader *reader, const char **ret_line,
                             size_t *ret_length) {
    const unsigned char *start = reader->bytes + reader->position;
    const unsigned char *end = memchr(start, '\n', reader->size_bytes - reader->position);
    if (!end)
        return fail(reader, "it ends too early");
    *ret_line = (const char *)start;
    *ret_length = (size_t)(end - start);
    reader->position += *ret_length + 1;
    return THAW_OK;
}

/* --- Values and the stack --------------------------------------------------------------------- */

static thaw_status new_value(struct thaw_pickle_reader *reader, enum thaw_pickle_kind kind,
                             struct thaw_pickle **ret_value) {
    if (++reader->value_count > VALUES_MAX)
        return fail(reader, "it has more values than any weights file needs");
    struct thaw_pickle *value = thaw_arena_alloc(reader->arena, sizeof *value);
    if (!value)
        return THAW_ERROR_MEMORY;
    value->kind = kind;
    *ret_value = value;
    return THAW_OK;
}

static thaw_status push(struct thaw_pickle_reader *reader, struct thaw_pickle *value) {
    struct thaw_pickle_machine *m = reader->machine;
    if (m->depth >= VALUES_MAX)
        return fail(reader, "its stack is deeper than any weights file needs");
    struct thaw_pickle **stack =
        thaw_arena_grow(&m->arena, m->stack, m->depth, &m->stack_capacity, sizeof *stack);
    if (!stack)
        return THAW_ERROR_MEMORY;
    m->stack = stack;
    stack[m->depth++] = value;
    return THAW_OK;
}

static thaw_status push_new(struct thaw_pickle_reader *reader, enum thaw_pickle_kind kind) {
    struct thaw_pickle *value = NULL;
    THAW_TRY(new_value(reader, kind, &value));
    return push(reader, value);
}

static thaw_status push_integer(struct thaw_pickle_reader *reader, enum thaw_pickle_kind kind,
                                int64_t integer) {
    struct thaw_pickle *value = NULL;
    THAW_TRY(new_value(reader, kind, &value));
    value->integer = integer;
    return push(reader, value);
}

static thaw_status top(struct thaw_pickle_reader *reader, struct thaw_pickle **ret_value) {
    struct thaw_pickle_machine *m = reader->machine;
    if (m->depth == 0 || !m->stack[m->depth - 1])
        return fail(reader, "its stack is empty");
    *ret_value = m->stack[m->depth - 1];
    return THAW_OK;
}

static thaw_status pop(struct thaw_pickle_reader *reader, struct thaw_pickle **ret_value) {
    THAW_TRY(top(reader, ret_value));
    reader->machine->depth--;
    return THAW_OK;
}

/* Takes off everything above the last mark, and the mark. The items stay where they were until the
 * next push. */
static thaw_status pop_mark(struct thaw_pickle_reader *reader, struct thaw_pickle ***ret_items,
                            size_t *ret_count) {
    struct thaw_pickle_machine *m = reader->machine;
    size_t mark = m->depth;
    while (mark && m->stack[mark - 1])
        mark--;
    if (mark == 0)
        return fail(reader, "its stack has no mark");
    *ret_items = m->stack + mark;
    *ret_count = m->depth - mark;
    m->depth = mark - 1;
    return THAW_OK;
}

static thaw_status append(struct thaw_pickle_reader *reader, struct thaw_pickle *container,
                          struct thaw_pickle *item) {
    struct thaw_pickle **items = thaw_arena_grow(reader->arena, container->items, container->count,
                                                 &container->capacity, sizeof *items);
    if (!items)
        return THAW_ERROR_MEMORY;
    container->items = items;
    items[container->count++] = item;
    return THAW_OK;
}

static thaw_status append_all(struct thaw_pickle_reader *reader, struct thaw_pickle *container,
                              struct thaw_pickle *const *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        THAW_TRY(append(reader, container, items[i]));
    return THAW_OK;
}

static thaw_status push_tuple(struct thaw_pickle_reader *reader, struct thaw_pickle *const *items,
                              size_t count) {
    struct thaw_pickle *tuple = NULL;
    THAW_TRY(new_value(reader, THAW_PICKLE_TUPLE, &tuple));
    tuple->items = thaw_arena_array(reader->arena, count, sizeof *tuple->items);
    if (!tuple->items)
        return THAW_ERROR_MEMORY;
    if (count)
        memcpy(tuple->items, items, count * sizeof *items);
    tuple->count = tuple->capacity = count;
    return push(reader, tuple);
}

static thaw_status push_text(struct thaw_pickle_reader *reader, enum thaw_pickle_kind kind,
                             uint64_t length) {
    const unsigned char *bytes;
    struct thaw_pickle *value = NULL;
    THAW_TRY(take(reader, length, &bytes));
    THAW_TRY(new_value(reader, kind, &value));
    value->text = thaw_arena_copy_bytes(reader->arena, (const char *)bytes, (size_t)length);
    value->length = (size_t)length;
    return value->text ? push(reader, value) : THAW_ERROR_MEMORY;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static thaw_status refuse(const struct thaw_pickle *callable) {
    /* Legacy files refer to a model's own classes as ('module', class, file, source). */
    if (callable->kind == THAW_PICKLE_PERSISTENT && callable->items[0]->kind == THAW_PICKLE_TUPLE &&
        callable->items[0]->count > 1)
        callable = callable->items[0]->items[1];
    thaw_fail(THAW_ERROR_INPUT,
              "the pickle asks for '%.128s', which Thaw does not run (only tensors and containers "
              "are read)",
              callable->kind == THAW_PICKLE_GLOBAL ? callable->text
                                                   : thaw_pickle_kind_name(callable));
    return thaw_hint(THAW_ERROR_INPUT,
                     "if this is a whole model or a training checkpoint of your own, save only its "
                     "weights: torch.save(model.state_dict(), \"weights.pth\")");
}

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static thaw_status push_ordered_dict(struct thaw_pickle_reader *reader,
                                     const struct thaw_pickle *arguments) {
    struct thaw_pickle *dict = NULL;
    THAW_TRY(new_value(reader, THAW_PICKLE_DICT, &dict));
    THAW_TRY(push(reader, dict));
    if (arguments->count == 0)
        return THAW_OK;
    const struct thaw_pickle *pairs = arguments->items[0];
    if (arguments->count > 1 || pairs->kind != THAW_PICKLE_LIST)
        return fail(reader, "an OrderedDict is not made of a list of pairs");
    for (size_t i = 0; i < pairs->count; i++) {
        const struct thaw_pickle *pair = pairs->items[i];
        if ((pair->kind != THAW_PICKLE_LIST && pair->kind != THAW_PICKLE_TUPLE) || pair->count != 2)
            return fail(reader, "an OrderedDict is not made of a list of pairs");
        THAW_TRY(append_all(reader, dict, pair->items, 2));
    }
    return THAW_OK;
}

static thaw_status call(struct thaw_pickle_reader *reader, struct thaw_pickle *callable,
                        struct thaw_pickle *arguments) {
    if (callable->kind != THAW_PICKLE_GLOBAL)
        return refuse(callable);
    if (arguments->kind != THAW_PICKLE_TUPLE)
        return fail(reader, "a call's arguments are not a tuple");
    if (strcmp(callable->text, "collections.OrderedDict") == 0)
        return push_ordered_dict(reader, arguments);
    for (size_t i = 0; i < reader->callable_count; i++) {
        if (strcmp(callable->text, reader->callables[i]) != 0)
            continue;
        struct thaw_pickle *result = NULL;
        THAW_TRY(new_value(reader, THAW_PICKLE_CALL, &result));
        THAW_TRY(append(reader, result, callable));
        THAW_TRY(append(reader, result, arguments));
        return push(reader, result);
    }
    return refuse(callable);
}

static thaw_status push_global(struct thaw_pickle_reader *reader, const char *module,
                               size_t module_length, const char *name, size_t name_length) {
    struct thaw_pickle *value = NULL;
    THAW_TRY(new_value(reader, THAW_PICKLE_GLOBAL, &value));
    value->length = module_length + 1 + name_length;
    char *text = thaw_arena_alloc(reader->arena, value->length + 1);
    if (!text)
        return THAW_ERROR_MEMORY;
    memcpy(text, module, module_length);
    text[module_length] = '.';
    memcpy(text + module_length + 1, name, name_length);
    for (size_t i = 0; i < value->length; i++) { /* names end up in messages */
        if ((unsigned char)text[i] < 0x20)
            text[i] = '?';
    }
    value->text = text;
    return push(reader, value);
}

/* --- Opcodes, by their names in pickletools ----------------------------------------------------
 */

typedef thaw_status opcode_t(struct thaw_pickle_reader *reader, unsigned char code);

static thaw_status op_proto(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    uint64_t protocol;
    THAW_TRY(take_number(reader, 1, &protocol));
    return protocol <= 5 ? THAW_OK : fail(reader, "its protocol is newer than 5");
}

static thaw_status op_frame(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    uint64_t length;
    THAW_TRY(take_number(reader, 8, &length));
    return length <= reader->size_bytes - reader->position ? THAW_OK
                                                           : fail(reader, "it ends too early");
}

static thaw_status op_stop(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    reader->machine->stopped = true;
    return THAW_OK;
}

static thaw_status op_mark(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    return push(reader, NULL);
}

static thaw_status op_pop(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    if (reader->machine->depth == 0)
        return fail(reader, "its stack is empty");
    reader->machine->depth--; /* a mark may be what is popped */
    return THAW_OK;
}

static thaw_status op_pop_mark(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle **items = NULL;
    size_t count;
    return pop_mark(reader, &items, &count);
}

static thaw_status op_dup(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *value = NULL;
    THAW_TRY(top(reader, &value));
    return push(reader, value);
}

static thaw_status op_none(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    return push_new(reader, THAW_PICKLE_NONE);
}

static thaw_status op_bool(struct thaw_pickle_reader *reader, unsigned char code) {
    return push_integer(reader, THAW_PICKLE_BOOL, code == 0x88);
}

static thaw_status op_binint(struct thaw_pickle_reader *reader,
                             unsigned char code) { /* J: signed; K, M: unsigned */
    uint64_t number;
    THAW_TRY(take_number(reader, code == 'J' ? 4 : code == 'M' ? 2 : 1, &number));
    int64_t integer = (int64_t)number;
    if (code == 'J' && number > INT32_MAX)
        integer -= (int64_t)1 << 32;
    return push_integer(reader, THAW_PICKLE_INT, integer);
}

static thaw_status op_long(struct thaw_pickle_reader *reader,
                           unsigned char code) { /* LONG1, LONG4 */
    uint64_t length, number = 0;
    THAW_TRY(take_number(reader, code == 0x8a ? 1 : 4, &length));
    if (length > 8)
        return push_text(reader, THAW_PICKLE_LONG, length);
    THAW_TRY(take_number(reader, (int)length, &number));
    if (length && length < 8 && number >> (8 * length - 1)) /* extend the sign */
        number |= UINT64_MAX << (8 * length);
    int64_t integer;
    memcpy(&integer, &number, sizeof integer);
    return push_integer(reader, THAW_PICKLE_INT, integer);
}

static thaw_status op_binfloat(struct thaw_pickle_reader *reader,
                               unsigned char code) { /* big-endian */
    (void)code;
    const unsigned char *bytes;
    struct thaw_pickle *value = NULL;
    THAW_TRY(take(reader, 8, &bytes));
    THAW_TRY(new_value(reader, THAW_PICKLE_FLOAT, &value));
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&value->number, &bits, sizeof bits);
    return push(reader, value);
}

/* BINUNICODE, BINSTRING, BINBYTES and their short and long forms. */
static thaw_status op_text(struct thaw_pickle_reader *reader, unsigned char code) {
    uint64_t length;
    bool is_short = code == 'U' || code == 'C' || code == 0x8c;
    bool is_long = code == 0x8d || code == 0x8e;
    THAW_TRY(take_number(reader, is_short ? 1 : is_long ? 8 : 4, &length));
    return push_text(reader, THAW_PICKLE_TEXT, length);
}

static thaw_status op_empty(struct thaw_pickle_reader *reader, unsigned char code) {
    if (code == ')')
        return push_tuple(reader, NULL, 0);
    return push_new(reader, code == '}' ? THAW_PICKLE_DICT : THAW_PICKLE_LIST);
}

static thaw_status op_tuple(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle **items = NULL;
    size_t count;
    THAW_TRY(pop_mark(reader, &items, &count));
    return push_tuple(reader, items, count);
}

static thaw_status op_tuple_short(struct thaw_pickle_reader *reader,
                                  unsigned char code) { /* TUPLE1, 2, 3 */
    size_t count = (size_t)code - 0x84;
    struct thaw_pickle *items[3] = {NULL};
    for (size_t i = count; i-- > 0;)
        THAW_TRY(pop(reader, &items[i]));
    return push_tuple(reader, items, count);
}

static thaw_status expect_container(struct thaw_pickle_reader *reader, enum thaw_pickle_kind kind,
                                    struct thaw_pickle **ret_value) {
    THAW_TRY(top(reader, ret_value));
    return (*ret_value)->kind == kind ? THAW_OK
                                      : fail(reader, "it adds items to what is no container");
}

static thaw_status op_append(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *item = NULL, *list = NULL;
    THAW_TRY(pop(reader, &item));
    THAW_TRY(expect_container(reader, THAW_PICKLE_LIST, &list));
    return append(reader, list, item);
}

static thaw_status op_appends(struct thaw_pickle_reader *reader,
                              unsigned char code) { /* also ADDITEMS of a set */
    (void)code;
    struct thaw_pickle **items = NULL, *list = NULL;
    size_t count;
    THAW_TRY(pop_mark(reader, &items, &count));
    THAW_TRY(expect_container(reader, THAW_PICKLE_LIST, &list));
    return append_all(reader, list, items, count);
}

static thaw_status op_setitem(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *item = NULL, *key = NULL, *dict = NULL;
    THAW_TRY(pop(reader, &item));
    THAW_TRY(pop(reader, &key));
    THAW_TRY(expect_container(reader, THAW_PICKLE_DICT, &dict));
    THAW_TRY(append(reader, dict, key));
    return append(reader, dict, item);
}

static thaw_status op_setitems(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle **items = NULL, *dict = NULL;
    size_t count;
    THAW_TRY(pop_mark(reader, &items, &count));
    THAW_TRY(expect_container(reader, THAW_PICKLE_DICT, &dict));
    return count % 2 ? fail(reader, "a key has no value") : append_all(reader, dict, items, count);
}

static thaw_status op_put(struct thaw_pickle_reader *reader,
                          unsigned char code) { /* BINPUT, LONG_BINPUT, MEMOIZE */
    struct thaw_pickle_machine *m = reader->machine;
    uint64_t index = m->memo_count;
    struct thaw_pickle *value = NULL;
    THAW_TRY(top(reader, &value));
    if (code != 0x94)
        THAW_TRY(take_number(reader, code == 'q' ? 1 : 4, &index));
    if (index >= reader->size_bytes) /* Python numbers them one by one, each after a byte or more */
        return fail(reader, "a memo number is too large");
    while (m->memo_capacity <= index) {
        struct thaw_pickle **memo =
            thaw_arena_grow(&m->arena, m->memo, m->memo_capacity, &m->memo_capacity, sizeof *memo);
        if (!memo)
            return THAW_ERROR_MEMORY;
        m->memo = memo;
    }
    m->memo[index] = value;
    if (index >= m->memo_count)
        m->memo_count = (size_t)index + 1;
    return THAW_OK;
}

static thaw_status op_get(struct thaw_pickle_reader *reader,
                          unsigned char code) { /* BINGET, LONG_BINGET */
    struct thaw_pickle_machine *m = reader->machine;
    uint64_t index;
    THAW_TRY(take_number(reader, code == 'h' ? 1 : 4, &index));
    if (index >= m->memo_count || !m->memo[index])
        return fail(reader, "it refers to a value that it never stored");
    return push(reader, m->memo[index]);
}

static thaw_status op_global(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    const char *module, *name;
    size_t module_length, name_length;
    THAW_TRY(take_line(reader, &module, &module_length));
    THAW_TRY(take_line(reader, &name, &name_length));
    return push_global(reader, module, module_length, name, name_length);
}

static thaw_status op_stack_global(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *module = NULL, *name = NULL;
    THAW_TRY(pop(reader, &name));
    THAW_TRY(pop(reader, &module));
    if (name->kind != THAW_PICKLE_TEXT || module->kind != THAW_PICKLE_TEXT)
        return fail(reader, "a global's name is not text");
    return push_global(reader, module->text, module->length, name->text, name->length);
}

static thaw_status op_reduce(struct thaw_pickle_reader *reader,
                             unsigned char code) { /* also NEWOBJ */
    (void)code;
    struct thaw_pickle *arguments = NULL, *callable = NULL;
    THAW_TRY(pop(reader, &arguments));
    THAW_TRY(pop(reader, &callable));
    return call(reader, callable, arguments);
}

/* INST, OBJ and NEWOBJ_EX make objects that no tensor needs: name what they ask for. */
static thaw_status op_object(struct thaw_pickle_reader *reader, unsigned char code) {
    struct thaw_pickle **items = NULL, *callable = NULL;
    size_t count;
    if (code == 'i') {
        THAW_TRY(op_global(reader, code));
    } else if (code == 'o') {
        THAW_TRY(pop_mark(reader, &items, &count));
        if (count == 0)
            return fail(reader, "an object has no class");
        THAW_TRY(push(reader, items[0]));
    } else {
        THAW_TRY(pop(reader, &callable));
        THAW_TRY(pop(reader, &callable));
    }
    THAW_TRY(pop(reader, &callable));
    return refuse(callable);
}

/* The state of a Parameter, or the attributes of an OrderedDict (a state dict has its modules'
 * versions there): not needed. On anything else Python would run code of the class. */
static thaw_status op_build(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *state = NULL, *object = NULL;
    THAW_TRY(pop(reader, &state));
    THAW_TRY(top(reader, &object));
    if (object->kind != THAW_PICKLE_DICT && object->kind != THAW_PICKLE_CALL)
        return refuse(object);
    return THAW_OK;
}

static thaw_status op_persid(struct thaw_pickle_reader *reader, unsigned char code) {
    (void)code;
    struct thaw_pickle *id = NULL, *value = NULL;
    THAW_TRY(pop(reader, &id));
    THAW_TRY(new_value(reader, THAW_PICKLE_PERSISTENT, &value));
    THAW_TRY(append(reader, value, id));
    struct thaw_pickle **list =
        thaw_arena_grow(reader->arena, reader->persistent, reader->persistent_count,
                        &reader->persistent_capacity, sizeof *list);
    if (!list)
        return THAW_ERROR_MEMORY;
    reader->persistent = list;
    list[reader->persistent_count++] = value;
    return push(reader, value);
}

static opcode_t *const opcodes[256] = {
    [0x80] = op_proto,   [0x95] = op_frame,       ['.'] = op_stop,         ['('] = op_mark,
    ['0'] = op_pop,      ['1'] = op_pop_mark,     ['2'] = op_dup,          ['N'] = op_none,
    [0x88] = op_bool,    [0x89] = op_bool,        ['J'] = op_binint,       ['K'] = op_binint,
    ['M'] = op_binint,   [0x8a] = op_long,        [0x8b] = op_long,        ['G'] = op_binfloat,
    ['X'] = op_text,     [0x8c] = op_text,        [0x8d] = op_text,        ['T'] = op_text,
    ['U'] = op_text,     ['B'] = op_text,         ['C'] = op_text,         [0x8e] = op_text,
    [')'] = op_empty,    [']'] = op_empty,        ['}'] = op_empty,        [0x8f] = op_empty,
    ['t'] = op_tuple,    [0x85] = op_tuple_short, [0x86] = op_tuple_short, [0x87] = op_tuple_short,
    ['a'] = op_append,   ['e'] = op_appends,      [0x90] = op_appends,     ['s'] = op_setitem,
    ['u'] = op_setitems, ['q'] = op_put,          ['r'] = op_put,          [0x94] = op_put,
    ['h'] = op_get,      ['j'] = op_get,          ['c'] = op_global,       [0x93] = op_stack_global,
    ['R'] = op_reduce,   [0x81] = op_reduce,      ['i'] = op_object,       ['o'] = op_object,
    [0x92] = op_object,  ['b'] = op_build,        ['Q'] = op_persid,
};

static thaw_status run(struct thaw_pickle_reader *reader, struct thaw_pickle **ret_value) {
    while (!reader->machine->stopped) {
        const unsigned char *code;
        THAW_TRY(take(reader, 1, &code));
        if (!opcodes[*code])
            return thaw_fail(THAW_ERROR_INPUT,
                             "the pickle has opcode 0x%02x at byte %zu, which tensors and "
                             "containers do not need",
                             *code, reader->position - 1);
        THAW_TRY(opcodes[*code](reader, *code));
    }
    return pop(reader, ret_value);
}

thaw_status thaw_pickle_read(struct thaw_pickle_reader *reader, struct thaw_pickle **ret_value) {
    struct thaw_pickle_machine machine = {0};
    reader->machine = &machine;
    thaw_status status = run(reader, ret_value);
    reader->machine = NULL;
    thaw_arena_finish(&machine.arena);
    return status;
}

bool thaw_pickle_is_text(const struct thaw_pickle *value, const char *text) {
    return value->kind == THAW_PICKLE_TEXT && value->length == strlen(text) &&
           memcmp(value->text, text, value->length) == 0;
}

const char *thaw_pickle_kind_name(const struct thaw_pickle *value) {
    static const char *const names[] = {
        [THAW_PICKLE_NONE] = "None",   [THAW_PICKLE_BOOL] = "bool",
        [THAW_PICKLE_INT] = "int",     [THAW_PICKLE_LONG] = "int",
        [THAW_PICKLE_FLOAT] = "float", [THAW_PICKLE_TEXT] = "str",
        [THAW_PICKLE_TUPLE] = "tuple", [THAW_PICKLE_LIST] = "list",
        [THAW_PICKLE_DICT] = "dict",   [THAW_PICKLE_GLOBAL] = "class",
        [THAW_PICKLE_CALL] = "tensor", [THAW_PICKLE_PERSISTENT] = "storage",
    };
    return names[value->kind];
}
