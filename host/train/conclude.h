/* A whole run: training, and what is written into the run folder once that is done:
 *
 *   evaluation.json   {"val": {"photos", "loss", "top1", "balanced", "macro_f1", "confusion"},
 *                      "test": {...}}: the kept weights on the parts that have photos
 *   predictions.csv   set, path, label, predicted, probability: for each of those photos
 *   report.html       train/report.h
 */
#ifndef THAW_TRAIN_CONCLUDE_H
#define THAW_TRAIN_CONCLUDE_H

#include "train/trainer.h"

/* thaw_train(), then the files above. An interrupt among them leaves a complete run without them,
 * which a resume adds. */
thaw_status thaw_train_and_conclude(const struct thaw_config *config, thaw_device *device,
                                    const struct thaw_train_options *options,
                                    const struct thaw_train_events *events);

#endif
