/*
 * reader.c - from lines to sections, keys and values
 *
 * inih splits keys from values. It has traps, and this reader avoids them: inih cuts a line that is
 * longer than its buffer without a message; it cuts sections and keys over 49 bytes; it never
 * reports an empty section, and merges sections of the same name; an indented line always continues
 * the value above it, even if it is `key = value`, and keeps its comment; it accepts `key: value`;
 * it reports only the first line that it does not understand, and never gives the line number to a
 * handler. So inih gets only lines without a comment that are short enough and have an '=', one at
 * a time, and an indented line only if it continues a list.
 */
#include "reader.h"

#include "include.h"
#include "keys.h"
#include "place.h"
#include "portreeve/names.h"
#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <ini.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define RAW_LINE_MAX 4096 /* with a comment; a line that is only a comment may be longer */

static const char bom[3] =
    "\xef\xbb\xbf"; /* UTF-8's byte order mark, which some editors put first */

/* ---- sections ---- */

static int compare_sections(const void *left, const void *right)
{
    const struct section *one = left, *other = right;

    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    return strcmp(one->name, other->name);
}

/* The first section of the same kind and name, or NULL. */
static const struct section *find_duplicate(struct reading *reading, struct section *section)
{
    void *node = tsearch(section, &reading->section_tree, compare_sections);
    const struct section *found;

    if (node == NULL) {
        reading->failed = reading->no_memory = true;
        return NULL;
    }
    found = *(struct section **)node;
    return found == section ? NULL : found;
}

static struct section *add_section(struct reading *reading, const struct section_kind *kind)
{
    struct section *section = config_section_new(kind, reading->line);
    struct section **moved = reading->sections;

    if (section != NULL && reading->section_count == reading->section_capacity) {
        size_t wanted = reading->section_capacity ? reading->section_capacity * 2 : 16;

        moved = realloc(reading->sections, wanted * sizeof(struct section *));
        if (moved != NULL) {
            reading->sections = moved;
            reading->section_capacity = wanted;
        }
    }
    if (section == NULL || moved == NULL) {
        free(section);
        reading->failed = reading->no_memory = reading->stop = true;
        return NULL;
    }
    reading->sections[reading->section_count++] = section;
    return section;
}

/* "gateway, share NAME, ... or log" */
static const char *list_sections(char *buffer, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < SECTION_COUNT && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 < SECTION_COUNT ? ", " : " or ";

        used += (size_t)snprintf(buffer + used, size - used, "%s%s%s", before,
                                 section_kinds[i].name, section_kinds[i].named ? " NAME" : "");
    }
    return buffer;
}

static void unknown_section(struct reading *reading, const char *header, const char *word)
{
    char expected[128];
    const char *names[SECTION_COUNT];
    const char *meant;

    for (size_t i = 0; i < SECTION_COUNT; i++)
        names[i] = section_kinds[i].name;
    meant = config_suggest(word, names, SECTION_COUNT);
    if (meant != NULL)
        config_problem(reading, reading->line, "%s: unknown section; did you mean '%s'?", header,
                       meant);
    else
        config_problem(reading, reading->line, "%s: unknown section; expected %s", header,
                       list_sections(expected, sizeof(expected)));
}

/*
 * Reads the name after the kind. A section with an invalid name is kept, so that its keys are
 * checked.
 */
static void name_section(struct reading *reading, struct section *section, const char *header,
                         const char *name)
{
    const struct section_kind *kind = section->kind;
    char place[PLACE_MAX];
    const struct section *first;

    section->ignored = true;
    if (kind->named && *name == '\0') {
        config_problem(reading, reading->line,
                       "%s: the name is missing; expected a name, as in [%s lab]", header,
                       kind->name);
    } else if (!kind->named && *name != '\0') {
        config_problem(reading, reading->line, "%s: this section takes no name; expected [%s]",
                       header, kind->name);
    } else if (kind->named && !config_name_is_good(name)) {
        config_problem(reading, reading->line,
                       "%s: '%s' is not a valid name; expected at most %d letters, digits, '.', "
                       "'_' and '-', starting with a letter or digit",
                       header, name, POLICY_NAME_MAX - 1);
    } else {
        strcpy(section->name, name);
        first = find_duplicate(reading, section);
        section->ignored = first != NULL;
        if (first != NULL)
            config_problem(reading, reading->line,
                           "%s: this section already exists at %s; expected it only once", header,
                           place_text(reading, first->line, place));
    }
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, " \t");
}

