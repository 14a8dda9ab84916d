"""A gateway with one interface, as NAT instances in clouds have it: inside and outside are both
behind it, and the next router too

        +------+------+----------+-------------------------+---------+
        |      |      |  switch  |                         |         |
     one .2  two .3   |          |                      server     router 10.77.1.254
      10.77.1.0/24    |          |                   203.0.113.20         10.77.2.1
                      |   eth0 10.77.1.1                                    |
                      |        203.0.113.7                          behind 10.77.2.2
                      |       arm                              (routed to arm, as one and two)
"""

import contextlib

import pytest

from daemon import Daemon
from deadline import eventually
from lab import Host, _switch
from programs import ping
from traffic import assert_silent, icmp_error, talk, tcp_pair, udp_round_trip, want_icmp_errors

ADDRESS = "203.0.113.7"
INSIDE = "10.77.1.1"
ROUTER = "10.77.1.254"

CONFIG = """
[gateway]
external-address = 203.0.113.7
[share cloud]
source = 10.77.1.0/24, 10.77.2.0/24
exempt = 10.77.0.0/16
ports = 50000-59999
filtering = endpoint-independent

[forward web]
listen = 8080/tcp
to = 10.77.1.3:80

[forward echo]
listen = 7/udp
to = 10.77.1.3:7
"""


class OneArmed:
    """The network. `gw` is what a Daemon runs in."""

    def __init__(self):
        self.gw = Host("arm", ADDRESS)
        self.one = Host("one", "10.77.1.2")
        self.two = Host("two", "10.77.1.3")
        self.server = Host("server", "203.0.113.20")
        self.router = Host("router", ROUTER)
        self.behind = Host("behind", "10.77.2.2")
        self.switch = _switch("onesw", [(host, "eth0") for host in
                                        (self.gw, self.one, self.two, self.server, self.router)])
        self._addresses()
        self._routes()
        for host in (self.one, self.two, self.server, self.behind):
            eventually(lambda host=host: ping(self.gw, host.address, "-c1", check=False).returncode
                       == 0, f"{host.role} answers the gateway", 10)

    def _addresses(self):
        for host in (self.one, self.two, self.server):
            host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        self.gw.ip("address", "add", f"{INSIDE}/24", "dev", "eth0")
        self.gw.ip("address", "add", f"{ADDRESS}/24", "dev", "eth0")
        self.router.ip("address", "add", f"{ROUTER}/24", "dev", "eth0")
        self.router.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth0",
                       "netns", self.behind.namespace)
        self.router.ip("address", "add", "10.77.2.1/24", "dev", "eth1")
        self.router.ip("link", "set", "eth1", "up")
        self.behind.ip("link", "set", "eth0", "up")
        self.behind.ip("address", "add", "10.77.2.2/24", "dev", "eth0")

    def _routes(self):
        for host in (self.one, self.two):
            host.ip("route", "add", "default", "via", INSIDE)
        self.behind.ip("route", "add", "default", "via", "10.77.2.1")
        self.router.ip("route", "add", "default", "via", INSIDE)
        self.gw.ip("route", "add", "10.77.2.0/24", "via", ROUTER)
        for router in (self.gw, self.router):
            router.sysctl("net.ipv4.ip_forward", 1)
            for interface in ("all", "eth0"):
                router.sysctl(f"net.ipv4.conf.{interface}.send_redirects", 0)
                router.sysctl(f"net.ipv4.conf.{interface}.rp_filter", 0)
        for host in (self.gw, self.one, self.two):
            host.sysctl("net.ipv4.icmp_ratelimit", 0)


@pytest.fixture(scope="module")
def arm():
    return OneArmed()


@pytest.fixture(scope="module")
def daemon(arm):
    made = Daemon(arm, CONFIG, "eth0")
    with contextlib.ExitStack() as stack:
        stack.callback(made.abandon)
        made.start()
        yield made
        made.stop()


