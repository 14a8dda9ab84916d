"""Fragments of every kind: the kernel puts them together before portreeve sees them, and cuts them
again behind it
"""

import random
import re
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from capture import assert_checksums
from daemon import OFFLOAD, SHARE
from deadline import eventually
from lab import EXTERNAL
from programs import ping
from traffic import assert_silent, random_bytes, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward echo]
listen = 7/udp
to = 10.0.0.2:7007

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""

PAYLOAD = random_bytes(4000)


class Flow:
    """A UDP session through the gateway, and packets made by hand that belong to it."""

    def __init__(self, sender_host, sender, destination, receiver):
        self.sender_host, self.sender, self.receiver = sender_host, sender, receiver
        self.destination = destination
        self.ip = IP(src=sender_host.address, dst=destination[0], id=random.randrange(1, 65536))

    def piece(self, datagram, begin, end, df=False):
        """The fragment that carries these bytes of the datagram (a UDP header and its payload)."""
        flags = [name for name, wanted in (("MF", end < len(datagram)), ("DF", df)) if wanted]
        return IP(src=self.ip.src, dst=self.ip.dst, id=self.ip.id, proto=17, flags="+".join(flags),
                  frag=begin // 8) / Raw(datagram[begin:end])

    def datagram(self, payload=PAYLOAD):
        whole = self.ip / UDP(sport=self.sender.getsockname()[1],
                              dport=self.destination[1]) / Raw(payload)
        return bytes(whole)[20:]

    def pieces(self, payload=PAYLOAD, size=1000, df=False):
        """All fragments of a datagram, `size` bytes of it each."""
        datagram = self.datagram(payload)
        return [self.piece(datagram, begin, min(begin + size, len(datagram)), df)
                for begin in range(0, len(datagram), size)]

    def send(self, pieces):
        for piece in pieces:
            self.sender_host.inject(piece)

    def received(self):
        return self.receiver.recv(65535)


@pytest.fixture(params=["outbound", "inbound", "forward"])
def flow(lab, daemon, request):
    """lab1 to the outside, the outside's answers to lab1, and the outside to a forward."""
    with lab.lab1.udp(7007) as inside, lab.lab1.udp() as client, lab.out.udp(5500) as outside:
        seen = udp_round_trip(client, outside, lab.out.address)
        daemon.until_offloaded("udp", f":{client.getsockname()[1]}")
        made = {"outbound": lambda: Flow(lab.lab1, client, (lab.out.address, 5500), outside),
                "inbound": lambda: Flow(lab.out, outside, seen, client),
                "forward": lambda: Flow(lab.out, outside, (EXTERNAL, 7), inside)}[request.param]()
        # Which nobody has answered yet.
        made.is_offloaded = OFFLOAD == "on" and request.param != "forward"
        yield made


@pytest.fixture(scope="module", autouse=True)
def soon_forgotten(lab):
    """What the gateway cannot put together it forgets within a second, not thirty."""
    before = lab.gw.read_sysctl("net.ipv4.ipfrag_time")
    lab.gw.sysctl("net.ipv4.ipfrag_time", 1)
    yield
    lab.gw.sysctl("net.ipv4.ipfrag_time", before)


@pytest.fixture
def flood_ends(lab):
    """The memory for fragments is limited, and a flood fills it: the next test's fragments shall
    find room.
    """
    yield
    eventually(lambda: waiting_fragments(lab.gw) == 0, "no fragment waits for the others")


def waiting_fragments(host):
    """Datagrams that the host has begun to put together."""
    return int(
        re.search(r"^FRAG: inuse (\d+)",
                  host.run("cat", "/proc/net/sockstat").stdout, re.MULTILINE).group(1))


def duplicated(pieces):
    """Every fragment but the last twice: behind a complete datagram its second copy would begin
    another.
    """
    return [piece for piece in pieces[:-1] for _ in range(2)] + pieces[-1:]


ORDERS = {
    "in order": list,
    "last first": lambda pieces: pieces[::-1],
    "first last": lambda pieces: pieces[1:] + pieces[:1],
    "odd ones first": lambda pieces: pieces[1::2] + pieces[::2],
    "duplicated": duplicated,
}


@pytest.mark.parametrize("order", ORDERS)
def test_rfc4787_req14_fragments_in_any_order_arrive(flow, order):
    flow.send(ORDERS[order](flow.pieces()))
    assert flow.received() == PAYLOAD


def test_rfc4787_req14_fragments_that_hold_no_port_find_their_way(flow):
    """A first fragment of eight bytes holds the UDP header and nothing else; the others hold no
    header.
    """
    payload = random_bytes(64)
    flow.send(flow.pieces(payload, size=8)[::-1])
    assert flow.received() == payload


def test_rfc4787_req14_interleaved_datagrams_are_not_mixed_up(lab, daemon, flow):
    other = Flow(flow.sender_host, flow.sender, flow.destination, flow.receiver)
    other.ip.id = flow.ip.id % 65535 + 1
    one, two = random_bytes(3000), random_bytes(3000)
    flow.send([piece for both in zip(flow.pieces(one), other.pieces(two)) for piece in both])
    assert {flow.received(), flow.received()} == {one, two}


def test_overlapping_fragments_are_dropped_whole(lab, daemon, flow, record):
    """The kernel drops all of a datagram whose fragments disagree (RFC 5722 for IPv6; since 2018
    for IPv4, too).
    """
    watched = lab.out if flow.sender_host is lab.lab1 else lab.lab1
    behind = record(watched, "eth0", "udp")
    datagram = flow.datagram()[:2000]
    flow.send([flow.piece(datagram, 0, 1000), flow.piece(bytes(len(datagram)), 800, 1400),
               flow.piece(datagram, 1400, len(datagram))])
    flow.sender.sendto(b"after it", flow.destination)
    assert flow.received() == b"after it"
    assert_silent(flow.receiver)
    assert [packet[28:] for packet in behind.stop()] == [b"after it"]


def test_a_datagram_that_stays_incomplete_is_not_passed_on(lab, daemon, flow, record):
    watched = lab.out if flow.sender_host is lab.lab1 else lab.lab1
    behind = record(watched, "eth0", "udp")
    flow.send(flow.pieces()[:-1])
    flow.sender.sendto(b"after it", flow.destination)
    assert flow.received() == b"after it"
    assert [packet[28:] for packet in behind.stop()] == [b"after it"]


FLOOD = 4000


def flood(lab, pieces):
    """Sent from one socket, as fast as it goes."""
    with lab.out.socket(socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for piece in pieces:
            raw.sendto(piece, (EXTERNAL, 0))


def first_fragments(lab, port):
    whole = IP(src=lab.out2.address, dst=EXTERNAL, flags="MF") / \
        UDP(sport=1, dport=port, len=4008, chksum=1) / Raw(bytes(64))
    return numbered(bytes(whole))


def last_fragments(lab, _):
    return numbered(
        bytes(IP(src=lab.out2.address, dst=EXTERNAL, proto=17, frag=100) / Raw(bytes(64))))


def numbered(packet):
    """Many packets that differ in their identification, each a fragment of another datagram."""
    return [packet[:4] + number.to_bytes(2, "big") + packet[6:] for number in range(1, FLOOD + 1)]


@pytest.mark.parametrize("kind", [first_fragments, last_fragments])
def test_rfc4787_req14a_a_flood_of_fragments_does_not_hurt_other_traffic(
        lab, daemon, flood_ends, kind):
    """To a mapping's own port, even: neither what is established nor what opens during it suffers.
    """
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.listen(80) as listener, \
            tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
        seen = udp_round_trip(client, server, lab.out.address)
        flood(lab, kind(lab, seen[1]))
        assert waiting_fragments(lab.gw) > 100
        assert udp_round_trip(client, server, lab.out.address) == seen
        talk(one, other)
        with lab.lab2.udp() as late:
            udp_round_trip(late, server, lab.out.address)
        assert "1 received" in ping(lab.lab1, lab.out.address, "-c1").stdout


def parts(packets):
    """(length of what is carried, DF, more fragments follow), in the order of their offsets."""
    decoded = sorted((IP(packet) for packet in packets), key=lambda packet: packet.frag)
    return [(len(packet.payload), bool(packet.flags.DF), bool(packet.flags.MF))
            for packet in decoded]


@pytest.mark.parametrize("df", [False, True], ids=["may-fragment", "dont-fragment"])
def test_reassembled_datagrams_are_cut_again_as_they_came(lab, daemon, flow, record, df):
    """
    The kernel remembers the longest fragment, and DF when that one had it (as senders of DF
    fragments want path MTU discovery: RFC 8900): the fragments leave as long as they came, with DF
    as they came. The queue makes one piece of a datagram; where the kernel keeps its pieces to send
    them on (net/ipv4/ip_output.c, ip_fraglist_init), as any router of Linux that tracks connections
    does, it forgets DF.
    """
    kept = df and not flow.is_offloaded
    watched = lab.out if flow.sender_host is lab.lab1 else lab.lab1
    behind = record(watched, "eth0", "udp")
    flow.send(flow.pieces(size=1000, df=df))
    assert flow.received() == PAYLOAD
    packets = behind.stop()
    assert_checksums(packets)
    assert parts(packets) == [(1000, kept, True)] * 4 + [(8, kept, False)]
