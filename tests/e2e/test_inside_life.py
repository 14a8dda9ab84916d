"""A forward's target and its own networks, when the daemon dies, and on a bridge of the gateway"""

import pytest

import netns
from daemon import SHARE
from deadline import eventually
from guest_net import GUEST, GuestNet
from lab import EXTERNAL, Host
from traffic import talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward echo]
listen = 7/udp
to = 10.0.0.3:7
"""


@pytest.fixture(scope="module")
def guest(lab):
    network = GuestNet(lab)
    yield network.guest
    network.remove()


def test_after_a_kill_a_target_is_not_cut_off_from_its_own_networks(lab, guest, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.lab2.listen(80) as listener, lab.lab2.udp(7) as echo, guest.udp() as datagrams:
        with tcp_pair(guest, EXTERNAL, 8080, listener) as (client, server, _):
            talk(client, server)
        udp_round_trip(datagrams, echo, EXTERNAL)
        daemon.kill()
        with tcp_pair(guest, lab.lab2.address, 80, listener) as (client, server, seen):
            assert seen[0] == GUEST
            talk(client, server)
        with guest.udp() as other:
            udp_round_trip(other, echo, lab.lab2.address)
        guest.run("ping", "-nqc1", "-W3", lab.lab2.address)
        lab.lab2.run("ping", "-nqc1", "-W3", GUEST)
        daemon.start()


def test_a_client_insides_connection_survives_a_kill_and_a_start(lab, guest, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.lab2.listen(80) as listener, tcp_pair(guest, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
        daemon.kill()
        server.sendall(b"sent while nobody was there")
        daemon.start()
        assert client.recv(100) == b"sent while nobody was there"
        talk(client, server)


@pytest.fixture
def bridged(lab):
    """The lab's hosts on a bridge of the gateway itself that shows its frames to the ip hooks."""
    gw = lab.gw
    host = {}
    netns.needs_sysctl("net.bridge.bridge-nf-call-iptables")
    gw.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    gw.ip("link", "add", "br7", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    gw.ip("address", "add", "172.16.7.1/24", "dev", "br7")
    gw.ip("link", "set", "br7", "up")
    for role, address in (("br_one", "172.16.7.2"), ("br_two", "172.16.7.3")):
        host[role] = Host(role, address)
        gw.ip("link", "add", role, "type", "veth", "peer", "name", "eth0", "netns",
              host[role].namespace)
        gw.ip("link", "set", role, "master", "br7", "up")
        host[role].ip("link", "set", "eth0", "up")
        host[role].ip("address", "add", f"{address}/24", "dev", "eth0")
        host[role].ip("route", "add", "default", "via", "172.16.7.1")
    for one in host.values():
        eventually(lambda one=one: one.run("ping", "-nqc1", "-W1", "172.16.7.1", check=False).
                   returncode == 0,
                   f"the gateway answers {one.role}",
                   10)
    yield host["br_one"], host["br_two"]
    gw.ip("link", "delete", "br7")
    for one in host.values():
        netns.remove(one.namespace)
    gw.sysctl("net.bridge.bridge-nf-call-iptables", 0)


def test_bridged_frames_of_a_target_are_not_rewritten(lab, bridged, start_daemon):
    """br_netfilter shows them to our hooks, and they are as direct as a packet can be."""
    one, two = bridged
    start_daemon(SHARE + """
[forward web]
listen = 8080/tcp
to = 172.16.7.3:80
[forward echo]
listen = 7/udp
to = 172.16.7.3:7
""")
    with two.udp(7) as server, one.udp(4007) as client:
        udp_round_trip(client, server, EXTERNAL)
        udp_round_trip(client, server, two.address)
    with two.listen(80) as listener:
        for address, port in ((EXTERNAL, 8080), (two.address, 80)):
            with tcp_pair(one, address, port, listener, 4009) as (client, server, _):
                talk(client, server)
                client.close()
                assert server.recv(1) == b""
