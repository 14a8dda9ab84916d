#!/usr/bin/env python3
"""Fails when files of one folder use each other in a circle.

A file uses another one when it names a function that the other defines, or includes its header.
Only the program's own sources count; static functions and what comes from other folders do not.

    tests/circles.py [--graph] [FOLDER ...]      --graph: also print who uses whom
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFINITION = re.compile(r"^(?!static|typedef|return|else|#|_Static)[A-Za-z_][\w\s*]*?\b(\w+)\(",
                        re.M)
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r'^#include "(\w+)\.h"', re.M)
PROTOTYPE = re.compile(r"^[A-Za-z_][^;{}#]*\([^;{}]*\)[^;{}]*;", re.M)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def strip(text):
    return PROTOTYPE.sub(" ", COMMENT_OR_STRING.sub(" ", text))


def definitions(code):
    """Functions with external linkage that this code defines: a body must follow the parameters."""
    for match in DEFINITION.finditer(code):
        after = code[match.end():]
        if re.match(r"[^;{}]*\)\s*\{", after):
            yield match.group(1)


def units(folder):
    """Name of a unit (a .c file, its header included, or a header alone) -> its text."""
    found = {}
    for path in sorted(folder.glob("*.[ch]")):
        found.setdefault(path.stem, []).append(path.read_text())
    return found


def uses(folder):
    found = units(folder)
    owner = {}
    for unit, texts in found.items():
        for text in texts:
            owner.update((name, unit) for name in definitions(strip(text)))
    graph = {}
    for unit, texts in found.items():
        used = set()
        for text in texts:
            used |= {name for name in INCLUDE.findall(text) if name in found}
            used |= {owner[word] for word in WORD.findall(strip(text)) if word in owner}
        graph[unit] = used - {unit}
    return graph


def circles(graph):
    """The groups of units that reach each other (Tarjan's strongly connected components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(unit):
        index[unit] = low[unit] = len(index)
        stack.append(unit)
        for other in sorted(graph[unit]):
            if other not in index:
                visit(other)
                low[unit] = min(low[unit], low[other])
            elif other in stack:
                low[unit] = min(low[unit], index[other])
        if low[unit] == index[unit]:
            at = stack.index(unit)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for unit in sorted(graph):
        if unit not in index:
            visit(unit)
    return found


def folders():
    return sorted({path.parent for path in (ROOT / "src").rglob("*.c")})


def main(arguments):
    show = "--graph" in arguments
    named = [ROOT / a for a in arguments if a != "--graph"]
    failed = False
    for folder in named or folders():
        graph = uses(folder)
        name = folder.relative_to(ROOT)
        if show:
            for unit, used in sorted(graph.items()):
                print(f"{name}/{unit}: {' '.join(sorted(used))}")
        for group in circles(graph):
            failed = True
            print(f"{name}: {', '.join(group)} use each other in a circle:", file=sys.stderr)
            for unit in group:
                print(f"  {unit} uses {', '.join(sorted(graph[unit] & set(group)))}",
                      file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
