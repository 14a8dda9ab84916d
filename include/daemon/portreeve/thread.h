/*
 * thread.h - starting a thread next to the main thread
 */
#ifndef PORTREEVE_THREAD_H
#define PORTREEVE_THREAD_H

#include <pthread.h>

/*
 * Starts `run` with all signals blocked: the main thread reads them from a signalfd. Returns 0 or
 * -errno.
 */
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
