/*
 * thread.h - starting a thread beside the main one
 */
#ifndef PORTREEVE_THREAD_H
#define PORTREEVE_THREAD_H

#include <pthread.h>

/*
 * Starts `run`, with all signals blocked: they are the main thread's, which takes them from a
 * signalfd. 0 or -errno.
 */
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
