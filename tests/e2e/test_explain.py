"""portreeve explain names faults that are made on purpose, and does not accuse what is healthy"""

import contextlib
import json
import socket

import pytest

from daemon import CLIENT, SHARE
from deadline import eventually
from lab import EDGE, EXTERNAL, GATEWAY_INSIDE
from traffic import tcp_pair, udp_round_trip

CONFIG = SHARE + """
[timeouts]
port-hold = 1s
[share narrow]
source = 10.0.9.0/24, 10.0.0.3/32
ports = 40000
filtering = endpoint-independent

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
owner = web team

[forward other]
listen = 8081/tcp
to = 10.0.0.2:81

[forward range]
listen = 8100-8109/tcp
to = 10.0.0.2:8100

[forward datagrams]
listen = 7/udp
to = 10.0.0.2:7007

[forward guarded]
listen = 2222/tcp
to = 10.0.0.2:22
allow = 198.51.100.0/24

[forward nobody]
listen = 8082/tcp
to = 10.0.0.9:80

[forward nowhere]
listen = 8083/tcp
to = 172.16.9.9:80

[forward refused]
listen = 8084/tcp
to = 10.0.77.1:80

[forward over]
listen = 8085/tcp
to = 10.0.0.2:80
expires = 2020-01-01T00:00:00Z

[forward one]
listen = 8086/tcp
to = 10.0.0.2:80
sessions = 1
"""


@pytest.fixture
def explain(lab, daemon):
    """What the client says, run on the gateway; with the exit status."""

    def ask(*words, status=None):
        done = lab.gw.run(CLIENT, "-s", daemon.socket, "explain", *words, "--json", check=False)
        assert done.stderr == ""
        answer = json.loads(done.stdout)
        assert done.returncode == (answer["verdict"] == "faulty")
        if status is not None:
            assert done.returncode == status
        return answer

    return ask


def assert_cause(answer, cause):
    assert answer["cause"] == cause, json.dumps(answer, indent=1)
    assert answer["verdict"] == "faulty" and answer["advice"]
    assert any(step["result"] == "FAIL" for step in answer["steps"])


def assert_healthy(answer):
    assert (answer["verdict"], answer["cause"]) == ("healthy", "healthy"), \
        json.dumps(answer, indent=1)
    assert not any(step["result"] == "FAIL" for step in answer["steps"])


def candidates(answer):
    assert answer["verdict"] == "undecided", json.dumps(answer, indent=1)
    return {one["cause"] for one in answer["candidates"]}


@contextlib.contextmanager
def table(host, text):
    host.nft(f"table ip explained {{\n{text}\n}}\n")
    yield
    host.nft("delete table ip explained\n")


def forward_chain(rules, policy="accept"):
    return f"chain forward {{ type filter hook forward priority 0; policy {policy};\n{rules}\n}}"


# ---- healthy ----


def test_a_service_that_answers_is_healthy(lab, explain):
    with lab.lab1.listen(80):
        answer = explain("8080/tcp", "from", lab.out.address, "--probe")
    assert_healthy(answer)
    assert answer["target"] == {"address": lab.lab1.address, "port": 80}
    texts = [step["text"] for step in answer["steps"]]
    assert any("forward web -> 10.0.0.2:80 (portreeve.conf:" in text and "web team" in text
               for text in texts)


def test_it_is_told_to_people_in_few_lines(lab, daemon):
    with lab.lab1.listen(80):
        done = lab.gw.run(CLIENT, "-s", daemon.socket, "explain", "8080/tcp", "from",
                          lab.out.address, "--probe")
    lines = done.stdout.splitlines()
    assert lines[0] == f"8080/tcp from {lab.out.address}"
    assert lines[1] == " ok    203.0.113.5 is on wan0"
    assert lines[-1] == "Nothing is in the way."
    assert all(len(line) <= 110 for line in lines)


def test_an_allowed_caller_is_healthy(lab, explain):
    with lab.lab1.listen(22):
        assert_healthy(explain("2222/tcp", "--probe"))  # somebody who is allowed
        assert_healthy(explain("2222/tcp", "from", lab.far.address, "--probe"))


def test_a_port_of_a_range_is_healthy(lab, explain):
    with lab.lab1.listen(8104):
        assert explain("8104/tcp", "--probe")["target"]["port"] == 8104
        assert_healthy(explain("8104/tcp", "--probe"))


def test_a_hairpin_is_healthy(lab, explain):
    with lab.lab1.listen(80):
        assert_healthy(explain("tcp", f"{lab.lab2.address}:40000", f"{EXTERNAL}:8080", "--probe"))


def test_a_target_that_ignores_pings_is_healthy(lab, explain):
    lab.lab1.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    try:
        with lab.lab1.listen(80):
            assert_healthy(explain("8080/tcp", "--probe"))
    finally:
        lab.lab1.sysctl("net.ipv4.icmp_echo_ignore_all", 0)


