"""Random traffic, reloads, kills, upgrades, address changes and faults, from a seed

    make soak                                  20 minutes
    make soak SOAK_SECONDS=60 SOAK_SEED=7      the same events as another run with this seed
"""

import os
import secrets

import pytest

import process
import soak
from manager import Manager

SECONDS = float(os.environ.get("PORTREEVE_SOAK_SECONDS") or 20)
SEED = int(os.environ.get("PORTREEVE_SOAK_SEED") or secrets.randbits(32))

STATE_SIZE = "40m"


@pytest.fixture
def manager(lab):
    """Its state directory is a small file system of its own, which can fill up."""
    made = Manager(lab, soak.CONFIG)
    state = made.directory / "state"
    state.mkdir(0o700)
    process.run(["mount", "-t", "tmpfs", "-o", f"size={STATE_SIZE},mode=700", "none", state])
    try:
        yield made.start()
        made.stop()
        assert not lab.gw.run("cat", "/proc/net/netfilter/nfnetlink_queue").stdout
    finally:
        made.abandon()
        process.run(["umount", "-l", state])


def test_whatever_happens_connections_live_and_everything_adds_up(lab, manager):
    run = soak.Soak(lab, manager, SEED)
    try:
        run.run(SECONDS)
        run.finish()
    finally:
        run.close()
        counts = {name: run.done.count(name) for name in sorted(set(run.done))}
        print(f"seed {SEED}: {len(run.done)} events\n{counts}\nthe last: {run.done[-5:]}")
