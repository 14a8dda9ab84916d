/*
 * fuzz_config.c - any bytes as a configuration file
 *
 * Besides not crashing: what fails says why, on printable lines that begin with the file's name;
 * what loads says nothing and can be sealed, because the checks of the configuration promise just
 * that.
 */
#include "../../src/daemon/config/config.h"
#include "portreeve/text.h"

#include <stdlib.h>
#include <string.h>

#define NAME "fuzz.conf"
#define NOW  1800000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const char *message)
{
    if (strncmp(message, NAME ":", strlen(NAME ":")) != 0)
        abort();
    while (*message != '\0') {
        size_t length = text_printable(message);

        if (length == 0)
            abort();
        message += length;
    }
}

static void count_error(void *context, const char *message)
{
    check_message(message);
    ++*(size_t *)context;
}

static void take_warning(void *context, const char *message)
{
    (void)context;
    check_message(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* never written to: the mode says so */
    FILE *stream = fmemopen((void *)(uintptr_t)data, size, "r");
    struct config config;
    size_t errors = 0;

    if (!stream)
        return 0;
    if (config_load_stream(stream, NAME, NOW, &config, count_error, take_warning, &errors)) {
        if (errors != 0 || !policy_seal(config.policy))
            abort();
        config_free(&config);
    } else if (errors == 0) {
        abort();
    }
    fclose(stream);
    return 0;
}
