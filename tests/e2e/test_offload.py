"""The kernel rewrites established sessions by itself, and nobody can tell but by speed

All other end-to-end tests run with offload on and off. These show that it happens at all, and what
only it could get wrong.
"""

import contextlib
import json
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP

from capture import assert_checksums
from daemon import CLIENT, OFFLOAD, SHARE, elements
from deadline import PATIENCE, eventually
from lab import EXTERNAL
from traffic import Transfer, talk, tcp_pair, udp_round_trip

pytestmark = pytest.mark.skipif(OFFLOAD == "off", reason="this run is about the queue alone")

UDP_SECONDS = int(3 * PATIENCE)  # what a test does with a session may not take that long
CONFIG = SHARE + f"""
[forward web]
listen = 8080/tcp+udp
to = 10.0.0.2:80
[timeouts]
udp = {UDP_SECONDS}s
"""


@pytest.fixture
def outbound(lab, daemon):
    """An offloaded UDP conversation of lab1 with the outside: (client, server, how the server sees
    the client).
    """
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        daemon.until_offloaded("udp", "direction=outbound")
        yield client, server, seen
    daemon.client("kill", "udp", check=False)


@pytest.fixture
def connection(lab, daemon):
    """An offloaded TCP connection by the forward: (client, server)."""
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
        daemon.until_offloaded("forward=web", "tcp")
        yield client, server
    daemon.client("kill", "forward=web", check=False)


def hits(daemon):
    packets = daemon.status()["offload"]["packets"]
    return packets["in"], packets["out"]


def test_packets_of_a_share_do_not_reach_the_daemon(lab, daemon, outbound):
    client, server, seen = outbound
    before = hits(daemon)
    for _ in range(10):
        assert udp_round_trip(client, server, lab.out.address) == seen
    assert hits(daemon) == (before[0] + 10, before[1] + 10)


def test_packets_of_a_forward_do_not_reach_the_daemon(lab, daemon, connection):
    before = hits(daemon)
    for _ in range(10):
        talk(*connection)
    after = hits(daemon)
    assert after[0] >= before[0] + 10 and after[1] >= before[1] + 10


def test_checksums_are_right_behind_the_kernel(lab, daemon, wire, outbound, connection, record):
    client, server, _ = outbound
    outside, inside = record(lab.out, "eth0", "tcp or udp"), record(lab.lab1, "eth0", "tcp or udp")
    for size in (0, 1, 2, 3, 511, 1471, 1472):
        udp_round_trip(client, server, lab.out.address,
                       bytes(range(256)) * 5 + bytes(192) if size > 1400 else bytes(size))
        talk(*connection, bytes(size + 1))
    assert_checksums(outside.stop(), 20)
    assert_checksums(inside.stop(), 20)


def test_every_packet_is_counted_in_its_session(lab, daemon, outbound):
    client, server, seen = outbound
    before = daemon.session("udp")
    for number in range(20):
        client.sendto(bytes(100), (lab.out.address, 7))
        server.recv(200)
        if number < 5:
            server.sendto(bytes(50), seen)
            client.recv(200)
    after = daemon.session("udp")
    assert after["offloaded"]
    assert after["packets"] == {
        "out": before["packets"]["out"] + 20, "in": before["packets"]["in"] + 5
    }
    assert after["bytes"] == {
        "out": before["bytes"]["out"] + 20 * 128, "in": before["bytes"]["in"] + 5 * 78
    }
    assert after["idle"] < 1


def test_the_last_event_has_the_kernels_counts(lab, daemon, outbound):
    client, server, _ = outbound
    for _ in range(9):
        client.sendto(b"x", (lab.out.address, 7))
        server.recv(10)
    events = lab.gw.start(CLIENT, "-s", daemon.socket, "events", "--json")

    def subscribed():
        with lab.lab1.udp() as other:
            udp_round_trip(other, server, lab.out.address)
        return events.stdout()

    def closed():
        told = [json.loads(line) for line in events.stdout().splitlines() if line.endswith("}")]
        return [event for event in told if event["type"] == "closed" and
                event["session"]["internal"]["port"] == client.getsockname()[1]]

    try:
        eventually(subscribed, "events are told")
        daemon.client("kill", "udp")
        assert eventually(closed, "an event says so")[0]["session"]["packets"]["out"] == 10
    finally:
        events.stop()


