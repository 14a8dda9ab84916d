"""The figures as a page of Markdown and as JSON"""

import json

import summary
from contenders import POOL
from figures import chosen_ratios
from scale import FILL_RATE
from work import FLOWS, LOSSLESS, PARALLEL

# Heads of columns: figure -> words. What is not here is shown under its own name.
_HEADS = {
    "gbit_s": "Gbit/s", "cpu_s_per_gb": "CPU s/GB, whole machine",
    "gateway_cpu_s_per_gb": "of it its programs", "kpps": "kpps", "offered_kpps": "offered kpps",
    "lost_percent": "lost %", "flood_kpps": "kpps of a flood",
    "flood_lost_percent": "lost % of a flood", "receiver_dropped_percent": "receiver too slow %",
    "cpu_s_per_mpkt": "CPU s/Mpkt, whole machine", "gateway_cpu_s_per_mpkt": "of it its programs",
    "per_second": "connections/s", "failed": "failed", "p50_us": "p50 µs", "p90_us": "p90 µs",
    "p99_us": "p99 µs", "p999_us": "p99.9 µs", "max_us": "max µs",
    "cpu_ms_per_connection": "CPU ms each", "pool_used_over": "pool used over",
    "samples": "answers",
}


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(summary):
    if summary is None:
        return ""
    if summary.least == summary.most:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.least)}–{number(summary.most)})"


def _row(cells):
    return "| " + " | ".join(cells) + " |\n"


def _table(head, rows):
    line = ["---"] + ["--:"] * (len(head) - 1)
    return _row(head) + _row(line) + "".join(_row(row) for row in rows)


def _across(options, work, results):
    """Contenders down, figures across."""
    figures, rows = [], []
    for contender in options.contenders:
        figures += [
            name for name in results.figure_names(work.name, contender.name) if name not in figures
        ]
    for contender in options.contenders:
        note = results.note(work.name, contender.name)
        cells = [_cell(results.summary(work.name, contender.name, figure)) for figure in figures]
        if note and not any(cells):
            cells = [f"— ({note})"] + [""] * (len(figures) - 1)
        elif note:
            cells[-1] += f" ({note})"
        rows.append([contender.name, *cells])
    return _table(["", *(_HEADS.get(name, name) for name in figures or ["result"])], rows)


def _down(options, work, results):
    """Figures down, for work that has many of them and few contenders."""
    shown = [c.name for c in options.contenders if results.figure_names(work.name, c.name) or
             not str(results.note(work.name, c.name)).startswith("not measured")]
    figures = []
    for name in shown:
        figures += [
            figure for figure in results.figure_names(work.name, name) if figure not in figures
        ]
    rows = [[
        figure.replace("_", " "), *(_cell(results.summary(work.name, name, figure))
                                    for name in shown)
    ] for figure in figures]
    notes = [["note", *(results.note(work.name, name) or "" for name in shown)]]
    return _table(["", *shown], rows + (notes if any(notes[0][1:]) else []))


def _limits(options, work, results):
    """Which figures the load programs limited, and not the gateway."""
    lines = []
    for contender in options.contenders:
        lost = results.summary(work.name, contender.name, "flood_lost_percent")
        slow = results.summary(work.name, contender.name, "receiver_dropped_percent")
        if lost and lost.median < LOSSLESS:
            lines.append(
                f"{contender.name}: next to nothing was lost, so the sender was the limit (it "
                "shares the processors with the gateway); the gateway might have carried more.")
        if slow and slow.median > LOSSLESS:
            lines.append(
                f"{contender.name}: {number(slow.median)} % arrived, and the receiver was too "
                "slow to count it.")
    return "".join(f"- {line}\n" for line in lines) + ("\n" if lines else "")


def _ratios(options, results):
    rows = []
    for ratio in chosen_ratios(options):
        value = ratio.compute(results)
        bar = f"{'≥' if ratio.at_least else '≤'} {ratio.bar:g}"
        if value:
            rows.append([
                ratio.what, f"{value['value']:.2f} ({value['min']:.2f}–{value['max']:.2f})", bar,
                "yes" if value["met"] else "no"
            ])
        else:
            rows.append([ratio.what, "not measured", bar, ""])
    return _table(["ratio", "value (of single rounds)", "bar", "met"], rows) if rows else "none\n"


def _micro(table):
    if not table:
        return ""
    heads = list(table["sizes"][0])
    rows = [[number(size.get(name, 0)) for name in heads] for size in table["sizes"]]
    return "\n## The table alone\n\n" + _table(heads, rows)


def _about(options, about):
    machine = about["machine"]
    text = (
        f"- machine: {machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}; "
        f"{100 * machine['busy_before']:.0f} % busy with other things before the start\n"
        f"- {about['began']} to {about['ended']}; {about['rounds']} rounds, {about['duration']:g} "
        "s each; "
        f"made by `{about['command']}`\n"
        f"- {'; '.join(f'{name}: {version}' for name, version in about['versions'].items())}\n")
    for contender in options.contenders:
        text += f"- **{contender.name}**: {contender.what}\n"
    return text


_HOW = f"""
Each figure is the median of the rounds, with the least and the most in brackets. Client, gateway
and server are network namespaces of one machine, joined by veth with the offloads it has by default
(segmentation, checksums), and share its processors; nothing is pinned. CPU time is that of the
whole machine, both ends and interrupts included. Every contender keeps its defaults (haproxy: `mode
tcp`, maxconn 4000). New connections: {PARALLEL} at a time, from eight source addresses, closed by
the client, in order (FIN); the client's ports are used again by `tcp_tw_reuse`. The share's pool
has {POOL[1] - POOL[0] + 1} ports, for the kernel's NAT as well; "pool used over" is how many times.
UDP: {FLOWS} flows, IP packets of 64 bytes with complete checksums, after a warm-up: the most that
arrived of a flood and of two loads a little above what had arrived before. The null queue fills in
checksums that the kernel left out (TCP), as a payload verdict demands, and does nothing else. The
million sessions are made at {FILL_RATE} a second.
"""


def write(options, about, results, table):
    text = "# portreeve: benchmark\n\n" + _about(options, about) + _HOW
    text += "\n## Summary\n\n" + _table(*summary.rows(options, results, about["machine"]["cores"]))
    text += "\nRatios of medians; from–to: by a forward and by a share, up and down.\n"
    text += "\n## Ratios\n\n" + _ratios(options, results)
    for work in options.work:
        text += f"\n## {work.name}: {work.what}\n\n"
        text += (_down if work.starts_itself else _across)(options, work, results) + "\n" + _limits(
            options, work, results)
    (options.output / "report.md").write_text(text.rstrip("\n") + "\n" + _micro(table))
    with open(options.output / "results.json", "w", encoding="utf-8") as file:
        json.dump(as_json(options, about, results, table), file, indent=1, ensure_ascii=False)
        file.write("\n")


def as_json(options, about, results, table):
    measured = {}
    for work in options.work:
        measured[work.name] = {}
        for contender in options.contenders:
            entry = {figure: results.summary(work.name, contender.name, figure).as_json()
                     for figure in results.figure_names(work.name, contender.name)}
            if results.note(work.name, contender.name):
                entry["note"] = results.note(work.name, contender.name)
            measured[work.name][contender.name] = entry
    computed = [{
        "what": ratio.what, "bar": ratio.bar, "at_least": ratio.at_least,
        **(ratio.compute(results) or {"value": None})
    } for ratio in chosen_ratios(options)]
    return {**about, "results": measured, "ratios": computed, "table": table}
