"""A way out that is not configured: what a share sends there is dropped, counted, and said"""

import pytest

from capture import PRIVATE_OUTSIDE
from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from programs import ping
from second_uplink import SECOND, SecondUplink
from traffic import assert_silent, udp_round_trip

CONFIG = SHARE + """
exempt = 192.0.2.4/30

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


@pytest.fixture(scope="module")
def second(lab):
    made = SecondUplink(lab)
    yield made
    made.remove()


@pytest.fixture
def diverted(second):
    """The default route leads out by wan1 and comes back after the test."""
    second.use()
    yield second
    second.leave()


def uplinks(daemon):
    """How many interfaces the daemon keeps packets of shares from."""
    listed = daemon.lab.gw.run("nft", "list", "set", "ip", "portreeve", "other_uplinks").stdout
    return listed.count("wan1")


def until_noticed(daemon):
    eventually(lambda: uplinks(daemon) == 1, "wan1 is known to lead outside")


def test_nothing_of_a_share_leaves_by_an_uplink_that_is_not_external(lab, daemon, diverted, record):
    until_noticed(daemon)
    outside = record(diverted.isp, "eth0", PRIVATE_OUTSIDE)
    with lab.far.udp(7) as server, lab.lab1.udp() as client:
        with daemon.dropping("other-uplink", 3):
            for _ in range(3):
                client.sendto(b"out", (lab.far.address, 7))
        assert_silent(server)
    with daemon.dropping("other-uplink"):
        ping(lab.lab1, lab.far.address, "-c", "1", "-W", "1", check=False)
    assert outside.stop() == []
    assert diverted.strangers() == 0


def test_the_log_and_status_name_the_interface(lab, daemon, diverted):
    until_noticed(daemon)
    with lab.lab1.udp() as client, daemon.dropping("other-uplink"):
        client.sendto(b"out", (lab.far.address, 7))

    def warnings():
        return [text for text in daemon.status()["warnings"] if "by wan1" in text]

    [said] = eventually(warnings, "a warning about wan1")
    assert "[gateway] external" in said and "untranslated" in said
    assert said in daemon.log_so_far()
    diverted.leave()
    eventually(lambda: not warnings(), "no more warning about wan1")
    assert f"no longer: {said}" in daemon.log_so_far()


def test_a_session_stops_and_goes_on_when_its_route_comes_back(lab, daemon, second):
    with lab.far.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.far.address)
        daemon.until_offloaded("udp", ":7")
        second.use()
        until_noticed(daemon)
        with daemon.dropping("other-uplink"):
            client.sendto(b"out", (lab.far.address, 7))
        second.leave()
        assert udp_round_trip(client, server, lab.far.address) == seen
    assert second.strangers() == 0


def test_what_the_gateway_sends_and_what_is_exempt_still_leave(lab, daemon, diverted):
    until_noticed(daemon)
    with lab.far.udp(7) as server, lab.gw.udp() as client:
        assert udp_round_trip(client, server, lab.far.address)[0] != EXTERNAL
    before = diverted.strangers()
    with lab.lab1.udp() as client:
        client.sendto(b"exempt", ("192.0.2.5", 7))
        eventually(lambda: diverted.strangers() > before, "it leaves by wan1 as it is")


def test_hosts_of_shares_still_reach_each_other_beside_a_default_route(lab, daemon, second):
    """A second router may be inside: its interface holds a default route, and inside hosts."""
    lab.gw.ip("route", "add", "default", "via", "10.0.0.3", "metric", "500")
    try:
        eventually(
            lambda: "lan0" in lab.gw.run("nft", "list", "set", "ip", "portreeve", "other_uplinks").
            stdout, "lan0 is an uplink too")
        lab.gw.ip("address", "add", "10.0.0.1/32", "dev", "lo")
        lab.lab1.ip("route", "add", "10.0.0.3/32", "via", "10.0.0.1")
        with lab.lab2.udp(7) as server, lab.lab1.udp() as client:
            assert udp_round_trip(client, server, lab.lab2.address)[0] == lab.lab1.address
    finally:
        lab.lab1.run("ip", "route", "del", "10.0.0.3/32", check=False)
        lab.gw.run("ip", "address", "del", "10.0.0.1/32", "dev", "lo", check=False)
        lab.gw.ip("route", "del", "default", "metric", "500")


def test_answers_to_the_outside_leave_by_the_route_with_the_address_that_was_called(
        lab, daemon, diverted, record):
    """The answers have no private source, so they are not kept: by which way they leave is up to
    the routes.
    """
    until_noticed(daemon)
    answers = record(diverted.isp, "eth0", f"src host {EXTERNAL}")
    with lab.lab1.listen(80), pytest.raises(TimeoutError):
        lab.far.connect(EXTERNAL, 8080)
    assert len(answers.stop()) > 0


def test_an_interface_that_the_configuration_leaves_alone(lab, daemon, diverted):
    until_noticed(daemon)
    daemon.reload(CONFIG + "\n[gateway]\nuntranslated = wan1\n")
    eventually(lambda: uplinks(daemon) == 0, "wan1 is left alone")
    before, dropped = diverted.strangers(), daemon.drops("other-uplink")
    with lab.lab1.udp() as client:
        client.sendto(b"as it is", (lab.far.address, 7))
        eventually(lambda: diverted.strangers() > before, "it leaves by wan1 as it is")
    assert daemon.drops("other-uplink") == dropped
    daemon.reload(CONFIG)
    until_noticed(daemon)
    with lab.lab1.udp() as client, daemon.dropping("other-uplink"):
        client.sendto(b"kept", (lab.far.address, 7))


def test_what_the_kernel_masquerades_is_the_kernels(lab, daemon, diverted):
    """A VPN for all traffic, say. The source is not private any more when our rules see it."""
    until_noticed(daemon)
    lab.gw.nft("""table ip vpn { chain post { type nat hook postrouting priority srcnat;
        oifname wan1 masquerade
    }
    }""")
    dropped = daemon.drops("other-uplink")
    try:
        with lab.far.udp(7) as server, lab.lab1.udp() as client:
            assert udp_round_trip(client, server, lab.far.address)[0] == SECOND
    finally:
        lab.gw.nft("delete table ip vpn")
    assert daemon.drops("other-uplink") == dropped


def test_a_crash_lets_nothing_out(lab, daemon, diverted, record):
    until_noticed(daemon)
    outside = record(diverted.isp, "eth0", PRIVATE_OUTSIDE)
    daemon.kill()
    with lab.lab1.udp() as client:
        for _ in range(5):
            client.sendto(b"out", (lab.far.address, 7))
    assert outside.stop() == []
    daemon.start()
