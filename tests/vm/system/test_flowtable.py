"""Flowtables of other programs: what portreeve translates stays out of them, whatever is done to
them, and nothing leaves with a private source
"""

import os
import signal
from pathlib import Path

import capture
import host
import process
import pytest
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip

OTHERS = "172.17.0.2"  # the container, which is in no share

UDP_FORWARD = "[forward game]\nlisten = 8080/udp\nto = 10.0.0.2:80\n"


def rules(devices="lan0, wan0"):
    return (f"table inet fw {{\n flowtable f {{ hook ingress priority 0; devices = {{ {devices} }}"
            "; }\n chain forward {\n  type filter hook forward priority 0;\n"
            "  ip protocol { tcp, udp } flow add @f\n }\n}\n")


def add_flowtable(lab, devices="lan0, wan0"):
    lab.gw.nft(rules(devices))


def keeps_out():
    return process.run(["nft", "list", "chain", "ip", "portreeve", "no_flowtable"],
                       check=False).returncode == 0


def offloaded(address):
    """The connections of this address that a flowtable has."""
    listed = process.run(["conntrack", "-L", "-s", address], check=False).stdout
    return [line for line in listed.splitlines() if "OFFLOAD" in line]


def tracked(*words):
    return process.run(["conntrack", "-L", *words], check=False).stdout


@pytest.fixture
def routed(lab, container):
    """The container speaks to the outside without translation."""
    lab.out.ip("route", "add", "172.17.0.0/16", "via", EXTERNAL)
    yield container
    lab.out.ip("route", "delete", "172.17.0.0/16")


