/*
 * saved_rules.c - whether our table was saved with the host's own rules
 *
 * `nft list ruleset > /etc/nftables.conf` saves our table, too, and nft cannot load what it prints
 * of it: it has no words for a rule that takes an address and a port from one map (and shows an xt
 * target as a remark). A file with one error is not loaded at all, so the host would come up with
 * no rules. The listing cannot be prevented; so the administrator is told before the next boot.
 */
#include "saved_rules.h"

#include <stdio.h>
#include <string.h>

#define NAME     "saved-rules"
#define PAUSE_MS 10000

/* Debian, Ubuntu, Arch; Fedora, RHEL. */
static const char *const files[] = {"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"};

/* A file of rules is not longer than this; what is, is not read to its end. */
#define LINES_MAX 1000000

static bool begins_our_table(const char *line)
{
    static const char table[] = "table ip portreeve";

    line += strspn(line, " \t");
    return strncmp(line, table, sizeof(table) - 1) == 0 &&
           strchr(" \t{\n", line[sizeof(table) - 1]) != NULL;
}

bool saved_rules_have_table(const char *path)
{
    FILE *file = fopen(path, "re");
    bool found = false, at_start = true;
    char line[256];

    if (file == NULL)
        return false;
    for (int i = 0; !found && i < LINES_MAX && fgets(line, sizeof(line), file) != NULL; i++) {
        found = at_start && begins_our_table(line);
        at_start = strchr(line, '\n') != NULL;
    }
    fclose(file);
    return found;
}

const char *saved_rules_find(void)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (saved_rules_have_table(files[i]))
            return files[i];
    }
    return NULL;
}

void saved_rules_check(struct notices *notices, uint64_t now, uint64_t *due)
{
    const char *path;

    if (now < *due)
        return;
    *due = now + PAUSE_MS;
    path = saved_rules_find();
    if (path != NULL)
        notices_set(notices, NAME, SAVED_RULES_TEXT, path);
    else
        notices_clear(notices, NAME);
}
