"""A network around this machine, portreeved installed on it, and a watch for private addresses

These tests run in the virtual machines of tests/vm: they install software, start and stop the
machine's services and change its rules. They refuse to run elsewhere.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

import capture  # noqa: E402
import host  # noqa: E402
import netns  # noqa: E402
import process  # noqa: E402
from lab import Host, link  # noqa: E402


def pytest_sessionstart():
    if not Path("/dev/virtio-ports/said").exists():
        pytest.exit("these tests change the machine that they run on: make vm starts one", 2)


@pytest.fixture(scope="session")
def installed():
    """make install, and a configuration."""
    host.make("install")
    host.systemctl("daemon-reload")
    made = host.Service()
    made.write(host.BODY)
    return made


@pytest.fixture(scope="session")
def lab():
    made = host.make_lab()
    yield made
    process.stop_all()


@pytest.fixture
def service(lab, installed):
    """The service with the usual configuration, started; after the test, the machine as it was."""
    installed.write(host.BODY)
    host.systemctl("reset-failed", installed.NAME, check=False)
    installed.start()
    yield installed
    host.forget_rules()
    installed.stop()


@pytest.fixture
def no_leak(lab, service, tmp_path):
    """From before the test to its end, nothing with a private source is seen outside."""
    watch = capture.Capture(lab.wan, "br0", "src net 10.0.0.0/8", tmp_path)
    yield
    leaks = watch.decoded()
    assert not leaks, f"{len(leaks)} packets with private sources outside: {leaks[:3]}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """
    A failure shows what the service and the rules were, at once: a machine that is stopped for its
    time would never come to the summary.
    """
    report = (yield).get_result()
    if report.failed:
        rules = process.run(["nft", "list", "ruleset"], check=False).stdout
        print(
            f"\n--- {report.nodeid} failed\n{report.longreprtext}\n--- journal of portreeved\n"
            f"{host.Service().log()}\n--- rules\n{rules[:5000]}\n---",
            file=sys.__stdout__,
            flush=True)


@pytest.fixture
def container(lab):
    """A namespace behind a bridge of the machine, as container engines make them."""
    made = Host("box", "172.17.0.2")
    lab.gw.ip("link", "add", "docker0", "type", "bridge")
    lab.gw.ip("address", "add", "172.17.0.1/16", "dev", "docker0")
    link(lab.gw, "veth-box", made, "eth0")
    lab.gw.ip("link", "set", "veth-box", "master", "docker0")
    lab.gw.ip("link", "set", "docker0", "up")
    made.ip("address", "add", "172.17.0.2/16", "dev", "eth0")
    made.ip("route", "add", "default", "via", "172.17.0.1")
    yield made
    lab.gw.ip("link", "delete", "veth-box")
    lab.gw.ip("link", "delete", "docker0")
    netns.remove(made.namespace)
