"""The answers of the methods, and what they change"""

import json
import os
import re
import signal

import pytest

from conftest import eventually

SESSION = {
    "id", "protocol", "state", "direction", "internal", "external", "interface", "remote", "share",
    "forward", "age", "idle", "expires_in", "packets", "bytes", "offloaded",
    "outcome"
}


def one(sessions):
    assert len(sessions) == 1, sessions
    return sessions[0]


def test_status(connection):
    status = connection.call("status")
    assert set(status) == {
        "version", "pid", "started", "uptime", "external", "sessions", "mappings", "hosts",
        "memory", "shares", "traffic", "drops", "refusals_sent", "queues", "kernel", "offload",
        "workers", "warnings", "notices", "health", "upgrade_problem"
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["started"])
    uplink = {"interface": "wan0", "addresses": ["203.0.113.5"]}
    assert status["external"] == {**uplink, "uplinks": [uplink]}
    assert status["sessions"]["live"] == status["sessions"]["opened"] == 8
    assert set(status["sessions"]["closed"]) >= {
        "expired", "killed", "evicted", "reclaimed", "policy", "address"
    }
    assert not any(status["sessions"]["closed"].values())
    lab = status["shares"][0]
    assert lab["name"] == "lab" and lab["source"] == ["10.0.0.0/24"]
    assert lab["ports"] == ["50000-50999"]
    assert lab["pool"]["tcp"] == {"used": 4, "size": 1000}
    assert status["traffic"]["in"]["packets_per_second"] == 1200
    assert status["drops"]["no-session"] == 1234567
    assert status["drops"]["malformed"] == 0
    assert "none" not in status["drops"]
    assert status["queues"][0] == {"number": 0, "waiting": 3, "dropped_full": 1, "dropped_user": 0}
    assert status["queues"][1]["error"]
    assert status["kernel"] == {
        "queue_expression": "queue",
        "defragmentation": None,
        "own_connections_first": False
    }
    assert status["offload"]["mode"] == "off"
    assert set(status["offload"]) == {
        "mode", "sessions", "limit", "memory", "packets", "bytes", "added", "removed", "refused",
        "full"
    }
    assert status["warnings"] == [
        "this is not a gateway but a stub of one", "another program's rules are in the way"
    ]
    assert status["notices"] == [{
        "name": "stub-notice",
        "text": "another program's rules are in the way",
        "since": "2001-09-09T01:46:40Z"
    }]


def test_sessions(connection):
    sessions = connection.call("sessions")
    assert len(sessions) == 8
    for session in sessions:
        assert set(session) == SESSION | ({"peer"} if session["direction"] == "hairpin" else set())
    web = one(connection.call("sessions", filter=["10.0.0.7", ":https"]))
    assert (web["protocol"], web["state"], web["direction"]) == ("tcp", "established", "outbound")
    assert web["internal"] == {"address": "10.0.0.7", "port": 40000}
    assert web["remote"] == {"address": "198.51.100.80", "port": 443}
    assert web["external"]["address"] == "203.0.113.5" and 50000 <= web["external"]["port"] <= 50999
    assert (web["share"], web["forward"], web["offloaded"]) == ("lab", None, False)
    assert web["interface"] == "wan0"
    assert web["packets"] == {"out": 3, "in": 2}
    assert web["bytes"] == {"out": 620, "in": 1480}
    assert 250 < web["age"] < 300 and 250 < web["idle"] < 300 and 7100 < web["expires_in"] < 7200


def test_sessions_of_other_directions(connection):
    inbound = one(connection.call("sessions", filter=["direction=inbound"]))
    assert inbound["internal"] == {"address": "10.0.0.22", "port": 22}
    assert inbound["external"] == {"address": "203.0.113.5", "port": 2222}
    assert (inbound["share"], inbound["forward"]) == (None, "bastion-ssh")
    hairpin = one(connection.call("sessions", filter=["direction=hairpin"]))
    assert hairpin["peer"] == {"address": "10.0.0.9", "port": 8001}
    assert hairpin["remote"] == {"address": "203.0.113.5", "port": 8001}
    assert (hairpin["share"], hairpin["forward"]) == ("lab", "web")


def test_a_filter_that_matches_nothing(connection):
    assert connection.call("sessions", filter=["tcp", "udp"]) == {"count": 0}


