"""tcpdump on both sides of the gateway: every checksum, recomputed from the packet's bytes, is
right
"""

import errno
import socket
import struct

import pytest
from scapy.layers.inet import UDP

from capture import assert_checksums
from daemon import SHARE
from lab import EXTERNAL
from programs import ping
from traffic import (SO_NO_CHECK, UDP_SEGMENT, Transfer, assert_refused, random_bytes, tcp_pair,
                     udp_round_trip)

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward echo]
listen = 7/udp
to = 10.0.0.2:7
"""

GATEWAY = (("gw", "wan0"), ("gw", "lan0"))
HOSTS = (("lab1", "eth0"), ("lab2", "eth0"), ("out", "eth0"))

# Which interfaces have their offloads off. The gateway's always: what it sends is then what a wire
# would carry. With the hosts' on, it receives large segments whose checksums are not computed yet;
# with them off, plain packets.
OFFLOADS_OFF = {"large-segments-arrive": GATEWAY, "plain-packets-arrive": GATEWAY + HOSTS}


@pytest.fixture(scope="module", params=OFFLOADS_OFF, autouse=True)
def offloads(lab, request):
    switched = OFFLOADS_OFF[request.param]
    for role, interface in switched:
        getattr(lab, role).offload(interface, False)
    yield
    for role, interface in switched:
        getattr(lab, role).offload(interface, True)


@pytest.fixture
def both_sides(lab, daemon, record):
    """Captures of what the gateway has sent: to the outside host and to the lab host."""
    outside = record(lab.out, "eth0", f"ip and dst host {lab.out.address}")
    inside = record(lab.lab1, "eth0", f"ip and dst host {lab.lab1.address}")
    return outside, inside


def assert_all_right(both_sides, at_least=1):
    for side in both_sides:
        assert_checksums(side.stop(), at_least)


def test_bulk_tcp_from_the_lab(lab, both_sides):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        up, down = Transfer(client, server, 1_500_000), Transfer(server, client, 1_500_000)
        up.finish()
        down.finish()
    assert_all_right(both_sides, 1_000)


def test_bulk_tcp_through_a_forward(lab, both_sides):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        up, down = Transfer(client, server, 1_500_000), Transfer(server, client, 1_500_000)
        up.finish()
        down.finish()
    assert_all_right(both_sides, 1_000)


def test_tcp_segments_of_every_small_size(lab, both_sides):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for size in range(1, 70):
                one.sendall(random_bytes(size))
                other.recv(size, socket.MSG_WAITALL)
    assert_all_right(both_sides, 69)


SIZES = [*range(65), 255, 256, 257, 1000, 1001, 1471, 1472]


def test_udp_of_every_size(lab, both_sides):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for size in SIZES:
            udp_round_trip(client, server, lab.out.address, random_bytes(size))
    assert_all_right(both_sides, len(SIZES))


def test_udp_of_every_size_through_a_forward(lab, both_sides):
    with lab.lab1.udp(7) as server, lab.out.udp() as client:
        for size in SIZES:
            udp_round_trip(client, server, EXTERNAL, random_bytes(size))
    assert_all_right(both_sides, len(SIZES))


def test_udp_whose_sum_is_zero_is_sent_as_ffff(lab, both_sides):
    """RFC 768: a computed checksum of 0 is transmitted as all ones. One of these payloads makes it
    so.
    """
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        port = udp_round_trip(client, server, lab.out.address)[1]
        packet_sum = UDP(bytes(_udp_with_sum(port, lab.out.address, b"\0\0"))).chksum
        payload = struct.pack("!H", packet_sum)
        udp_round_trip(client, server, lab.out.address, payload)
    outside, inside = both_sides
    packets = outside.stop()
    assert_checksums(packets, 2)
    assert packets[-1][26:28] == b"\xff\xff"
    assert_checksums(inside.stop(), 2)


def _udp_with_sum(port, destination, payload):
    """The datagram as the outside host gets it, its checksum computed by scapy."""
    from scapy.layers.inet import IP

    return IP(bytes(IP(src=EXTERNAL, dst=destination) / UDP(sport=port, dport=7) / payload))[UDP]


def test_rfc3022_a_udp_checksum_of_zero_stays_zero(lab, both_sides):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for sock in (server, client):
            sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        for size in (0, 1, 2, 1471, 1472):
            udp_round_trip(client, server, lab.out.address, random_bytes(size))
    for side in both_sides:
        packets = side.stop()
        assert [packet[26:28] for packet in packets] == [b"\0\0"] * 5
        assert_checksums(packets)


def send_or_skip(client, payload, address):
    """An older kernel of the sender does not segment where the device computes no checksums
    (EIO in udp_send_skb): then there is nothing that could cross the gateway.
    """
    try:
        client.sendto(payload, address)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        pytest.skip("this kernel does not segment UDP without the device's checksums")


@pytest.mark.parametrize("segment", [1, 8, 501, 1000, 1472])
def test_udp_segmentation_offload(lab, both_sides, segment):
    """One send of many datagrams (QUIC stacks do it) crosses the gateway as one packet and arrives
    as many.
    """
    count = 20
    payload = random_bytes(segment * count)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
        send_or_skip(client, payload, (lab.out.address, 7))
        received = [server.recvfrom(2000) for _ in range(count)]
        assert b"".join(data for data, _ in received) == payload
        server.sendto(b"answer", received[0][1])
        assert client.recv(100) == b"answer"
    outside, inside = both_sides
    assert_checksums(outside.stop(), count)
    assert_checksums(inside.stop(), 1)


def test_fragments(lab, both_sides):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for size in (1473, 2961, 5001, 20000):
            udp_round_trip(client, server, lab.out.address, random_bytes(size))
    assert_all_right(both_sides, 20)


def test_ping_of_many_sizes(lab, both_sides):
    for size in (0, 1, 2, 15, 16, 17, 1471, 1472):
        ping(lab.lab1, lab.out.address, "-c", "1", "-s", str(size))
    assert_all_right(both_sides, 8)


def test_icmp_errors_and_what_they_carry(lab, both_sides):
    """Outer, ICMP, and embedded checksums, for errors that come in and errors that leave."""
    for size in (0, 1, 17, 100, 101):
        with lab.lab1.udp() as client:
            client.connect((lab.out.address, 4444))
            client.send(random_bytes(size))
            assert_refused(client)
        with lab.out.udp() as client:
            client.connect((EXTERNAL, 7))
            client.send(random_bytes(size))
            assert_refused(client)
    assert_all_right(both_sides, 10)


def test_hairpin(lab, both_sides, record):
    beside = record(lab.lab2, "eth0", f"ip and dst host {lab.lab2.address}")
    with lab.lab1.udp(7) as server, lab.lab2.udp() as client:
        for size in SIZES:
            udp_round_trip(client, server, EXTERNAL, random_bytes(size))
    with lab.lab1.listen(80) as listener, tcp_pair(lab.lab2, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        Transfer(client, server, 500_000).finish()
        Transfer(server, client, 500_000).finish()
    assert_checksums(beside.stop(), len(SIZES) + 300)
    assert_checksums(both_sides[1].stop(), len(SIZES) + 300)
