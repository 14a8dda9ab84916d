/*
 * support_config.h - a file with a text is loaded, and what is said of it is kept
 */
#ifndef TESTS_SUPPORT_CONFIG_H
#define TESTS_SUPPORT_CONFIG_H

#include "support_run.h"

#include "portreeve/config.h"

#define MESSAGES_MAX 64
#define GATEWAY      "[gateway]\nexternal = wan0\n"
#define SHARE        "[share lab]\nsource = 10.0.0.0/24\n"
#define MINIMAL      GATEWAY SHARE /* four lines */

extern struct config loaded;
extern char *config_errors[MESSAGES_MAX], *config_warnings[MESSAGES_MAX];
extern size_t config_error_count, config_warning_count;

/* The fixture: a temporary file, no messages. */
void config_setup(void);
void config_teardown(void);

/* A config_report whose context is &loaded. */
void config_keep_error(void *context, const char *message);
bool config_load_bytes(const char *bytes, size_t length);
bool config_load_text(const char *text);
void config_must_load(const char *text);
/*
 * The text fails with these errors, all of them and in this order: "LINE: ..."; NULL ends the list.
 */
void config_must_fail(const char *text, ...);
/* A message without the file's path and the colon behind it. */
const char *config_without_path(const char *message);

#endif