def test_mappings(connection):
    mappings = connection.call("mappings")
    assert len(mappings) == 6
    dns = one([mapping for mapping in mappings if mapping["protocol"] == "udp"])
    assert set(dns) == {"protocol", "internal", "external", "interface", "share", "sessions", "age"}
    assert dns["internal"] == {"address": "10.0.0.7", "port": 5353}
    assert (dns["share"], dns["sessions"], dns["interface"]) == ("lab", 2, "wan0")


SEEN = {"sessions", "mappings", "hosts", "leases", "ports", "offloaded"}


def test_check(stub, connection):
    result = connection.call("check")
    assert (result["adds_up"], result["kernel"], result["faults"]) == (True, False, [])
    assert set(result["seen"]) == SEEN
    assert result["seen"]["sessions"] == 8 == len(connection.call("sessions"))
    assert result["seen"]["mappings"] == len(connection.call("mappings"))
    stub.signal(signal.SIGALRM)
    eventually(lambda: not connection.call("check")["adds_up"], "the damage")
    faults = {fault["check"]: fault for fault in connection.call("check")["faults"]}
    assert set(faults) == {"totals", "counters"}
    assert faults["totals"]["count"] == 1
    assert faults["totals"]["text"] == ("totals (sessions, mappings, hosts, leases) are not what "
                                        "was counted")


def both_check(stub):
    """Two clients whose requests are there when the daemon looks."""
    clients = stub.connect(), stub.connect()
    for client in clients:
        client.call("kill", filter=["id=99999"])  # they are served
    stub.signal(signal.SIGSTOP)
    for client in clients:
        client.request("check")
    return clients


def test_a_second_check_is_refused_until_the_first_ends(stub):
    clients = both_check(stub)
    stub.signal(signal.SIGCONT)
    answers = [client.answer()[1] for client in clients]
    [refusal] = [answer["error"] for answer in answers if "error" in answer]
    [result] = [answer["result"] for answer in answers if "result" in answer]
    assert refusal["code"] == -32002 and "ask again" in refusal["message"]
    assert result["adds_up"] is True
    assert stub.call("check")["adds_up"] is True


def test_a_client_that_leaves_ends_its_check(stub, connection):
    for client in both_check(stub):
        client.close()
    stub.signal(signal.SIGCONT)

    def is_checked():
        connection.request("check")
        return "result" in connection.answer()[1]

    eventually(is_checked, "another check")


def test_the_client_tells_what_does_not_add_up(stub):
    done = stub.run("check")
    assert done.returncode == 0
    assert re.fullmatch(r"everything adds up: 8 sessions, \d mappings, \d hosts, \d ports\n",
                        done.stdout)
    stub.signal(signal.SIGALRM)
    eventually(lambda: stub.run("check").returncode == 1, "the damage")
    done = stub.run("check")
    assert "WRONG  1 totals (sessions" in done.stdout and "(totals; the first: " in done.stdout
    assert json.loads(stub.run("check", "--json").stdout)["adds_up"] is False
    assert stub.run("check", "--json").returncode == 1
    assert "the translation table does not add up: 1 totals" in stub.log()


def test_forwards(connection):
    forwards = connection.call("forwards")["forwards"]
    bastion, web, dns = (dict(forward) for forward in forwards)
    for forward in (bastion, web, dns):
        del forward["use"], forward["added"], forward["changed"]
    assert bastion == {
        "name": "bastion-ssh",
        "protocols": ["tcp"],
        "listen": "2222",
        "to": "10.0.0.22:22",
        "allow": ["198.51.100.0/24"],
        "owner": "netops",
        "note": "bastion, ticket NET-42",
        "expires": "2099-12-31T18:00:00Z",
        "runtime": False,
        "sessions": 1
    }
    assert web == {
        "name": "web",
        "protocols": ["tcp"],
        "listen": "8000-8003",
        "to": "10.0.0.9:8000",
        "allow": [],
        "owner": None,
        "note": None,
        "expires": None,
        "runtime": False,
        "sessions": 1
    }
    assert dns["protocols"] == ["tcp", "udp"] and dns["sessions"] == 0


