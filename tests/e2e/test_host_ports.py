"""Ports that pools and forwards take from the gateway's own programs, and those that they must not
"""

from pathlib import Path

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL, GATEWAY_INSIDE
from traffic import Transfer, assert_refused, assert_silent, talk, tcp_pair, udp_round_trip

RESERVED = "net.ipv4.ip_local_reserved_ports"

MANY_PORTS = SHARE + """
[forward game]
listen = 40000-49999/udp
to = 10.0.0.3:40000
"""

ALL_PORTS = """
[share lab]
source = 10.0.0.0/24
ports = 1024-65535
"""


def test_the_gateways_own_queries_do_not_use_a_forwards_ports(lab, start_daemon):
    start_daemon(MANY_PORTS)
    with lab.out.udp(7) as server:
        for _ in range(200):
            with lab.gw.udp() as own:
                udp_round_trip(own, server, lab.out.address)
                port = own.getsockname()[1]
                assert not 40000 <= port <= 59999, f"port {port} is a forward's or the pool's"


def test_a_forwards_ports_are_reserved_as_long_as_it_exists(lab, start_daemon):
    lab.gw.sysctl(RESERVED, "7000")
    daemon = start_daemon()
    try:
        assert lab.gw.read_sysctl(RESERVED) == "7000,50000-59999"
        daemon.add_forward("game", "42000-42099/udp", "10.0.0.3:42000")
        assert lab.gw.read_sysctl(RESERVED) == "7000,42000-42099,50000-59999"
        lab.gw.sysctl(RESERVED, "7000,7001,42000-42099,50000-59999")
        daemon.remove_forward("game")
        assert lab.gw.read_sysctl(RESERVED) == "7000-7001,50000-59999"
        daemon.kill()
        daemon.start()
        lab.gw.sysctl(RESERVED, "7000,50000-59999")
        daemon.stop()
    finally:
        lab.gw.sysctl(RESERVED, "")


def test_a_port_of_the_pool_that_the_kernel_forwards_is_the_kernels(lab, start_daemon):
    """As a published port of a container is forwarded."""
    start_daemon()
    lab.gw.nft("""
table ip published {
    chain before {
        type nat hook prerouting priority dstnat
        iifname wan0 tcp dport 50080 dnat to 10.0.0.3:80
    }
}
""")
    try:
        with lab.lab2.listen(80) as listener:
            for _ in range(5):
                with tcp_pair(lab.out, EXTERNAL, 50080, listener) as (client, server, seen):
                    assert seen[0] == lab.out.address
                    talk(client, server)
                    Transfer(server, client, 1_000_000).finish()
    finally:
        lab.gw.nft("delete table ip published")


def no_room(left):
    return (f"would leave {left} of the 28232 ports that the gateway's own connections use "
            "(net.ipv4.ip_local_port_range, 32768-60999); expected at least 1024 to be left")


def test_a_pool_of_all_ports_is_refused(lab, start_daemon):
    daemon = start_daemon()
    refused = daemon.reload(ALL_PORTS, check=False)
    assert refused.returncode == 1
    assert f"{daemon.config}: [share lab] ports = 1024-65535: " in refused.stderr
    assert no_room(0) in refused.stderr
    said = lab.gw.run(*daemon.command("-t"), check=False)
    assert said.returncode == 1
    assert no_room(0) in said.stderr
    daemon.stop()
    stopped = daemon.launch()
    assert stopped.wait() == 1
    assert no_room(0) in stopped.stderr()


def test_1024_ports_must_stay_for_the_gateway(lab, start_daemon):
    """28232 less the 10000 of the pool and the 17208 of the forward."""
    daemon = start_daemon()
    daemon.add_forward("game", "32768-49975/udp", "10.0.0.3:1")
    refused = daemon.add_forward("more", "49976/udp", "10.0.0.3:1", check=False)
    assert refused.returncode == 1
    assert no_room(1023) in refused.stderr


def test_what_an_administrator_has_reserved_is_not_left_for_the_gateway(lab, start_daemon):
    """Nor is it taken: where the host had only 1500 ports, half of them must stay."""
    lab.gw.sysctl(RESERVED, "32768-39999,41500-60999")
    daemon = start_daemon()
    try:
        assert daemon.add_forward("half", "40000-40749/udp", "10.0.0.3:1").returncode == 0
        said = daemon.add_forward("more", "40750/udp", "10.0.0.3:1", check=False)
        assert "leave 749 of the 1500 ports" in said.stderr
        daemon.stop()
    finally:
        lab.gw.sysctl(RESERVED, "")


# Connections of the gateway on ports that are taken

ONE_PORT = """
[share lab]
source = 10.0.0.0/24
ports = 51111

[forward game]
listen = 40000-49999/udp
to = 10.0.0.3:40000

[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward names]
listen = 53/udp
to = 10.0.0.3:53
"""
TAKEN = 51111