/*
 * `line` is the whole text of a line that begins with '['. True if it is well formed, even if the
 * section is unknown.
 */
static bool read_header(struct reading *reading, const char *line)
{
    char copy[RAW_LINE_MAX], *word, *name, *end;

    strcpy(copy, line + 1);
    reading->section = NULL;
    reading->section_seen = true;
    end = copy + strcspn(copy, "[]");
    if (strcmp(end, "]") != 0) {
        config_problem(reading, reading->line,
                       "%s: expected a section such as [gateway] or [share lab]", line);
        return false;
    }
    while (end > copy && strchr(" \t", end[-1]) != NULL)
        end--;
    *end = '\0';
    word = skip_blanks(copy);
    name = word + strcspn(word, " \t");
    if (*name != '\0') {
        *name = '\0';
        name = skip_blanks(name + 1);
    }
    for (enum section_id id = 0; id < SECTION_COUNT; id++) {
        if (strcmp(word, section_kinds[id].name) != 0)
            continue;
        reading->section = add_section(reading, &section_kinds[id]);
        if (reading->section != NULL)
            name_section(reading, reading->section, line, name);
        return true;
    }
    unknown_section(reading, line, word);
    return true;
}

/* ---- keys ---- */

/* True when `name` is this key; a key of ports ends in "PORT" in the table. */
static bool key_has_name(const struct key *key, const char *name)
{
    size_t stem = strcspn(name, ":");

    if (key->flags & KEY_OF_PORT)
        return name[stem] == ':' && strncmp(key->name, name, stem + 1) == 0;
    return strcmp(key->name, name) == 0;
}

static const struct section_kind *kind_with_key(const char *name)
{
    for (size_t s = 0; s < SECTION_COUNT; s++) {
        for (size_t i = 0; i < section_kinds[s].key_count; i++) {
            if (key_has_name(&section_kinds[s].keys[i], name))
                return &section_kinds[s];
        }
    }
    return NULL;
}

static void unknown_key(struct reading *reading, const char *name, const char *value)
{
    const struct section_kind *kind = reading->section->kind, *other = kind_with_key(name);
    char title[TITLE_MAX], list[160] = "";
    const char *names[KEYS_MAX], *meant;

    config_title(reading->section, title);
    for (size_t i = 0; i < kind->key_count; i++) {
        names[i] = kind->keys[i].name;
        if (i > 0)
            strcat(list, ", ");
        strcat(list, names[i]);
    }
    meant = config_suggest(name, names, kind->key_count);
    if (other != NULL)
        config_problem(reading, reading->line, "%s %s = %s: unknown key; it belongs in [%s%s]",
                       title, name, value, other->name, other->named ? " NAME" : "");
    else if (meant != NULL)
        config_problem(reading, reading->line, "%s %s = %s: unknown key; did you mean '%s'?", title,
                       name, value, meant);
    else
        config_problem(reading, reading->line, "%s %s = %s: unknown key; expected %s%s", title,
                       name, value, kind->key_count > 1 ? "one of " : "", list);
}

static bool ends_in_comma(const char *value)
{
    size_t length = strlen(value);

    return length > 0 && value[length - 1] == ',';
}

/* Begins a new key. Leaves reading->key NULL and skip_list set if its value is not used. */
static void begin_key(struct reading *reading, const char *name, const char *value)
{
    const struct section_kind *kind = reading->section->kind;
    char place[PLACE_MAX];
    size_t index = 0;

    reading->key = NULL;
    reading->skip_list = true;
    while (index < kind->key_count && !key_has_name(&kind->keys[index], name))
        index++;
    if (index == kind->key_count) {
        unknown_key(reading, name, value);
        return;
    }
    reading->key = &kind->keys[index];
    if (reading->section->key_line[index] != 0 && !(reading->key->flags & KEY_OF_PORT)) {
        config_refuse(reading, value, "this key is already set at %s; expected it only once",
                      place_text(reading, reading->section->key_line[index], place));
        return;
    }
    reading->section->key_line[index] = reading->line;
    reading->skip_list = false;
}