def test_the_use_of_forwards(stub, connection):
    bastion, web, dns = connection.call("forwards")["forwards"]
    session = one(connection.call("sessions", filter=["forward=bastion-ssh"]))
    assert bastion["use"]["opened"] == 1
    assert bastion["use"]["bytes"] == session["bytes"]
    assert bastion["use"]["refused"] == {}
    assert bastion["use"]["first_used"] <= bastion["use"]["last_used"] <= bastion["use"]["since"]
    assert web["use"]["opened"] == 1  # a hairpin
    assert dns["use"] == {
        "opened": 0,
        "refused": {},
        "bytes": {
            "out": 0,
            "in": 0
        },
        "first_used": None,
        "last_used": None,
        "since": dns["added"]["at"]
    }
    assert bastion["added"] == {
        "by": None,
        "at": bastion["use"]["since"],
        "file": None,
        "line": None
    }
    assert connection.call("forwards")["forwards"][0]["use"] == bastion["use"]


def test_who_added_a_forward(stub, connection):
    connection.call("forward.add", name="extra", listen="9000/tcp", to="10.0.0.9:9000")
    extra = connection.call("forwards")["forwards"][-1]
    assert extra["added"]["by"] == f"user {os.getuid()} (process {os.getpid()})"
    assert extra["added"]["file"] is None and extra["changed"] is None
    assert extra["use"]["opened"] == 0
    connection.call("forward.remove", name="extra")
    assert [forward["use"]["opened"]
            for forward in connection.call("forwards")["forwards"]] == [1, 1, 0]


def test_forward_set(stub, connection):
    connection.call("forward.add",
                    name="new",
                    listen="9000/tcp",
                    to="10.0.0.9:9000",
                    note="old",
                    **{"for": "2h"})
    changed = connection.call("forward.set",
                              name="new",
                              note="new",
                              allow="192.0.2.0/24",
                              expires="never")
    assert changed["name"] == "new" and changed["sessions_ended"] == 0
    assert set(changed["changes"]) == {"note", "allow", "expires"}
    assert changed["changes"]["note"] == {"before": "old", "after": "new"}
    assert changed["changes"]["allow"] == {"before": [], "after": ["192.0.2.0/24"]}
    assert changed["changes"]["expires"]["after"] is None
    who = f"user {os.getuid()} (process {os.getpid()})"
    assert f"{who}: forward 'new' changed: allow [] -> [\"192.0.2.0/24\"], " in stub.log()
    assert 'note "old" -> "new", expires "' in stub.log()
    new = connection.call("forwards")["forwards"][-1]
    assert (new["note"], new["allow"], new["expires"]) == ("new", ["192.0.2.0/24"], None)
    assert (new["listen"], new["to"]) == ("9000", "10.0.0.9:9000")
    assert new["changed"]["by"] == new["added"]["by"] == who
    assert connection.call("forward.set", name="new", note="new")["changes"] == {}
    assert set(connection.call("forward.set", name="new", note="")["changes"]) == {"note"}
    assert connection.call("forward.set", name="new",
                           allow="anyone")["changes"]["allow"]["after"] == []


def test_forward_set_is_refused(stub, connection):
    before = connection.call("forwards")["forwards"]
    assert "at least one of" in connection.refusal("forward.set", name="web")["message"]
    assert "no such run-time forward" in connection.refusal("forward.set", name="web",
                                                            note="x")["message"]
    connection.call("forward.add", name="new", listen="9000/tcp", to="10.0.0.9:9000")
    for wrong, expected in (({
            "allow": "10.0.0.300"
    }, "allow"), ({
            "expires": "2001-01-01T00:00:00Z"
    }, "in the past"), ({
            "for": "soon"
    }, "expected a duration"), ({
            "sessions": "0"
    }, "expected a number")):
        assert expected in connection.refusal("forward.set", name="new", **wrong)["message"]
    assert connection.call("forwards")["forwards"][:-1] == before


def test_a_reload_keeps_the_use_and_says_where_a_forward_is(stub, connection):
    head = "[gateway]\nexternal = wan0\n[share lab]\nsource = 10.0.0.0/24\n"
    stub.config.write_text(head + "[forward bastion-ssh]\nlisten = 2222/tcp\nto = 10.0.0.22:22\n")
    connection.call("reload")
    forward = one(connection.call("forwards")["forwards"])
    assert forward["use"]["opened"] == 1
    assert forward["added"]["file"] == str(stub.config) and forward["added"]["line"] == 5
    assert forward["changed"]["by"] is None  # it has lost its owner, for one
    stub.config.write_text(head)
    connection.call("reload")
    assert connection.call("forwards")["forwards"] == []


