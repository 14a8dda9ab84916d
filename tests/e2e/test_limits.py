"""Everything is bounded: what happens when the pool, the table, a host's share or time has run out
"""

import contextlib
import errno
import json

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import assert_silent, talk, tcp_pair, udp_round_trip

SMALL_POOL = "[share lab]\nsource = 10.0.0.0/24\nports = 50000-50003\n"


@contextlib.contextmanager
def clients(host, count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(host.udp()) for _ in range(count)]


def test_the_pool_runs_dry_and_the_fifth_flow_is_dropped_and_counted(lab, start_daemon):
    daemon = start_daemon(SMALL_POOL)
    with lab.out.udp(7) as server, clients(lab.lab1, 4) as four, lab.lab2.udp() as fifth:
        seen = {udp_round_trip(client, server, lab.out.address) for client in four}
        assert seen == {(EXTERNAL, port) for port in range(50000, 50004)}
        with daemon.dropping("pool-dry"):
            fifth.sendto(b"no room", (lab.out.address, 7))
        assert_silent(server)
        for client in four:
            udp_round_trip(client, server, lab.out.address)


def test_rfc5508_req8_a_host_that_gets_no_port_is_told(lab, start_daemon):
    daemon = start_daemon(SMALL_POOL)
    with lab.out.udp(7) as server, clients(lab.lab1, 4) as four, lab.lab2.udp() as fifth:
        for client in four:
            udp_round_trip(client, server, lab.out.address)
        fifth.connect((lab.out.address, 7))
        fifth.send(b"no room")
        with pytest.raises(OSError) as refused:  # ICMP 3/13, as the host's kernel shows it
            fifth.recv(100)
        assert refused.value.errno == errno.EHOSTUNREACH
        assert json.loads(daemon.client("status", "--json").stdout)["refusals_sent"] == 1


def test_a_dry_udp_pool_leaves_tcp_and_icmp_alone(lab, start_daemon):
    daemon = start_daemon(SMALL_POOL)
    with lab.out.udp(7) as server, clients(lab.lab1, 4) as four, lab.lab2.udp() as fifth, \
            lab.out.listen(80) as listener:
        for client in four:
            udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("pool-dry"):
            fifth.sendto(b"no room", (lab.out.address, 7))
        with tcp_pair(lab.lab2, lab.out.address, 80, listener):
            pass
        lab.lab2.run("ping", "-n", "-c", "1", "-W", "3", lab.out.address)


ONE_PORT = "[share lab]\nsource = 10.0.0.0/24\nports = 50000\n"


