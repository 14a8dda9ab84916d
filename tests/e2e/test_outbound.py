"""Lab hosts share the public address: what they open works, and is seen from outside as 203.0.113.5
"""

import socket

import pytest

from daemon import SHARE
from lab import CORE, EDGE, EXTERNAL, GATEWAY_INSIDE
from programs import Nginx, curl, iperf3, iperf3_server, ping, traceroute
from traffic import Transfer, assert_silent, random_bytes, talk, tcp_pair, udp_round_trip

CONFIG = SHARE
POOL = range(50000, 60000)

UDP_SIZES = [*range(65), *range(65, 1472, 67), 1471, 1472]
FRAGMENTED_SIZES = [1473, 2000, 2959, 4001, 8000, 60000, 65503]


def test_curl_fetches_a_page_and_nginx_sees_the_shared_address(lab, daemon, tmp_path):
    with Nginx(lab.out, 80, tmp_path) as nginx:
        assert curl(lab.lab1, f"http://{lab.out.address}/hello").stdout == "hello from out\n"
        [(address, port)] = nginx.seen()
    assert address == EXTERNAL
    assert port in POOL


def test_curl_fetches_a_large_file_unchanged(lab, daemon, tmp_path):
    content = random_bytes(8_000_000)
    (tmp_path / "large").write_bytes(content)
    with Nginx(lab.out, 80, tmp_path):
        curl(lab.lab1, f"http://{lab.out.address}/large", "-o", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content


def test_many_curls_at_once_from_two_hosts(lab, daemon, tmp_path):
    url = f"http://{lab.out.address}:8080/hello?[1-100]"
    with Nginx(lab.out, 8080, tmp_path) as nginx:
        # --no-keepalive does not mean "no reuse": the header makes every request a connection of
        # its own.
        fetches = [
            host.start("curl", "-sS", "-H", "Connection: close", "--parallel", url,
                       directory=tmp_path) for host in (lab.lab1, lab.lab2)
        ]
        for fetch in fetches:
            assert fetch.wait(30) == 0, fetch.stderr()
            assert fetch.stdout() == "hello from out\n" * 100
            fetch.stop()
        seen = nginx.seen()
    assert {address for address, _ in seen} == {EXTERNAL}
    assert len(set(seen)) == 200


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_iperf3_bulk_tcp(lab, daemon, tmp_path, direction):
    with iperf3_server(lab.out, 5201, tmp_path):
        end = iperf3(lab.lab1, lab.out.address, 5201, *(["-R"] if direction == "download" else []))
    assert end["sum_received"]["bytes"] > 1_000_000


def test_iperf3_four_streams_at_once(lab, daemon, tmp_path):
    with iperf3_server(lab.out, 5201, tmp_path):
        end = iperf3(lab.lab1, lab.out.address, 5201, "-P", "4")
    assert all(stream["receiver"]["bytes"] > 100_000 for stream in end["streams"])


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_iperf3_udp(lab, daemon, tmp_path, direction):
    with iperf3_server(lab.out, 5201, tmp_path):
        end = iperf3(lab.lab1, lab.out.address, 5201, "-u", "-b", "20M",
                     *(["-R"] if direction == "download" else []))
    assert end["sum"]["packets"] > 1000
    assert end["sum"]["lost_packets"] < end["sum"]["packets"] / 2


def test_udp_echo_of_every_size_that_fits_a_frame(lab, daemon):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for size in UDP_SIZES:
            assert udp_round_trip(client, server, lab.out.address,
                                  random_bytes(size))[0] == EXTERNAL


@pytest.mark.parametrize("size", FRAGMENTED_SIZES)
def test_udp_echo_of_datagrams_that_need_fragments(lab, daemon, size):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, lab.out.address, random_bytes(size))[0] == EXTERNAL


def test_a_udp_flow_keeps_its_external_endpoint(lab, daemon):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = {udp_round_trip(client, server, lab.out.address) for _ in range(50)}
    assert len(seen) == 1


def test_ping(lab, daemon):
    assert "3 received" in ping(lab.lab1, lab.out.address, "-c", "3", "-i", "0.05").stdout


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 56, 1471, 1472, 1473, 8000, 60000])
def test_ping_of_size(lab, daemon, size):
    assert " 0% packet loss" in ping(lab.lab1, lab.out.address, "-c", "1", "-s", str(size)).stdout


