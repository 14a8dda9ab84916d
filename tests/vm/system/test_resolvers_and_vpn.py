"""unbound, BIND and WireGuard as services of the gateway, with the distribution's configuration"""

import contextlib
from pathlib import Path

import host
import process
import pytest
from deadline import eventually
from lab import EXTERNAL
from test_resolvers import asks, name_server

# Where the resolvers' ports are, a forward has half of them.
BODY = host.BODY + """
[forward game]
listen = 33000-57999/udp
to = 10.0.0.3:33000
"""

MAPPINGS, QUERIES = 100, 50

UNBOUND = Path("/etc/unbound/unbound.conf.d/portreeve-test.conf")
NAMED = Path("/etc/bind/named.conf.options")


@pytest.fixture
def unbound():
    UNBOUND.write_text("server:\n    module-config: \"iterator\"\n"
                       "    unknown-server-time-limit: 5000\n"
                       "forward-zone:\n    name: \".\"\n    forward-addr: 203.0.113.10\n")
    host.systemctl("start", "unbound")
    yield
    host.systemctl("stop", "unbound")
    UNBOUND.unlink()


@pytest.fixture
def bind():
    before = NAMED.read_text()
    NAMED.write_text("options { directory \"/var/cache/bind\"; forward only;\n"
                     "    forwarders { 203.0.113.10; }; dnssec-validation no; };\n")
    host.systemctl("start", "named")
    yield
    host.systemctl("stop", "named")
    NAMED.write_text(before)


@pytest.mark.parametrize("resolver", ["unbound", "bind"])
def test_a_resolver_loses_no_answer(lab, service, resolver, request):
    service.write(BODY)
    host.systemctl("reload", service.NAME)
    with contextlib.ExitStack() as stack, name_server(lab.out) as ports:
        for _ in range(MAPPINGS):
            stack.enter_context(lab.lab1.udp()).sendto(b"", (lab.out2.address, 9))
        request.getfixturevalue(resolver)
        eventually(lambda: "127.0.0.1:53" in process.run(["ss", "-Hnlu", "sport = :53"]).stdout,
                   f"{resolver} listens", 30)
        client = stack.enter_context(lab.gw.socket())
        client.settimeout(60)
        client.connect(("127.0.0.1", 53))
        assert all(asks(client, number) for number in range(1, QUERIES + 1))
    assert len(set(ports)) > QUERIES // 2, "the resolver takes another port for each query"
    assert len(service.sessions("forward=game")) <= 1, "no answer goes to the forward's target"


def make_keys():
    secret = process.run(["wg", "genkey"]).stdout
    return secret, process.run(["wg", "pubkey"], stdin=secret).stdout.strip()


def make_tunnel(peer, address, port, secret, tmp_path):
    file = tmp_path / f"key-{port}"
    file.write_text(secret)
    peer.ip("link", "add", "wg0", "type", "wireguard")
    peer.run("wg", "set", "wg0", "listen-port", str(port), "private-key", str(file))
    peer.ip("address", "add", f"{address}/24", "dev", "wg0")
    peer.ip("link", "set", "wg0", "up")


@pytest.fixture
def tunnel(lab, service, tmp_path):
    """WireGuard of the gateway on a port of the pool, started after portreeve."""
    secret, public = make_keys()
    other_secret, other_public = make_keys()
    make_tunnel(lab.gw, "192.168.77.1", 20000, secret, tmp_path)
    make_tunnel(lab.out, "192.168.77.2", 51820, other_secret, tmp_path)
    lab.gw.run("wg", "set", "wg0", "peer", other_public, "allowed-ips", "192.168.77.2/32")
    lab.out.run("wg", "set", "wg0", "peer", public, "allowed-ips", "192.168.77.0/24,10.0.0.0/24",
                "endpoint", f"{EXTERNAL}:20000")
    yield
    lab.gw.ip("link", "delete", "wg0")
    lab.out.ip("link", "delete", "wg0")


def answers(asking, address):
    return asking.run("ping", "-nqc1", "-W2", address, check=False).returncode == 0


def test_wireguard_on_a_port_of_the_pool(lab, service, tunnel, no_leak):
    eventually(lambda: answers(lab.out, "192.168.77.1"), "the tunnel's first handshake", 20)
    lab.out.ip("route", "add", "10.0.0.0/24", "dev", "wg0")
    try:
        assert answers(lab.out, lab.lab1.address), "through the tunnel, untranslated"
    finally:
        lab.out.ip("route", "delete", "10.0.0.0/24", "dev", "wg0")
    with lab.lab1.udp() as client, lab.out.udp(7) as server:
        client.sendto(b"hello", (lab.out.address, 7))
        assert server.recvfrom(100)[1][0] == EXTERNAL
