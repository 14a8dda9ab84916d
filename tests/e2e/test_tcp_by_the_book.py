"""Every valid sequence of TCP packets passes (RFC 5382 REQ-2), played segment by segment at both
ends
"""

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from raw_tcp import End, converse, deaf, fresh_port, handshake, passes

CONFIG = SHARE + """
[forward played]
listen = 6000-6999/tcp
to = 10.0.0.2:6000
"""
POOL = range(50000, 60000)


@pytest.fixture(scope="module", autouse=True)
def by_hand(lab):
    with deaf(lab.lab1, lab.lab2, lab.out, lab.out2):
        yield


class Connection:
    """Two ends with the gateway between them. Opened from inside (lab2, by the share) or outside
    (by the forward).
    """

    def __init__(self, lab, daemon, opened_by):
        port, self._daemon = fresh_port(), daemon
        if opened_by == "inside":
            self.responder = End(lab.out, port)
            self.initiator = End(lab.lab2, port, (lab.out.address, port))
        else:
            self.responder = End(lab.lab1, port)
            self.initiator = End(lab.out, port, (EXTERNAL, port))
        self._remote = f"remote={lab.out.address}"
        self._port = f"remote=:{port}"

    def session(self):
        return self._daemon.session("tcp", self._remote, self._port)

    def state(self):
        return self.session()["state"]

    def until(self, state):
        """What the kernel has rewritten is judged when it has said what that was."""
        eventually(lambda: self.state() == state, f"the session is {state}")
        return self.session()

    def open(self):
        handshake(self.initiator, self.responder)
        assert self.state() == "established"
        return self.initiator, self.responder

    def close(self):
        self.initiator.close()
        self.responder.close()


@pytest.fixture(params=["inside", "outside"])
def connection(lab, daemon, request):
    made = Connection(lab, daemon, request.param)
    yield made
    made.close()


# Opening


def test_rfc5382_req2_the_three_way_handshake(connection):
    handshake(connection.initiator, connection.responder)
    assert connection.state() == "established"
    converse(connection.initiator, connection.responder)


def test_rfc5382_req2_simultaneous_open(connection):
    """Both SYNs have crossed: each end answers the other's with a SYN-ACK, which opens it (RFC 9293
    section 3.5).
    """
    one, other = connection.initiator, connection.responder
    passes(one, other, "S")
    other_syn = other.next
    passes(other, one, "S")
    passes(one, other, "SA", seq=one.next - 1)
    passes(other, one, "SA", seq=other_syn)
    assert connection.state() == "established"
    converse(one, other)


def test_rfc5382_req2_a_retransmitted_syn_and_syn_ack_pass(connection):
    one, other = connection.initiator, connection.responder
    passes(one, other, "S")
    passes(one, other, "S", seq=one.next - 1)
    passes(other, one, "SA")
    passes(one, other, "S", seq=one.next - 1)
    passes(other, one, "SA", seq=other.next - 1)
    passes(one, other, "A")
    assert connection.state() == "established"
    converse(one, other)


def test_a_syn_with_data_arrives_with_its_data(connection):
    """TCP Fast Open (RFC 7413): data with the SYN, an option that portreeve does not know, an
    answer at once.
    """
    one, other = connection.initiator, connection.responder
    cookie = (34, b"12345678")
    passes(one, other, "S", b"GET / HTTP/1.0\r\n\r\n", options=[("MSS", 1400), cookie])
    passes(other, one, "SA", b"HTTP/1.0 200 OK\r\n", options=[("MSS", 1400)])
    passes(one, other, "A")
    assert connection.state() == "established"
    converse(one, other)


def test_a_syn_that_offers_ecn_opens(connection):
    """RFC 3168 section 6.1.1: ECE and CWR beside the SYN."""
    passes(connection.initiator, connection.responder, "SEC")
    passes(connection.responder, connection.initiator, "SAE")
    passes(connection.initiator, connection.responder, "A")
    assert connection.state() == "established"


def test_everything_but_the_endpoints_stays_as_it_was_sent(connection):
    """Options known and unknown, reserved bits, window, urgent pointer: passes() compares them."""
    one, other = connection.initiator, connection.responder
    offered = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    passes(one, other, "S", options=offered, window=1)
    passes(other, one, "SA", options=offered, window=65535)
    passes(one, other, "A", options=[("NOP", None), ("NOP", None), ("Timestamp", (2, 1))])
    passes(one, other, "PAU", b"urgent", urgptr=3)
    passes(other, one, "A", options=[("SAck", (1, 2)), (253, b"xy")], reserved=1)


def test_a_refused_connection_is_closed(connection):
    one, other = connection.initiator, connection.responder
    passes(one, other, "S")
    passes(other, one, "RA")
    assert connection.state() == "closed"


# Closing


def close_in_four(one, other):
    passes(one, other, "FA")
    passes(other, one, "A")
    passes(other, one, "FA")
    passes(one, other, "A")


