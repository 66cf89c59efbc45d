/* How numbers and results read in what commands print, the same in all of them. */
#ifndef THAW_CLI_FORMAT_H
#define THAW_CLI_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "io/load_report.h"
#include "train/config.h"

#define THAW_FORMAT_SIZE 48

/* "11,689,512" */
const char *thaw_format_count(uint64_t count, char text[THAW_FORMAT_SIZE]);
/* "13.1 MiB" */
const char *thaw_format_bytes(uint64_t size_bytes, char text[THAW_FORMAT_SIZE]);

/* "260 tensors loaded, 2 left over for the new head, ..."; freed by the caller. NULL when out of
 * memory. */
char *thaw_format_load(const struct thaw_load_report *report);
json_t *thaw_json_load(const char *file, const struct thaw_load_report *report);

/* Reads the experiment that the command line names (its first argument and --set), and opens its
 * device. The caller finishes both; on failure there is nothing to finish. */
thaw_status thaw_cli_open_experiment(const struct thaw_cli *cli, const char *path,
                                     struct thaw_config *ret_config, thaw_device **ret_device);
/* Opens the device for a trained model, with the settings that its run had. */
thaw_status thaw_cli_open_run_device(const struct thaw_cli *cli, const char *run,
                                     thaw_device **ret_device);

#endif
