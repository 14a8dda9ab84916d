"""First packets of TCP connections: queues of their own, and a limit before that of the outside."""

import contextlib
import json
import socket

import pytest

from kernel_lab import Driver, wait_until

PORT = 5001
CONTENTS = ("interface=wan0", "external=10.0.0.2,192.0.2.1", "tcp=5001", "udp=5001",
            "sources=10.1.0.0/24", "mark=0x10000")
MANY = 50


@pytest.fixture
def server(lab):
    with lab.inside.socket(socket.SOCK_STREAM, ("10.0.0.2", PORT), listen=True) as listener:
        listener.listen(2 * MANY)
        yield listener


def connect(host, address="10.0.0.2"):
    client = host.socket(socket.SOCK_STREAM)
    client.connect((address, PORT))
    return client


def begin(host, count, source="192.0.2.2"):
    """Sends so many first packets at once: sockets that nobody waits for."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(host.socket(socket.SOCK_STREAM, (source, 0)))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("10.0.0.2", PORT))


def counted(lab, comment):
    """Packets that the rule of the chain of newcomers with this comment has counted."""
    listed = json.loads(
        lab.gw.run("nft", "-j", "list", "chain", "ip", "portreeve", "newcomers").stdout)
    return sum(part["counter"]["packets"] for entry in listed["nftables"]
               for part in entry.get("rule", {}).get("expr", [])
               if "counter" in part and entry["rule"]["comment"].startswith(comment))


def dropped(lab):
    return counted(lab, "over new-sessions-per-remote")


def queued(lab):
    return counted(lab, "queue")


def test_a_full_queue_of_newcomers_keeps_nothing_else_waiting(lab, server):
    lab.ruleset("install", *CONTENTS)
    serve = lab.serve()
    client = connect(lab.outside)
    accepted = server.accept()[0]
    serve.stop()
    lab.serve("newcomers=0")  # nobody takes them: as good as a queue that is always full
    begin(lab.outside, MANY)
    wait_until(lambda: queued(lab) >= MANY + 1, "the first packets")
    for one, other in (client, accepted), (accepted, client):
        one.sendall(b"established")
        assert other.recv(64) == b"established"
    with lab.inside.socket(bind=("10.0.0.2", PORT)) as receiver, lab.outside.socket() as sender:
        sender.sendto(b"datagram", ("10.0.0.2", PORT))
        assert receiver.recv(64) == b"datagram"


def test_only_first_packets_from_outside_are_newcomers(lab, server):
    lab.ruleset("install", *CONTENTS)
    lab.serve()
    with connect(lab.outside) as client, server.accept()[0]:
        client.sendall(b"more")
    assert queued(lab) == 1
    with lab.gw.socket(socket.SOCK_STREAM) as own:
        own.connect(("10.0.0.2", PORT))
    assert queued(lab) == 1


def test_what_a_share_sends_is_no_newcomer(lab, server):
    """A one-armed gateway has both sides on one interface."""
    lab.outside.ip("address", "add", "10.1.0.9/24", "dev", "eth0")
    lab.gw.ip("route", "add", "10.1.0.0/24", "dev", "wan0")
    lab.ruleset("install", *CONTENTS, "per-remote=1")
    lab.serve()
    before = lab.statistics(0)
    begin(lab.outside, MANY, "10.1.0.9")
    assert queued(lab) == dropped(lab) == 0
    assert before["dropped_full"] == lab.statistics(0)["dropped_full"]


def test_new_connections_of_a_share_wait_apart(lab):
    """Nobody serves that queue: it is as good as one that is always full."""
    contents = [word for word in CONTENTS if not word.startswith("sources")]
    lab.ruleset("install", *contents, "sources=10.0.0.0/24")
    serve = lab.serve()
    with lab.outside.socket(socket.SOCK_STREAM, ("192.0.2.2", 80), listen=True) as listener:
        with lab.inside.socket(socket.SOCK_STREAM) as client:
            client.connect(("192.0.2.2", 80))
            accepted = listener.accept()[0]
            serve.stop()
            lab.serve("newcomers=0")
            with lab.inside.socket(socket.SOCK_STREAM) as other:
                other.settimeout(1.5)  # a second try, too
                with pytest.raises(TimeoutError):
                    other.connect(("192.0.2.2", 80))
            for one, two in (client, accepted), (accepted, client):
                one.sendall(b"established")
                assert two.recv(64) == b"established"
            accepted.close()


def test_one_address_begins_no_more_than_its_limit(lab, server):
    lab.outside.ip("address", "add", "192.0.2.3/24", "dev", "eth0")
    lab.ruleset("install", *CONTENTS, "per-remote=1")
    lab.serve()
    begin(lab.outside, MANY)
    wait_until(lambda: dropped(lab) + queued(lab) >= MANY, "the first packets")
    assert dropped(lab) >= queued(lab)
    before = queued(lab)
    begin(lab.outside, 1, "192.0.2.3")
    wait_until(lambda: queued(lab) > before, "one of another address")


def test_an_update_changes_the_limit_at_once(lab, server):
    lab.ruleset("remove")
    holder = Driver(lab.gw, "ruleset-held", *CONTENTS, "per-remote=1")
    holder.line()
    lab.serve()
    begin(lab.outside, MANY)
    wait_until(lambda: dropped(lab) > 0, "the first drop")
    for limit in 1000, 0:
        holder.release(limit)
        assert holder.line() == {"updated": 0}
        begin(lab.outside, MANY)
        wait_until(lambda: queued(lab) >= MANY, "all first packets")
        assert dropped(lab) == 0
    holder.release(1)
    assert holder.line() == {"updated": 0}
    begin(lab.outside, MANY)
    wait_until(lambda: dropped(lab) > 0, "the first drop")