def by_share(lab):
    with lab.out.listen(81) as listener, tcp_pair(lab.lab1, lab.out.address, 81,
                                                  listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        for _ in range(5):
            talk(client, server)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for _ in range(5):
            assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL


def by_forward(lab, client_host):
    with lab.lab1.listen(80) as listener, tcp_pair(client_host, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        for _ in range(5):
            talk(client, server)
    with lab.lab1.udp(80) as server, client_host.udp() as client:
        for _ in range(5):
            udp_round_trip(client, server, EXTERNAL, port=8080)


@pytest.mark.parametrize("devices", ["lan0, wan0", "lan0"])
def test_share_and_forward_beside_a_flowtable_that_was_there_before(lab, service, no_leak, devices):
    service.stop()
    add_flowtable(lab, devices)
    service.write(host.BODY + UDP_FORWARD)
    service.start()
    assert keeps_out()
    by_share(lab)
    by_forward(lab, lab.out)
    assert not offloaded("10.0.0.2") + offloaded(lab.out.address)


def test_share_and_forward_beside_a_flowtable_that_comes_later(lab, service, no_leak):
    service.write(host.BODY + UDP_FORWARD)
    host.systemctl("reload", service.NAME)
    lab.gw.nft("table ip stateful { chain forward {\n type filter hook forward priority 0;\n"
               " ct state invalid drop\n }\n}\n")
    with lab.out.listen(81) as listener, tcp_pair(lab.lab1, lab.out.address, 81,
                                                  listener) as (client, server, _):
        talk(client, server)
        add_flowtable(lab)
        eventually(keeps_out, "portreeve has seen the flowtable", 20)
        eventually(lambda: "deleted from connection tracking" in service.log(), "it has no longer "
                   "the old connection", 20)
        for _ in range(5):
            talk(client, server)
        assert not offloaded("10.0.0.2")
    by_share(lab)
    by_forward(lab, lab.out)
    assert not offloaded("10.0.0.2") + offloaded(lab.out.address)


@pytest.mark.parametrize("devices", ["lan0, wan0", "lan0"])
def test_what_a_flowtable_has_taken_over_comes_back(lab, service, tmp_path, devices):
    """The daemon sleeps while the flowtable comes: then it takes the connection over."""
    with lab.out.listen(81) as listener, tcp_pair(lab.lab1, lab.out.address, 81,
                                                  listener) as (client, server, _):
        port = client.getsockname()[1]
        for _ in range(3):
            talk(client, server)
        eventually(lambda: service.sessions("tcp", f":{port}")[0]["offloaded"], "it is offloaded")
        os.kill(service.pid(), signal.SIGSTOP)
        try:
            add_flowtable(lab, devices)
            talk(client, server)
            assert offloaded("10.0.0.2"), "without portreeve the flowtable takes it over"
        finally:
            os.kill(service.pid(), signal.SIGCONT)
        eventually(lambda: not offloaded("10.0.0.2"), "the flowtable has lost it", 20)
        with capture.Capture(lab.wan, "br0", "src net 10.0.0.0/8", tmp_path) as watch:
            for _ in range(5):
                talk(client, server)
            assert not watch.decoded()
        assert not offloaded("10.0.0.2")


def test_a_client_inside_that_no_share_names_uses_a_forward(lab, service, container, no_leak):
    service.write(host.BODY + UDP_FORWARD)
    host.systemctl("reload", service.NAME)
    add_flowtable(lab)
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    by_forward(lab, container)
    assert not offloaded(OTHERS)


def test_what_is_not_translated_uses_the_flowtable(lab, service, routed):
    add_flowtable(lab)
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    with lab.out.listen(81) as listener, tcp_pair(routed, lab.out.address, 81,
                                                  listener) as (client, server, seen):
        assert seen[0] == OTHERS
        for _ in range(3):
            talk(client, server)
        assert offloaded(OTHERS)
        talk(client, server)


def test_another_programs_helper_stays(lab, service, no_leak):
    lab.gw.nft("table ip helpers {\n ct helper ftp { type \"ftp\" protocol tcp; }\n"
               " chain forward {\n  type filter hook forward priority 10;\n"
               "  tcp dport 21 ct helper set \"ftp\"\n }\n}\n")
    add_flowtable(lab)
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    with lab.out.listen(21) as listener, tcp_pair(lab.lab1, lab.out.address, 21,
                                                  listener) as (client, server, _):
        talk(client, server)
        assert "helper=ftp" in tracked("-p", "tcp", "--dport", "21")
        talk(client, server)


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_restart_beside_a_flowtable_loses_no_connection(lab, service, no_leak, how):
    add_flowtable(lab)
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    with host.Connections(lab) as connections:
        before = service.pid()
        if how == "kill":
            os.kill(before, signal.SIGKILL)
        else:
            host.systemctl("restart", service.NAME)
        eventually(lambda: service.is_active() and service.pid() not in (0, before),
                   "the service manager starts it again", 20)
        assert keeps_out()
        connections.all_live()
    assert not offloaded("10.0.0.2")


def test_a_reload_of_rules_with_a_flowtable_loses_no_connection(lab, service, no_leak):
    with open("/etc/nftables.conf", "w", encoding="ascii") as file:
        file.write("#!/usr/sbin/nft -f\nflush ruleset\n" + rules())
    host.systemctl("start", "nftables")
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    with host.Connections(lab) as connections:
        for _ in range(3):
            host.systemctl("reload", "nftables")
        connections.all_live()
    assert not offloaded("10.0.0.2")


def helper_exists():
    """The kernel makes an object of it only then."""
    process.run(["nft", "add", "table", "ip", "probe"])
    try:
        return process.run([
            "nft", "add", "ct", "helper", "ip", "probe", "h", "{ type \"portreeve\" protocol tcp; }"
        ],
                           check=False).returncode == 0
    finally:
        process.run(["nft", "delete", "table", "ip", "probe"])


def test_nothing_of_it_is_left_when_the_flowtable_is_gone(lab, service):
    assert not keeps_out()
    add_flowtable(lab)
    eventually(keeps_out, "portreeve has seen the flowtable", 20)
    assert helper_exists()
    process.run(["nft", "delete", "table", "inet", "fw"])
    eventually(lambda: not keeps_out(), "it keeps nothing out any more", 60)
    eventually(lambda: not helper_exists(), "the helper is gone", 20)


@pytest.fixture
def no_helper():
    """As on a kernel without CONFIG_NF_CT_NETLINK_HELPER."""
    forbidden = Path("/etc/modprobe.d/no-helper.conf")
    forbidden.write_text("install nfnetlink_cthelper /bin/false\n")
    process.run(["modprobe", "-r", "nfnetlink_cthelper"])
    yield
    forbidden.unlink()


def is_told(service, word):
    return [notice for notice in service.status()["notices"] if word in notice["text"]]


def drops(service):
    return service.status()["drops"]["flowtable"]


def test_where_there_can_be_no_helper_nothing_leaves(lab, no_helper, service, no_leak):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        add_flowtable(lab)
        eventually(lambda: is_told(service, "flowtable f of table inet fw"), "a notice", 20)
        for _ in range(3):
            before = drops(service)
            client.sendto(b"lost", (lab.out.address, 7))
            eventually(lambda seen=before: drops(service) > seen, "it is dropped")
    lab.lab1.run("ping", "-c", "1", "-W", "5", lab.out.address)
    process.run(["nft", "delete", "table", "inet", "fw"])
    eventually(lambda: not keeps_out(), "it keeps nothing out any more", 60)
    by_share(lab)
    assert drops(service) >= 3


def test_a_stop_without_a_service_manager_removes_rules_and_helper(lab, service, tmp_path):
    service.stop()
    add_flowtable(lab)
    daemon = process.Process(["/usr/local/sbin/portreeved", "-c", host.CONFIG], directory=tmp_path)
    daemon.until(service.answers, "portreeved answers", 20)
    assert keeps_out() and helper_exists()
    by_share(lab)
    daemon.send(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert not keeps_out()
    eventually(lambda: not helper_exists(), "the helper is gone", 10)
