/* Shows a training run as it goes: lines that stay for loading and epochs, a live one for steps. */
#ifndef THAW_CLI_FOLLOW_H
#define THAW_CLI_FOLLOW_H

#include "cli/cli.h"
#include "train/trainer.h"

struct thaw_cli_follow {
    const struct thaw_cli *cli;
    bool brief; /* one of several runs: no load reports */
};

/* `follow` is borrowed and must outlive the run. */
struct thaw_train_events thaw_cli_follow_training(struct thaw_cli_follow *follow);

#endif