/*
 * inih takes a ':' for an '='. So it gets the colon in the name of a key as a byte that no file may
 * have (is_text).
 */
#define COLON_FOR_INIH '\x1f'

static const char *with_colon(struct reading *reading, const char *name)
{
    char *colon;

    snprintf(reading->key_name, sizeof(reading->key_name), "%s", name);
    colon = strchr(reading->key_name, COLON_FOR_INIH);
    if (colon != NULL)
        *colon = ':';
    return reading->key_name;
}

/* Where the name of a key ends: at '=', or at a ':' that is no part of a name such as udp:53. */
static size_t end_of_name(const char *text)
{
    size_t colon = strcspn(text, "=:"), equals;

    if (text[colon] != ':')
        return colon;
    equals = colon + 1 + strcspn(text + colon + 1, "=:");
    return text[equals] == '=' && kind_with_key(text) != NULL ? equals : colon;
}

static void hide_colon(char *text)
{
    size_t colon = strcspn(text, "=:");

    if (text[colon] == ':')
        text[colon] = COLON_FOR_INIH;
}

/*
 * inih's handler. It does not use inih's section name, which is cut at 49 bytes; reading->section
 * is exact.
 */
static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;

    (void)section;
    if (reading->section == NULL)
        return 1;
    if (!reading->continuing) {
        name = with_colon(reading, name);
        begin_key(reading, name, value);
    }
    if (!reading->skip_list)
        config_take_value(reading, reading->section,
                          (size_t)(reading->key - reading->section->kind->keys), value);
    if (reading->key == NULL || (reading->key->flags & KEY_LIST)) {
        reading->list_open = ends_in_comma(value);
        reading->list_line = reading->line;
    }
    return 1;
}

/* ---- lines ---- */

enum raw_line {
    RAW_END,
    RAW_LINE,
    RAW_TOO_LONG,
    RAW_BINARY,
};

/* True for the first line of a file. */
static bool begins_file(const struct reading *reading)
{
    unsigned local;

    (void)place_of(reading, reading->line, &local);
    return local == 1;
}

/*
 * Reads one line without its end into `line`. What does not fit is skipped. A NUL byte ends the
 * reading: no text file contains one, and /dev/zero would never end.
 */
static enum raw_line read_raw(struct reading *reading, char line[RAW_LINE_MAX])
{
    size_t length = 0;
    bool too_long = false;
    int c = getc(reading->stream);

