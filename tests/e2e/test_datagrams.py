"""UDP of one socket that is more than one packet, or more than one session: segmentation offload
(QUIC stacks use it), the largest datagrams, and two forwards to one endpoint (WireGuard behind two
ports)
"""

import socket

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import SO_NO_CHECK, UDP_SEGMENT, random_bytes, udp_round_trip

CONFIG = SHARE + """
[forward outside-in]
listen = 4433/udp
to = 10.0.0.3:4433

[forward largest]
listen = 7/udp
to = 10.0.0.3:7

[forward vpn]
listen = 51820/udp
to = 10.0.0.2:51820

[forward vpn-443]
listen = 443/udp
to = 10.0.0.2:51820
"""
SEGMENT, SEGMENTS, SENDS = 1200, 20, 5


def both_ends(lab, way):
    """Who sends, who receives, and the address that the sender uses."""
    if way == "share":
        return lab.lab1, lab.out, lab.out.address
    return (lab.out if way == "forward" else lab.lab1), lab.lab2, EXTERNAL


def send_segmented(sender, payload, address):
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
    sender.sendto(payload, address)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


@pytest.mark.parametrize("way", ["share", "forward", "hairpin"])
def test_all_segments_of_udp_segmentation_offload_arrive_both_ways(lab, daemon, way):
    """100 of 100: the first ones through the queue, the others, where they are offloaded, by the
    kernel's maps. Linux 6.1 lost all that went through the queue as one packet.
    """
    near, there, address = both_ends(lab, way)
    with there.udp(4433) as server, near.udp() as client:
        for _ in range(SENDS):
            payload = random_bytes(SEGMENT * SEGMENTS)
            send_segmented(client, payload, (address, 4433))
            received = [server.recvfrom(2000) for _ in range(SEGMENTS)]
            assert b"".join(data for data, _ in received) == payload
            send_segmented(server, payload, received[0][1])
            answers = [client.recvfrom(2000) for _ in range(SEGMENTS)]
            assert b"".join(data for data, _ in answers) == payload
            assert {peer for _, peer in answers} == {(address, 4433)}


def test_one_client_port_reaches_one_endpoint_by_two_forwards(lab, daemon):
    """The target sees the second session come from another port, and the answers of each leave by
    the forward that it came by.
    """
    with lab.lab1.udp(51820) as server, lab.out.udp(51820) as client:
        for port in (51820, 443):
            for _ in range(3):
                udp_round_trip(client, server, EXTERNAL, port=port)
        seen = {}
        for port in (51820, 443):
            client.sendto(b"hello", (EXTERNAL, port))
            seen[port] = server.recvfrom(100)[1]
        assert seen[51820] == (lab.out.address, 51820)
        assert seen[443][0] == lab.out.address and seen[443][1] != 51820
        [session] = daemon.sessions("forward=vpn-443")
        assert session["remote"] == {"address": lab.out.address, "port": 51820}
        assert session["remote_inside"] == {"address": lab.out.address, "port": seen[443][1]}
        shown = daemon.client("sessions", "forward=vpn-443").stdout
        assert f"{lab.out.address}:51820 (inside :{seen[443][1]})" in shown


@pytest.mark.parametrize("way", ["share", "forward"])
def test_the_largest_datagrams_cross_both_ways(lab, daemon, way):
    """A queue carries 65531 bytes of a packet, which is 65503 of a datagram. What is longer is
    rewritten by the kernel, for which it gets an element that soon goes again.
    """
    near, there, address = (lab.lab1, lab.out,
                            lab.out.address) if way == "share" else (lab.out, lab.lab2, EXTERNAL)
    sizes = [65503, 65504, 65505, 65506, 65507] * 3
    with there.udp(7) as server, near.udp() as client:
        for size in sizes:
            udp_round_trip(client, server, address, random_bytes(size))
        packets = daemon.session("udp", f":{client.getsockname()[1]}")["packets"]
        assert packets["out"] > 0 and packets["in"] > 0
    for name in ("oversize_in", "oversize_out"):
        eventually(lambda name=name: "elements" not in lab.gw.run("nft", "list", "map", "ip",
                                                                  "portreeve", name).stdout,
                   f"map {name} is empty")


def test_the_largest_datagrams_of_hairpins_are_dropped_and_counted(lab, daemon):
    """A hairpin passes twice, and the kernel would rewrite it once."""
    with lab.lab1.udp() as client, daemon.dropping("truncated"):
        client.sendto(random_bytes(65507), (EXTERNAL, 7))


def test_the_largest_datagram_without_a_checksum_is_dropped_and_counted(lab, daemon):
    """The kernel's maps would give it a wrong one."""
    with lab.lab1.udp() as client, daemon.dropping("truncated"):
        client.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        client.sendto(random_bytes(65507), (lab.out.address, 7))
