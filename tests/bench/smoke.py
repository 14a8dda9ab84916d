"""Whether the benchmark and the attacks still work: one short round with few contenders, and no
look at how fast they are
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 120

WORK = ("bulk-forward-up-1", "pps-share", "pps-forward", "connect-forward", "connect-share",
        "latency-share", "scale", "forwards")
ATTACKS = ("none", "syn-forward", "inside-udp")
CONTENDERS = ("kernel", "portreeve-on-2", "portreeve-off-2")


def check(output):
    """The figures that must be there, and must not be 0."""
    page = (output / "report.md").read_text()
    assert "| the kernel's NAT |" in page, "the summary is missing"
    results = json.loads((output / "results.json").read_text())["results"]
    for work in WORK:
        assert f"## {work}:" in page, f"{work} is not in the report"
        for contender in CONTENDERS:
            figures = results[work][contender]
            if contender == "kernel" and work in ("scale", "forwards"):
                assert figures == {"note": "not measured"}, figures
                continue
            assert "note" not in figures, f"{work}, {contender}: {figures['note']}"
            main = next(iter(figures.values()))
            assert main["median"] > 0 and len(main["values"]) == 1, f"{work}, {contender}: {main}"
    assert (output / "bench.png").stat().st_size > 1000


def check_attack(output):
    page = (output / "attack.md").read_text()
    results = json.loads((output / "attack.json").read_text())["results"]
    for attack in ATTACKS:
        assert f"| {attack} | kernel |" in page, f"{attack} is not in the report"
        for contender, [figures] in results[attack].items():
            assert figures["p50_share_ms"] > 0, f"{attack}, {contender}: {figures}"
            assert attack == "none" or figures["flood_kpps"] > 0, f"{contender}: {figures}"
    assert all(figures["gbit_s"] > 0 for [figures] in results["none"].values()), results["none"]


def run(program, words, look):
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([sys.executable, HERE / program, *words, f"OUTPUT={directory}"],
                              capture_output=True,
                              text=True,
                              timeout=SECONDS,
                              check=False,
                              env=os.environ)
        try:
            assert done.returncode == 0, f"{program} failed"
            look(Path(directory))
        except (AssertionError, KeyError, OSError) as error:
            sys.exit(f"{done.stdout}{done.stderr}smoke: {error!r}")


run("bench.py", ("ROUNDS=1", "DURATION=0.3", "SESSIONS=5000", f"WORK={','.join(WORK)}",
                 f"CONTENDERS={','.join(CONTENDERS)}"), check)
run("attack.py", ("ROUNDS=1", "DURATION=1", f"ATTACKS={','.join(ATTACKS)}"), check_attack)
