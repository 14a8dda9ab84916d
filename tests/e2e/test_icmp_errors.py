"""ICMP errors find the program they are about, and show each side only the addresses it knows"""

import errno
import socket

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from daemon import SHARE
from lab import CORE, EDGE, EXTERNAL, NARROW_MTU
from traffic import (IP_MTU, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DONT, Transfer,
                     assert_refused, assert_silent, icmp_error, random_bytes, tcp_pair,
                     udp_round_trip, want_icmp_errors)

pytestmark = pytest.mark.usefixtures("wire")

CONFIG = SHARE + """
[forward echo]
listen = 7/udp
to = 10.0.0.2:7007

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


@pytest.fixture(autouse=True)
def fresh_paths(lab):
    yield
    lab.forget_path_mtu()


def test_port_unreachable_from_outside_reaches_the_lab_program(lab, daemon):
    with lab.lab1.udp() as client:
        client.connect((lab.out.address, 4444))
        client.send(b"hello")
        assert_refused(client)


@pytest.mark.parametrize("size", [0, 1, 7, 100, 1472, 4000])
def test_port_unreachable_is_restored_inside_out(lab, daemon, size):
    with lab.lab1.udp() as client:
        want_icmp_errors(client)
        client.sendto(random_bytes(size), (lab.out.address, 4444))
        error = icmp_error(client)
    assert (error.code, error.icmp_type, error.icmp_code) == (errno.ECONNREFUSED, 3, 3)
    assert error.offender == lab.out.address
    assert error.destination == (lab.out.address, 4444)


def test_rfc5508_req5_port_unreachable_from_a_forwards_target_reaches_the_outside_client(
        lab, daemon, record):
    outside = record(lab.out, "eth0", f"icmp and dst host {lab.out.address}")
    with lab.out.udp() as client:
        want_icmp_errors(client)
        client.sendto(b"hello", (EXTERNAL, 7))
        error = icmp_error(client)
    assert (error.icmp_type, error.icmp_code) == (3, 3)
    assert error.offender == EXTERNAL
    assert error.destination == (EXTERNAL, 7)
    [packet] = outside.decoded()
    assert packet.src == EXTERNAL
    assert packet[ICMP].payload.dst == EXTERNAL
    assert packet[ICMP].payload.dport == 7


def test_time_exceeded_from_a_router_reaches_the_lab_program(lab, daemon):
    with lab.lab1.udp() as client:
        want_icmp_errors(client)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 2)
        client.sendto(b"hello", (lab.far.address, 9))
        error = icmp_error(client)
    assert (error.icmp_type, error.offender) == (11, EDGE)
    assert error.destination == (lab.far.address, 9)


@pytest.mark.parametrize("ttl,offenders", [(1, {EXTERNAL}), (2, {EXTERNAL})])
def test_time_exceeded_inside_does_not_show_the_lab_to_the_outside(lab, daemon, record, ttl,
                                                                   offenders):
    """TTL 1 ends in the gateway after the destination was rewritten; TTL 2 reaches the target's
    closed port.
    """
    outside = record(lab.out, "eth0", f"icmp and dst host {lab.out.address}")
    with lab.out.udp() as client:
        want_icmp_errors(client)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        client.sendto(b"hello", (EXTERNAL, 7))
        error = icmp_error(client)
    assert error.offender in offenders
    assert error.destination == (EXTERNAL, 7)
    [packet] = outside.decoded()
    assert b"\x0a\x00\x00" not in bytes(packet)


def test_host_unreachable_inside_is_told_to_the_outside_client(lab, start_neighbourless):
    """The forward's target does not answer ARP: the gateway's own error leaves translated."""
    client = start_neighbourless
    error = icmp_error(client, 10)
    assert (error.icmp_type, error.icmp_code) == (3, 1)
    assert error.offender == EXTERNAL
    assert error.destination == (EXTERNAL, 7)


@pytest.fixture
def start_neighbourless(lab, daemon):
    """A client whose datagram is on its way to a target that has just gone."""
    lab.lab1.ip("link", "set", "eth0", "arp", "off")
    lab.gw.ip("neigh", "flush", "dev", "lan0")
    with lab.out.udp() as client:
        want_icmp_errors(client)
        client.sendto(b"hello", (EXTERNAL, 7))
        yield client
    lab.lab1.ip("link", "set", "eth0", "arp", "on")
    lab.gw.ip("neigh", "flush", "dev", "lan0")


def test_tcp_connection_refused_by_an_icmp_error(lab, daemon):
    """A router that rejects: the lab's connect() fails at once instead of timing out."""
    lab.edge.nft(
        "table ip rejecting { chain forward { type filter hook forward priority 0;\n"
        "ip daddr 198.51.100.10 tcp dport 81 reject with icmp type port-unreachable\n}\n}\n")
    try:
        with pytest.raises(ConnectionRefusedError):
            lab.lab1.connect(lab.far.address, 81)
    finally:
        lab.edge.nft("delete table ip rejecting")


