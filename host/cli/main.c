/* Finds the command, reads its options, runs it, and turns its status into an exit code. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/log.h"
#include "core/text.h"

#define X(name) extern const struct thaw_command thaw_command_##name;
#include "commands.inc"
#undef X

static const struct thaw_command *const commands[] = {
#define X(name) &thaw_command_##name,
#include "commands.inc"
#undef X
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

struct common_option {
    unsigned takes; /* 0: every command has it */
    struct thaw_option option;
};
static const struct common_option common_options[] = {
    {THAW_TAKES_DEVICE,
     {"device", 0, THAW_OPTION_TEXT, offsetof(struct thaw_cli, device), "SPEC",
      "the OpenCL device: an index of `thaw devices`, \"cpu\", \"gpu\" or a part of a name", 0, 0}},
    {THAW_TAKES_SET,
     {"set", 0, THAW_OPTION_LIST, offsetof(struct thaw_cli, sets), "KEY=VALUE",
      "change a value of the config; may be repeated", 0, 0}},
    {THAW_TAKES_JSON,
     {"json", 0, THAW_OPTION_FLAG, offsetof(struct thaw_cli, json), NULL,
      "print one JSON document on stdout", 0, 0}},
    {0,
     {"quiet", 'q', THAW_OPTION_FLAG, offsetof(struct thaw_cli, quiet), NULL, "show no progress", 0,
      0}},
    {0,
     {"verbose", 'v', THAW_OPTION_FLAG, offsetof(struct thaw_cli, verbose), NULL,
      "say more about what is done", 0, 0}},
};
#define COMMON_COUNT (sizeof common_options / sizeof *common_options)

static void print_usage(FILE *stream) {
    fprintf(stream, "thaw fine-tunes convolutional networks on any OpenCL device.\n\n"
                    "usage: thaw COMMAND [ARGUMENTS] [OPTIONS]\n\ncommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(stream, "\n`thaw COMMAND --help` explains a command; `thaw --version` prints the "
                    "version.\n");
}

static void print_option(const struct thaw_option *option) {
    char left[64];
    int length = snprintf(left, sizeof left, "--%s%s%s%s", option->name, option->value ? " " : "",
                          option->value ? option->value : "",
                          option->kind == THAW_OPTION_WORDS ? "..." : "");
    if (option->letter && length > 0 && (size_t)length < sizeof left)
        snprintf(left + length, sizeof left - (size_t)length, ", -%c", option->letter);
    printf("  %-22s %s\n", left, option->help);
}

static void print_help(const struct thaw_command *command) {
    printf("usage: thaw %s %s\n\n%s\noptions:\n", command->name, command->usage, command->help);
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i]);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (!common_options[i].takes || (common_options[i].takes & command->takes))
            print_option(&common_options[i].option);
    printf("  %-22s %s\n", "--help, -h", "print this");
}

/* Whether `name` or `letter` stands among the words before "--". */
static bool has_word(const char *const *words, size_t count, const char *name, const char *letter) {
    for (size_t i = 0; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], name) == 0 || (letter && strcmp(words[i], letter) == 0))
            return true;
    return false;
}

static thaw_status find_command(const char *name, const struct thaw_command **ret_command) {
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, commands[i]->name) == 0) {
            *ret_command = commands[i];
            return THAW_OK;
        }
    }
    const char *nearest = thaw_nearest(name, names, COMMAND_COUNT);
    thaw_status status = thaw_fail(THAW_ERROR_INPUT, "unknown %s \"%s\"",
                                   name[0] == '-' ? "option" : "command", name);
    if (nearest)
        return thaw_hint(status, "did you mean \"%s\"? `thaw --help` lists the commands", nearest);
    return thaw_hint(status, "`thaw --help` lists the commands");
}

static thaw_status check_arguments(const struct thaw_command *command, const struct thaw_cli *cli) {
    size_t count = cli->arguments.count;
    if (count >= command->min_arguments && count <= command->max_arguments)
        return THAW_OK;
    thaw_status status = THAW_ERROR_INPUT;
    if (count < command->min_arguments)
        status = thaw_fail(status, "thaw %s needs %s argument", command->name,
                           count == 0 ? "an" : "another");
    else
        status = thaw_fail(status, "thaw %s: unexpected argument \"%s\"", command->name,
                           cli->arguments.items[command->max_arguments]);
    return thaw_hint(status, "usage: thaw %s %s", command->name, command->usage);
}

static thaw_status parse(const struct thaw_command *command, const char *const *words, size_t count,
                         void *values, struct thaw_cli *cli) {
    struct thaw_option common[COMMON_COUNT];
    size_t common_count = 0;
    for (size_t i = 0; i < COMMON_COUNT; i++)
        if (!common_options[i].takes || (common_options[i].takes & command->takes))
            common[common_count++] = common_options[i].option;
    const struct thaw_option_table tables[] = {
        {command->options, command->option_count, values},
        {common, common_count, cli},
    };
    THAW_TRY(thaw_context(thaw_options_parse(cli->arena, tables, 2, words, count, &cli->arguments),
                          "thaw %s", command->name));
    return check_arguments(command, cli);
}

static thaw_status run_command(const struct thaw_command *command, const char *const *words,
                               size_t count) {
    struct thaw_arena arena = {0};
    struct thaw_progress progress;
    thaw_progress_init(&progress, stderr, false);
    static const volatile sig_atomic_t never;
    struct thaw_cli cli = {.arena = &arena, .progress = &progress, .interrupted = &never};
    thaw_status status = THAW_ERROR_MEMORY;
    void *values = thaw_arena_alloc(&arena, command->values_size + 1);
    if (!values)
        goto end;
    if (command->defaults)
        memcpy(values, command->defaults, command->values_size);
    THAW_TRY_GOTO(status, end, parse(command, words, count, values, &cli));
    progress.quiet = cli.quiet;
    thaw_cli_log_to_stderr(&cli);
    if (command->catches_interrupt)
        cli.interrupted = thaw_cli_catch_interrupt();
    status = command->run(&cli, values);
    thaw_progress_finish(&progress);
    thaw_log_set(NULL, NULL);
end:
    thaw_arena_finish(&arena);
    return status;
}

int main(int argc, char **argv) {
    const char *const *words = (const char *const *)argv + 1;
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;
    thaw_status status = THAW_OK;
    const struct thaw_command *command = NULL;
    if (count == 0) {
        print_usage(stderr);
        return thaw_cli_exit_code(THAW_ERROR_INPUT);
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)
        print_usage(stdout);
    else if (strcmp(words[0], "--version") == 0)
        printf("thaw %s\n", THAW_VERSION);
    else if ((status = find_command(words[0], &command)) != THAW_OK)
        ;
    else if (has_word(words + 1, count - 1, "--help", "-h"))
        print_help(command);
    else
        status = run_command(command, words + 1, count - 1);
    if ((fflush(stdout) || ferror(stdout)) && status == THAW_OK)
        status = thaw_fail(THAW_ERROR_IO, "writing to stdout: %s", strerror(errno));
    if (status != THAW_OK)
        thaw_cli_print_error(status);
    return thaw_cli_exit_code(status);
}