def test_two_hosts_ping_the_same_host_with_the_same_id(lab, daemon):
    pings = [
        host.start("ping", "-n", "-c", "20", "-i", "0.02", "-W", "3", "-e", "777", lab.out.address)
        for host in (lab.lab1, lab.lab2)
    ]
    for one in pings:
        assert one.wait() == 0
        assert "20 received" in one.stdout()
        assert "DUP" not in one.stdout()
        one.stop()


@pytest.mark.parametrize("mode", [[], ["-I"], ["-T", "-p", "80"], ["-U", "-p", "53"]],
                         ids=["udp", "icmp", "tcp", "udp-to-one-port"])
def test_traceroute_sees_the_gateway_and_the_hops_beyond(lab, daemon, mode):
    assert traceroute(lab.lab1, lab.far.address,
                      *mode) == [GATEWAY_INSIDE, EDGE, CORE, lab.far.address]


def test_two_hosts_with_the_same_source_port_to_the_same_server_tcp(lab, daemon):
    with lab.out.listen(80) as listener, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener, 5555) as (client1, server1, seen1), \
            tcp_pair(lab.lab2, lab.out.address, 80, listener, 5555) as (client2, server2, seen2):
        assert seen1 != seen2
        assert seen1[0] == seen2[0] == EXTERNAL
        talk(client1, server1, b"one")
        talk(client2, server2, b"two")


def test_two_hosts_with_the_same_source_port_to_the_same_server_udp(lab, daemon):
    with lab.out.udp(53) as server, lab.lab1.udp(5555) as client1, lab.lab2.udp(5555) as client2:
        seen1 = udp_round_trip(client1, server, lab.out.address, b"one")
        seen2 = udp_round_trip(client2, server, lab.out.address, b"two")
        assert seen1 != seen2
        assert seen1[0] == seen2[0] == EXTERNAL
        server.sendto(b"for one", seen1)
        assert client1.recv(100) == b"for one"
        assert_silent(client2)


def test_one_source_port_to_two_servers(lab, daemon):
    with lab.out.listen(80) as first, lab.out2.listen(80) as second, \
            tcp_pair(lab.lab1, lab.out.address, 80, first, 5556) as (client1, server1, _), \
            tcp_pair(lab.lab1, lab.out2.address, 80, second, 5556) as (client2, server2, _):
        talk(client1, server1)
        talk(client2, server2)


def test_tcp_transfer_in_both_directions_at_once(lab, daemon):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        up, down = Transfer(client, server, 10_000_000), Transfer(server, client, 10_000_000)
        assert up.finish() >= 10_000_000
        assert down.finish() >= 10_000_000


def test_tcp_half_close_keeps_the_other_direction(lab, daemon):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"request"
        assert server.recv(100) == b""
        server.sendall(b"a long answer")
        assert client.recv(100) == b"a long answer"


def test_a_refused_connection_is_refused(lab, daemon):
    with pytest.raises(ConnectionRefusedError):
        lab.lab1.connect(lab.out.address, 4)


def test_rfc7857_2_2_a_reset_reaches_the_other_side(lab, daemon):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_rfc5382_req2_simultaneous_open(lab, daemon):
    """The outside host does not hear the first SYN and sends one of its own: two SYNs cross, one
    connection.
    """
    lab.out.nft("table ip deaf { chain input { type filter hook input priority 0;\n"
                "tcp dport 6002 tcp flags syn / syn,ack drop\n}\n}\n")
    try:
        with lab.lab1.socket(socket.SOCK_STREAM) as inside, lab.out.socket(
                socket.SOCK_STREAM) as outside:
            inside.setblocking(False)
            inside.connect_ex((lab.out.address, 6002))
            external = daemon.until_session("tcp", ":6002")["external"]
            outside.bind(("", 6002))
            outside.connect((external["address"], external["port"]))
            inside.settimeout(5)
            talk(outside, inside)
    finally:
        lab.out.nft("delete table ip deaf")


def test_rfc4787_req3a_well_known_ports_need_a_pool_that_has_some(lab, daemon):
    """The pool has no port below 1024: a source port of that class gets one of the pool all the
    same.
    """
    with lab.out.udp(53) as server, lab.lab1.udp(500) as client:
        assert udp_round_trip(client, server, lab.out.address)[1] in POOL


def test_the_source_of_an_unsupported_protocol_does_not_leave(lab, daemon):
    """GRE cannot be translated: it is dropped and counted rather than sent with a private source.
    """
    from scapy.layers.inet import IP

    with daemon.dropping("unsupported-protocol"):
        lab.lab1.inject(
            IP(src=lab.lab1.address, dst=lab.out.address, proto=47) / b"\0\0\x08\0payload")