def test_udp_without_a_checksum_is_left_without_one(lab, daemon, outbound, record):
    client, server, seen = outbound
    before, packets = hits(daemon), record(lab.out, "eth0", "udp")
    lab.lab1.inject(IP(src=lab.lab1.address, dst=lab.out.address, flags="DF") /
                    UDP(sport=client.getsockname()[1], dport=7, chksum=0) / b"unsummed")
    assert server.recvfrom(100) == (b"unsummed", seen)
    assert [IP(packet)[UDP].chksum for packet in packets.stop()] == [0]
    assert hits(daemon) == before


def test_packets_that_may_be_fragmented_get_ids_of_the_gateway(lab, daemon, outbound, record):
    client, server, seen = outbound
    before, packets = hits(daemon), record(lab.out, "eth0", "udp")
    for _ in range(8):
        lab.lab1.inject(IP(src=lab.lab1.address, dst=lab.out.address, id=4711) /
                        UDP(sport=client.getsockname()[1], dport=7) / b"same id")
        assert server.recvfrom(100) == (b"same id", seen)
    assert len({IP(packet).id for packet in packets.stop()}) == 8
    assert hits(daemon) == before


def test_packets_with_options_take_the_queue(lab, daemon, outbound):
    client, server, seen = outbound
    before = hits(daemon)
    plain = IPOption_NOP(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP()
    lab.lab1.inject(IP(src=lab.lab1.address, dst=lab.out.address, flags="DF", options=list(plain)) /
                    UDP(sport=client.getsockname()[1], dport=7) / b"options")
    assert server.recvfrom(100) == (b"options", seen)
    assert hits(daemon) == before


def test_a_close_brings_the_session_back_and_empties_the_maps(lab, daemon):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
        daemon.until_offloaded("forward=web", "tcp")
        assert elements(lab) == 2
        client.shutdown(socket.SHUT_WR)
        assert server.recv(10) == b""
        eventually(lambda: not daemon.sessions("offloaded"), "the session has left the kernel")
        assert daemon.session("forward=web")["state"] == "closing"
        server.sendall(b"half open")
        assert client.recv(100) == b"half open"
    daemon.until_session("forward=web", "state=closed")
    assert elements(lab) == 0
    daemon.client("kill", "forward=web")


def test_a_plausible_reset_of_an_offloaded_connection_ends_it(lab, daemon):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        transfer = Transfer(client, server, 1 << 22)
        transfer.finish()
        daemon.client("kill", "forward=web")
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        client.sendall(bytes(1 << 16))
        talk_back(server)
        daemon.until_offloaded("forward=web", "tcp")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    daemon.until_session("forward=web", "state=reset")
    daemon.client("kill", "forward=web")


def talk_back(server):
    received = 0
    while received < 1 << 16:
        received += len(server.recv(1 << 16))


def test_a_forged_reset_is_not_believed(lab, daemon, connection):
    client, server = connection
    source = client.getsockname()
    lab.out.inject(
        IP(src=source[0], dst=EXTERNAL) /
        TCP(sport=source[1], dport=8080, flags="R", seq=0x7FFFFFFF))
    eventually(lambda: daemon.status()["offload"]["sessions"] == 0,
               "the session is looked at in the queue")
    assert daemon.session("forward=web")["state"] == "established"
    talk(client, server)


def test_a_killed_session_is_out_of_the_kernel_when_the_client_returns(lab, daemon, outbound):
    client, server, _ = outbound
    daemon.client("kill", "udp")
    assert elements(lab) == 0
    with daemon.dropping("no-session"):
        server.sendto(b"too late", (EXTERNAL, outbound[2][1]))


def test_what_the_kernel_passes_keeps_a_session_alive_and_silence_ends_it(lab, daemon, outbound):
    client, server, seen = outbound
    born = daemon.session("udp")

    def is_old_enough():
        assert udp_round_trip(client, server, lab.out.address) == seen
        return daemon.session("udp")["age"] > UDP_SECONDS + 2

    eventually(is_old_enough, "the session outlives its timeout", 15)
    assert daemon.session("udp")["id"] == born["id"]
    daemon.until_no_session("udp", seconds=15)
    assert elements(lab) == 0


def test_hundreds_of_sessions_come_and_go(lab, daemon):
    with lab.out.udp(7) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lab.lab1.udp()) for _ in range(600)]
        for client in clients:
            udp_round_trip(client, server, lab.out.address)
        daemon.until_offloaded("udp")
        assert elements(lab) == 1200
        for client in clients:
            udp_round_trip(client, server, lab.out.address)
        assert sum(session["packets"]["in"] for session in daemon.sessions("udp")) == 1200
        daemon.until_no_session("udp", seconds=20)
        assert elements(lab) == 0
