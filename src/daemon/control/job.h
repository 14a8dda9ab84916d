/*
 * job.h - methods that walk the translation table
 */
#ifndef PORTREEVE_CONTROL_JOB_H
#define PORTREEVE_CONTROL_JOB_H

#include "method.h"

#define JOB_DESCRIBED_MAX 512 /* bytes of a filter in the log, with the final NUL */

/* Begin a job for the request; the filter is copied. */
void job_begin_sessions(struct request *request, const struct filter *filter);
void job_begin_mappings(struct request *request);
void job_begin_forwards(struct request *request);
/* Refused while there is another one. */
void job_begin_check(struct request *request);
void job_begin_kill(struct request *request, const struct filter *filter, const char *described);
/* Works on one slice; frees the job when it is done. */
void job_step(struct client *client, struct gateway *gateway);
/* Frees the job, done or not. NULL is allowed. */
void job_end(struct job *job);

#endif
