"""ICMP errors that the gateway's own kernel makes about packets that portreeve has rewritten

The kernel sees (remote <-> internal) and quotes that; whoever sent the packet knows the external
endpoint only.
"""

import contextlib
import errno
import socket

import pytest
from scapy.layers.inet import ICMP, IP

from capture import assert_checksums
from daemon import SHARE
from lab import EXTERNAL, GATEWAY_INSIDE
from traffic import (IP_MTU, IP_MTU_DISCOVER, IP_PMTUDISC_DO, Transfer, icmp_error, random_bytes,
                     refuses, tcp_pair, udp_round_trip, want_icmp_errors)

pytestmark = pytest.mark.usefixtures("wire")

# Without mss = off no TCP segment would ever be too long.
CONFIG = "[gateway]\nmss = off\n" + SHARE + """
[forward echo]
listen = 7/udp
to = 10.0.0.2:7007

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward neighbour]
listen = 9/udp
to = 10.0.0.3:9009
"""

NARROW = 1400
PRIVATE = [socket.inet_aton(address) for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3")]
UNREACHABLE, TIME_EXCEEDED = 3, 11
HOST_UNREACHABLE, PORT_UNREACHABLE, FRAGMENTATION_NEEDED, ADMINISTRATIVELY_PROHIBITED = 1, 3, 4, 13


@pytest.fixture(autouse=True)
def fresh_paths(lab):
    yield
    lab.forget_path_mtu()


@pytest.fixture
def outside(lab, record):
    """Every ICMP message that lab.out gets."""
    return record(lab.out, "eth0", f"icmp and dst host {lab.out.address}")


def assert_speaks_of(packets, port, kind, code):
    """The errors quote the external endpoint, are right to the last checksum, and name nothing
    private anywhere.
    """
    assert_checksums(packets)
    for packet in packets:
        # Every address in a header begins a word.
        words = {packet[at:at + 4] for at in range(0, len(packet), 4)}
        assert not words & set(PRIVATE), packet.hex()
        error = IP(packet)
        assert error.src == EXTERNAL
        assert (error[ICMP].type, error[ICMP].code) == (kind, code)
        quoted = error[ICMP].payload
        assert (quoted.dst, quoted.dport) == (EXTERNAL, port)


@pytest.fixture
def firewall(lab):
    """
    The gateway's own firewall refuses what is forwarded to a host, with an answer of the test's
    choice. (Not a route of type unreachable: the kernel limits the rate of its errors, and a
    network namespace cannot switch that off.)
    """
    made = []

    def refuse(host, answer):
        lab.gw.nft("table ip refusing { chain forward { type filter hook forward priority 0;\n"
                   f"ip daddr {host.address} reject with {answer}\n}}\n}}\n")
        made.append(host)

    yield refuse
    for _ in made:
        lab.gw.nft("delete table ip refusing")


REFUSALS = {"host-unreachable": HOST_UNREACHABLE, "port-unreachable": PORT_UNREACHABLE,
            "admin-prohibited": ADMINISTRATIVELY_PROHIBITED}


@pytest.fixture
def dead_target(lab):
    """The forward's target does not answer ARP; the gateway asks three times within 0.3 s."""
    before = lab.gw.read_sysctl("net.ipv4.neigh.lan0.retrans_time_ms")
    lab.gw.sysctl("net.ipv4.neigh.lan0.retrans_time_ms", 100)
    lab.lab1.ip("link", "set", "eth0", "arp", "off")
    lab.gw.ip("neigh", "flush", "dev", "lan0")
    yield
    lab.lab1.ip("link", "set", "eth0", "arp", "on")
    lab.gw.ip("neigh", "flush", "dev", "lan0")
    lab.gw.sysctl("net.ipv4.neigh.lan0.retrans_time_ms", before)


def udp_error(host, port, payload=b"hello", ttl=64):
    """What a client hears that sends one datagram to the external address."""
    with host.udp() as client:
        want_icmp_errors(client)
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        client.connect((EXTERNAL, port))
        client.send(payload)
        return icmp_error(client, 2)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_firewalls_refusal_is_told_with_the_external_endpoint_udp(lab, daemon, outside,
                                                                      firewall, refusal):
    firewall(lab.lab1, f"icmp type {refusal}")
    error = udp_error(lab.out, 7)
    assert (error.icmp_type, error.icmp_code) == (UNREACHABLE, REFUSALS[refusal])
    assert error.destination == (EXTERNAL, 7)
    assert_speaks_of(outside.stop(), 7, UNREACHABLE, REFUSALS[refusal])


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_firewalls_refusal_ends_the_clients_connect_at_once(lab, daemon, outside, firewall,
                                                                refusal):
    firewall(lab.lab1, f"icmp type {refusal}")
    with pytest.raises(OSError) as refused:
        lab.out.connect(EXTERNAL, 8080)
    assert refused.value.errno in (errno.EHOSTUNREACH, errno.ECONNREFUSED)
    assert_speaks_of(outside.stop(), 8080, UNREACHABLE, REFUSALS[refusal])


def test_the_firewalls_reset_comes_from_the_external_endpoint(lab, daemon, firewall):
    """A segment that the gateway sends in the target's name is translated like one of the target.
    """
    firewall(lab.lab1, "tcp reset")
    assert refuses(lab.out, EXTERNAL, 8080)


def test_a_dead_target_is_told_with_the_external_endpoint_udp(lab, daemon, outside, dead_target):
    assert udp_error(lab.out, 7).destination == (EXTERNAL, 7)
    assert_speaks_of(outside.stop(), 7, UNREACHABLE, HOST_UNREACHABLE)


def test_a_dead_target_ends_the_clients_connect(lab, daemon, outside, dead_target):
    with pytest.raises(OSError) as refused:
        lab.out.connect(EXTERNAL, 8080)
    assert refused.value.errno == errno.EHOSTUNREACH
    assert_speaks_of(outside.stop(), 8080, UNREACHABLE, HOST_UNREACHABLE)


def test_the_end_of_the_ttl_at_the_gateway_is_told_with_the_external_endpoint(lab, daemon, outside):
    error = udp_error(lab.out, 7, ttl=1)
    assert (error.icmp_type, error.offender, error.destination) == (TIME_EXCEEDED, EXTERNAL,
                                                                    (EXTERNAL, 7))
    assert_speaks_of(outside.stop(), 7, TIME_EXCEEDED, 0)


def test_the_end_of_the_ttl_of_an_answer_is_told_with_the_mappings_endpoint(lab, daemon, outside):
    """An answer to a mapping of the share, rather than a packet to a forward."""
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        want_icmp_errors(server)
        server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        server.sendto(b"too far", seen)
        assert icmp_error(server).destination == seen
    assert_speaks_of(outside.stop(), seen[1], TIME_EXCEEDED, 0)


def test_a_lab_hosts_ttl_that_ends_at_the_gateway_is_told_to_it_unchanged(lab, daemon):
    with lab.lab1.udp() as client:
        want_icmp_errors(client)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        client.sendto(b"hello", (lab.far.address, 9))
        error = icmp_error(client)
    assert (error.icmp_type, error.offender) == (TIME_EXCEEDED, GATEWAY_INSIDE)
    assert error.destination == (lab.far.address, 9)


# Path MTU, when the gateway's own links are the narrow ones


@pytest.fixture
def narrow(lab):
    """Narrows one of the gateway's interfaces: what leaves there must fit. (What arrives is not the
    test's matter.)
    """
    narrowed = []

    def make(interface):
        lab.gw.ip("link", "set", interface, "mtu", str(NARROW))
        narrowed.append(interface)

    yield make
    for interface in narrowed:
        lab.gw.ip("link", "set", interface, "mtu", "1500")


def test_rfc4787_req13_too_big_for_the_lan_is_told_with_the_external_endpoint(
        lab, daemon, outside, narrow):
    narrow("lan0")
    error = udp_error(lab.out, 7, random_bytes(1450))
    assert (error.code, error.icmp_code, error.info) == (errno.EMSGSIZE, FRAGMENTATION_NEEDED,
                                                         NARROW)
    assert (error.offender, error.destination) == (EXTERNAL, (EXTERNAL, 7))
    assert_speaks_of(outside.stop(), 7, UNREACHABLE, FRAGMENTATION_NEEDED)


def test_rfc4787_req13_too_big_for_the_wan_is_told_to_the_lab_host(lab, daemon, narrow):
    narrow("wan0")
    with lab.lab1.udp() as client, lab.out.udp(7) as server:
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        want_icmp_errors(client)
        client.connect((lab.out.address, 7))
        client.send(random_bytes(1450))
        error = icmp_error(client)
        assert (error.code, error.info, error.offender) == (errno.EMSGSIZE, NARROW, GATEWAY_INSIDE)
        assert client.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW
        client.send(random_bytes(NARROW - 28))
        assert len(server.recv(2000)) == NARROW - 28


@contextlib.contextmanager
def tcp_connection(lab, opened_by):
    """(lab1's socket, out's socket) of a connection that either side has opened."""
    inside = opened_by == "inside"
    caller, address, port = (lab.lab1, lab.out.address, 80) if inside else (lab.out, EXTERNAL, 8080)
    called = lab.out if inside else lab.lab1
    with called.listen(80) as listener, tcp_pair(caller, address, port,
                                                 listener) as (client, server, _):
        yield (client, server) if inside else (server, client)


@pytest.mark.parametrize("opened_by", ["inside", "outside"])
def test_rfc4787_req13_a_tcp_sender_outside_learns_the_lans_mtu(lab, daemon, outside, narrow,
                                                                opened_by):
    with tcp_connection(lab, opened_by) as (inner, outer):
        narrow("lan0")
        assert Transfer(outer, inner, 1_000_000).finish() >= 1_000_000
        assert outer.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW
        port = outer.getpeername()[1]
    assert_speaks_of(outside.stop(), port, UNREACHABLE, FRAGMENTATION_NEEDED)


@pytest.mark.parametrize("opened_by", ["inside", "outside"])
def test_rfc4787_req13_a_tcp_sender_inside_learns_the_wans_mtu(lab, daemon, narrow, opened_by):
    with tcp_connection(lab, opened_by) as (inner, outer):
        narrow("wan0")
        assert Transfer(inner, outer, 1_000_000).finish() >= 1_000_000
        assert inner.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW


# Hairpins: the sender is inside, and knows the external endpoint only


def test_rfc5508_req7_the_firewalls_refusal_of_a_hairpin_is_told_to_the_lab_host(
        lab, daemon, firewall):
    firewall(lab.lab2, "icmp type host-unreachable")
    error = udp_error(lab.lab1, 9)
    assert (error.icmp_type, error.icmp_code) == (UNREACHABLE, HOST_UNREACHABLE)
    assert error.destination == (EXTERNAL, 9)


def test_rfc5508_req7_the_end_of_a_hairpins_ttl_is_told_to_the_lab_host(lab, daemon):
    error = udp_error(lab.lab1, 9, ttl=1)
    assert (error.icmp_type, error.destination) == (TIME_EXCEEDED, (EXTERNAL, 9))