def test_a_stateful_firewall_that_lets_it_in_is_healthy(lab, explain):
    rules = ('ct state established,related accept\niifname "lan0" accept\n'
             'iifname "wan0" oifname "lan0" ip daddr 10.0.0.0/24 tcp dport 80 ct state new accept')
    with table(lab.gw, forward_chain(rules, "drop")), lab.lab1.listen(80):
        assert_healthy(explain("8080/tcp", "from", lab.out.address, "--probe"))


def test_a_udp_service_that_answers_nobody_is_not_accused(lab, explain):
    with lab.lab1.udp(7007):
        assert candidates(explain("7/udp", "--probe")) == {"target-silent"}


def test_what_has_worked_lately_is_healthy_without_a_probe(lab, daemon, explain):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080, listener):
        assert_healthy(explain("8080/tcp"))


def test_a_mapping_that_lets_everyone_in_is_healthy(lab, daemon, explain):
    with lab.lab2.udp() as client, lab.out.udp() as server:
        port = udp_round_trip(client, server, lab.out.address)[1]
        answer = explain(f"{port}/udp", "from", lab.far.address)
        assert answer["verdict"] != "faulty"
        client.close()
    daemon.client("kill", f"internal={lab.lab2.address}", check=False)


def test_a_host_inside_that_gets_out_is_healthy(lab, explain):
    with lab.lab1.udp() as one:
        one.sendto(b"hello", (lab.out.address, 9))
    answer = explain("from", "lab", lab.lab1.address, "to", f"{lab.out.address}:443/tcp")
    assert answer["verdict"] == "healthy"
    assert any(step["text"] == "share lab" for step in answer["steps"])


# ---- the target ----


def test_a_service_that_is_down_refuses(lab, explain):
    assert_cause(explain("8081/tcp", "--probe", status=1), "target-refuses")


def test_the_last_caller_tells_it_without_a_probe(lab, explain):
    with pytest.raises(ConnectionRefusedError):
        lab.out.connect(EXTERNAL, 8081)
    assert_cause(explain("8081/tcp"), "target-refuses")


def test_a_service_on_the_loopback_refuses(lab, explain):
    with lab.lab1.listen(81, "127.0.0.1"):
        assert_cause(explain("8081/tcp", "--probe"), "target-refuses")


def test_a_udp_service_that_is_down_refuses(lab, explain):
    assert_cause(explain("7/udp", "--probe"), "target-refuses")


@pytest.mark.parametrize("verdict", ["drop", "reject with icmp type admin-prohibited"])
def test_the_firewall_of_the_target_makes_it_silent(lab, explain, verdict):
    rules = f"chain input {{ type filter hook input priority 0;\ntcp dport 8103 {verdict}\n}}"
    with table(lab.lab1, rules), lab.lab1.listen(8103):
        assert_cause(explain("8103/tcp", "--probe"), "target-silent")


def test_a_target_with_another_default_gateway_answers_elsewhere(lab, daemon, explain):
    lab.lab1.ip("route", "del", "default")
    try:
        with lab.lab1.listen(8105), lab.out.socket(socket.SOCK_STREAM) as caller:
            caller.setblocking(False)
            caller.connect_ex((EXTERNAL, 8105))
            eventually(lambda: daemon.sessions("state=opening", "forward=range"), "it tries")
            eventually(lambda: daemon.session("forward=range", "state=opening")["age"] > 1.2,
                       "it waits")
            assert "target-answers-elsewhere" in candidates(explain("8105/tcp"))
            assert_cause(explain("8105/tcp", "--probe"), "target-answers-elsewhere")
    finally:
        lab.lab1.ip("route", "add", "default", "via", GATEWAY_INSIDE)


def test_a_target_that_is_not_there_fails(lab, explain):
    assert_cause(explain("8082/tcp", "--probe"), "neighbour-fails")


# ---- the rules of portreeve ----


def test_a_port_without_a_forward(lab, explain):
    assert_cause(explain("9999/tcp"), "no-forward")


def test_a_port_of_a_program_of_the_gateway(lab, daemon, explain):
    with lab.gw.listen(9998):
        eventually(lambda: "on this host" in explain("9998/tcp")["steps"][-1]["text"],
                   "the listener is named")
        assert_cause(explain("9998/tcp"), "no-forward")


def test_a_forward_whose_time_is_over(lab, explain):
    assert_cause(explain("8085/tcp"), "expired")


def test_a_caller_that_is_not_allowed(lab, explain):
    answer = explain("2222/tcp", "from", lab.out.address)
    assert_cause(answer, "not-allowed")
    assert "198.51.100.0/24" in answer["steps"][-1]["text"]


def test_a_forward_that_is_full(lab, daemon, explain):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8086, listener):
        assert_cause(explain("8086/tcp"), "limit")


def test_a_pool_that_is_dry(lab, daemon, explain):
    with lab.lab2.udp() as client, lab.out.udp() as server:
        eventually(lambda: daemon.status()["shares"][1]["pool"]["udp"]["used"] == 0,
                   "the port rests no more")
        udp_round_trip(client, server, lab.out.address)
        assert_cause(explain("from", lab.lab2.address, "to", f"{lab.out.address}:53/udp"),
                     "pool-dry")
    daemon.client("kill", f"internal={lab.lab2.address}")


