"""What was measured: values of each round, their medians, and the ratios that are looked at"""

import statistics


class Summary:
    """The median of some rounds, and how far they are apart."""

    def __init__(self, values):
        self.values = list(values)
        self.median = statistics.median(self.values)
        self.least, self.most = min(self.values), max(self.values)

    def as_json(self):
        return {"median": self.median, "min": self.least, "max": self.most, "values": self.values}


class Results:
    def __init__(self):
        self._rounds = {}  # (work, contender) -> {round: {figure: value}}
        self._notes = {}  # (work, contender) -> why there is nothing, or less

    def add(self, work, contender, number, figures):
        self._rounds.setdefault((work.name, contender.name), {})[number] = figures

    def cannot(self, work, contender, why):
        self._notes[work.name, contender.name] = why

    def failed(self, work, contender, number, why):
        self._notes[work.name, contender.name] = f"failed in round {number + 1}: {why}"

    def note(self, work, contender):
        return self._notes.get((work, contender))

    def figure_names(self, work, contender):
        names = []
        for figures in self._rounds.get((work, contender), {}).values():
            names += [name for name in figures if name not in names]
        return names

    def summary(self, work, contender, figure):
        """Summary over the rounds, or None."""
        values = [
            figures[figure] for figures in self._rounds.get((work, contender), {}).values()
            if figure in figures
        ]
        return Summary(values) if values else None

    def by_round(self, work, contender, figure):
        rounds = self._rounds.get((work, contender), {})
        return {number: figures[figure] for number, figures in rounds.items() if figure in figures}


class Ratio:
    """
    One figure against another, and the bar it is held to. The value is the ratio of the medians;
    the spread is that of the ratios of single rounds, of which both halves were measured one
    shortly after the other.
    """

    def __init__(self, what, over, under, bar, at_least=True):
        self.what, self.over, self.under, self.bar, self.at_least = what, over, under, bar, at_least

    def compute(self, results):
        """{"value", "min", "max", "met"}, or None where one half was not measured."""
        over, under = results.summary(*self.over), results.summary(*self.under)
        if not over or not under or under.median <= 0:
            return None
        value = over.median / under.median
        others = results.by_round(*self.under)
        each = [
            number / others[turn] for turn, number in results.by_round(*self.over).items()
            if others.get(turn)
        ]
        return {"value": value, "min": min(each, default=value), "max": max(each, default=value),
                "met": value >= self.bar if self.at_least else value <= self.bar}


class Level(Ratio):
    """A figure that has a bar of its own."""

    def __init__(self, what, over, bar):
        super().__init__(what, over, None, bar, at_least=False)

    def compute(self, results):
        summary = results.summary(*self.over)
        if not summary:
            return None
        return {
            "value": summary.median, "min": summary.least, "max": summary.most,
            "met": summary.median <= self.bar
        }


def _against(what, work, figure, pairs, at_least=True):
    for name, other, bar in pairs:
        yield Ratio(f"{what}: {name} / {other}", (work, name, figure), (work, other, figure), bar,
                    at_least)


def _bulk(work):
    yield from _against(work, work, "gbit_s",
                        [(f"portreeve-off-{n}", "haproxy", 1.7) for n in (1, 2)])
    for n in (1, 2):
        yield from _against(work, work, "gbit_s", [(f"portreeve-on-{n}", "kernel", 1.0),
                                                   (f"portreeve-on-{n}", "routing", 0.9)])
        yield from _against(f"{work}, CPU per GB", work, "cpu_s_per_gb",
                            [(f"portreeve-on-{n}", "kernel", 1.0)], False)


def _packets(work):
    for n in (1, 2):
        yield from _against(work, work, "kpps", [(f"portreeve-off-{n}", f"null-{n}", 0.9),
                                                 (f"portreeve-on-{n}", "kernel", 0.9)])


def _connections(work):
    for name in (f"portreeve-{mode}-{n}" for mode in ("off", "on") for n in (1, 2)):
        yield from _against(work, work, "per_second", [(name, "kernel", 0.8)])
        if "forward" in work:
            yield from _against(work, work, "per_second", [(name, "haproxy", 2.0)])


def _latency(work):
    for name in (f"portreeve-{mode}-{n}" for mode in ("off", "on") for n in (1, 2)):
        yield from _against(f"{work}, p99", work, "p99_us", [(name, "kernel", 1.5)], False)


def _scale(work):
    for name in ("portreeve-off-2", "portreeve-on-2"):
        yield Ratio(f"{work}, {name}: p99 while the sessions are listed / while nobody looks",
                    (work, name, "streaming_p99_us"), (work, name, "idle_p99_us"), 2.0,
                    at_least=False)
        for what in ("filling", "expiring"):
            yield Level(f"{work}, {name}: longest stall while {what}, ms",
                        (work, name, f"{what}_longest_ms"), 5.0)


_KINDS = {
    "bulk": _bulk, "pps": _packets, "connect": _connections, "latency": _latency, "scale": _scale
}


def chosen_ratios(options):
    """Those that have a bar, of the chosen works and contenders."""
    names = {contender.name for contender in options.contenders}
    for work in options.work:
        for ratio in _KINDS.get(work.name.partition("-")[0], lambda _: ())(work.name):
            if {half[1] for half in (ratio.over, ratio.under) if half} <= names:
                yield ratio
