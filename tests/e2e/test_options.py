"""What translation leaves alone in the IP header, and what it refuses because of it"""

import pytest
from scapy.layers.inet import (ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP,
                               IPOption_Router_Alert, IPOption_SSRR)
from scapy.packet import Raw

from capture import assert_checksums
from daemon import SHARE
from lab import EXTERNAL
from traffic import assert_silent, udp_round_trip

CONFIG = SHARE + """
[forward echo]
listen = 7/udp
to = 10.0.0.2:7007
"""

NOT_ECT, ECT_1, ECT_0, CE = range(4)
DSCPS = (0, 8, 34, 46, 63)  # best effort, CS1, AF41, EF, and one of nobody's


class Session:
    """A UDP session between lab1 and out, and packets of it that are made by hand."""

    def __init__(self, lab, record, client, server):
        self.lab, self._record, self.client, self.server = lab, record, client, server
        self.seen = udp_round_trip(client, server, lab.out.address)

    def outbound(self, payload=b"by hand", **fields):
        """From lab1, as the lab sees it."""
        return IP(src=self.lab.lab1.address, dst=self.lab.out.address, **fields) / \
            UDP(sport=self.client.getsockname()[1], dport=self.server.getsockname()[1]) / \
            Raw(payload)

    def inbound(self, payload=b"by hand", **fields):
        """From out, as the outside sees it."""
        return IP(src=self.lab.out.address, dst=self.seen[0], **fields) / \
            UDP(sport=self.server.getsockname()[1], dport=self.seen[1]) / Raw(payload)

    def ends(self, direction):
        """(who sends, who receives, the packet's maker)"""
        lab = self.lab
        if direction == "outbound":
            return lab.lab1, lab.out, self.server, self.outbound
        return lab.out, lab.lab1, self.client, self.inbound

    def arrive(self, direction, changes):
        """Sends a packet by hand for each of the changes; what arrived, in order, all checksums
        right.
        """
        sender, receiver, sock, make = self.ends(direction)
        capture = self._record(receiver, "eth0", f"udp and dst host {receiver.address}")
        for fields in changes:
            sender.inject(make(**fields))
            assert sock.recv(100) == b"by hand"
        packets = capture.stop()
        assert_checksums(packets, len(changes))
        return [IP(packet) for packet in packets]


@pytest.fixture
def session(lab, daemon, record):
    with lab.lab1.udp() as client, lab.out.udp() as server:
        yield Session(lab, record, client, server)


@pytest.fixture(params=["outbound", "inbound"])
def direction(request):
    return request.param


# The header's fields


def test_dscp_and_ecn_stay_as_they_are(session, direction):
    """Congestion marks above all (RFC 3168): whoever loses them makes the ends blind."""
    marks = [dscp << 2 | ecn for dscp in DSCPS for ecn in (NOT_ECT, ECT_1, ECT_0, CE)]
    assert [packet.tos
            for packet in session.arrive(direction, [{"tos": tos} for tos in marks])] == marks


def test_dscp_and_ecn_stay_as_they_are_tcp_and_icmp(lab, daemon, record):
    """Of a SYN and of an echo request, and of their answers, which repeat the request's."""
    outside, inside = (record(host, "eth0", f"(tcp or icmp) and dst host {host.address}")
                       for host in (lab.out, lab.lab1))
    lab.lab1.run("ping", "-nqc1", "-W3", "-Q", str(46 << 2 | ECT_0), lab.out.address)
    syn = IP(src=lab.lab1.address, dst=lab.out.address, tos=34 << 2 | CE) / TCP(
        sport=5650, dport=4, flags="S")
    lab.lab1.inject(syn)
    lab.lab1.run("ping", "-nqc1", "-W3", lab.out.address)
    asked = [(packet.proto, packet.tos) for packet in outside.decoded()]
    assert asked[:2] == [(1, 46 << 2 | ECT_0), (6, 34 << 2 | CE)]
    assert (1, 46 << 2 | ECT_0) in [(packet.proto, packet.tos) for packet in inside.decoded()]


def test_the_gateway_is_one_hop(session, direction):
    ttls = [255, 64, 3]
    assert [packet.ttl for packet in session.arrive(direction, [{"ttl": ttl} for ttl in ttls])] == \
        [ttl - 1 for ttl in ttls]


def test_df_stays_as_it_is(session, direction):
    packets = session.arrive(direction, [{"flags": "DF"}, {"flags": 0}])
    assert [str(packet.flags) for packet in packets] == ["DF", ""]


# Options


def test_a_router_alert_is_forwarded(session, direction):
    [packet] = session.arrive(direction, [{"options": [IPOption_Router_Alert()]}])
    assert bytes(packet)[20:24] == bytes(IPOption_Router_Alert())


def test_options_that_nobody_knows_are_forwarded(session, direction):
    """Option 94 is for experiments (RFC 4727); NOPs are for nothing."""
    option = bytes([1, 1, 0x5e, 6, 1, 2, 3, 4]) + bytes(4)
    [packet] = session.arrive(direction, [{"options": [Raw(option)]}])
    assert bytes(packet)[20:32] == option


