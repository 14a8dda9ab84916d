#!/usr/bin/env python3
"""Fails when files of one folder use each other in a circle.

A file uses another one when it names a function that the other defines, or includes it. Static
functions, and files of other folders, do not count.

    tests/circles.py [--graph] [FOLDER ...]      --graph: also print who uses whom
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFINITION = re.compile(r"^(?!static|typedef|_Static)[A-Za-z_][\w\s*]*?\b(\w+)\(", re.M)
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


def uses(folder):
    """Name of a file -> the names of the files of the same folder that it uses."""
    found = {path.name: path.read_text() for path in sorted(folder.glob("*.[ch]"))}
    code = {name: strip(text) for name, text in found.items()}
    owner = {function: name for name in found for function in definitions(code[name])}
    graph = {}
    for name, text in found.items():
        used = {f"{header}.h" for header in INCLUDE.findall(text)} & found.keys()
        used |= {owner[word] for word in WORD.findall(code[name]) if word in owner}
        # An inline function may call what its own source file defines.
        graph[name] = used - {name, re.sub(r"h$", "c", name)}
    return graph


def circles(graph):
    """The groups of files that reach each other (Tarjan's strongly connected components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def folders():
    return sorted({path.parent for path in (ROOT / "src").rglob("*.c")})


def main(arguments):
    show = "--graph" in arguments
    named = [ROOT / a for a in arguments if a != "--graph"]
    failed = False
    for folder in named or folders():
        graph = uses(folder)
        room = folder.relative_to(ROOT)
        if show:
            for name, used in sorted(graph.items()):
                print(f"{room}/{name}: {' '.join(sorted(used))}")
        for group in circles(graph):
            failed = True
            print(f"{room}: {', '.join(group)} use each other in a circle:", file=sys.stderr)
            for name in group:
                print(f"  {name} uses {', '.join(sorted(graph[name] & set(group)))}",
                      file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
