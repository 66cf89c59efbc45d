/* The command line: what every command gets, and how a command is added.
 *
 * A command is host/cli/command_<name>.c, which defines `const struct thaw_command
 * thaw_command_<name>`, and a line in the list `commands` of meson.build. It prints its result for
 * people on stdout, or one JSON document with --json; progress and warnings go to stderr through
 * cli->progress and thaw_log(). It never prints an error: it returns the status, and main prints
 * the recorded message, once, and turns the status into the exit code. */
#ifndef THAW_CLI_CLI_H
#define THAW_CLI_CLI_H

#include <jansson.h>
#include <signal.h>

#include "cli/options.h"
#include "cli/progress.h"
#include "core/json.h"

/* What the words after the command said, apart from its own options. */
struct thaw_cli {
    struct thaw_arena *arena; /* lives as long as the command */
    struct thaw_words arguments;
    const char *device;     /* --device; NULL: by THAW_DEVICE or the default */
    struct thaw_words sets; /* --set key.path=value, in order */
    bool json, quiet, verbose;
    struct thaw_progress *progress;
    /* Becomes 1 at the first Ctrl-C, when the command catches it; the second one kills. */
    const volatile sig_atomic_t *interrupted;
};

/* The common options that a command has a use for; the others are refused. */
enum {
    THAW_TAKES_DEVICE = 1,
    THAW_TAKES_SET = 2,
    THAW_TAKES_JSON = 4,
};

struct thaw_command {
    const char *name;
    const char *summary;    /* a line of `thaw --help` */
    const char *usage;      /* what follows the name: "CONFIG [--resume]" */
    const char *help;       /* paragraphs and an example, ending in a newline */
    unsigned takes;         /* THAW_TAKES_... */
    bool catches_interrupt; /* it polls cli->interrupted and returns THAW_INTERRUPTED */
    size_t min_arguments, max_arguments;
    const struct thaw_option *options;
    size_t option_count;
    size_t values_size;   /* of the struct that `options` fill in */
    const void *defaults; /* its initial value; NULL: zeros */
    thaw_status (*run)(const struct thaw_cli *cli, const void *values);
};

#define THAW_ANY_NUMBER ((size_t)-1) /* of arguments */

/* Prints `root` as the one document on stdout, and drops it. NULL: out of memory while it was made.
 */
thaw_status thaw_cli_print_json(json_t *root);

/* 0 done, 1 failed while running, 2 wrong input, 3 no usable device, 130 interrupted. */
int thaw_cli_exit_code(thaw_status status);
/* The one place that prints an error. */
void thaw_cli_print_error(thaw_status status);
/* Whether `stream` is a terminal that wants colour: NO_COLOR and TERM=dumb say no. */
bool thaw_cli_use_color(FILE *stream);
/* Sends thaw_log() to stderr: warnings always, information unless --quiet, the rest with -v. */
void thaw_cli_log_to_stderr(const struct thaw_cli *cli);
/* Installs the handler behind cli->interrupted, for SIGINT and SIGTERM. */
const volatile sig_atomic_t *thaw_cli_catch_interrupt(void);

#endif
