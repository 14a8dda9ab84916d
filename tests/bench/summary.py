"""The table of ratios that the README shows: portreeve, with its default of workers, against each of the others"""

import fnmatch

from figures import Ratio

# Head, the works that it sums up, the figure that is compared.
_COLUMNS = (("bulk TCP, 1 stream", "bulk-*-1", "gbit_s"), ("bulk TCP, 8 streams", "bulk-*-8", "gbit_s"),
            ("64-byte UDP packets/s", "pps-*", "kpps"), ("new connections/s", "connect-*", "per_second"),
            ("p99 latency (less is better)", "latency-*", "p99_us"))


def _pairs(workers):
    on, off = f"portreeve-on-{workers}", f"portreeve-off-{workers}"
    return (("the kernel's NAT", on, "kernel"), ("plain routing", on, "routing"), ("haproxy, `mode tcp`", on, "haproxy"),
            ("rinetd", on, "rinetd"), ("socat", on, "socat"), ("`offload = off` against haproxy", off, "haproxy"),
            ("`offload = off` against a queue that decides nothing", off, f"null-{workers}"))


def _range(values):
    texts = sorted({f"{value:.2f}" for value in values}, key=float)
    return "–".join(texts[:1] + texts[1:][-1:])


def _cell(options, results, column, ours, other):
    _, pattern, figure = column
    works = [work.name for work in options.work if fnmatch.fnmatchcase(work.name, pattern)]
    ratios = [Ratio("", (work, ours, figure), (work, other, figure), 0).compute(results) for work in works]
    return _range([ratio["value"] for ratio in ratios if ratio])


def _workers(options, processors):
    """The daemon's default, one for two processors, or what was measured instead."""
    default = 2 if processors >= 4 else 1
    measured = {contender.workers for contender in options.contenders if contender.name.startswith("portreeve-")}
    return default if default in measured or not measured else min(measured)


def rows(options, results, processors):
    """The head, and the rows that have anything to tell."""
    measured = []
    for label, ours, other in _pairs(_workers(options, processors)):
        cells = [_cell(options, results, column, ours, other) for column in _COLUMNS]
        if any(cells):
            measured.append([label, *cells])
    return ["portreeve against", *(column[0] for column in _COLUMNS)], measured