def test_an_answer_to_the_gateway_is_its_own_where_a_mapping_has_the_port(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    assert daemon.status()["kernel"]["own_connections_first"]
    with lab.out.udp(7) as server, lab.out2.udp(7) as other, lab.lab1.udp() as client, \
            lab.gw.udp(TAKEN) as own:
        assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)
        own.connect((lab.out2.address, 7))
        for _ in range(3):
            udp_round_trip(own, other, lab.out2.address)
            udp_round_trip(client, server, lab.out.address)


def test_an_icmp_error_to_the_gateway_is_its_own_where_a_mapping_has_the_port(lab, start_daemon):
    start_daemon(ONE_PORT)
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.gw.udp(TAKEN) as own:
        assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)
        own.connect((lab.out2.address, 9))
        own.send(b"to a closed port")
        assert_refused(own)
        client.connect((lab.out2.address, 10))
        client.send(b"to a closed port")
        assert_refused(client)


def test_a_tcp_connection_of_the_gateway_where_a_mapping_has_the_port(lab, start_daemon):
    start_daemon(ONE_PORT)
    with lab.out.listen(80) as listener, lab.out2.listen(80) as other, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (client, server, seen):
        assert seen == (EXTERNAL, TAKEN)
        with lab.gw.connect(lab.out2.address, 80, TAKEN) as own:
            accepted, seen = other.accept()
            assert seen == (EXTERNAL, TAKEN)
            with accepted:
                talk(own, accepted)
                talk(client, server)


def test_an_answer_to_the_gateways_resolver_is_not_delivered_to_a_forwards_target(
        lab, start_daemon):
    """A resolver binds ports at random, whatever is reserved, and connects its sockets."""
    start_daemon(ONE_PORT)
    with lab.lab2.udp(41234) as target, lab.out.udp(53) as server, lab.gw.udp(41234) as own, \
            lab.out2.udp() as player:
        own.connect((lab.out.address, 53))
        for _ in range(20):
            udp_round_trip(own, server, lab.out.address)
        assert_silent(target)
        udp_round_trip(player, target, EXTERNAL)


@pytest.mark.parametrize("address", ["", EXTERNAL])
def test_a_forward_comes_before_a_listener_of_the_gateway(lab, start_daemon, address):
    with lab.gw.listen(8080, address) as hidden, lab.gw.udp(53, address) as hidden_too, \
            lab.lab2.listen(80) as listener, lab.lab2.udp(53) as names, lab.out.udp() as client:
        start_daemon(ONE_PORT)
        with tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
            talk(one, other)
        for _ in range(3):
            udp_round_trip(client, names, EXTERNAL)
        assert_silent(hidden, hidden_too)


# What listens where a forward is


def this_program():
    return f"{Path('/proc/self/comm').read_text().strip()} (user 0)"


def hidden(name, port, who=None):
    who = who or this_program()
    return (f"forward '{name}' takes port {port}, where {who} listens: from outside, that listener "
            "can no longer be reached")


def notices(daemon, name):
    return [one["text"] for one in daemon.status()["notices"] if one["name"] == name]


def test_a_forward_that_hides_a_listener_is_a_warning_everywhere(lab, start_daemon):
    with lab.gw.listen(8080), lab.gw.udp(53, EXTERNAL):
        daemon = start_daemon(ONE_PORT)
        said = {hidden("web", "8080/tcp"), hidden("names", "53/udp")}
        assert set(notices(daemon, "hidden-listener")) == said
        assert said <= set(daemon.status()["warnings"])
        checked = lab.gw.run(*daemon.command("-t"))
        for line in said:
            assert f"portreeved: warning: {line}\n" in daemon.log_so_far()
            assert f"warning: {daemon.config}: {line}\n" in checked.stderr
    eventually(lambda: not notices(daemon, "hidden-listener"), "the notices are gone")


def test_a_program_that_the_daemon_may_not_look_at_is_known_by_its_user(lab, start_daemon):
    """As under the service unit, which has few capabilities."""
    daemon = start_daemon(ONE_PORT)
    with lab.gw.listen(8080):
        checked = lab.gw.run("setpriv", "--bounding-set=-sys_ptrace,-dac_override",
                             "--inh-caps=-sys_ptrace,-dac_override", *daemon.command("-t"))
        assert hidden("web", "8080/tcp", "a program of user 0") in checked.stderr


