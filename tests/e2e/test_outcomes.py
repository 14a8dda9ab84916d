"""How connections end, as sessions and events tell it: closed, refused, reset, unreachable, by whom

Both with the kernel's rewriting and without: what an event says about bytes is what went by.
"""

import json
import re
import socket
import struct

import pytest

from daemon import CLIENT, SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, assert_refused, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward echo]
listen = 7/udp
to = 10.0.0.2:7007

[forward nobody]
listen = 8081/tcp+udp
to = 10.0.0.9:80
"""

BULK = 3_000_000


class Events:
    """Events of a filter: `portreeve events` for people, and as JSON"""

    def __init__(self, lab, daemon, *words):
        self._lab, self._daemon, self._words = lab, daemon, words
        self._text = self._start()
        self._json = self._start("--json")

    def _start(self, *options):
        started = self._lab.gw.start(CLIENT, "-s", self._daemon.socket, "events", *options)

        def told():  # it says nothing before the first event, so one is made until it does
            with self._lab.lab2.udp() as client, self._lab.out.udp() as server:
                udp_round_trip(client, server, self._lab.out.address)
            return started.stdout()

        eventually(told, "events are told")
        return started

    def lines(self, word):
        return [line for line in self._text.stdout().splitlines() if line.split(" ")[1] == word]

    def line(self, word):
        """The only line for people that begins so."""
        line, = eventually(lambda: self.lines(word), f"'{word}' is told")
        return line

    def ended(self, outcome):
        told = [json.loads(line) for line in self._json.stdout().splitlines() if line[-1:] == "}"]
        return [one for one in told if one["type"] == "ended" and one["outcome"] == outcome]

    def end(self, outcome):
        event, = eventually(lambda: self.ended(outcome), f"'{outcome}' is told")
        return event

    def stop(self):
        self._text.stop()
        self._json.stop()


@pytest.fixture
def events(lab, daemon):
    started = Events(lab, daemon)
    yield started
    started.stop()


def end_with_rst(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_transfer_that_ends_is_told_at_once_with_all_its_bytes(lab, daemon, events):
    with lab.lab1.listen(80) as listener:
        with tcp_pair(lab.out, EXTERNAL, 8080, listener) as (client, server, _):
            bulk = Transfer(server, client, BULK).finish()
    event = events.end("closed")
    assert event["session"]["outcome"] == "closed" and "ended_by" not in event["session"]
    assert bulk < event["session"]["bytes"]["out"] < 1.5 * bulk
    assert event["session"]["state"] == "closed"
    assert re.search(
        r" closed tcp 203\.0\.113\.10:\d+ -> 203\.0\.113\.5:8080, to 10\.0\.0\.2:80 "
        r".*: after [\d.]+ m?s, sent [\d.]+M, received ", events.line("closed"))
    assert daemon.session("outcome=closed")["id"] == event["session"]["id"]


def test_a_port_where_nobody_listens_has_refused(lab, daemon, events):
    with pytest.raises(ConnectionRefusedError):
        lab.out.connect(EXTERNAL, 8080)
    event = events.end("refused")
    assert event["session"]["ended_by"] == {"address": lab.lab1.address, "port": 80}
    assert 0 <= event["after"] < 5 and "icmp" not in event
    assert re.search(r" refused tcp .*: 10\.0\.0\.2:80 answered RST after \d+ ms \(",
                     events.line("refused"))
    assert daemon.session("outcome=refused")["state"] == "closed"
    assert re.search(r"^tcp +refused ", daemon.client("sessions", "outcome=refused").stdout, re.M)


def test_a_udp_port_where_nobody_listens_has_refused(lab, daemon, events):
    with lab.out.udp() as client:
        client.connect((EXTERNAL, 7))
        client.send(b"hello")
        assert_refused(client)
    event = events.end("refused")
    assert event["icmp"] == {"from": lab.lab1.address, "type": 3, "code": 3}
    assert event["session"]["state"] == "unanswered"
    assert re.search(r" refused udp .*: port unreachable, says 10\.0\.0\.2, after \d+ ms \(",
                     events.line("refused"))
    assert daemon.session("udp", "outcome=refused")["id"] == event["session"]["id"]


def test_a_host_that_is_not_there_is_unreachable(lab, daemon, events):
    before = lab.gw.read_sysctl("net.ipv4.neigh.lan0.retrans_time_ms")
    lab.gw.sysctl("net.ipv4.neigh.lan0.retrans_time_ms", 100)
    try:
        with pytest.raises(OSError):
            lab.out.connect(EXTERNAL, 8081)
    finally:
        lab.gw.sysctl("net.ipv4.neigh.lan0.retrans_time_ms", before)
    event = events.end("unreachable")
    assert event["icmp"] == {"from": EXTERNAL, "type": 3, "code": 1}  # the gateway itself
    assert event["session"]["forward"] == "nobody"
    assert re.search(r" unreachable tcp .*: host unreachable, says 203\.0\.113\.5, after ",
                     events.line("unreachable"))


@pytest.mark.parametrize("by", ["client", "target"])
def test_a_reset_says_by_whom(lab, daemon, events, by):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        first, second = (client, server) if by == "client" else (server, client)
        expected = f"{lab.out.address}:{client.getsockname()[1]}" if by == "client" \
            else f"{lab.lab1.address}:80"
        end_with_rst(first)
        with pytest.raises(ConnectionResetError):
            second.recv(10)
    ended_by = events.end("reset")["session"]["ended_by"]
    assert f"{ended_by['address']}:{ended_by['port']}" == expected
    assert f": by {expected} after " in events.line("reset")


def test_what_leaves_the_table_says_why(lab, daemon, events):
    with lab.lab1.udp() as client:
        client.sendto(b"hello", (lab.out.address, 9))
        words = ("udp", f"internal={lab.lab1.address}:{client.getsockname()[1]}")
    daemon.until_session(*words)
    daemon.client("kill", *words)
    assert re.search(r" closed udp .*: killed after \d+s, sent 33, received 0 ",
                     events.line("closed"))
