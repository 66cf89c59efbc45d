/* All of Thaw's public interface. */
#ifndef THAW_THAW_H
#define THAW_THAW_H

#include "thaw/device.h"
#include "thaw/model.h"
#include "thaw/status.h"

#endif
