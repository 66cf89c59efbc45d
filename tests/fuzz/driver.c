/* Runs a fuzz target without libFuzzer:
 *
 *     fuzz_yaml                 the seeds and RUNS_DEFAULT mutations
 *     fuzz_yaml -runs=100000    more of them; the first ones are the same
 *     fuzz_yaml -show=1234      writes input 1234 to stdout
 *     fuzz_yaml FILE...         runs these inputs
 *
 * Input i is a function of i alone. When one crashes, fails a property, or takes longer than
 * HANG_SECONDS, its number goes to stderr. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/rng.h"
#include "fuzz/fuzz.h"

#define RUNS_DEFAULT 4000
#define HANG_SECONDS 10
#define EDITS_MAX 6
#define GROWTH_MAX_BYTES 4096 /* by which mutations may exceed the seed */

struct input {
    uint8_t *bytes;
    size_t size, capacity;
};

static volatile long current_run = -1;

/* Only async-signal-safe calls. */
static void report_run(void) {
    char text[64] = "fuzz: failed at input ", digits[24];
    size_t length = strlen(text), count = 0;
    for (long rest = current_run; rest > 0 || !count; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    while (count)
        text[length++] = digits[--count];
    text[length++] = '\n';
    if (current_run >= 0 && write(STDERR_FILENO, text, length) < 0)
        _exit(1);
}

static void on_signal(int number) {
    report_run();
    signal(number, SIG_DFL);
    raise(number);
}

/* Present only with a sanitizer, which ends the program without a signal. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(report_run);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!__sanitizer_set_death_callback || numbers[i] == SIGABRT || numbers[i] == SIGALRM)
            signal(numbers[i], on_signal);
}

/* Replaces `removed` bytes at `at` by `count` others. */
static void replace(struct input *input, size_t at, size_t removed, const void *bytes,
                    size_t count) {
    removed = removed < input->size - at ? removed : input->size - at;
    size_t room = input->capacity - (input->size - removed);
    count = count < room ? count : room;
    memmove(input->bytes + at + count, input->bytes + at + removed, input->size - at - removed);
    if (count)
        memcpy(input->bytes + at, bytes, count);
    input->size += count - removed;
}

static size_t pick(struct thaw_rng *rng, size_t bound) {
    return bound ? thaw_rng_below(rng, (uint32_t)bound) : 0;
}

/* Numbers that sizes, counts and offsets of binary formats go wrong on. */
static uint64_t awkward_number(struct thaw_rng *rng) {
    static const uint64_t numbers[] = {0,
                                       1,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x7fff,
                                       0xffff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       UINT64_C(1) << 32,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX - 7,
                                       UINT64_MAX};
    return numbers[pick(rng, sizeof numbers / sizeof *numbers)];
}

static void edit(struct thaw_rng *rng, struct input *input) {
    size_t seed_count, token_count, at = pick(rng, input->size + 1);
    const struct fuzz_seed *seeds = fuzz_seeds(&seed_count), *tokens = fuzz_tokens(&token_count);
    uint8_t copy[256];
    size_t length = 1 + pick(rng, sizeof copy);
    switch (pick(rng, 8)) {
    case 0: /* flip one bit */
        if (at < input->size)
            input->bytes[at] ^= (uint8_t)(1u << pick(rng, 8));
        break;
    case 1: /* any byte, in place or inserted */
        copy[0] = (uint8_t)pick(rng, 256);
        replace(input, at, pick(rng, 2), copy, 1);
        break;
    case 2: /* remove */
        replace(input, at, pick(rng, 4) ? 1 + pick(rng, 8) : length, NULL, 0);
        break;
    case 3: /* repeat a part elsewhere */
        length = length < input->size - at ? length : input->size - at;
        memcpy(copy, input->bytes + at, length);
        replace(input, pick(rng, input->size + 1), pick(rng, 2) * length, copy, length);
        break;
    case 4: /* cut */
        input->size = at;
        break;
    case 5: { /* the end of another seed */
        const struct fuzz_seed *seed = &seeds[pick(rng, seed_count)];
        size_t from = pick(rng, seed->size_bytes + 1);
        replace(input, at, input->size, (const uint8_t *)seed->bytes + from,
                seed->size_bytes - from);
        break;
    }
    case 6: { /* a little-endian number */
        uint64_t number = awkward_number(rng);
        for (int i = 0; i < 8; i++)
            copy[i] = (uint8_t)(number >> (8 * i));
        size_t width = (size_t)1 << pick(rng, 4);
        replace(input, at, width, copy, width);
        break;
    }
    default: /* a word of the format */
        if (token_count) {
            const struct fuzz_seed *token = &tokens[pick(rng, token_count)];
            replace(input, at, pick(rng, 2) * token->size_bytes, token->bytes, token->size_bytes);
        }
    }
}

/* Input `run`: first every seed as it is, then mutations. The bytes are freed by the caller and
 * have exactly their size, so that a sanitizer sees reads beyond it. */
static struct input make_input(long run) {
    size_t seed_count;
    const struct fuzz_seed *seeds = fuzz_seeds(&seed_count),
                           *seed = &seeds[(size_t)run % seed_count];
    struct input input = {.size = seed->size_bytes,
                          .capacity = seed->size_bytes + GROWTH_MAX_BYTES};
    input.bytes = malloc(input.capacity);
    FUZZ_REQUIRE(input.bytes);
    memcpy(input.bytes, seed->bytes, seed->size_bytes);
    if ((size_t)run >= seed_count) {
        struct thaw_rng rng = thaw_rng_init(1, THAW_RNG_TEST, (uint32_t)run, 0);
        for (size_t edits = 1 + pick(&rng, EDITS_MAX); edits > 0; edits--)
            edit(&rng, &input);
    }
    uint8_t *exact = malloc(input.size ? input.size : 1);
    FUZZ_REQUIRE(exact);
    memcpy(exact, input.bytes, input.size);
    free(input.bytes);
    input.bytes = exact;
    return input;
}

static int run_files(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        struct thaw_map map = {0};
        if (thaw_map_open(paths[i], &map) != THAW_OK) {
            fprintf(stderr, "%s\n", thaw_error_message());
            return 2;
        }
        LLVMFuzzerTestOneInput(map.bytes, map.size_bytes);
        thaw_map_close(&map);
    }
    printf("%d files\n", count);
    return 0;
}

static int show(long run) {
    struct input input = make_input(run);
    size_t written = fwrite(input.bytes, 1, input.size, stdout);
    free(input.bytes);
    return written == input.size ? 0 : 1;
}

int main(int argc, char **argv) {
    long runs = RUNS_DEFAULT, shown = -1;
    watch();
    if (argc > 1 && argv[1][0] != '-')
        return run_files(argc - 1, argv + 1);
    if (argc > 1 && sscanf(argv[1], "-show=%ld", &shown) == 1 && shown >= 0)
        return show(shown);
    if (argc > 2 || (argc > 1 && sscanf(argv[1], "-runs=%ld", &runs) != 1)) {
        fprintf(stderr, "usage: %s [-runs=N | -show=N | FILE...]\n", argv[0]);
        return 2;
    }
    for (current_run = 0; current_run < runs; current_run++) {
        struct input input = make_input(current_run);
        alarm(HANG_SECONDS);
        LLVMFuzzerTestOneInput(input.bytes, input.size);
        free(input.bytes);
    }
    printf("%ld inputs\n", runs);
    return 0;
}
