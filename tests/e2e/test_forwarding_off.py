"""The host does not forward: the log and status say so, and say when it does again"""

import pytest

from daemon import SHARE
from deadline import eventually

CONFIG = SHARE + """
[forward far]
listen = 8080/tcp
to = 10.0.0.3:80
"""

SECONDS = 15  # interfaces are looked at every two


@pytest.fixture(autouse=True)
def forwarding(lab):
    """On again after the test, whatever it was about."""
    yield
    lab.gw.sysctl("net.ipv4.ip_forward", 0)
    lab.gw.sysctl("net.ipv4.ip_forward", 1)  # for every interface


def notices(daemon):
    return {notice["name"]: notice["text"] for notice in daemon.status()["notices"]}


def until(daemon, names):
    eventually(lambda: set(notices(daemon)) == names, f"notices: {names}", SECONDS)


def test_a_start_on_a_host_that_does_not_forward(lab, start_daemon):
    lab.gw.sysctl("net.ipv4.ip_forward", 0)
    daemon = start_daemon(CONFIG)
    assert "warning: IP forwarding is off on this host" in daemon.log_so_far()


def test_ip_forward_of_the_host(lab, daemon):
    until(daemon, set())
    lab.gw.sysctl("net.ipv4.ip_forward", 0)
    until(daemon, {"ip-forwarding"})
    assert "set sysctl net.ipv4.ip_forward=1" in daemon.client("status").stdout
    lab.gw.sysctl("net.ipv4.ip_forward", 1)
    until(daemon, set())
    log = daemon.log_so_far()
    assert log.count("warning: IP forwarding is off on this host") == 1
    assert "no longer: IP forwarding is off" in log


@pytest.mark.parametrize("interface", ["lan0", "wan0"])
def test_forwarding_of_an_interface(lab, daemon, interface):
    """lan0 is nowhere in the configuration: the routes to the share's hosts lead there."""
    until(daemon, set())
    lab.gw.sysctl(f"net.ipv4.conf.{interface}.forwarding", 0)
    until(daemon, {"interface-forwarding"})
    assert f"set sysctl net.ipv4.conf.{interface}.forwarding=1" in daemon.client("status").stdout
    lab.gw.sysctl(f"net.ipv4.conf.{interface}.forwarding", 1)
    until(daemon, set())
