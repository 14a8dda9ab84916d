/*
 * job.h - methods that walk the translation table
 */
#ifndef PORTREEVE_CONTROL_JOB_H
#define PORTREEVE_CONTROL_JOB_H

#include "method.h"

/* Begin a job for the request; filters are copied. */
void job_begin_sessions(struct request *request, const struct filter *filter);
void job_begin_mappings(struct request *request);
void job_begin_forwards(struct request *request);
void job_begin_kill(struct request *request, const struct filter *filter, const char *described);
/* One slice; ends and frees the job when it is done. */
void job_step(struct client *client, struct gateway *gateway);
/* Frees it, done or not. NULL is fine. */
void job_end(struct job *job);

#endif
