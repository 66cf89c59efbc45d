/* thaw report: a run as one HTML page. */
#include "cli/cli.h"
#include "train/report.h"

static thaw_status run(const struct thaw_cli *cli, const void *values) {
    (void)values;
    for (size_t i = 0; i < cli->arguments.count; i++) {
        char *page = thaw_path_join(cli->arena, cli->arguments.items[i], "report.html");
        if (!page)
            return THAW_ERROR_MEMORY;
        THAW_TRY(thaw_report_write(cli->arguments.items[i]));
        printf("%s\n", page);
    }
    return THAW_OK;
}

const struct thaw_command thaw_command_report = {
    .name = "report",
    .summary = "a run as one HTML page",
    .usage = "RUN...",
    .help = "Writes report.html into the run folder: the stages, learning curves, classes, the\n"
            "photos that are most confidently wrong, what was frozen and where it ran. The page\n"
            "needs nothing else. thaw train writes it, too; this makes it again from the folder's\n"
            "files, also of a run that has not ended.\n\n"
            "example:\n"
            "  thaw report runs/solar-cells\n",
    .min_arguments = 1,
    .max_arguments = THAW_ANY_NUMBER,
    .run = run,
};