def test_rfc7857_3_two_connections_to_different_servers_share_the_last_port(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.listen(80) as one, lab.out2.listen(80) as other, \
            tcp_pair(lab.lab1, lab.out.address, 80, one) as (client1, server1, seen1), \
            tcp_pair(lab.lab2, lab.out2.address, 80, other) as (client2, server2, seen2):
        assert seen1 == seen2 == (EXTERNAL, 50000)
        talk(client1, server1)
        talk(client2, server2)
    assert json.loads(daemon.client("status", "--json").stdout)["mappings"]["overloaded"] == 1


def test_a_closed_connections_port_serves_the_next_one(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.listen(80) as listener:
        for host in (lab.lab1, lab.lab2, lab.lab1):
            with tcp_pair(host, lab.out.address, 80, listener) as (client, server, seen):
                assert seen == (EXTERNAL, 50000)
                talk(client, server)
            eventually(
                lambda: daemon.sessions("tcp", "state=closed") or daemon.sessions(
                    "tcp", "state=reset"), "the connection is closed")
    assert json.loads(daemon.client("status",
                                    "--json").stdout)["sessions"]["closed"]["reclaimed"] == 2


def test_rfc6888_req4_a_host_at_its_limit_does_not_hurt_another(lab, start_daemon):
    daemon = start_daemon(SHARE + "[limits]\nmappings-per-host = 2\n")
    with lab.out.udp(7) as server, clients(lab.lab1, 3) as greedy, lab.lab2.udp() as modest:
        for client in greedy[:2]:
            udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("host-limit"):
            greedy[2].sendto(b"one too many", (lab.out.address, 7))
        udp_round_trip(modest, server, lab.out.address)
        udp_round_trip(greedy[0], server, lab.out.address)


def test_rfc6888_req4_a_host_alone_leaves_room_in_the_pool_for_another(lab, start_daemon):
    daemon = start_daemon("[share lab]\nsource = 10.0.0.0/24\nports = 50000-50099\n")
    with lab.out.udp(7) as server, clients(lab.lab1, 81) as greedy, clients(lab.lab2, 10) as modest:
        for client in greedy[:80]:
            udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("host-limit"):
            greedy[80].sendto(b"one too many", (lab.out.address, 7))
        for client in modest:
            udp_round_trip(client, server, lab.out.address)


def notices(daemon, name):
    return [notice["text"] for notice in daemon.status()["notices"] if notice["name"] == name]


def test_a_pool_that_is_nearly_dry_is_a_warning_that_names_who_holds_most(lab, start_daemon):
    daemon = start_daemon("[share lab]\nsource = 10.0.0.0/24\nports = 50000-50009\n")
    with lab.out.udp(7) as server, clients(lab.lab1, 7) as many, clients(lab.lab2, 1) as one:
        for client in many + one:
            assert notices(daemon, "pool-nearly-dry") == []
            udp_round_trip(client, server, lab.out.address)
        expected = (f"[share lab]: 8 of the 10 udp ports of {EXTERNAL} are in use or rest (80 %); "
                    "10.0.0.2 holds the most: 7")
        eventually(lambda: notices(daemon, "pool-nearly-dry") == [expected], "it is noticed")
        assert f"warning: {expected}" in daemon.client("status").stdout
        assert daemon.log_so_far().count(expected) == 1


def test_a_table_that_is_nearly_full_is_a_warning_that_names_who_opened_most(lab, start_daemon):
    daemon = start_daemon(SHARE + "[limits]\nsessions = 1024\n")
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab2.udp() as other:
        udp_round_trip(other, server, lab.out.address)
        for port in range(10000, 10818):
            client.sendto(b"one more", (lab.out.address, port))
        assert notices(daemon, "table-nearly-full") == []
        client.sendto(b"one more", (lab.out.address, 20000))
        expected = ("the session table is 80 % full: raise [limits] sessions; 10.0.0.2 has opened "
                    "the most of its 820 sessions: 819")
        eventually(lambda: notices(daemon, "table-nearly-full") == [expected], "it is noticed")
        assert notices(daemon, "pool-nearly-dry") == []


def test_a_host_that_is_near_its_limit_is_a_warning(lab, start_daemon):
    daemon = start_daemon(SHARE + "[limits]\nsessions-per-host = 5\n")
    with lab.out.udp(7) as server, clients(lab.lab1, 4) as four:
        for client in four:
            udp_round_trip(client, server, lab.out.address)
        expected = ("10.0.0.2 has 4 of the 5 sessions that one host may have: [limits] "
                    "sessions-per-host")
        eventually(lambda: notices(daemon, "host-near-limit") == [expected], "it is noticed")


def test_rfc6888_req8_a_killed_mappings_port_is_held_down(lab, start_daemon):
    """
    A port that was in use a moment ago must not be handed to another host at once: late packets
    would reach the wrong one. It is held for 120 s, so after a kill the pool is as dry as before.
    """
    daemon = start_daemon(SMALL_POOL)
    with lab.out.udp(7) as server, clients(lab.lab1, 4) as four, lab.lab2.udp() as fifth:
        for client in four:
            udp_round_trip(client, server, lab.out.address)
        daemon.client("kill", "external=:50000")
        assert daemon.sessions("external=:50000") == []
        with daemon.dropping("pool-dry"):
            fifth.sendto(b"no room yet", (lab.out.address, 7))
        assert_silent(server)


def test_a_port_that_a_socket_of_the_gateway_holds_is_not_in_the_pool(lab, start_daemon):
    with lab.gw.udp(50001) as own, lab.out.udp(7) as server, clients(
            lab.lab1, 3) as three, lab.lab2.udp() as fourth:
        daemon = start_daemon(SMALL_POOL)
        ports = {udp_round_trip(client, server, lab.out.address)[1] for client in three}
        assert ports == {50000, 50002, 50003}
        with daemon.dropping("pool-dry"):
            fourth.sendto(b"no room", (lab.out.address, 7))
        udp_round_trip(server, own, EXTERNAL)


def test_sessions_per_host(lab, start_daemon):
    daemon = start_daemon(SHARE + "[limits]\nsessions-per-host = 5\n")
    with lab.out.udp(7) as server, clients(
            lab.lab1, 5) as five, lab.lab1.udp() as sixth, lab.lab2.udp() as neighbour:
        for client in five:
            udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("host-limit"):
            sixth.sendto(b"too many", (lab.out.address, 7))
        udp_round_trip(neighbour, server, lab.out.address)
        assert_silent(server)
        udp_round_trip(five[0], server, lab.out.address)


SMALL_TABLE = SHARE + "[limits]\nsessions = 1024\nsessions-per-host = 1024\n"


def test_a_table_full_of_answered_sessions_refuses_new_ones_and_keeps_the_old(lab, start_daemon):
    daemon = start_daemon(SMALL_TABLE)
    with lab.out.udp(7) as server, clients(lab.lab1, 1024) as held, lab.lab2.udp() as late:
        for client in held:
            udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("table-full"):
            late.sendto(b"too late", (lab.out.address, 7))
        assert_silent(server)
        assert len(daemon.sessions()) == 1024
        for client in (held[0], held[511], held[1023]):
            udp_round_trip(client, server, lab.out.address)


def test_a_table_full_of_unanswered_sessions_makes_room(lab, start_daemon):
    """A scanner in the lab fills the table; whoever is answered is kept, and newcomers get in."""
    daemon = start_daemon(SMALL_TABLE)
    with lab.out.udp(
            7) as server, lab.lab2.udp() as good, lab.lab1.udp() as scanner, lab.lab2.udp() as late:
        udp_round_trip(good, server, lab.out.address)
        for port in range(10000, 12000):
            scanner.sendto(b"scan", (lab.out.address, port))
        eventually(lambda: len(daemon.sessions()) == 1024, "the table is full")
        udp_round_trip(late, server, lab.out.address)
        udp_round_trip(good, server, lab.out.address)
        assert len(daemon.sessions("udp", "internal=10.0.0.3")) == 2


@pytest.mark.parametrize("protocol", ["udp", "icmp", "tcp"])
def test_an_idle_session_expires(lab, start_daemon, protocol):
    daemon = start_daemon(
        SHARE + "[timeouts]\nudp = 1s\nicmp = 1s\ntcp-established = 1s\ntcp-transitory = 1s\n")
    with lab.out.udp(7) as server, lab.out.listen(80) as listener, lab.lab1.udp() as client:
        if protocol == "udp":
            udp_round_trip(client, server, lab.out.address)
        elif protocol == "icmp":
            lab.lab1.run("ping", "-n", "-c", "1", "-W", "3", lab.out.address)
        else:
            with tcp_pair(lab.lab1, lab.out.address, 80, listener):
                pass
        assert daemon.sessions(protocol)
        daemon.until_no_session(protocol, seconds=6)


def test_rfc4787_req5a_an_answered_dns_query_gives_its_port_back_soon(lab, start_daemon):
    daemon = start_daemon(SHARE + "[timeouts]\nudp:domain = 1s\n")
    with lab.out.udp(53) as server, lab.lab1.udp() as client, lab.lab1.udp() as unanswered:
        unanswered.sendto(b"?", (lab.out.address, 53))
        assert server.recvfrom(100)[0] == b"?"
        udp_round_trip(client, server, lab.out.address)
        port = client.getsockname()[1]
        daemon.until_no_session("udp", f"internal=:{port}", seconds=6)
        waits = daemon.session("udp")
        assert waits["state"] == "unanswered" and waits["expires_in"] > 200
        assert json.loads(daemon.client("status", "--json").stdout)["mappings"]["live"] == 1
        assert json.loads(daemon.client("status", "--json").stdout)["mappings"]["live"] == 1


def test_rfc4787_req6_outbound_traffic_keeps_a_session(lab, start_daemon):
    daemon = start_daemon(SHARE + "[timeouts]\nudp = 2s\n")
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        first = udp_round_trip(client, server, lab.out.address)
        number = daemon.session("udp")["id"]

        def older_than_its_timeout():
            client.sendto(b"keep", (lab.out.address, 7))
            assert server.recvfrom(100)[1] == first
            return daemon.session("udp")["age"] > 4

        eventually(older_than_its_timeout, "the session outlives its timeout", 10)
        assert daemon.session("udp")["id"] == number


def test_two_shares_have_a_pool_each(lab, start_daemon):
    start_daemon("[share one]\nsource = 10.0.0.2\nports = 50000-50099\n"
                 "[share two]\nsource = 10.0.0.3\nports = 51000-51099\n")
    with lab.out.udp(7) as server, lab.lab1.udp() as one, lab.lab2.udp() as two:
        assert 50000 <= udp_round_trip(one, server, lab.out.address)[1] <= 50099
        assert 51000 <= udp_round_trip(two, server, lab.out.address)[1] <= 51099


def test_a_host_that_no_share_names_is_not_translated_for(lab, lab1_stays_inside, start_daemon):
    """Only a forward's target: its answers are translated, and nothing else of it is taken."""
    daemon = start_daemon(
        "[share one]\nsource = 10.0.0.3\n[forward web]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n")
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080, listener):
        assert daemon.session("tcp")["share"] in (None, "")