def test_forward_add_says_which_listener_it_hides(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.gw.listen(22):
        added = daemon.add_forward("ssh", "22/tcp", "10.0.0.3:22")
        assert added.stderr == f"portreeve: warning: {hidden('ssh', '22/tcp')}\n"
        assert notices(daemon, "hidden-listener") == [hidden("ssh", "22/tcp")]
        assert daemon.add_forward("other", "23/tcp", "10.0.0.3:22").stderr == ""
        daemon.remove_forward("ssh")
        assert not notices(daemon, "hidden-listener")


def test_a_listener_that_a_forward_does_not_hide_is_no_warning(lab, start_daemon):
    with lab.gw.listen(8080, GATEWAY_INSIDE), lab.gw.listen(8081), lab.gw.udp(8080), \
            lab.gw.udp(53, "127.0.0.1"):
        daemon = start_daemon(ONE_PORT)
        assert not daemon.status()["warnings"]
        assert lab.gw.run(*daemon.command("-t")).stderr == ""


# Sockets that are bound later


def pool_size(daemon, protocol):
    return daemon.status()["shares"][0]["pool"][protocol]["size"]


def test_a_port_that_is_bound_later_leaves_the_pool(lab, start_daemon):
    daemon = start_daemon()
    assert pool_size(daemon, "udp") == 10000
    with lab.gw.udp(51820), lab.gw.listen(52000):
        eventually(lambda: pool_size(daemon, "udp") == pool_size(daemon, "tcp") == 9999,
                   "both ports have left the pool", 15)
        assert not notices(daemon, "port-collision")


def test_a_port_of_a_mapping_that_is_bound_later_is_shared_until_the_mapping_ends(
        lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.udp(7) as server, lab.lab1.udp(4000) as client, lab.out2.udp() as peer:
        udp_round_trip(client, server, lab.out.address)
        with daemon.dropping("filtered"):
            peer.sendto(b"nobody is here", (EXTERNAL, TAKEN))
        with lab.gw.udp(TAKEN) as own:
            own.settimeout(0.2)

            def reached():
                peer.sendto(b"hello", (EXTERNAL, TAKEN))
                try:
                    return own.recv(100) == b"hello"
                except TimeoutError:
                    return False

            eventually(reached, "the gateway's program gets what the mapping does not admit", 15)
            assert notices(daemon, "port-collision") == [
                f"port {TAKEN}/udp has been bound by {this_program()} while a mapping of "
                "10.0.0.2:4000 (share 'lab') has it: the mapping's sessions continue, other "
                "packets are the gateway's"
            ]
            assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)
            daemon.client("kill", "internal=10.0.0.2")
            eventually(lambda: pool_size(daemon, "udp") == 0, "the port has left the pool", 15)
            assert not notices(daemon, "port-collision")


def test_a_reload_keeps_a_session_whose_port_is_bound_by_the_gateway_too(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        with lab.gw.udp(TAKEN):
            assert "0 sessions ended" in daemon.reload(ONE_PORT).stdout
            assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)


def test_a_restart_keeps_a_session_whose_port_is_bound_by_the_gateway_too(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        with lab.gw.udp(TAKEN), lab.gw.udp(40000):
            daemon.kill()
            daemon.start()
            assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)
            assert len(notices(daemon, "port-collision")) == 1


def test_ports_that_are_bound_before_the_start_are_not_in_the_pool(lab, start_daemon):
    with lab.gw.udp(51820), lab.gw.listen(52000), lab.gw.listen(52001, GATEWAY_INSIDE):
        daemon = start_daemon()
        assert (pool_size(daemon, "udp"), pool_size(daemon, "tcp")) == (9999, 9998)


# Forwards on ports that mappings have

NEW = f"""
[forward new]
listen = {TAKEN}/udp
to = 10.0.0.3:9
"""
SPARE_PORT = ONE_PORT.replace("51111", "51111-51112")


def holder(port):
    return f"port {port}/udp is used by a mapping of 10.0.0.2:4000 (share 'lab', sessions: 2)"


def test_forward_add_does_not_take_a_mappings_port_unasked(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    with lab.out.udp(7) as server, lab.out2.udp(7) as other, lab.lab1.udp(4000) as client, \
            lab.lab2.udp(9) as target, lab.out.udp() as visitor:
        for to, host in ((server, lab.out), (other, lab.out2)):
            udp_round_trip(client, to, host.address)
        refused = daemon.add_forward("new", f"{TAKEN - 1}-{TAKEN}/udp", "10.0.0.3:8", check=False)
        assert refused.returncode == 1
        assert f"listen: {holder(TAKEN)}; expected a free port, or the option --force" \
            in refused.stderr
        assert daemon.add_forward("tcp", f"{TAKEN}/tcp", "10.0.0.3:9").returncode == 0
        udp_round_trip(client, server, lab.out.address)
        added = daemon.add_forward("new", f"{TAKEN - 1}-{TAKEN}/udp", "10.0.0.3:8", "--force")
        assert added.stdout == "added new\n2 sessions ended\n"
        assert not daemon.sessions("internal=10.0.0.2")
        udp_round_trip(visitor, target, EXTERNAL, port=TAKEN)


def test_a_reload_that_takes_a_mappings_port_says_whose_it_was(lab, start_daemon):
    daemon = start_daemon(SPARE_PORT)
    with lab.out.udp(7) as server, lab.out2.udp(7) as other, lab.lab1.udp(4000) as client:
        for to, host in ((server, lab.out), (other, lab.out2)):
            port = udp_round_trip(client, to, host.address)[1]
        reloaded = daemon.reload(SPARE_PORT + NEW.replace(str(TAKEN), str(port)))
        said = f"warning: forward 'new': {holder(port)}; the reload ends these sessions\n"
        assert "2 sessions ended" in reloaded.stdout
        assert reloaded.stderr == f"portreeve: {said}"
        assert said in daemon.log_so_far()
