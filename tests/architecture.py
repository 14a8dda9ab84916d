#!/usr/bin/env python3
"""Checks doc/architecture.md against the tree: its list of files, and the functions that it names.

What the list says of a file is the first sentence of the file's own head comment ("name.c - ..."),
so there is one place to change it.

    tests/architecture.py            says what differs, a line each
    tests/architecture.py --write    writes the list anew
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "doc/architecture.md"
BEGIN, END = "<!-- files: written by tests/architecture.py --write -->\n", "<!-- end of files -->\n"
HEAD = re.compile(r"/\*\n \* (.*?)(?:\n \*\n| \*/|\n \*/)", re.S)
FOLDERS = {
    "src/nat": "the core",
    "include/nat/portreeve": "the core's contract",
    "src/netfilter": "the kernel's edge",
    "include/netfilter/portreeve": "its contract",
    "src/daemon/config": "the configuration",
    "src/daemon/gateway": "the running gateway",
    "src/daemon/control": "the control socket",
    "src/daemon": "what the rooms share, and the start",
    "include/daemon/portreeve": "what the rooms offer each other",
    "include/protocol/portreeve": "what the daemon and the client share",
    "src/ctl": "the client",
}


def purpose(path):
    """What the head comment says after "name - ", or None when there is no such comment."""
    match = HEAD.match(path.read_text())
    if not match:
        return None
    text = re.sub(r"\n \* ?", " ", match.group(1)).strip()
    name, dash, rest = text.partition(" - ")
    return rest if dash and name == path.name else None


def rows(folder):
    """(files, purpose) of each .c file with its header, and of each header alone."""
    names = {}
    for path in sorted((ROOT / folder).glob("*.[ch]")):
        names.setdefault(path.stem, []).append(path)
    for _, paths in sorted(names.items()):
        source = paths[0]  # .c sorts before .h
        files = " ".join(f"`{path.name}`" for path in paths)
        yield files, source, purpose(source)


def folders():
    found = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("src", "include") for path in (ROOT / top).rglob("*.[ch]")
    }
    return [folder for folder in FOLDERS if folder in found] + sorted(found - FOLDERS.keys())


def listing():
    lines, problems = [], []
    for folder in folders():
        lines += [f"**{folder}**: {FOLDERS.get(folder, '')}\n", "| file | purpose |", "|---|---|"]
        for files, source, text in rows(folder):
            if text is None:
                name = source.relative_to(ROOT)
                problems.append(f'{name} does not begin with "{source.name} - its purpose"')
            lines.append(f"| {files} | {text} |")
        lines.append("")
    return "\n".join(lines) + "\n", problems


def functions_named(page):
    return set(re.findall(r"`(\w+)\(\)`", page))


def functions_defined():
    code = "\n".join(path.read_text() for top in ("src", "include")
                     for path in (ROOT / top).rglob("*.[ch]"))
    return set(re.findall(r"\b(\w+)\(", code))


def paths_named(page):
    return set(re.findall(r"`((?:src|include|tests|doc|conf|systemd)/[\w./-]+)`", page))


def main(arguments):
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    wanted, problems = listing()
    if "--write" in arguments:
        PAGE.write_text(before + BEGIN + wanted + END + after)
    elif before + BEGIN + wanted + END + after != page:
        problems.append(
            "doc/architecture.md: the list of files is out of date: tests/architecture.py --write")
    problems += [
        f"doc/architecture.md names {name}(), which does not exist"
        for name in sorted(functions_named(page) - functions_defined())
    ]
    problems += [
        f"doc/architecture.md names {name}, which does not exist"
        for name in sorted(paths_named(page)) if not (ROOT / name).exists()
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
