"""Beside the gateway's own firewall and services: portreeved takes published ports and shared
sources, nothing else
"""

import os
import socket

import pytest

from capture import assert_checksums
from daemon import SHARE
from lab import EXTERNAL, GATEWAY_INSIDE
from own_services import check_gateway_services, check_gateways_own_connections, gateway_services
from traffic import (UDP_SEGMENT, Transfer, assert_refused, assert_silent, assert_unanswered, talk,
                     tcp_pair, udp_round_trip)

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward closed-by-the-firewall]
listen = 8081/tcp
to = 10.0.0.2:81

[forward echo]
listen = 7/udp
to = 10.0.0.3:7
"""

# As an admin would write it: addresses are the internal ones in both directions.
FIREWALL = """
table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state invalid counter drop
        ct state established,related counter accept
        iifname "lan0" oifname "wan0" counter accept
        iifname "lan0" oifname "lan0" counter accept
        iifname "wan0" ip daddr 10.0.0.2 tcp dport 80 ct state new counter accept
        iifname "wan0" ip daddr 10.0.0.3 udp dport 7 counter accept
        counter
    }
}
"""


@pytest.fixture
def firewall(lab):
    lab.gw.nft(FIREWALL)
    yield
    lab.gw.nft("delete table inet filter")


def test_outbound_tcp_udp_and_ping_pass_a_stateful_firewall(lab, daemon, firewall):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        up, down = Transfer(client, server, 3_000_000), Transfer(server, client, 3_000_000)
        up.finish()
        down.finish()
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        udp_round_trip(client, server, lab.out.address, b"x" * 4000)
    lab.lab1.run("ping", "-n", "-c", "1", "-W", "3", lab.out.address)


def test_a_forward_that_the_firewall_accepts_works(lab, daemon, firewall):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == lab.out.address
        Transfer(server, client, 3_000_000).finish()
    with lab.lab2.udp(7) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL)


def test_a_forward_that_the_firewall_does_not_accept_stays_closed(lab, daemon, firewall):
    with lab.lab1.listen(81) as listener, lab.out.socket(1) as client:
        assert_unanswered(client, (EXTERNAL, 8081))
        assert_silent(listener)


def test_icmp_errors_are_related_to_their_connection(lab, daemon, firewall):
    """`ct state related` only knows an error whose embedded addresses are those conntrack has seen.
    """
    with lab.lab1.udp() as client:
        client.connect((lab.out.address, 4444))
        client.send(b"hello")
        assert_refused(client)
    with lab.far.listen(80) as listener, tcp_pair(lab.lab1, lab.far.address, 80,
                                                  listener) as (client, server, _):
        Transfer(client, server, 1_000_000).finish()
    with lab.out.udp() as client:
        client.connect((EXTERNAL, 7))
        client.send(b"hello")
        assert_refused(client)
    lab.forget_path_mtu()


# Of a segmented packet that begins a connection, nfnetlink_queue of Linux 6.1 passes one segment
# after connection tracking (nf_ct_drop_unconfirmed). Newer kernels check before they segment.
DROPS_FIRST_SEGMENTS = os.uname().release.startswith("6.1.")


@pytest.mark.parametrize("begin", ["with a datagram", "with segments"])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_segmented_udp_passes_a_stateful_firewall(lab, daemon, firewall, direction, begin):
    """Many datagrams in one send (QUIC stacks do it) cross the gateway as one packet, which
    conntrack must accept.
    """
    sender, receiver, port, address = ((lab.out, lab.lab2, 7, EXTERNAL) if direction == "in"
                                       else (lab.lab1, lab.out, 9, lab.out.address))
    if direction == "out" and begin == "with segments" and DROPS_FIRST_SEGMENTS:
        pytest.skip("this kernel drops segments that begin a connection")
    with receiver.udp(port) as server, sender.udp() as client:
        if begin == "with a datagram":
            client.sendto(b"begin", (address, port))
            assert server.recv(2000) == b"begin"
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
        client.sendto(bytes(5000), (address, port))
        assert [len(server.recv(2000)) for _ in range(10)] == [500] * 10


def test_hairpins_pass_a_stateful_firewall(lab, daemon, firewall):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.lab2, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_nothing_counted_as_invalid_by_conntrack(lab, daemon, firewall):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        Transfer(client, server, 3_000_000).finish()
    rules = lab.gw.run("nft", "list", "table", "inet", "filter").stdout
    assert "invalid counter packets 0 bytes 0 drop" in rules


def test_the_gateways_own_services_while_portreeved_runs(lab, daemon):
    with gateway_services(lab) as servers:
        check_gateway_services(lab, *servers)
    check_gateways_own_connections(lab)


def test_a_lab_host_reaches_the_gateways_services_at_the_external_address(lab, daemon):
    with lab.gw.listen(22) as listener, tcp_pair(lab.lab1, EXTERNAL, 22,
                                                 listener) as (client, server, _):
        talk(client, server)


def test_the_gateways_own_connections_do_not_use_the_pool(lab, daemon):
    reserved = lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports")
    assert "50000-59999" in reserved


def test_lab_hosts_reach_each_other_and_the_gateway_untouched(lab, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(lab.lab1, lab.lab2.address, 80,
                                                   listener) as (_, _, seen):
        assert seen[0] == lab.lab1.address
    with lab.gw.udp(53) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, GATEWAY_INSIDE)[0] == lab.lab1.address


def test_packets_of_others_are_not_queued(lab, daemon, record):
    """The gateway as a plain router for an address that no share names (and a checksum check on the
    way).
    """
    lab.lab1.ip("address", "add", "172.16.0.1/32", "dev", "lo")
    lab.gw.ip("route", "add", "172.16.0.1/32", "via", lab.lab1.address)
    lab.out.ip("route", "add", "172.16.0.1/32", "via", EXTERNAL)
    try:
        outside = record(lab.out, "eth0", "icmp and src host 172.16.0.1")
        lab.lab1.run("ping", "-n", "-c", "2", "-i", "0.05", "-W", "3", "-I", "172.16.0.1",
                     lab.out.address)
        assert_checksums(outside.stop(), 2)
    finally:
        lab.lab1.ip("address", "del", "172.16.0.1/32", "dev", "lo")
        lab.gw.ip("route", "del", "172.16.0.1/32")
        lab.out.ip("route", "del", "172.16.0.1/32")