def test_a_timestamp_option_is_forwarded_with_the_gateways_time_in_it(session, direction):
    """The kernel fills in the next of the four places; addresses are not asked for."""
    asked = bytes([68, 20, 5, 0]) + bytes(16)  # type, length, pointer, times only
    [packet] = session.arrive(direction, [{"options": [Raw(asked)]}])
    kind, length, pointer = bytes(packet)[20:23]
    assert (kind, length) == (68, 20)
    assert pointer > 5, "the gateway has added its time"


def test_an_echo_request_with_an_option_is_answered(lab, daemon, record):
    inside = record(lab.lab1, "eth0", f"icmp and dst host {lab.lab1.address}")
    lab.lab1.inject(
        IP(src=lab.lab1.address, dst=lab.out.address, options=[IPOption_Router_Alert()]) /
        ICMP(id=4711, seq=1) / Raw(b"abcdefgh"))
    lab.lab1.run("ping", "-nqc1", "-W3", lab.out.address)
    answer = inside.decoded()[0]
    assert (answer[ICMP].type, answer[ICMP].id) == (0, 4711)


# Source routes

ROUTER = "203.0.113.254"
SOURCE_ROUTES = {
    "loose": IPOption_LSRR(routers=[ROUTER]), "strict": IPOption_SSRR(routers=[ROUTER]),
    "used-up": IPOption_LSRR(routers=[ROUTER], pointer=8)
}


@pytest.fixture
def gateway_accepts_source_routes(lab):
    """By default the kernel itself refuses them, before portreeve's outbound chain could."""
    keys = [
        f"net.ipv4.conf.{interface}.accept_source_route" for interface in ("all", "lan0", "wan0")
    ]
    before = {key: lab.gw.read_sysctl(key) for key in keys}
    for key in keys:
        lab.gw.sysctl(key, 1)
    yield
    for key, value in before.items():
        lab.gw.sysctl(key, value)


# A strict one from inside would have to be addressed to the gateway: the kernel refuses any other.
@pytest.mark.parametrize("direction,kind", [("outbound", "loose"), ("outbound", "used-up"),
                                            ("inbound", "loose"), ("inbound", "strict"),
                                            ("inbound", "used-up")])
def test_a_source_route_is_refused_and_counted(session, daemon, gateway_accepts_source_routes,
                                               direction, kind):
    """Its addresses would have to be translated, too, and it is a way around filters (RFC 7126
    section 4.3).
    """
    sender, _, sock, make = session.ends(direction)
    with daemon.dropping("source-route"):
        sender.inject(make(options=[IPOption_NOP(), SOURCE_ROUTES[kind]]))
    sender.inject(make(payload=b"without one"))
    assert sock.recv(100) == b"without one"


def test_a_source_route_to_a_forward_is_refused_and_counted(lab, daemon):
    with lab.lab1.udp(7007) as target, lab.out.udp() as client:
        with daemon.dropping("source-route"):
            lab.out.inject(
                IP(src=lab.out.address, dst=EXTERNAL, options=[SOURCE_ROUTES["used-up"]]) /
                UDP(sport=client.getsockname()[1], dport=7) / Raw(b"routed"))
        assert_silent(target)
        udp_round_trip(client, target, EXTERNAL, port=7)


# Other protocols

PROTOCOLS = {
    "ipip": 4, "dccp": 33, "gre": 47, "esp": 50, "ah": 51, "ospf": 89, "sctp": 132, "udplite": 136,
    "experiment": 253
}


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return PROTOCOLS[request.param]


def test_other_protocols_from_a_share_are_dropped_and_counted(lab, daemon, session, record,
                                                              protocol):
    outside = record(lab.out, "eth0", f"ip proto {protocol}")
    with daemon.dropping("unsupported-protocol"):
        lab.lab1.inject(
            IP(src=lab.lab1.address, dst=lab.out.address, proto=protocol) / Raw(bytes(40)))
    udp_round_trip(session.client, session.server, lab.out.address)
    assert outside.stop() == []


def test_other_protocols_of_the_gateway_itself_are_left_alone(lab, daemon, record, protocol):
    """A tunnel that ends at the gateway works on: what it sends leaves, what it gets arrives."""
    outside = record(lab.out, "eth0", f"ip proto {protocol} and dst host {lab.out.address}")
    inside = record(lab.gw, "wan0", f"ip proto {protocol} and dst host {EXTERNAL}")
    lab.gw.inject(IP(src=EXTERNAL, dst=lab.out.address, proto=protocol) / Raw(bytes(40)))
    lab.out.inject(IP(src=lab.out.address, dst=EXTERNAL, proto=protocol) / Raw(bytes(40)))
    lab.gw.run("ping", "-nqc1", "-W3", lab.out.address)
    assert len(outside.stop()) == 1
    assert len(inside.stop()) == 1
