"""UDP that is more than one packet each: segmentation offload (QUIC stacks use it)"""

import socket

import pytest

from daemon import SHARE
from lab import EXTERNAL
from traffic import UDP_SEGMENT, random_bytes

CONFIG = SHARE + """
[forward outside-in]
listen = 4433/udp
to = 10.0.0.3:4433
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
