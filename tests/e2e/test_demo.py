"""`make demo` tells its story and leaves nothing behind"""

import re
import signal
from pathlib import Path

import process
from daemon import BUILD, ROOT

DEMO = ROOT / "tests" / "demo.sh"
ENVIRONMENT = {"BUILD": str(BUILD)}


def remains():
    """What a demo would leave: namespaces and directories of its name."""
    places = (Path("/run/netns"), Path("/run"))
    return {
        str(path) for place in places if place.is_dir() for path in place.glob("portreeve-demo*")
    }


def test_the_demo_shows_both_fetches_and_cleans_up():
    before = remains()
    done = process.run([DEMO], environment=ENVIRONMENT, timeout=60)
    assert "203.0.113.5" in done.stdout
    assert "203.0.113.10" in done.stdout
    assert re.search(r"10\.0\.0\.2", done.stdout)
    assert remains() == before


def test_the_demo_cleans_up_when_it_is_interrupted(tmp_path):
    before = remains()
    with process.Process([DEMO], environment=ENVIRONMENT, directory=tmp_path) as demo:
        demo.until(lambda: remains() != before, "the demo has begun")
        demo.send(signal.SIGTERM)
        assert demo.wait(30) != 0
    assert remains() == before


def test_a_kept_demo_runs_on_until_it_is_removed():
    before = remains()
    try:
        kept = process.run([DEMO, "--keep"], environment=ENVIRONMENT, timeout=60)
        assert remains() != before
        [command] = re.findall(r"\S+ -s \S+ sessions", kept.stdout)[:1]
        assert "10.0.0.2" in process.run(command.split()).stdout
    finally:
        process.run([DEMO, "--clean"], environment=ENVIRONMENT)
    assert remains() == before


def test_a_fetch_that_fails_fails_the_demo(tmp_path):
    (tmp_path / "portreeved").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "portreeved").chmod(0o755)
    (tmp_path / "portreeve").symlink_to(BUILD / "portreeve")
    before = remains()
    assert process.run([DEMO], environment={"BUILD": str(tmp_path)}, check=False,
                       timeout=60).returncode != 0
    assert remains() == before
