"""The benchmark: contenders do the same work in turn, round after round; figures, ratios and a plot
are written

    sudo make bench                                          all of it
    sudo make bench ROUNDS=1 DURATION=1 WORK=pps-share CONTENDERS=kernel,portreeve-off-1

Within a round every piece of work goes over all contenders before the next one begins, so that what
else happens on the machine meets neighbours, and each round begins with another contender. A
contender is started anew for every piece of work. What one cannot do, or what goes wrong, is said
in the table and ends nothing. The exit code says whether the benchmark ran, not what came out.

Modules: net (the network, the machine), contenders, work and scale (what they do), figures (medians
and ratios), summary, report (text and JSON), plot. tests/e2e lends netns, process, lab and daemon.
"""

import argparse
import atexit
import fnmatch
import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "e2e"))
# Where a service has /run: the table is a file there, and a disk would be part of the work.
tempfile.tempdir = "/dev/shm"

# pylint: disable=wrong-import-position
import contenders  # noqa: E402
import daemon  # noqa: E402
import net as network  # noqa: E402
import netns  # noqa: E402
import plot  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import work as works  # noqa: E402
from figures import Results  # noqa: E402

# Of the eight kinds of bulk transfer, those that a round can afford.
DEFAULT_BULK = ("bulk-forward-up-1", "bulk-forward-down-8", "bulk-share-up-8", "bulk-share-down-1")


def say(text):
    print(text, file=sys.stderr, flush=True)


def chosen(names, things, kind, default):
    """The things of a comma-separated list of names, which may be patterns; without a list, the
    default ones.
    """
    if not names:
        return [thing for thing in things if default(thing)]
    picked = []
    for word in names.replace(",", " ").split():
        found = [thing for thing in things if fnmatch.fnmatchcase(thing.name, word)]
        if not found:
            sys.exit(
                f"bench: there is no {kind} '{word}'; there are: "
                f"{', '.join(thing.name for thing in things)}")
        picked += [thing for thing in found if thing not in picked]
    return picked


def as_option(word):
    """ROUNDS=1, as make is told, is --rounds=1."""
    name, equals, value = word.partition("=")
    return f"--{name.lower()}={value}" if equals and name.isupper() else word


def parse(argv):
    parser = argparse.ArgumentParser(description="portreeve's benchmark",
                                     epilog="A NAME may be a pattern, as in 'bulk-*-8'.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=3, metavar="SECONDS",
                        help="of each measurement (iperf3: whole seconds)")
    parser.add_argument("--work", metavar="NAME,...",
                        help="default: all but half of the bulk transfers")
    parser.add_argument("--contenders", metavar="NAME,...", help="default: all")
    parser.add_argument("--sessions", type=int, default=1000000, help="of the work 'scale'")
    parser.add_argument("--output", type=Path, default=daemon.ROOT / "bench-output",
                        metavar="DIRECTORY")
    parser.add_argument("--list", action="store_true", help="what WORK and CONTENDERS there are")
    options = parser.parse_args([as_option(word) for word in argv])
    every_work = works.basic() + scale.works()
    every_contender = contenders.every()
    if options.list:
        for thing in every_work + every_contender:
            print(f"{thing.name:20} {thing.what}")
        sys.exit(0)
    options.work = chosen(
        options.work, every_work, "work",
        lambda work: not work.name.startswith("bulk-") or work.name in DEFAULT_BULK)
    options.contenders = chosen(options.contenders, every_contender, "contender", lambda _: True)
    return options


def first_line(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def measure(net, work, contender, options):
    """The figures of one contender at one piece of work."""
    try:
        if not work.starts_itself:
            contender.start(net)
        return work.run(net, contender, options)
    finally:
        contender.stop(net)


def do_round(net, number, options, results):
    turn = number % len(options.contenders)
    order = options.contenders[turn:] + options.contenders[:turn]
    for work in options.work:
        for contender in order:
            why = work.impossible(contender)
            if why:
                results.cannot(work, contender, why)
                continue
            try:
                figures = measure(net, work, contender, options)
                results.add(work, contender, number, figures)
                say(f"round {number + 1}  {work.name:20} {contender.name:16} "
                    f"{figures[work.figure]:10.4g} {work.unit}")
            except Exception as error:  # pylint: disable=broad-exception-caught
                results.failed(work, contender, number, first_line(error))
                say(f"round {number + 1}  {work.name:20} {contender.name:16} failed: "
                    f"{first_line(error)}")


def table_figures():
    """What the table's own micro-benchmark prints, where it has been built."""
    program = contenders.PROGRAMS / "table_bench"
    if not program.exists():
        return None
    try:
        return json.loads(process.run([program], timeout=600).stdout)
    except (AssertionError, ValueError) as error:
        say(f"table_bench failed: {first_line(error)}")
        return None


def run(options):
    say("looking how busy the machine is")
    about = {
        "machine": network.machine(), "began": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "rounds": options.rounds, "duration": options.duration, "sessions": options.sessions,
        "command": command_line(), "versions": versions()
    }
    results = Results()
    net = network.Net()
    for number in range(options.rounds):
        do_round(net, number, options, results)
    about["ended"] = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return about, results, table_figures()


def command_line():
    words = sys.argv[1:]
    by_make = all(as_option(word) != word for word in words)
    program = "make bench" if by_make else "tests/bench/bench.py"
    return shlex.join([*program.split(), *words])


def versions():
    """Of whom portreeve is compared with."""
    asked = {"haproxy": ["haproxy", "-v"], "rinetd": ["rinetd", "-v"], "socat": ["socat", "-V"],
             "iperf3": ["iperf3", "-v"], "nft": ["nft", "-v"], "portreeve": [daemon.DAEMON, "-V"]}
    return {name: first_version(argv) for name, argv in asked.items()}


def first_version(argv):
    try:
        done = process.run(argv, check=False)
    except OSError:
        return "not installed"
    lines = [
        line.strip() for line in (done.stdout + done.stderr).splitlines()
        if any(c.isdigit() for c in line)
    ]
    return lines[0][:80] if lines else "unknown"


def clean_up():
    process.stop_all()
    netns.remove_mine()
    process.remove_files(os.getpid())


def main(argv):
    options = parse(argv)
    if os.geteuid() != 0:
        sys.exit("bench: it makes network namespaces: run it as root")
    netns.clean_up_whatever_happens()
    process.remove_leftover_files()
    atexit.register(clean_up)
    try:
        about, results, table = run(options)
    except KeyboardInterrupt:
        sys.exit("bench: interrupted; nothing is left behind, and nothing was written")
    options.output.mkdir(parents=True, exist_ok=True)
    report.write(options, about, results, table)
    plot.draw(options, results)
    print((options.output / "report.md").read_text(), end="")
    say(f"written to {options.output}/: report.md, results.json, bench.png, bench.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