@pytest.fixture(autouse=True)
def no_inside_address_at_the_server(arm, record):
    """What the server gets has no inside address."""
    seen = record(arm.server, "eth0", "src net 10.77.0.0/16 or dst net 10.77.0.0/16")
    yield
    seen.flush()
    assert not list(seen.frames())


HOSTS = pytest.mark.parametrize("name", ["one", "behind"])


@HOSTS
def test_a_share(arm, daemon, name):
    host = getattr(arm, name)
    with arm.server.udp(7) as server, host.udp() as client, arm.server.listen(80) as listener, \
            tcp_pair(host, arm.server.address, 80, listener) as (here, there, seen):
        assert udp_round_trip(client, server, arm.server.address)[0] == ADDRESS
        assert seen[0] == ADDRESS
        talk(here, there)
        daemon.until_offloaded("tcp", "internal=" + host.address)
        talk(here, there)


def test_a_forward_from_outside(arm, daemon):
    with arm.two.listen(80) as listener, \
            tcp_pair(arm.server, ADDRESS, 8080, listener) as (here, there, seen):
        assert seen[0] == arm.server.address
        talk(here, there)
        daemon.until_offloaded("tcp", "forward=web")
        talk(here, there)


@HOSTS
def test_a_hairpin(arm, daemon, name):
    host = getattr(arm, name)
    with arm.two.listen(80) as listener, arm.two.udp(7) as echo, host.udp() as client, \
            tcp_pair(host, ADDRESS, 8080, listener) as (here, there, seen):
        assert seen[0] == ADDRESS
        talk(here, there)
        assert udp_round_trip(client, echo, ADDRESS)[0] == ADDRESS
    assert daemon.drops("spoofed-source") == 0


def test_a_hairpin_to_a_mapping(arm, daemon):
    with arm.server.udp(7) as server, arm.behind.udp() as one, arm.two.udp() as two:
        mapped = udp_round_trip(two, server, arm.server.address)
        one.sendto(b"hello", mapped)
        assert two.recvfrom(100)[0] == b"hello"


def test_a_host_reaches_itself_through_the_external_address(arm, daemon):
    with arm.two.udp(7) as server, arm.two.udp() as client:
        assert udp_round_trip(client, server, ADDRESS)[0] == ADDRESS


def test_an_icmp_error_of_a_hairpin(arm, daemon):
    with arm.one.udp() as client:
        want_icmp_errors(client)
        client.sendto(b"nobody listens", (ADDRESS, 7))
        assert icmp_error(client).offender == ADDRESS


def redirects(daemon):
    return any(notice["name"] == "icmp-redirects" for notice in daemon.status()["notices"])


def test_redirects_past_the_gateway_are_a_notice(arm, daemon):
    assert not redirects(daemon)
    arm.gw.sysctl("net.ipv4.conf.eth0.send_redirects", 1)
    try:
        eventually(lambda: redirects(daemon), "they are noticed", 15)
        assert "net.ipv4.conf.eth0.send_redirects=0" in daemon.client("status").stdout
    finally:
        arm.gw.sysctl("net.ipv4.conf.eth0.send_redirects", 0)
    eventually(lambda: not redirects(daemon), "the notice goes", 15)


def test_an_inside_source_that_is_routed_another_way_is_forged(arm, daemon):
    """10.77.2.2 is behind a router; when its route leads away, nothing of it may come from here."""
    arm.gw.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    try:
        arm.gw.ip("link", "set", "other0", "up")
        arm.gw.ip("route", "replace", "10.77.2.0/24", "dev", "other0")
        with arm.two.udp(7) as server, arm.behind.udp() as client:
            with daemon.dropping("spoofed-source"):
                client.sendto(b"forged", (ADDRESS, 7))
            assert_silent(server)
    finally:
        arm.gw.ip("route", "replace", "10.77.2.0/24", "via", ROUTER)
        arm.gw.ip("link", "del", "other0")