# ---- this host ----


def test_forwarding_that_is_off(lab, explain):
    lab.gw.sysctl("net.ipv4.ip_forward", 0)
    try:
        assert_cause(explain("8080/tcp"), "forwarding-off")
    finally:
        lab.gw.sysctl("net.ipv4.ip_forward", 1)


@pytest.mark.parametrize("interface", ["wan0", "lan0"])
def test_forwarding_that_is_off_for_an_interface(lab, explain, interface):
    lab.gw.sysctl(f"net.ipv4.conf.{interface}.forwarding", 0)
    try:
        answer = explain("8080/tcp")
        assert_cause(answer, "forwarding-off")
        assert interface in next(step for step in answer["steps"]
                                 if step["result"] == "FAIL")["text"]
    finally:
        lab.gw.sysctl(f"net.ipv4.conf.{interface}.forwarding", 1)


@pytest.mark.parametrize("rules,policy", [("", "drop"), ("tcp dport 80 drop", "accept"),
                                          ("jump more", "accept")])
def test_the_firewall_of_this_host(lab, explain, rules, policy):
    chains = "chain more {\nip daddr 10.0.0.2 reject\n}\n" + forward_chain(rules, policy)
    with table(lab.gw, chains):
        answer = explain("8080/tcp", "from", lab.out.address)
        assert_cause(answer, "host-firewall")
        failed = next(step for step in answer["steps"] if step["result"] == "FAIL")
        assert "of table ip explained drops it" in failed["text"]


def test_a_firewall_that_drops_the_answers(lab, explain):
    with table(lab.gw, forward_chain("ip saddr 10.0.0.2 drop")):
        answer = explain("8080/tcp", "from", lab.out.address)
    assert_cause(answer, "host-firewall")


def test_a_firewall_that_cannot_be_told_is_a_candidate(lab, explain):
    rules = "set friends {\ntype ipv4_addr; elements = { 192.0.2.9 }\n}\n" + forward_chain(
        "ip saddr @friends accept", "drop")
    with table(lab.gw, rules):
        assert candidates(explain("8080/tcp", "from", lab.out.address)) == {"host-firewall"}


def test_a_target_without_a_route(lab, explain):
    lab.gw.ip("route", "del", "default")
    try:
        assert_cause(explain("8083/tcp", "from", lab.out.address), "no-route")
    finally:
        lab.gw.ip("route", "add", "default", "via", EDGE)


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
def test_a_route_that_refuses(lab, explain, kind):
    lab.gw.ip("route", "add", kind, "10.0.77.0/24")
    try:
        assert_cause(explain("8084/tcp", "from", lab.out.address), "no-route")
    finally:
        lab.gw.ip("route", "del", kind, "10.0.77.0/24")


def test_a_reverse_path_filter(lab, explain):
    lab.gw.ip("route", "add", "192.168.77.0/24", "via", lab.lab2.address)
    before = lab.gw.read_sysctl("net.ipv4.conf.wan0.rp_filter")
    lab.gw.sysctl("net.ipv4.conf.wan0.rp_filter", 1)
    try:
        assert_cause(explain("8080/tcp", "from", "192.168.77.1"), "reverse-path")
    finally:
        lab.gw.sysctl("net.ipv4.conf.wan0.rp_filter", before)
        lab.gw.ip("route", "del", "192.168.77.0/24")


@pytest.mark.parametrize("interface", ["wan0", "lan0"])
def test_a_pulled_cable(lab, explain, interface):
    """The other end of the link goes down, and with it the carrier."""
    switch = lab.wan if interface == "wan0" else lab.lan
    switch.ip("link", "set", "to-gw", "down")
    try:
        eventually(
            lambda: "LOWER_UP" not in lab.gw.run("ip", "link", "show", "dev", interface).stdout,
            "no carrier")
        assert_cause(explain("8080/tcp", "from", lab.out.address), "interface-down")
    finally:
        switch.ip("link", "set", "to-gw", "up")
        eventually(
            lambda: lab.gw.run("ping",
                               "-nqc1",
                               "-W1",
                               lab.out.address if interface == "wan0" else lab.lab1.address,
                               check=False).returncode == 0, "the cable is plugged in again", 10)


def test_an_address_that_is_not_here(lab, explain):
    assert_cause(explain("8080/tcp", "to", "203.0.113.77"), "no-address")


# ---- usage ----


@pytest.mark.parametrize("words", [(), ("8080", ), ("8080/sctp", ), ("tcp", "10.0.0.2:1"),
                                   ("from", "10.0.0.2"), ("8080/tcp", "from")])
def test_wrong_words_are_a_wrong_usage(lab, daemon, words):
    done = lab.gw.run(CLIENT, "-s", daemon.socket, "explain", *words, check=False)
    assert done.returncode == 2 and done.stderr
