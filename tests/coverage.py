#!/usr/bin/env python3
"""Which lines the unit tests have run, by gcov: a table of the folders, and the lines of the core
that no test has run.

    tests/coverage.py BUILD PERCENT

BUILD is a build with COVERAGE=1 whose unit tests have run (make coverage). Status 1 when less than
PERCENT of src/nat was run. The other folders have no bar: what they do is tested over their edges,
by tests/control, tests/kernel and tests/e2e, which this does not count.
"""
import json
import os
import pathlib
import subprocess
import sys

CORE = "src/nat"


def counts_of(build):
    """File -> line -> how often it was run. A line of a header is in several objects."""
    notes = sorted(str(path) for path in (build / "src").rglob("*.gcno"))
    if not notes:
        sys.exit(f"coverage: {build} was not built with COVERAGE=1")
    answer = subprocess.run([os.environ.get("GCOV", "gcov"), "--json-format", "--stdout", *notes],
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL,
                            check=True)
    files = {}
    for unit in answer.stdout.splitlines():
        for file in json.loads(unit)["files"]:
            if not file["file"].startswith("src/"):
                continue
            counts = files.setdefault(file["file"], {})
            for line in file["lines"]:
                number = line["line_number"]
                counts[number] = counts.get(number, 0) + line["count"]
    return files


def ranges(numbers):
    """[3, 4, 5, 9] -> "3-5, 9"."""
    spans = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in spans)


def print_not_run(files):
    for file, counts in sorted(files.items()):
        numbers = sorted(number for number, count in counts.items() if count == 0)
        if file.startswith(CORE + "/") and numbers:
            print(f"  {file}: {ranges(numbers)}")


def share_of(lines, run):
    return 100 * run / lines if lines else 0.0


def main():
    least = float(sys.argv[2])
    files = counts_of(pathlib.Path(sys.argv[1]))
    folders = {}
    for file, counts in files.items():
        total = folders.setdefault(str(pathlib.PurePath(file).parent), [0, 0])
        total[0] += len(counts)
        total[1] += sum(count > 0 for count in counts.values())

    print("Lines of the core that no unit test runs:")
    print_not_run(files)
    print(f"\n  {'folder':<22}{'lines':>6}{'run':>9}")
    for folder, (lines, run) in sorted(folders.items()):
        print(f"  {folder:<22}{lines:>6}{share_of(lines, run):>7.1f} %")
    core = share_of(*folders.get(CORE, (0, 0)))
    if core < least:
        sys.exit(f"coverage: {core:.1f} % of the lines of {CORE}, and at least {least:g} % are due")


main()
