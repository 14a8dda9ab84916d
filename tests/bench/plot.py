"""One picture: a panel for each kind of work, a bar for each contender, the spread as a line"""

import process
from process import find

# What the picture shows where it was measured; the first of a list that was.
_PANELS = (("Bulk TCP, Gbit/s", ("bulk-forward-up-1", "bulk-forward-down-8", "bulk-share-up-8",
                                 "bulk-share-down-1"), "gbit_s"),
           ("64-byte UDP packets, thousands a second", ("pps-share", "pps-forward"), "kpps"),
           ("New TCP connections a second", ("connect-forward", "connect-share"), "per_second"),
           ("Answer over a kept connection, p99, µs (less is better)",
            ("latency-forward", "latency-share"), "p99_us"))

_COLOURS = {"routing": "#9aa0a6", "kernel": "#5f6368", "null": "#bdc1c6", "portreeve": "#1a73e8",
            "haproxy": "#e8710a", "rinetd": "#f29900", "socat": "#fbbc04"}

_TERMINALS = {"png": "pngcairo size 1400,900 font 'sans,11'",
              "svg": "svg size 1400,900 font 'sans,12' background 'white'"}


def _colour(name):
    return _COLOURS.get(name.partition("-")[0], "#000000").replace("#", "0x")


def _panels(options, results):
    """(title, [(contender, summary)])"""
    chosen = {work.name for work in options.work}
    for title, works, figure in _PANELS:
        work = next((name for name in works if name in chosen), None)
        if not work:
            continue
        bars = [(c.name, results.summary(work, c.name, figure)) for c in options.contenders]
        bars = [(name, summary) for name, summary in bars if summary]
        if bars:
            yield f"{title}\\n{work}", bars


def _data(index, bars):
    lines = [f'{y} {s.median} {s.least} {s.most} {_colour(name)} "{s.median:.3g}"'
             if s.median < 1000 else
             f'{y} {s.median} {s.least} {s.most} {_colour(name)} "{s.median:,.0f}"'
             for y, (name, s) in enumerate(reversed(bars))]
    return f"$panel{index} << END\n" + "\n".join(lines) + "\nEND\n"


def _panel(index, title, bars):
    ticks = ", ".join(f'"{name}" {y}' for y, (name, _) in enumerate(reversed(bars)))
    most = max(summary.most for _, summary in bars)
    return (f'set title "{title}"\nset ytics ({ticks})\nset yrange [-0.6:{len(bars) - 0.4}]\n'
            f'set xrange [0:{1.18 * most}]\n'
            f"plot $panel{index} using ($2/2):1:($2/2):(0.36):5 with boxxyerror linecolor "
            "rgb variable, "
            f"$panel{index} using 2:1:3:4 with xerrorbars linecolor rgb 'black' pointtype 0 "
            "linewidth 1.2, "
            f"$panel{index} using 4:1:6 with labels left offset 0.6,0\n")


def script(options, results, kind, path):
    panels = list(_panels(options, results))
    if not panels:
        return None
    columns = 2 if len(panels) > 1 else 1
    text = (f"set encoding utf8\nset terminal {_TERMINALS[kind]}\nset output '{path}'\n"
            "set style fill solid 0.85\n"
            "unset key\nset grid xtics linecolor rgb '#dddddd'\nset tics nomirror out\n"
            "set border 3\nset format x '%g'\n"
            "set lmargin 18\n")
    text += "".join(_data(index, bars) for index, (_, bars) in enumerate(panels))
    text += f"set multiplot layout {(len(panels) + columns - 1) // columns},{columns}\n"
    text += "".join(_panel(index, title, bars) for index, (title, bars) in enumerate(panels))
    return text + "unset multiplot\n"


def draw(options, results):
    """bench.png and bench.svg; without gnuplot, or anything to show, none."""
    if not find("gnuplot"):
        return
    for kind in _TERMINALS:
        text = script(options, results, kind, options.output / f"bench.{kind}")
        if text:
            process.run(["gnuplot"], stdin=text)