def close_in_three(one, other):
    passes(one, other, "FA")
    passes(other, one, "FA")
    passes(one, other, "A")


def close_at_once(one, other):
    """Both FINs cross: neither acknowledges the other's yet."""
    acknowledged = one.expected, other.expected
    passes(one, other, "FA")
    passes(other, one, "FA", ack=acknowledged[1])
    passes(one, other, "A")
    passes(other, one, "A")


def close_with_data(one, other):
    passes(one, other, "FPA", b"last words")
    passes(other, one, "FPA", b"last words of mine")
    passes(one, other, "A")


def close_with_repeats(one, other):
    """The acknowledgements were lost: FINs come again, after the end of the connection, too."""
    passes(one, other, "FA")
    passes(one, other, "FA", seq=one.next - 1)
    passes(other, one, "FA")
    passes(one, other, "A")
    passes(other, one, "FA", seq=other.next - 1)
    passes(one, other, "A")


@pytest.mark.parametrize("closer", ["initiator", "responder"])
@pytest.mark.parametrize(
    "way", [close_in_four, close_in_three, close_at_once, close_with_data, close_with_repeats])
def test_rfc5382_req2_ways_to_close(connection, way, closer):
    one, other = connection.open()
    way(*((one, other) if closer == "initiator" else (other, one)))
    assert connection.state() == "closed"


@pytest.mark.parametrize("closer", ["initiator", "responder"])
def test_a_half_closed_connection_carries_data_the_other_way(connection, closer):
    ends = connection.open()
    one, other = ends if closer == "initiator" else ends[::-1]
    passes(one, other, "FA")
    for _ in range(20):
        passes(other, one, "PA", bytes(1000))
        passes(one, other, "A")
    session = connection.session()
    assert session["state"] == "closing"
    assert session[
        "expires_in"] > 7000, "half-closed is not transitory: the answer may take its time"
    passes(other, one, "FA")
    passes(one, other, "A")
    assert connection.state() == "closed"


# Resets


@pytest.mark.parametrize("resetter", ["initiator", "responder"])
def test_rfc7857_2_2_a_reset_passes_and_the_session_stays_for_a_while(connection, resetter):
    ends = connection.open()
    one, other = ends if resetter == "initiator" else ends[::-1]
    passes(one, other, "R")
    assert connection.until("reset")["expires_in"] <= 240


@pytest.mark.parametrize("sender", ["initiator", "responder"])
def test_rfc7857_2_2_a_reset_that_its_receiver_ignored_ends_nothing(connection, sender):
    """Forged, or out of the window: who was to be reset sends on, and the connection is an
    established one again.
    """
    ends = connection.open()
    one, other = ends if sender == "initiator" else ends[::-1]
    passes(one, other, "R", seq=one.next + 0x40000000)
    passes(other, one, "PA", b"what reset?")
    passes(one, other, "A")
    assert connection.state() == "established"
    assert connection.session()["expires_in"] > 7000


def test_rfc7857_7_a_reset_refreshes_nothing(connection):
    """The first may change the state; those behind it do not keep the session alive."""
    one, other = connection.open()
    passes(one, other, "R")
    idle = connection.until("reset")["idle"]
    passes(one, other, "R")
    assert connection.session()["idle"] > idle


# Segments out of line


def test_segments_out_of_order_pass(connection):
    one, other = connection.open()
    segments = [one.segment("PA", bytes([number]) * 100) for number in range(10)]
    for segment in reversed(segments):
        one.host.inject(segment)
        assert bytes(other.receive()["TCP"].payload) == bytes(segment["TCP"].payload)
    passes(other, one, "A", ack=one.next)
    assert connection.state() == "established"


def test_old_and_wild_segments_break_nothing(connection):
    """portreeve keeps no windows: what is old or out of the window is for the ends to judge, and
    they answer it.
    """
    one, other = connection.open()
    start = one.next
    passes(one, other, "PA", b"first")
    passes(one, other, "PA", b"first", seq=start)
    passes(one, other, "A", seq=start - 1)  # a keep-alive (RFC 9293 section 3.8.4)
    passes(other, one, "A")
    passes(one, other, "S", seq=start - 1)  # a SYN of the opening, late
    passes(other, one, "A")
    passes(one, other, "PA", b"far away", seq=start + 0x70000000)
    assert connection.state() == "established"
    converse(one, other)


def test_sequence_numbers_wrap(connection):
    for end in (connection.initiator, connection.responder):
        end.next = 0xFFFFFFFA
    one, other = connection.open()
    converse(one, other)
    assert one.next < 100


# A port used again


def finish(connection):
    one, other = connection.open()
    close_in_three(one, other)
    assert connection.state() == "closed"
    return one, other


def test_a_syn_with_a_closed_connections_ports_opens_anew(connection):
    one, other = finish(connection)
    one.next += 100000
    passes(one, other, "S")
    assert connection.state() == "opening"
    passes(other, one, "SA")
    passes(one, other, "A")
    assert connection.state() == "established"
    assert connection.session()["expires_in"] > 7000
    converse(one, other)