def test_kill(stub, connection):
    assert connection.call("kill", filter=["udp"]) == {"killed": 2}
    assert connection.call("kill", filter=["udp"]) == {"killed": 0}
    assert connection.call("status")["sessions"]["closed"]["killed"] == 2
    assert connection.call("kill", all=True) == {"killed": 6}
    assert connection.call("sessions") == {"count": 0}
    assert re.search(r"notice: user \d+ \(process \d+\): kill udp: 2 sessions ended", stub.log())
    assert "kill all: 6 sessions ended" in stub.log()


def test_kill_of_many(stub, connection):
    stub.open_many()
    assert connection.call("kill", filter=["share=bulk"]) == {"killed": 20000}
    assert len(connection.call("sessions")) == 8


def test_forward_add_and_remove(stub, connection):
    added = connection.call("forward.add",
                            name="new",
                            listen="9000-9001/tcp+udp",
                            to="10.0.0.9:9000",
                            owner="me",
                            allow="198.51.100.0/24, 192.0.2.1",
                            note="\u00fc",
                            **{"for": "2h"})
    assert added["warnings"] == []
    assert added["name"] == "new" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                                                   added["expires"])
    new = connection.call("forwards")["forwards"][-1]
    for member in ("use", "added", "changed"):
        del new[member]
    assert new == {
        "name": "new",
        "protocols": ["tcp", "udp"],
        "listen": "9000-9001",
        "to": "10.0.0.9:9000",
        "allow": ["198.51.100.0/24", "192.0.2.1/32"],
        "owner": "me",
        "note": "\u00fc",
        "expires": added["expires"],
        "runtime": True,
        "sessions": 0
    }
    assert "forward 'new' added: listen 9000-9001/tcp+udp, to 10.0.0.9:9000" in stub.log()
    assert connection.call("forward.remove", name="new") == {"sessions_ended": 0}
    assert connection.call("forward.add", name="ssh", listen="22/tcp", to="10.0.0.9:22") == {
        "name": "ssh",
        "expires": None,
        "sessions_ended": 0,
        "warnings": ["a listener of the gateway is hidden"]
    }
    connection.call("forward.remove", name="ssh")
    taken = {"name": "taken", "listen": "7777/tcp", "to": "10.0.0.9:22"}
    assert "is used by a mapping" in connection.refusal("forward.add", **taken)["message"]
    assert connection.call("forward.add", **taken, force=True)["name"] == "taken"
    connection.call("forward.remove", name="taken")
    assert len(connection.call("forwards")["forwards"]) == 3
    assert "forward 'new' removed" in stub.log()


def test_the_sessions_of_a_removed_forward_end(connection):
    assert connection.call("forward.remove", name="bastion-ssh") == {"sessions_ended": 1}


def test_a_refused_forward_gets_every_reason(stub, connection):
    error = connection.refusal("forward.add",
                               name="-",
                               listen="2222/tcp",
                               to="nowhere",
                               expires="never")
    assert error["code"] == -32002
    assert len(error["data"]["errors"]) >= 3, error
    assert error["message"].startswith(error["data"]["errors"][0])
    assert len(connection.call("forwards")["forwards"]) == 3
    assert "forward.add refused" in stub.log()
    error = connection.refusal("forward.add")
    assert error["code"] == -32002 and any("listen" in text for text in error["data"]["errors"])
    assert connection.refusal("forward.remove", name="none")["code"] == -32002


def test_many_forwards(connection):
    for number in range(600):
        connection.call("forward.add",
                        name=f"f{number}",
                        listen=f"{10000 + number}/udp",
                        to="10.0.0.9:1",
                        note="x" * 200)
    forwards = connection.call("forwards")["forwards"]
    assert [forward["name"] for forward in forwards[3:]] == [f"f{number}" for number in range(600)]


def test_reload(stub, connection):
    stub.config.write_text(
        "[gateway]\nexternal = wan0\n[share lab]\nsource = 10.0.0.0/24\nports = 50000-50999\n")
    # Those of forwards, because it has no forwards.
    result = connection.call("reload")
    assert result.pop("changes")["forwards"]["removed"] == 3
    assert result == {"sessions_ended": 2, "warnings": []}
    stub.config.write_text("[gateway]\nextrenal = wan0\n[share lab]\nsource = 10.0.0.0/33\n")
    error = connection.refusal("reload")
    assert error["code"] == -32002
    assert len(error["data"]["errors"]) >= 2
    assert any(":2:" in line and "external" in line for line in error["data"]["errors"])
    assert "configuration reloaded; 2 sessions ended" in stub.log()
    assert "reload refused" in stub.log()


