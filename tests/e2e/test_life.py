"""Stop, crash, restart: what goes on without the daemon, and what must not"""

import signal

import pytest

from daemon import Daemon, SHARE, tables
from deadline import eventually
from lab import EXTERNAL
from own_services import check_gateway_services, check_gateways_own_connections, gateway_services
from traffic import assert_silent, assert_unanswered, talk, tcp_pair, udp_round_trip

FORWARD = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


def test_the_gateways_own_services_while_portreeved_is_stopped(lab, start_daemon):
    start_daemon(FORWARD).stop()
    with gateway_services(lab) as servers:
        check_gateway_services(lab, *servers)
    check_gateways_own_connections(lab)


def test_the_gateways_own_services_after_kill_9(lab, start_daemon):
    daemon = start_daemon(FORWARD)
    daemon.kill()
    with gateway_services(lab) as servers:
        check_gateway_services(lab, *servers)
    check_gateways_own_connections(lab)
    daemon.start()


def test_a_connection_of_the_gateway_outlives_start_stop_and_kill_9(lab, start_daemon):
    with lab.gw.listen(22) as listener, tcp_pair(lab.out, EXTERNAL, 22,
                                                 listener) as (client, server, _):
        daemon = start_daemon(FORWARD)
        talk(client, server)
        daemon.kill()
        talk(client, server)
        daemon.start()
        talk(client, server)
        daemon.stop()
        talk(client, server)


def test_after_kill_9_nothing_leaves_untranslated(lab, start_daemon, record):
    daemon = start_daemon(FORWARD)
    """But for what the kernel translates by itself: see test_offload."""
    with lab.out.udp(
            7) as server, lab.lab1.udp() as before, lab.lab1.udp() as client, lab.gw.udp() as own:
        udp_round_trip(before, server, lab.out.address)
        daemon.kill()
        assert tables(lab), "the rules outlive a crash on purpose"
        outside = record(lab.out, "eth0", f"udp and dst host {lab.out.address}")
        for number in range(10):
            client.sendto(b"%d" % number, (lab.out.address, 7))
        lab.lab1.run("ping", "-n", "-c", "2", "-i", "0.05", "-W", "0.2", lab.out.address,
                     check=False)
        # What the gateway itself sends afterwards arrives, so the lab's packets were not merely
        # late.
        own.sendto(b"last", (lab.out.address, 7))
        assert server.recvfrom(100)[0] == b"last"
        assert_silent(server)
        assert len(outside.stop()) == 1
        daemon.start()


def test_after_kill_9_a_forwards_port_is_silent_rather_than_refused(lab, start_daemon, record):
    """A RST from the gateway's own TCP would end connections that a restart could save."""
    daemon = start_daemon(FORWARD)
    daemon.kill()
    answers = record(lab.out, "eth0", f"src host {EXTERNAL} and tcp")
    with lab.out.socket(1) as client:
        assert_unanswered(client, (EXTERNAL, 8080))
    assert answers.stop() == []
    daemon.start()


def test_a_restart_over_the_leftovers_of_a_crash_works(lab, start_daemon):
    daemon = start_daemon(FORWARD)
    daemon.kill()
    daemon.start()
    assert len(tables(lab)) == 1
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_after_an_orderly_stop_the_forwards_port_is_the_gateways_own(lab, start_daemon):
    start_daemon(FORWARD).stop()
    with pytest.raises(ConnectionRefusedError):
        lab.out.connect(EXTERNAL, 8080)


def test_sigint_is_an_orderly_stop_too(lab, start_daemon):
    daemon = start_daemon(FORWARD)
    daemon.tell_to_leave(signal.SIGINT)
    assert daemon.process.wait() == 0
    assert not tables(lab)
    assert not daemon.socket.exists()


def test_an_orderly_stop_removes_the_socket(lab, start_daemon):
    daemon = start_daemon(FORWARD)
    assert daemon.socket.is_socket()
    daemon.stop()
    assert not daemon.socket.exists()


def test_many_starts_and_stops(lab, start_daemon):
    for _ in range(5):
        start_daemon(FORWARD).stop()


def test_rules_outlive_nothing_but_a_crash(lab, start_daemon):
    """An admin's own table is not touched by start and stop."""
    lab.gw.nft("table ip admins { chain forward { type filter hook forward priority 0;\n}\n}\n")
    try:
        start_daemon(FORWARD).stop()
        assert "table ip admins" in lab.gw.run("nft", "list", "tables").stdout
    finally:
        lab.gw.nft("delete table ip admins")


