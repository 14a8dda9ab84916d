"""Ten thousand forwards, and one of ten thousand ports: each of them delivers, by a start and by a
reload
"""

import pytest

from daemon import SHARE
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip

COUNT = 10_000
FIRST_PORT = 1025  # every other one from here on, so that no two are one range in the kernel's set
SPREAD = [0, COUNT // 2, COUNT - 1]


def listen_port(number):
    return FIRST_PORT + 2 * number


def target_port(number):
    return 20_000 + number


def forward(number, name="f"):
    return (f"[forward {name}{number}]\nlisten = {listen_port(number)}/tcp+udp\n"
            f"to = 10.0.0.2:{target_port(number)}\nallow = 203.0.113.10, 198.51.100.0/24\n")


MANY = SHARE + "".join(forward(number) for number in range(COUNT))
RANGE = SHARE + f"""
[forward range]
listen = 10000-{10_000 + COUNT - 1}/tcp+udp
to = 10.0.0.2:20000
"""


def assert_delivers(lab, port, target):
    with lab.lab1.listen(target) as listener, tcp_pair(lab.out, EXTERNAL, port,
                                                       listener) as (client, server, seen):
        assert seen[0] == lab.out.address
        talk(client, server)
    with lab.lab1.udp(target) as server, lab.out.udp() as client:
        assert udp_round_trip(client, server, EXTERNAL, port=port)[0] == lab.out.address


@pytest.fixture(params=["start", "reload"])
def daemon_with(request, start_daemon):
    """Starts the daemon with a configuration, or with another one and reloads it."""
    def start(body):
        if request.param == "start":
            return start_daemon(body)
        daemon = start_daemon(SHARE)
        daemon.reload(body)
        return daemon
    return start


def test_the_first_the_last_and_a_middle_one_of_ten_thousand_forwards_deliver(lab, daemon_with):
    daemon = daemon_with(MANY)
    for number in SPREAD:
        assert_delivers(lab, listen_port(number), target_port(number))
    listed = daemon.client("forwards").stdout.splitlines()
    assert len(listed) == COUNT + 1
    daemon.add_forward("camera", "443/tcp+udp", "10.0.0.2:8443")
    assert_delivers(lab, 443, 8443)
    assert "is already used by" in daemon.add_forward("taken", f"{listen_port(COUNT - 1)}/udp",
                                                      "10.0.0.3:80", check=False).stderr
    daemon.reload(SHARE + forward(COUNT // 2))
    assert_delivers(lab, listen_port(COUNT // 2), target_port(COUNT // 2))
    assert_delivers(lab, 443, 8443)


def test_the_ends_of_one_forward_of_ten_thousand_ports_deliver(lab, daemon_with):
    daemon_with(RANGE)
    for number in SPREAD:
        assert_delivers(lab, 10_000 + number, 20_000 + number)


def test_the_last_one_of_ten_thousand_forwards_conflicts_as_the_first_would(lab, start_daemon):
    daemon = start_daemon(MANY)
    refused = daemon.reload(MANY + forward(COUNT - 1, "again"), check=False)
    assert refused.returncode != 0
    assert (f"port {listen_port(COUNT - 1)}/tcp is already used by [forward "
            f"f{COUNT - 1}]") in refused.stderr
    assert_delivers(lab, listen_port(COUNT - 1), target_port(COUNT - 1))
