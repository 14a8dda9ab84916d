/*
 * explain.h - the method that says what becomes of a connection and why
 */
#ifndef PORTREEVE_CONTROL_EXPLAIN_H
#define PORTREEVE_CONTROL_EXPLAIN_H

#include "method.h"

void run_explain(struct request *request);

#endif