def test_a_syn_of_the_other_side_with_a_closed_connections_ports_opens_anew(connection):
    """Who was called calls back, from port to port: as established as any (RFC 5382 REQ-5a)."""
    one, other = finish(connection)
    other.next += 100000
    handshake(other, one)
    assert connection.state() == "established"
    assert connection.session()["expires_in"] > 7000


def test_a_syn_with_a_reset_connections_ports_opens_anew(connection):
    one, other = connection.open()
    passes(other, one, "R")
    one.next += 100000
    handshake(one, other)
    assert connection.state() == "established"


@pytest.mark.parametrize("closing", [False, True], ids=["established", "closing"])
def test_a_syn_of_a_host_that_has_forgotten_its_connection(connection, closing):
    """It has restarted: the other end answers with an acknowledgement, it resets, and opens anew
    (RFC 9293, 3.5.1).
    """
    one, other = connection.open()
    if closing:
        passes(other, one, "FA")
    acknowledged = one.next
    one.next += 100000
    passes(one, other, "S")
    got = passes(other, one, "A", ack=acknowledged)
    passes(one, other, "R", seq=got["TCP"].ack)
    connection.until("reset")
    passes(one, other, "S", seq=one.next - 1)
    passes(other, one, "SA")
    passes(one, other, "A")
    assert connection.state() == "established"
    converse(one, other)


# Nobody asked for it


@pytest.fixture
def stranger(lab):
    """An outside host that lab2 never spoke to."""
    end = End(lab.out2, fresh_port())
    yield end
    end.close()


@pytest.fixture
def later(lab, daemon):
    """A probe that is answered, so that what was sent before it has been decided."""

    def ask():
        probe = Connection(lab, daemon, "outside")
        probe.open()
        probe.close()

    return ask


def an_external_endpoint(connection):
    """That of a host of the share, which has spoken to lab.out only."""
    external = connection.session()["external"]
    assert external["port"] in POOL
    return external["address"], external["port"]


def test_rfc5382_req4_an_unsolicited_syn_to_a_mapping_gets_no_answer(lab, daemon, stranger, later):
    """Its filtering refuses the stranger: no RST, no ICMP, nothing inside."""
    connection = Connection(lab, daemon, "inside")
    connection.open()
    stranger.remote = an_external_endpoint(connection)
    with daemon.dropping("filtered"):
        stranger.send("S")
    later()
    assert stranger.poll() is None
    assert connection.initiator.poll() is None
    connection.close()


def test_rfc5382_req4a_an_outbound_syn_after_an_unsolicited_one_opens_both(lab, daemon, stranger):
    """Hole punching (RFC 5128): the stranger's first SYN is dropped silently, its second meets the
    lab host's.
    """
    connection = Connection(lab, daemon, "inside")
    connection.open()
    one = connection.initiator
    stranger.remote = an_external_endpoint(connection)
    with daemon.dropping("filtered"):
        stranger.send("S")
    one.remote, one.next = (lab.out2.address, stranger.port), one.next + 1000
    passes(one, stranger, "S")
    passes(stranger, one, "S", seq=stranger.next - 1)
    passes(one, stranger, "SA", seq=one.next - 1)
    passes(stranger, one, "SA", seq=stranger.next - 1)
    converse(one, stranger)
    assert daemon.session("tcp", f"remote={lab.out2.address}",
                          f"remote=:{stranger.port}")["state"] == "established"
    connection.close()


NOT_OPENING = ["A", "SA", "FA", "R", "RA", "PA", "", "F", "SF", "SR", "FPU", "SFRPAU"]


@pytest.mark.parametrize("place", ["mapping", "forward"])
def test_segments_of_no_connection_get_no_answer_and_open_nothing(lab, daemon, stranger, later,
                                                                  place):
    """Scanners learn nothing from them: neither the gateway's TCP nor a forward's target answers.
    """
    connection = Connection(lab, daemon, "inside")
    connection.open()
    stranger.remote = (an_external_endpoint(connection) if place == "mapping" else
                       (EXTERNAL, stranger.port))
    target = End(lab.lab1, stranger.port)
    for flags in NOT_OPENING:
        with daemon.dropping("tcp-not-syn"):
            stranger.send(flags)
    later()
    assert stranger.poll() is None
    assert target.poll() is None
    assert daemon.sessions(f"remote={lab.out2.address}", f"remote=:{stranger.port}") == []
    target.close()
    connection.close()


def test_a_lab_hosts_segments_of_no_connection_do_not_leave(lab, daemon, stranger, later):
    """What a connection of before a restart still sends: it would leave from another port, or a
    private source.
    """
    sender = End(lab.lab2, fresh_port(), (lab.out2.address, stranger.port))
    for flags in NOT_OPENING:
        with daemon.dropping("tcp-not-syn"):
            sender.send(flags)
    later()
    assert stranger.poll() is None
    sender.close()
