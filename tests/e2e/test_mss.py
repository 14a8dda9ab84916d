"""[gateway] mss: the segment size that TCP offers, as seen at both ends of the gateway"""

import socket

import pytest
from scapy.layers.inet import TCP

from capture import assert_checksums
from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, talk, tcp_pair

PLAIN = 1460  # what a host on Ethernet offers
PPPOE_MTU, PPPOE_MSS = 1492, 1452

FORWARD = """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


def configured(mss):
    return f"[gateway]\nmss = {mss}\n" + SHARE + FORWARD


@pytest.fixture(autouse=True)
def pppoe(lab):
    """The uplink's MTU is that of PPPoE."""
    lab.gw.ip("link", "set", "wan0", "mtu", str(PPPOE_MTU))
    yield
    lab.gw.ip("link", "set", "wan0", "mtu", "1500")


class Handshakes:
    """Both ends of the gateway, and what MSS each SYN and SYN-ACK had there."""

    def __init__(self, lab, record):
        self._captures = {role: record(getattr(lab, role), "eth0", "tcp[tcpflags] & tcp-syn != 0")
                          for role in ("lab1", "out")}

    def offers(self):
        """{(flags, where): MSS}"""
        seen = {}
        for role, capture in self._captures.items():
            for packet in capture.decoded():
                seen[str(packet[TCP].flags), role] = dict(packet[TCP].options).get("MSS")
        return seen


@pytest.fixture
def handshakes(lab, record):
    return Handshakes(lab, record)


def connect_out(lab, max_segment=None):
    """A connection from the lab to the outside that works."""
    with lab.out.listen(80) as listener, lab.lab1.socket(socket.SOCK_STREAM) as client:
        if max_segment:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, max_segment)
        client.connect((lab.out.address, 80))
        with listener.accept()[0] as server:
            talk(client, server)


def connect_in(lab):
    """A connection from the outside to a forward that works."""
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)


@pytest.mark.parametrize("mss,expected", [("auto", PPPOE_MSS), ("off", PLAIN), (1300, 1300),
                                          (9000, PLAIN)])
def test_mss_of_a_connection_from_inside(lab, start_daemon, handshakes, mss, expected):
    """Lowered in both directions, so that neither end sends what the uplink cannot carry; never
    raised.
    """
    start_daemon(configured(mss))
    connect_out(lab)
    assert handshakes.offers() == {("S", "lab1"): PLAIN, ("S", "out"): expected,
                                   ("SA", "out"): PLAIN, ("SA", "lab1"): expected}


@pytest.mark.parametrize("mss,expected", [("auto", PPPOE_MSS), ("off", PLAIN), (1300, 1300),
                                          (9000, PLAIN)])
def test_mss_of_a_connection_through_a_forward(lab, start_daemon, handshakes, mss, expected):
    start_daemon(configured(mss))
    connect_in(lab)
    assert handshakes.offers() == {("S", "out"): PLAIN, ("S", "lab1"): expected,
                                   ("SA", "lab1"): PLAIN, ("SA", "out"): expected}


def test_auto_is_the_default(lab, start_daemon, handshakes):
    start_daemon(SHARE)
    connect_out(lab)
    assert handshakes.offers()["S", "out"] == PPPOE_MSS


def test_a_smaller_offer_is_left_alone(lab, start_daemon, handshakes):
    start_daemon(configured("auto"))
    connect_out(lab, max_segment=1000)
    offers = handshakes.offers()
    assert offers["S", "lab1"] == offers["S", "out"] == 1000


def test_auto_follows_the_interfaces_mtu(lab, start_daemon, record):
    start_daemon(configured("auto"))
    lab.gw.ip("link", "set", "wan0", "mtu", "1400")

    def offered():
        handshakes = Handshakes(lab, record)
        connect_out(lab)
        return handshakes.offers()["S", "out"]

    eventually(lambda: offered() == 1360, "SYNs offer what fits the new MTU")


def test_a_reload_changes_the_mss(lab, start_daemon, record):
    daemon = start_daemon(configured("off"))
    for mss, expected in ((1300, 1300), ("auto", PPPOE_MSS), ("off", PLAIN)):
        daemon.reload(configured(mss))
        handshakes = Handshakes(lab, record)
        connect_out(lab)
        assert handshakes.offers()["S", "out"] == expected


def test_connections_between_internal_hosts_are_not_touched(lab, start_daemon, record):
    """A hairpin never meets the uplink."""
    start_daemon(configured(1300))
    seen = record(lab.lab1, "eth0", "tcp[tcpflags] & tcp-syn != 0")
    with lab.lab1.listen(80) as listener, tcp_pair(lab.lab2, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
    assert {dict(packet[TCP].options)["MSS"] for packet in seen.decoded()} == {PLAIN}


def test_a_rewritten_syn_has_a_right_checksum(lab, start_daemon, record):
    """With the offloads off, so that the wire carries checksums and not promises."""
    start_daemon(configured("auto"))
    switched = [(lab.gw, "wan0"), (lab.gw, "lan0"), (lab.lab1, "eth0"), (lab.out, "eth0")]
    for host, interface in switched:
        host.offload(interface, False)
    try:
        captures = [
            record(host, "eth0", "tcp[tcpflags] & tcp-syn != 0") for host in (lab.lab1, lab.out)
        ]
        connect_out(lab)
        for capture in captures:
            assert_checksums(capture.stop(), 2)
    finally:
        for host, interface in switched:
            host.offload(interface, True)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_with_auto_bulk_tcp_never_needs_a_path_mtu(lab, start_daemon, record, direction):
    """What it is for: no segment is too long, so nothing depends on ICMP errors that firewalls
    drop.
    """
    start_daemon(configured("auto"))
    errors = [record(host, "eth0", "icmp[0] = 3") for host in (lab.lab1, lab.out)]
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        ends = (client, server) if direction == "upload" else (server, client)
        assert Transfer(*ends, 1_000_000).finish() >= 1_000_000
        assert all(
            end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= PPPOE_MSS for end in ends)
    assert [capture.stop() for capture in errors] == [[], []]
