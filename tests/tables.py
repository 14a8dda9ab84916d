#!/usr/bin/env python3
"""Compares the tables of the code with their copies in the documentation.

Words that the code, the status, the man pages and the protocol share are written once in the code.
This prints where a page lists other words, another order or another meaning, one line each, and
ends with 1.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROTOCOL = "doc/control-protocol.md"
CLIENT_PAGE = "doc/portreeve.1"
DAEMON_PAGE = "doc/portreeved.8"
VERBS_OF_THEIR_OWN = ["audit"]  # no methods: they work with the answers of others


def read(path):
    return (ROOT / path).read_text()


# What the code says


def macro_rows(path, macro):
    """The rows X(...) of an X-macro, each a list of its arguments, without quotes."""
    body = re.search(rf"#define {macro}\(X\)((?:.*\\\n)*.*)",
                     read(path)).group(1).replace("\\\n", " ")
    rows = re.findall(r'X\(((?:"[^"]*"|[^()"])*)\)', body)
    return [[cell.strip('"') for cell in re.findall(r'"[^"]*"|[^,"\s]+', row)] for row in rows]


def function_body(path, name):
    return re.search(rf"^[^\n]*\b{name}\(.*?^}}", read(path), re.M | re.S).group(0)


def names_of(path, function):
    """The names that a function gives to the values of an enum, in order, without repetitions."""
    names = re.findall(r'"([\w-]+)"', function_body(path, function))
    return [name for name in dict.fromkeys(names) if name != "none"]


def methods():
    """(name, changes, names of the parameters) of each method of the control socket."""
    table = re.search(r"methods\[\] = \{\n(.*?)^\};", read("src/daemon/control/methods.c"),
                      re.M | re.S).group(1)
    for entry in re.findall(r'\{"([\w.]+)",\s*(true|false),(.*?)run_\w+\}', table, re.S):
        yield entry[0], entry[1] == "true", re.findall(r'"(\w+)"', entry[2])


def verbs():
    """(name, summary) of each verb of the client."""
    table = re.search(r"verbs\[\] = \{\n(.*?)^\};", read("src/ctl/verbs.c"), re.M | re.S).group(1)
    for entry in re.split(r"\brun_\w+\}", table)[:-1]:
        texts = re.findall(r'"((?:\\.|[^"\\])*)"', entry)
        yield texts[0], texts[2]


def error_codes():
    """(code, meaning) of each error of the control protocol."""
    text = re.search(r"enum control_error \{(.*?)\}",
                     read("include/protocol/portreeve/control_protocol.h"), re.S)
    for comment, code in re.findall(r"/\*(.*?)\*/\s*\w+ = (-\d+)", text.group(1), re.S):
        yield code, " ".join(re.sub(r"^ *\*", "", comment, flags=re.M).split())


# What the pages say


def man_section(page, heading):
    return re.search(rf"^\.SH {heading}\n(.*?)(?=^\.SH )", read(page), re.M | re.S).group(1)


def plain(text):
    """The words of man page source."""
    text = re.sub(r"^\.(?:TP|PP|IP|RS|RE|BR?|RB|BI|I|IR)\b *", "", text, flags=re.M)
    text = re.sub(r"\\f[A-Z]", "", text).replace("\\-", "-").replace("\\(lq",
                                                                     '"').replace("\\(rq", '"')
    return " ".join(re.sub(r'" *"|^"|"$', "", text, flags=re.M).split())


def man_entries(page, heading):
    """(tag, text) of each entry of a section."""
    for entry in re.split(r"^\.TP.*\n", man_section(page, heading), flags=re.M)[1:]:
        tag, _, text = entry.partition("\n")
        yield plain(tag), plain(text)


def markdown_rows(path, first_heading):
    """The rows, each a list of its cells, of the table whose first column has this heading."""
    table = re.search(rf"^\| {re.escape(first_heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", read(path),
                      re.M).group(1)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


# The comparisons: each yields what differs


def compare(what, page, expected, found):
    if expected != found:
        yield f"{page}: {what}: the code has {expected}, the page has {found}"


def begins_with(what, page, texts, entries):
    """Each entry must begin with the text of the code, apart from the case of the first letter."""
    yield from compare(what, page, list(texts), [tag for tag, _ in entries])
    for tag, text in entries:
        expected = texts.get(tag, "")
        if text[:len(expected)].lower() != expected.lower():
            yield f"{page}: {what}: {tag} must begin with '{expected}', but is '{text}'"


def drop_reasons():
    reasons = {
        name: text
        for _, name, text in macro_rows("include/nat/portreeve/packet.h", "DROP_REASONS")
        if name != "none"
    }
    for name, text in reasons.items():
        if len(text) > 45 or text.endswith("."):
            yield (f"include/nat/portreeve/packet.h: {name}: expected at most 45 characters, "
                   "without a full stop")
    yield from begins_with("drop reasons", DAEMON_PAGE, reasons,
                           list(man_entries(DAEMON_PAGE, "DROPPED PACKETS")))


def causes():
    known = [name for _, name, _ in macro_rows("include/daemon/portreeve/explain_gateway.h",
                                               "EXPLAIN_CAUSES")]
    yield from compare("causes", PROTOCOL, known,
                       [quoted(row[0])[0] for row in markdown_rows(PROTOCOL, "cause")])


def exit_codes():
    codes = {
        number: meaning
        for _, number, meaning in macro_rows("src/ctl/exit_code.h", "EXIT_CODES")
    }
    yield from begins_with("exit codes", CLIENT_PAGE, codes,
                           list(man_entries(CLIENT_PAGE, "EXIT STATUS")))


def errors():
    rows = [(code.replace("\u2212", "-"), meaning.replace("`", ""))
            for code, meaning in markdown_rows(PROTOCOL, "code")]
    yield from compare("error codes", PROTOCOL, list(error_codes()), rows)


def method_table():
    known = list(methods())
    headings = re.findall(r"^### (\S+)(.*)", read(PROTOCOL), re.M)
    rows = [(quoted(row[0])[0], row[1] == "root", quoted(row[2]))
            for row in markdown_rows(PROTOCOL, "method")]
    yield from compare("methods", PROTOCOL, known, rows)
    yield from compare("headings", PROTOCOL,
                       [(name, " (root)" * changes) for name, changes, _ in known], headings)


def client_verbs():
    known = [(name.replace(".", " "), changes) for name, changes, _ in methods()]
    known += [(name, False) for name in VERBS_OF_THEIR_OWN]
    yield from compare("verbs and methods", "src/ctl/verbs.c", known,
                       [(name, "(root)" in summary) for name, summary in verbs()])
    tags = [tag for tag, _ in man_entries(CLIENT_PAGE, "VERBS")]
    yield from compare("verbs", CLIENT_PAGE, [name for name, _ in known],
                       [tag for tag in tags if tag[0] != "-"])
    look = re.search(r"^may use the verbs that change nothing:\n(.*?)^\.SH", read(CLIENT_PAGE),
                     re.M | re.S).group(1)
    yield from compare("verbs that change nothing", CLIENT_PAGE,
                       [name for name, changes in known if not changes],
                       re.findall(r"\b(?!and\b)[a-z]+", plain(look)))


def words():
    """States, directions, reasons, events and the keys of a FILTER."""
    states = names_of("src/nat/view.c", "session_state_name")
    directions = names_of("src/nat/view.c", "direction_name")
    outcomes = list(dict.fromkeys(names_of("src/nat/view.c", "outcome_name")))
    for heading, known in (("state", states), ("direction", directions), ("outcome", outcomes),
                           ("reason", names_of("src/nat/event.c", "close_reason_name")),
                           ("type", names_of("src/nat/event.c", "event_type_name"))):
        yield from compare(heading, PROTOCOL, known,
                           [quoted(row[0])[0] for row in markdown_rows(PROTOCOL, heading)])
    entries = dict(man_entries(CLIENT_PAGE, "FILTER"))
    for heading, known in (("state", states), ("direction", directions), ("outcome", outcomes)):
        listed = re.findall(r"\b(?!or\b)[a-z]+", entries[f"{heading}= WORD"].split(" .")[0])
        yield from compare(heading, CLIENT_PAGE, known, listed)
    keys = re.findall(r'\{"(\w+=)"', read("src/daemon/control/filter.c"))
    yield from compare(
        "keys", PROTOCOL, keys,
        re.findall(r"`(\w+=)`", "".join(row[0] for row in markdown_rows(PROTOCOL, "word"))))
    yield from compare("keys", CLIENT_PAGE, keys, re.findall(r"\w+=", " ".join(entries)))


def main():
    checks = (drop_reasons, exit_codes, causes, errors, method_table, client_verbs, words)
    found = [line for check in checks for line in check()]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
