"""The table of ratios that the README shows: portreeve, with its default of workers, against each
of the others
"""

import fnmatch

from contenders import Portreeve
from figures import Ratio

# Heads, and the works that they sum up.
_COLUMNS = {
    "bulk TCP, 1 stream": "bulk-*-1", "bulk TCP, 8 streams": "bulk-*-8",
    "64-byte UDP packets/s": "pps-*", "new connections/s": "connect-*",
    "p99 latency (less is better)": "latency-*"
}


def _pairs(workers):
    on, off = f"portreeve-on-{workers}", f"portreeve-off-{workers}"
    return (("the kernel's NAT", on, "kernel"), ("plain routing", on, "routing"),
            ("haproxy, `mode tcp`", on, "haproxy"), ("rinetd", on, "rinetd"),
            ("socat", on, "socat"), ("`offload = off` against haproxy", off, "haproxy"),
            ("`offload = off` against a queue that decides nothing", off, f"null-{workers}"))


def _range(values):
    texts = sorted({f"{value:.2f}" for value in values}, key=float)
    return "–".join(texts[:1] + texts[1:][-1:])


def _cell(options, results, pattern, ours, other):
    works = [work for work in options.work if fnmatch.fnmatchcase(work.name, pattern)]
    ratios = [
        Ratio("", (work.name, ours, work.figure), (work.name, other, work.figure),
              0).compute(results) for work in works
    ]
    return _range([ratio["value"] for ratio in ratios if ratio])


def _workers(options, processors):
    """The daemon's default, one for two processors, or what is next to it of those that were
    measured.
    """
    measured = {
        contender.workers for contender in options.contenders if isinstance(contender, Portreeve)
    }
    return min(measured, key=lambda workers: abs(workers - max(1, processors // 2)), default=1)


def rows(options, results, processors):
    """The head, and the rows that have anything to tell."""
    made = [[
        label, *(_cell(options, results, pattern, ours, other) for pattern in _COLUMNS.values())
    ] for label, ours, other in _pairs(_workers(options, processors))]
    return ["portreeve against", *_COLUMNS], [row for row in made if any(row[1:])]