def test_an_upgrade_that_is_refused_changes_nothing(stub, connection):
    """The stub is no program of its own that could be replaced."""
    error = connection.refusal("upgrade")
    assert error["code"] == -32002
    assert "which file" in error["data"]["errors"][0]
    assert "upgrade refused" in stub.log()
    assert connection.call("status")["upgrade_problem"] is None


# Events


@pytest.mark.parametrize("params,expected", [
    ({}, "protocol"),
    ({"protocol": "icmp", "to": "1"}, "tcp or udp"),
    ({"protocol": "tcp"}, "to"),
    ({"protocol": "tcp", "to": "0"}, "a port"),
    ({"protocol": "tcp", "to": "[2001:db8::1]:80"}, "IPv4"),
    ({"protocol": "tcp", "to": "80", "from": "2001:db8::1"}, "IPv4"),
    ({"protocol": "tcp", "to": "80", "from": "me"}, "IPv4"),
    ({"protocol": "tcp", "to": "80", "probe": "maybe"}, "answered"),
])
def test_explain_says_what_it_expects(stub, params, expected):
    error = stub.connect().refusal("explain", **params)
    assert error["code"] == -32602 and expected in error["message"]


def test_explain(stub):
    answer = stub.call("explain", protocol="udp", to="203.0.113.5:53", probe="refused")
    assert set(answer) == {"verdict", "cause", "advice", "steps", "candidates", "from", "target"}
    assert (answer["verdict"], answer["cause"]) == ("faulty", "target-refuses")
    assert answer["steps"][-1] == {"check": "target", "result": "FAIL", "text": "it refuses"}
    assert answer["target"] == {"address": "127.0.0.1", "port": 1}


def test_events(stub):
    follower = stub.connect()
    assert follower.call("events") == {"subscribed": True}
    stub.signal(signal.SIGUSR1)
    opened = follower.read()
    assert opened["method"] == "event"
    assert set(opened["params"]) == {"type", "time", "session"}
    assert opened["params"]["type"] == "opened"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", opened["params"]["time"])
    assert opened["params"]["session"]["share"] == "bulk"
    assert set(opened["params"]["session"]) == SESSION
    stub.call("kill", filter=["share=bulk"])
    closed = follower.read()["params"]
    assert (closed["type"], closed["reason"], closed["outcome"]) == ("closed", "killed", "killed")
    assert closed["session"]["id"] == opened["params"]["session"]["id"]


def test_events_of_a_filter(stub):
    follower = stub.connect()
    follower.call("events", filter=["icmp"])
    stub.signal(signal.SIGUSR1)
    stub.call("kill", filter=["tcp"])
    stub.call("kill", filter=["icmp"])
    assert follower.read()["params"]["session"]["protocol"] == "icmp"
    follower.call("events", filter=["udp"])  # another filter from now on
    stub.call("kill", all=True)
    assert follower.read()["params"]["session"]["protocol"] == "udp"


def test_a_follower_may_ask_between_events(stub):
    follower = stub.connect()
    follower.call("events")
    stub.signal(signal.SIGHUP)
    follower.request("forwards")
    answers = [follower.read() for _ in range(1000)]
    assert sum("result" in answer for answer in answers) == 1


def test_lost_events_are_counted(stub):
    follower = stub.connect()
    follower.call("events")
    stub.signal(signal.SIGUSR2)  # twice as many as the ring holds, at once
    seen = lost = 0
    while seen + lost < 2 * 4096:
        message = follower.read()
        if message["method"] == "lost":
            lost += message["params"]["count"]
        else:
            seen += 1
    assert seen + lost == 2 * 4096
    assert lost > 0


def test_a_half_closed_follower_still_gets_events(stub):
    follower = stub.connect()
    follower.request("events")
    follower.socket.shutdown(1)  # SHUT_WR, as socat does when its input ends
    assert follower.answer()[1]["result"]
    stub.signal(signal.SIGUSR1)
    assert follower.read()["params"]["type"] == "opened"