def test_rfc4787_req13_path_mtu_of_udp_is_learnt(lab, daemon):
    with lab.lab1.udp() as client, lab.far.udp(7) as server:
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        want_icmp_errors(client)
        client.connect((lab.far.address, 7))
        client.send(random_bytes(1400))
        error = icmp_error(client)
        assert (error.code, error.icmp_type, error.icmp_code) == (errno.EMSGSIZE, 3, 4)
        assert error.info == NARROW_MTU
        assert error.offender == EDGE
        assert client.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW_MTU
        client.send(random_bytes(NARROW_MTU - 28))
        assert len(server.recv(2000)) == NARROW_MTU - 28


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_bulk_tcp_across_a_narrow_link(lab, daemon, direction):
    with lab.far.listen(80) as listener, tcp_pair(lab.lab1, lab.far.address, 80,
                                                  listener) as (client, server, _):
        ends = (client, server) if direction == "upload" else (server, client)
        assert Transfer(*ends, 5_000_000).finish() >= 5_000_000
        if direction == "upload":
            assert client.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW_MTU


def test_bulk_tcp_through_a_forward_across_a_narrow_link(lab, daemon):
    """The sender is the forward's target: the error's embedded source is the external endpoint."""
    with lab.lab1.listen(80) as listener, tcp_pair(lab.far, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        assert Transfer(server, client, 5_000_000).finish() >= 5_000_000
        assert server.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW_MTU


@pytest.fixture
def narrow_lan(lab):
    lab.gw.ip("link", "set", "lan0", "mtu", "1400")
    yield
    lab.gw.ip("link", "set", "lan0", "mtu", "1500")


def test_the_gateways_own_fragmentation_needed_shows_the_external_endpoint(
        lab, daemon, narrow_lan, record):
    outside = record(lab.out, "eth0", f"icmp and dst host {lab.out.address}")
    with lab.out.udp() as client:
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        want_icmp_errors(client)
        client.connect((EXTERNAL, 7))
        client.send(random_bytes(1450))
        error = icmp_error(client)
    assert (error.icmp_type, error.icmp_code, error.info) == (3, 4, 1400)
    assert (error.offender, error.destination) == (EXTERNAL, (EXTERNAL, 7))
    [packet] = outside.decoded()
    assert packet[ICMP].payload.dst == EXTERNAL


def test_rfc4787_req13a_datagrams_that_may_be_fragmented_are(lab, daemon):
    with lab.far.udp(7) as server, lab.lab1.udp() as client:
        for sock in (server, client):
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        for size in (1272, 1273, 1472, 5000):
            udp_round_trip(client, server, lab.far.address, random_bytes(size))


def established(lab, daemon, client, server):
    """A UDP session, and what the outside knows of it."""
    return udp_round_trip(client, server, lab.out.address), server.getsockname()[1]


def error_about(seen, lab, port, code=3, **changes):
    """An ICMP error from the edge about a datagram that lab.out never got from `seen`."""
    embedded = IP(src=seen[0], dst=lab.out.address, **changes) / UDP(sport=seen[1], dport=port,
                                                                     len=8, chksum=0)
    return IP(src=EDGE, dst=EXTERNAL) / ICMP(type=3, code=code) / embedded


def test_rfc5508_req4_an_error_with_options_in_the_embedded_header_is_translated(lab, daemon):
    from scapy.layers.inet import IPOption_NOP

    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        want_icmp_errors(client)
        seen, port = established(lab, daemon, client, server)
        lab.edge.inject(error_about(seen, lab, port, options=[IPOption_NOP()] * 4))
        error = icmp_error(client)
    assert error.destination == (lab.out.address, port)
    assert error.offender == EDGE


def test_rfc5508_req6_an_error_does_not_end_the_session(lab, daemon):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen, port = established(lab, daemon, client, server)
        lab.edge.inject(error_about(seen, lab, port, code=1))
        server.sendto(b"still here", seen)
        assert client.recv(100) == b"still here"


def test_an_error_about_another_remote_is_dropped(lab, daemon):
    """The mapping exists, but the lab host never spoke to that port."""
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        want_icmp_errors(client)
        seen, port = established(lab, daemon, client, server)
        with daemon.dropping("icmp-no-session"):
            lab.edge.inject(error_about(seen, lab, port + 1))
        assert_silent(client)


@pytest.mark.parametrize("part", ["icmp", "embedded"])
def test_rfc5508_req3_an_error_with_a_bad_checksum_is_dropped(lab, daemon, part):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        want_icmp_errors(client)
        seen, port = established(lab, daemon, client, server)
        packet = error_about(seen, lab, port)
        if part == "icmp":
            packet[ICMP].chksum = 0x1234
        else:
            packet[ICMP].payload.chksum = 0x1234
        with daemon.dropping("bad-checksum"):
            lab.edge.inject(packet)
        assert_silent(client)


def test_rfc5508_req4_the_error_keeps_its_sender(lab, daemon, record):
    """An error about a TCP session, from a router in between: outer source kept, embedded endpoints
    restored.
    """
    inside = record(lab.lab1, "eth0", "icmp and dst host 10.0.0.2")
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80, listener,
                                                  5900) as (_, _, seen):
        embedded = IP(src=seen[0], dst=lab.out.address) / TCP(sport=seen[1], dport=80)
        lab.core.inject(IP(src=CORE, dst=EXTERNAL) / ICMP(type=3, code=1) / bytes(embedded)[:28])
        # The error is on its way; an answered ping says that it has passed.
        lab.core.run("ping", "-n", "-c", "1", "-W", "3", EXTERNAL)
        with lab.out.udp(7) as server, lab.lab1.udp() as client:
            udp_round_trip(client, server, lab.out.address)
    [packet] = inside.decoded()
    assert (packet.src, packet.dst) == (CORE, "10.0.0.2")
    carried = packet[ICMP].payload
    assert (carried.src, carried.sport, carried.dst, carried.dport) == ("10.0.0.2", 5900,
                                                                        lab.out.address, 80)


def test_an_echo_error_finds_its_ping(lab, daemon):
    """Ping with a small TTL: the embedded query id is the lab host's again, or ping would not show
    the error.
    """
    done = lab.lab1.run("ping", "-n", "-c", "1", "-W", "3", "-t", "2", lab.far.address, check=False)
    assert f"From {EDGE} icmp_seq=1 Time to live exceeded" in done.stdout


def test_source_quench_is_not_translated(lab, daemon, record):
    """RFC 5508 REQ-10b: a type that should not be translated does not pass."""
    inside = record(lab.lab1, "eth0", "icmp")
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen, port = established(lab, daemon, client, server)
        packet = error_about(seen, lab, port)
        packet[ICMP].type, packet[ICMP].code = 4, 0
        lab.edge.inject(packet)
        udp_round_trip(client, server, lab.out.address)
    assert inside.stop() == []
