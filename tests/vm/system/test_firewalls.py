"""Beside real firewalls: firewalld, ufw, and the rules that Docker writes"""

import socket

import host
import process
import pytest
from deadline import eventually
from lab import EXTERNAL
from test_life import check_share_and_forward
from traffic import talk, tcp_pair, udp_round_trip

SLOW = 60  # seconds; these programs are slow on an emulated processor


def firewall_cmd(*words):
    process.run(["firewall-cmd", "-q", *words], timeout=SLOW)


def ufw(*words):
    process.run(["ufw", *words], timeout=SLOW)


def notices(service, name):
    return [notice["text"] for notice in service.status()["notices"] if notice["name"] == name]


def is_blocked(lab):
    """The forward's first packet gets through portreeve, and the firewall drops or refuses it."""
    with lab.out.socket(socket.SOCK_STREAM) as client:
        client.settimeout(2)
        return client.connect_ex((EXTERNAL, 8080)) != 0


@pytest.fixture
def firewalld(service):
    """The usual gateway: outside is the zone "external", which masquerades, inside is trusted."""
    host.systemctl("start", "firewalld")
    firewall_cmd("--zone=external", "--change-interface=wan0")
    firewall_cmd("--zone=trusted", "--change-interface=lan0")
    yield
    host.systemctl("stop", "firewalld")


def permit_forward():
    firewall_cmd("--permanent", "--zone=external", "--change-interface=wan0")
    firewall_cmd("--permanent", "--zone=trusted", "--change-interface=lan0")
    firewall_cmd("--permanent", "--new-policy=inwards")
    firewall_cmd("--permanent", "--policy=inwards", "--add-ingress-zone=external")
    firewall_cmd("--permanent", "--policy=inwards", "--add-egress-zone=trusted")
    firewall_cmd(
        "--permanent", "--policy=inwards", "--add-rich-rule=rule family=ipv4 "
        "destination address=10.0.0.2 port port=80 protocol=tcp accept")
    firewall_cmd("--reload")


def test_firewalld_with_the_zone_external(lab, service, firewalld, no_leak):
    eventually(lambda: notices(service, "source-nat"), "its masquerade has been found", 30)
    assert is_blocked(lab), "a forward is subject to the firewall"
    permit_forward()
    with lab.out.udp(7) as server:
        for _ in range(10):
            with lab.lab1.udp() as client:
                seen = udp_round_trip(client, server, lab.out.address)
                assert seen[0] == EXTERNAL and 10000 <= seen[1] <= 29999
    check_share_and_forward(lab)
    with host.Connections(lab) as connections:
        firewall_cmd("--reload")
        connections.all_live()


@pytest.fixture
def legacy_masquerade():
    rule = ["POSTROUTING", "-o", "wan0", "-j", "MASQUERADE"]
    process.run(["iptables-legacy", "-t", "nat", "-A", *rule], timeout=SLOW)
    yield
    process.run(["iptables-legacy", "-t", "nat", "-D", *rule], timeout=SLOW)
    process.run(["modprobe", "-r", "iptable_nat"])


def is_ours(lab, listener):
    with tcp_pair(lab.lab1, lab.out.address, 80, listener) as (_, _, seen):
        return 10000 <= seen[1] <= 29999


def test_a_masquerade_rule_of_iptables_legacy(lab, service, legacy_masquerade, no_leak):
    """nf_tables does not show it."""
    with lab.out.listen(80) as listener:
        eventually(lambda: is_ours(lab, listener), "the rule is kept off", 30)
        assert all(is_ours(lab, listener) for _ in range(20))
    check_share_and_forward(lab)


def test_ufw(lab, service, no_leak):
    ufw("default", "deny", "routed")
    ufw("route", "allow", "in", "on", "lan0", "out", "on", "wan0")
    ufw("--force", "enable")
    try:
        assert is_blocked(lab), "a forward is subject to the firewall"
        ufw("route", "allow", "in", "on", "wan0", "out", "on", "lan0", "to", "10.0.0.2", "port",
            "80", "proto", "tcp")
        check_share_and_forward(lab)
        with host.Connections(lab) as connections:
            ufw("reload")
            connections.all_live()
    finally:
        ufw("--force", "reset")


# What Docker 27 writes for a bridge and `-p 8081:80`, and what its manual says to write for a
# router (DOCKER-USER).
DOCKER = """*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -i lan0 -j ACCEPT
-A DOCKER-USER -o lan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-USER -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""


def test_dockers_rules(lab, service, container, no_leak):
    process.run(["iptables-restore"], stdin=DOCKER)
    try:
        with lab.out.udp(7) as server:
            for _ in range(20):
                with container.udp() as client:
                    assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
        with container.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8081,
                                                        listener) as (client, server, seen):
            assert seen[0] == lab.out.address, "a published port of a container"
            talk(client, server)
        check_share_and_forward(lab)
        with lab.lab1.listen(80) as listener, tcp_pair(container, EXTERNAL, 8080,
                                                       listener) as (client, server, _):
            talk(client, server)
        assert not notices(service, "source-nat"), "its masquerade is for others"
    finally:
        process.run(["iptables", "-P", "FORWARD", "ACCEPT"])