    if (c == EOF)
        return RAW_END;
    reading->line++;
    for (; c != EOF && c != '\n'; c = getc(reading->stream)) {
        if (c == '\0')
            return RAW_BINARY;
        if (length < RAW_LINE_MAX - 1)
            line[length++] = (char)c;
        else
            too_long = true;
    }
    if (!too_long && length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    if (begins_file(reading) && length >= sizeof(bom) && memcmp(line, bom, sizeof(bom)) == 0)
        memmove(line, line + sizeof(bom), length - sizeof(bom) + 1);
    return too_long ? RAW_TOO_LONG : RAW_LINE;
}

/* Removes a comment (';' after a blank, as in inih) and blanks at the end. */
static void cut_comment(char *text)
{
    size_t length = 0, kept = 0;

    for (; text[length] != '\0'; length++) {
        if (text[length] == ';' && length > 0 && strchr(" \t", text[length - 1]) != NULL)
            break;
        if (strchr(" \t", text[length]) == NULL)
            kept = length + 1;
    }
    text[kept] = '\0';
}

/* Reports what is wrong with the bytes of a line, if anything. */
static bool is_text(struct reading *reading, const char *text)
{
    while (*text != '\0') {
        size_t length = *text == '\t' ? 1 : text_printable(text);

        if (length == 0 && ((unsigned char)*text < 0x20 || *text == 0x7f)) {
            config_problem(reading, reading->line,
                           "the line has a control character (0x%02x); expected plain text",
                           (unsigned char)*text);
            return false;
        }
        if (length == 0) {
            config_problem(reading, reading->line,
                           "the line is not UTF-8 (byte 0x%02x); expected UTF-8 or ASCII",
                           (unsigned char)*text);
            return false;
        }
        text += length;
    }
    return true;
}

static void close_list(struct reading *reading)
{
    char title[TITLE_MAX];

    if (reading->list_open && reading->key != NULL)
        config_problem(reading, reading->list_line,
                       "%s %s: the list ends with a comma; expected another item, on this line or "
                       "(indented) on the next one",
                       config_title(reading->section, title), reading->key->name);
    reading->list_open = false;
}

/* True for a line that inih gets: short enough, and `key = value` unless it continues a list. */
static bool is_for_inih(struct reading *reading, char *text, size_t limit)
{
    size_t equals;

    if (strlen(text) > limit) {
        config_problem(reading, reading->line,
                       "the line has %zu bytes without its comment; expected at most %zu (after a "
                       "comma, a list may continue on the next line, indented)",
                       strlen(text), limit);
        reading->list_open = reading->continuing && ends_in_comma(text);
        return false;
    }
    if (reading->continuing)
        return true;
    equals = end_of_name(text);
    if (text[equals] != '=' || equals == 0) {
        config_problem(reading, reading->line, "%s: expected key = value", text);
        return false;
    }
    if (!reading->section_seen)
        config_problem(
            reading, reading->line,
            "%s: this line belongs to no section; expected a section above it, such as [gateway]",
            text);
    else
        hide_colon(text);
    return reading->section_seen;
}

static bool is_comment(char *line)
{
    char *text = skip_blanks(line);

    return *text == ';' || *text == '#';
}

/* Handles what needs no inih. True if `line` (changed in place) is a line for inih. */
static bool digest(struct reading *reading, char *line, size_t limit)
{
    char *text = skip_blanks(line);
    bool indented = text > line;

    if (*text == '\0' || is_comment(text))
        return false;
    if (!is_text(reading, text))
        return false;
    cut_comment(text);
    reading->continuing = reading->list_open && indented && *text != '[';
    if (!reading->continuing)
        close_list(reading);
    if (*text == '[' && !read_header(reading, text))
        return false;
    if (*text != '[' && !is_for_inih(reading, text, limit))
        return false;
    reading->list_open = false;
    memmove(line, text, strlen(text) + 1);
    return true;
}

/* inih's reader: the next line for it, in `buffer` of `size` bytes. */
static char *next_line(char *buffer, int size, void *stream)
{
    struct reading *reading = stream;
    /* indentation, NUL, and one more: inih takes a full buffer for a line that continues */
    size_t limit = (size_t)size - 3;
    char line[RAW_LINE_MAX];

    if (limit > CONFIG_LINE_MAX)
        limit = CONFIG_LINE_MAX;
    while (!reading->stop) {
        enum raw_line kind = read_raw(reading, line);

        if (kind == RAW_END)
            break;
        if (kind == RAW_BINARY) {
            config_problem(reading, reading->line, "the line has a NUL byte; expected a text file");
            reading->stop = true;
        } else if (kind == RAW_TOO_LONG && !is_comment(line)) {
            config_problem(reading, reading->line,
                           "the line is too long; expected at most %zu bytes", limit);
        } else if (kind == RAW_LINE && digest(reading, line, limit)) {
            if (*line == '[')
                strcpy(buffer,
                       "[section]"); /* ends the value above; the real name may be too long */
            else
                snprintf(buffer, (size_t)size, "%s%s", reading->continuing ? " " : "", line);
            return buffer;
        }
    }
    close_list(reading);
    return NULL;
}

static void read_stream(struct reading *reading)
{
    if (ini_parse_stream(next_line, reading, handle, reading) < 0)
        reading->failed = reading->no_memory = true;
}

void config_read_lines(struct reading *reading)
{
    read_stream(reading);
    include_each(reading, read_stream);
}