def test_ports_that_an_admin_has_reserved_stay_reserved(lab, start_daemon):
    key = "net.ipv4.ip_local_reserved_ports"
    lab.gw.sysctl(key, "4000-4010,50005")
    try:
        daemon = start_daemon(FORWARD)
        assert "50000-59999" in lab.gw.read_sysctl(key)
        daemon.stop()
        assert lab.gw.read_sysctl(key) == "4000-4010,50005"
    finally:
        lab.gw.sysctl(key, "")


@pytest.fixture
def second_address(lab):
    """203.0.113.6 in place of 203.0.113.5, for as long as the test wants it."""
    yield lambda: (lab.gw.ip("address", "add", "203.0.113.6/24", "dev", "wan0"),
                   lab.gw.ip("address", "del", f"{EXTERNAL}/24", "dev", "wan0"))
    lab.gw.run("ip", "address", "flush", "dev", "wan0")
    lab.gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
    lab.gw.run("ip", "route", "replace", "default", "via", "203.0.113.254")


def test_a_new_external_address_is_followed(lab, start_daemon, second_address):
    daemon = start_daemon(FORWARD)
    lab.gw.sysctl("net.ipv4.conf.wan0.promote_secondaries", 1)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
        second_address()
        eventually(
            lambda: "203.0.113.6" in
            (text := daemon.client("status").stdout) and EXTERNAL not in text,
            "status shows the new address")
        assert udp_round_trip(client, server, lab.out.address)[0] == "203.0.113.6"
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, "203.0.113.6", 8080,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_without_an_external_address_packets_are_dropped_and_counted(lab, start_daemon,
                                                                     second_address):
    daemon = start_daemon(FORWARD)
    lab.gw.ip("address", "del", f"{EXTERNAL}/24", "dev", "wan0")
    lab.gw.ip("route", "add", lab.out.address, "dev", "wan0")
    with lab.lab1.udp() as client:
        eventually(lambda: EXTERNAL not in daemon.client("status").stdout,
                   "status shows no address")
        with daemon.dropping("no-external-address"):
            client.sendto(b"hello", (lab.out.address, 7))
    lab.gw.ip("route", "del", lab.out.address, "dev", "wan0")


def test_only_the_configured_external_address_is_used(lab, start_daemon):
    lab.gw.ip("address", "add", "203.0.113.6/24", "dev", "wan0")
    try:
        start_daemon("[gateway]\nexternal-address = 203.0.113.6\n" + FORWARD)
        with lab.out.udp(7) as server, lab.lab1.udp() as client:
            assert udp_round_trip(client, server, lab.out.address)[0] == "203.0.113.6"
        with pytest.raises(ConnectionRefusedError):
            lab.out.connect(EXTERNAL, 8080)
    finally:
        lab.gw.ip("address", "del", "203.0.113.6/24", "dev", "wan0")


def test_rfc4787_req2_a_host_keeps_one_of_several_addresses(lab, start_daemon):
    lab.gw.ip("address", "add", "203.0.113.6/24", "dev", "wan0")
    try:
        start_daemon(FORWARD)
        with lab.out.udp(7) as server:
            for host in (lab.lab1, lab.lab2):
                addresses = set()
                for _ in range(20):
                    with host.udp() as client:
                        addresses.add(udp_round_trip(client, server, lab.out.address)[0])
                assert len(addresses) == 1
    finally:
        lab.gw.ip("address", "del", "203.0.113.6/24", "dev", "wan0")


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers(lab, start_daemon, workers):
    """The two directions of a flow may meet different queues, so workers share one table."""
    start_daemon(FORWARD + f"[performance]\nworkers = {workers}\n")
    with lab.out.udp(7) as server, lab.lab1.udp() as one, lab.lab2.udp() as two:
        for client in (one, two):
            udp_round_trip(client, server, lab.out.address)
    with lab.lab1.listen(80) as listener:
        for host in (lab.out, lab.out2, lab.far, lab.lab2):
            with tcp_pair(host, EXTERNAL, 8080, listener) as (client, server, _):
                talk(client, server)


def test_two_daemons_for_two_namespaces_do_not_meet(lab, start_daemon):
    """Everything the daemon touches in the kernel is its own network namespace's."""
    start_daemon(FORWARD)
    other = Daemon(lab, SHARE, external="eth0")
    other.process = lab.edge.start(*other.command(), directory=other.directory)
    other.process.until(
        lambda: other.socket.exists() and other.client("status", check=False).returncode == 0,
        "the second daemon answers")
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
    other.process.send(signal.SIGTERM)
    assert other.process.wait() == 0
