#!/usr/bin/python3
"""Starts stock Debian in virtual machines and runs tests there

    tests/vm/run.py                                   tests/vm/system, on each release
    tests/vm/run.py --release trixie -k reload        some of them, on one
    tests/vm/run.py --suite e2e -k hairpin            tests/e2e instead; also unit, control, kernel
"""

import argparse
import contextlib
import fcntl
import sys
import tempfile
import time
from pathlib import Path

import image
import machine
import project

SUITES = ("system", "unit", "control", "kernel", "e2e")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", choices=image.RELEASES, action="append")
    parser.add_argument("--suite", choices=SUITES, default="system")
    parser.add_argument("-k", dest="chosen", default="", help="only these tests, as for pytest")
    parser.add_argument("--offload", choices=("on", "off"), default="on")
    parser.add_argument("--minutes", type=float, default=30, help="the longest that a machine runs")
    return parser.parse_args()


@contextlib.contextmanager
def alone():
    """One machine at a time, and nobody removes an image that another uses."""
    directory = image.cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("vm: waiting for another run on this machine", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def try_release(release, options):
    begin = time.monotonic()
    made = image.Image(release).make_sure()
    project.build(made, options.suite)
    with tempfile.TemporaryDirectory(prefix="portreeve-vm-") as scratch:
        directory = Path(scratch)
        archive = directory / "archive"
        project.pack(made, {"suite": options.suite, "chosen": options.chosen,
                            "offload": options.offload}, archive)
        print(f"vm: starting {release} ({options.suite})", flush=True)
        try:
            code = machine.run(made, archive, directory, options.minutes * 60)
        except machine.EmulatorFault as fault:
            print(f"vm: {fault}\nvm: a fault of the emulator: once more", flush=True)
            code = machine.run(made, archive, directory, options.minutes * 60)
    print(f"vm: {release} took {time.monotonic() - begin:.0f} s and returned {code}", flush=True)
    return code


def main():
    options = arguments()
    machine.interrupt_on_signals()
    failed = []
    with alone():
        for release in options.release or image.RELEASES:
            try:
                if try_release(release, options) != 0:
                    failed.append(release)
            except (image.ImageError, machine.MachineError) as error:
                print(f"vm: {error}", file=sys.stderr)
                failed.append(release)
    if failed:
        print(f"vm: failed on {' and '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
