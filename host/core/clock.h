/* How long things take: seconds of a clock that only goes forward, from an arbitrary start. */
#ifndef THAW_CORE_CLOCK_H
#define THAW_CORE_CLOCK_H

double thaw_clock_s(void);

/* Processor time of all threads of the process. */
double thaw_clock_cpu_s(void);

#endif
