"""The control socket and its client: what one sees, what one may change, and who"""

import json
import re
import shutil
import signal
import socket

import pytest

import process
from daemon import CLIENT, OFFLOAD, SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, assert_silent, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 80/tcp
to = 10.0.0.2:8080
owner = netops
note = the web server of the lab, ticket NET-42, with a note that is longer than a terminal is wide

[forward echo]
listen = 7/udp
to = 10.0.0.3:7
allow = 203.0.113.10, 198.51.100.0/24

[forward range]
listen = 8000-8099/tcp+udp
to = 10.0.0.3:9000

[control]
group = games
"""

GAMES = "60"  # base-passwd: the same number on every Debian
NOBODY = "65534"

FIELDS = {
    "id", "protocol", "state", "direction", "internal", "external", "remote", "share", "forward",
    "age", "idle", "expires_in", "packets", "bytes", "offloaded", "interface",
    "outcome"
}


@pytest.fixture
def flows(lab, daemon):
    """One session of each kind: outbound UDP and TCP, inbound TCP and UDP, a ping."""
    lab.lab2.run("ping", "-n", "-c", "1", "-W", "3", lab.out.address)
    with lab.out.udp(7) as outside, lab.lab1.udp(5000) as inside, lab.lab2.udp(7) as echo, \
            lab.out.udp(6000) as asker, lab.out.listen(443) as https, \
            lab.lab1.listen(8080) as web, \
            tcp_pair(lab.lab2, lab.out.address, 443, https), \
            tcp_pair(lab.out2, EXTERNAL, 80, web) as (_, _, web_client):
        udp_round_trip(inside, outside, lab.out.address)
        udp_round_trip(asker, echo, EXTERNAL)
        for protocol in ("tcp", "udp"):
            daemon.until_offloaded(protocol)
        yield web_client
    daemon.client("kill", "10.0.0.0/24")


def lines(text):
    return text.rstrip("\n").split("\n")


def assert_fits(text, columns):
    too_wide = [line for line in lines(text) if len(line) > columns]
    assert not too_wide, "\n".join(too_wide)


# Looking


def test_sessions_json_has_the_documented_fields(lab, daemon, flows):
    sessions = daemon.sessions()
    assert len(sessions) == 5
    for session in sessions:
        assert set(session) == FIELDS
        for side in ("internal", "external", "remote"):
            assert set(session[side]) == {"address", "port"}
        assert set(session["packets"]) == set(session["bytes"]) == {"out", "in"}
        assert session["offloaded"] is (OFFLOAD == "on" and session["protocol"] != "icmp")
        assert session["age"] >= session["idle"] >= 0
        assert session["expires_in"] > 0
        assert session["interface"] == "wan0"
        assert session["outcome"] is None
    assert len({session["id"] for session in sessions}) == 5


def test_an_outbound_udp_session(lab, daemon, flows):
    session = daemon.session("internal=10.0.0.2:5000")
    assert (session["protocol"], session["direction"], session["state"]) == ("udp", "outbound",
                                                                             "answered")
    assert session["internal"] == {"address": "10.0.0.2", "port": 5000}
    assert session["remote"] == {"address": lab.out.address, "port": 7}
    assert session["external"]["address"] == EXTERNAL
    assert 50000 <= session["external"]["port"] <= 59999
    assert session["share"] == "lab"
    assert session["forward"] in (None, "")
    assert session["packets"] == {"out": 1, "in": 1}
    assert session["bytes"] == {"out": 28 + 5, "in": 28 + 5}
    assert 0 < session["expires_in"] <= 300


def test_an_inbound_tcp_session(lab, daemon, flows):
    session = daemon.session("forward=web")
    assert (session["protocol"], session["direction"], session["state"]) == ("tcp", "inbound",
                                                                             "established")
    assert session["internal"] == {"address": "10.0.0.2", "port": 8080}
    assert session["external"] == {"address": EXTERNAL, "port": 80}
    assert session["remote"] == {"address": lab.out2.address, "port": flows[1]}
    assert session["forward"] == "web"
    assert 7400 < session["expires_in"] <= 7440


def test_a_ping_session(lab, daemon, flows):
    session = daemon.session("icmp")
    assert (session["direction"], session["state"]) == ("outbound", "answered")
    assert session["internal"]["address"] == "10.0.0.3"
    assert session["remote"] == {"address": lab.out.address, "port": 0}
    assert session["expires_in"] <= 60


@pytest.mark.parametrize("words,count",
                         [([], 5), (["tcp"], 2), (["udp"], 2), (["icmp"], 1), (["10.0.0.2"], 2),
                          (["10.0.0.3"], 3), (["10.0.0.0/24"], 5), (["203.0.113.11"], 1),
                          (["203.0.113.8/30"], 5), ([":443"], 1), ([":80"], 1), ([":8080"], 1),
                          ([":7"], 2), (["internal=10.0.0.2"], 2),
                          (["internal=10.0.0.3", "tcp"], 1), (["external=203.0.113.5"], 5),
                          (["external=:80"], 1), (["remote=203.0.113.10"], 4), (["remote=:443"], 1),
                          (["internal=:443"], 0), (["state=established"], 2),
                          (["state=answered"], 3), (["state=closed"], 0), (["share=lab"], 3),
                          (["forward=web"], 1), (["forward=echo"], 1), (["forward=range"], 0),
                          (["offloaded"], 4 if OFFLOAD == "on" else 0),
                          (["tcp", "forward=web", "10.0.0.2", "state=established"], 1),
                          (["tcp", "udp"], 0), ])
def test_filter(lab, daemon, flows, words, count):
    assert len(daemon.sessions(*words)) == count


def test_filter_by_id(lab, daemon, flows):
    wanted = daemon.session("forward=web")
    assert daemon.session(f"id={wanted['id']}")["remote"] == wanted["remote"]


@pytest.mark.parametrize(
    "words", [["tpc"], ["10.0.0.300"], ["state=open"], [":99999"], ["colour=red"], ["internal="]])
def test_a_filter_that_makes_no_sense_is_a_usage_error(lab, daemon, words):
    done = daemon.client("sessions", *words, check=False)
    assert done.returncode == 2
    assert words[0] in done.stderr


def test_the_session_table_fits_80_columns(lab, daemon, flows):
    text = daemon.client("sessions", environment={"COLUMNS": "80"}).stdout
    assert_fits(text, 80)
    for wanted in ("10.0.0.2", "203.0.113.10", "established", "answered"):
        assert wanted in text


def test_the_session_table_names_services(lab, daemon, flows):
    text = daemon.client("sessions", environment={"COLUMNS": "160"}).stdout
    assert "https" in text
    assert_fits(text, 160)


@pytest.mark.parametrize("verb", ["status", "mappings", "forwards"])
def test_tables_fit_80_columns(lab, daemon, flows, verb):
    assert_fits(daemon.client(verb, environment={"COLUMNS": "80"}).stdout, 80)


def test_forwards_shows_every_forward(lab, daemon):
    text = daemon.client("forwards", environment={"COLUMNS": "120"}).stdout
    for wanted in ("web", "echo", "range", "10.0.0.2:8080", "8000-8099", "netops"):
        assert wanted in text


def test_mappings_shows_internal_and_external_endpoints(lab, daemon, flows):
    external = daemon.session("internal=10.0.0.2:5000")["external"]
    text = daemon.client("mappings", environment={"COLUMNS": "120"}).stdout
    [line] = [line for line in lines(text) if "10.0.0.2:5000" in line]
    assert f"{external['address']}:{external['port']}" in line


def test_status_says_what_matters(lab, daemon, flows):
    text = daemon.client("status", environment={"COLUMNS": "80"}).stdout
    assert EXTERNAL in text
    assert re.search(r"\b5\b.*262144|\b5\b.*262,144", text), text
    for wanted in ("queue", "pool"):
        assert wanted in text.lower()


@pytest.mark.parametrize("verb", ["status", "mappings", "forwards", "sessions"])
def test_json_is_json(lab, daemon, flows, verb):
    assert json.loads(daemon.client(verb, "--json").stdout)


# TCP states, as the table shows them


def test_tcp_state_opening(lab, daemon):
    """A SYN that nobody answers."""
    with lab.lab1.socket(socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.connect_ex(("203.0.113.99", 80))
        assert daemon.until_session("remote=203.0.113.99")["state"] == "opening"
    daemon.client("kill", "remote=203.0.113.99")


def test_tcp_state_closing_and_closed(lab, daemon):
    with lab.out.listen(81) as listener, tcp_pair(lab.lab1, lab.out.address, 81,
                                                  listener) as (client, server, _):
        assert daemon.session("remote=:81")["state"] == "established"
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        assert daemon.session("remote=:81")["state"] == "closing"
        server.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        session = daemon.until_session("remote=:81", "state=closed")
        assert session["expires_in"] <= 240
    daemon.client("kill", "remote=:81")


def test_tcp_state_reset(lab, daemon):
    with lab.out.listen(82) as listener, tcp_pair(lab.lab1, lab.out.address, 82,
                                                  listener) as (client, server, _):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with pytest.raises(ConnectionResetError):
            server.recv(1)
        session = daemon.until_session("remote=:82", "state=reset")
        assert session["expires_in"] <= 240
    daemon.client("kill", "remote=:82")


def test_udp_state_unanswered(lab, daemon):
    with lab.lab1.udp() as client:
        client.sendto(b"anyone?", ("203.0.113.99", 5))
        assert daemon.until_session("remote=203.0.113.99")["state"] == "unanswered"
    daemon.client("kill", "remote=203.0.113.99")


def test_counters_count_packets_and_bytes_of_large_segments(lab, daemon):
    with lab.out.listen(83) as listener, tcp_pair(lab.lab1, lab.out.address, 83,
                                                  listener) as (client, server, _):
        sent = Transfer(client, server, 2_000_000).finish()
        session = daemon.session("remote=:83")
    assert sent < session["bytes"]["out"] < sent * 1.2
    assert 0 < session["bytes"]["in"] < sent / 5
    daemon.client("kill", "remote=:83")


# Changing


def test_kill_ends_a_live_tcp_session_and_no_other(lab, daemon):
    with lab.out.listen(84) as listener, \
            tcp_pair(lab.lab1, lab.out.address, 84, listener) as (client, server, seen), \
            tcp_pair(lab.lab2, lab.out.address, 84, listener) as (other_client, other_server, _):
        talk(client, server)
        number = daemon.session("remote=:84", "internal=10.0.0.2")["id"]
        assert "1" in daemon.client("kill", f"id={number}").stdout
        assert daemon.sessions(f"id={number}") == []
        with daemon.dropping("tcp-not-syn"):
            client.sendall(b"after the end")
        with daemon.dropping("tcp-not-syn"):
            server.sendall(b"after the end")
        assert_silent(client, server)
        talk(other_client, other_server)
    daemon.client("kill", "remote=:84")


def test_a_killed_udp_session_starts_anew_with_another_port(lab, daemon):
    with lab.out.udp(8) as server, lab.lab1.udp(5002) as client:
        first = udp_round_trip(client, server, lab.out.address)
        number = daemon.session("internal=:5002")["id"]
        daemon.client("kill", "internal=10.0.0.2:5002")
        with daemon.dropping("no-session"):
            server.sendto(b"too late", first)
        assert udp_round_trip(client, server, lab.out.address) != first
        assert daemon.session("internal=:5002")["id"] != number
    daemon.client("kill", "internal=:5002")


def test_nothing_matched_is_exit_1(lab, daemon):
    assert daemon.client("sessions", "remote=192.0.2.77", check=False).returncode == 1
    assert daemon.client("kill", "remote=192.0.2.77", check=False).returncode == 1


def test_kill_without_a_filter_is_a_usage_error(lab, daemon):
    assert daemon.client("kill", check=False).returncode == 2


def test_a_forward_is_added_used_and_removed_at_run_time(lab, daemon):
    daemon.add_forward("guest", "2222/tcp", "10.0.0.2:22", "--note", "for the guest", "--for", "2h")
    text = daemon.client("forwards", environment={"COLUMNS": "120"}).stdout
    assert "guest" in text
    with lab.lab1.listen(22) as listener, tcp_pair(lab.out, EXTERNAL, 2222,
                                                   listener) as (client, server, seen):
        assert seen[0] == lab.out.address
        talk(client, server)
        daemon.remove_forward("guest")
        assert daemon.sessions("forward=guest") == []
        assert "guest" not in daemon.client("forwards").stdout
    with pytest.raises(ConnectionRefusedError):
        lab.out.connect(EXTERNAL, 2222)


def test_a_forward_for_a_short_time_ends_by_itself(lab, daemon):
    daemon.add_forward("brief", "2223/udp", "10.0.0.2:22", "--for", "2s")
    with lab.lab1.udp(22) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=2223)
        eventually(lambda: "brief" not in daemon.client("forwards").stdout, "the forward has ended",
                   6)
        assert daemon.sessions("forward=brief") == []


def test_a_forward_at_run_time_outlives_a_reload(lab, daemon):
    daemon.add_forward("kept", "2224/udp", "10.0.0.2:22")
    with lab.lab1.udp(22) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=2224)
        daemon.client("reload")
        udp_round_trip(client, server, EXTERNAL, port=2224)
        assert daemon.session("forward=kept")["packets"] == {"out": 2, "in": 2}
    daemon.remove_forward("kept")


def test_a_forward_that_is_changed_ends_only_what_it_does_not_allow_now(lab, daemon):
    daemon.add_forward("open", "2225/udp", "10.0.0.2:22")
    with lab.lab1.udp(22) as server, lab.out.udp() as friend, lab.out2.udp() as other:
        udp_round_trip(friend, server, EXTERNAL, port=2225)
        udp_round_trip(other, server, EXTERNAL, port=2225)
        done = daemon.client("forward", "set", "open", "--allow", lab.out.address, "--owner", "me")
        assert done.stdout == "changed open: allow, owner\n1 sessions ended\n"
        udp_round_trip(friend, server, EXTERNAL, port=2225)
        assert daemon.session("forward=open")["packets"] == {"out": 2, "in": 2}
    refused = daemon.client("forward", "set", "web", "--owner", "me", check=False)
    assert refused.returncode == 1 and f"change it in {daemon.config}" in refused.stderr
    daemon.remove_forward("open")


@pytest.mark.parametrize("name,listen,target,says", [
    ("web", "1234/tcp", "10.0.0.2:80", "web"),
    ("overlap", "8050/tcp", "10.0.0.2:80", "range"),
    ("nowhere", "1234/tcp", "10.0.0.300:80", "10.0.0.300"),
    ("badport", "123456/tcp", "10.0.0.2:80", "123456"),
    ("noproto", "1234", "10.0.0.2:80", "1234"),
])
def test_a_forward_that_cannot_be_added_changes_nothing(lab, daemon, name, listen, target, says):
    before = daemon.client("forwards").stdout
    done = daemon.add_forward(name, listen, target, check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert daemon.client("forwards").stdout == before


def test_a_forward_of_the_configuration_is_not_removed_at_run_time(lab, daemon):
    done = daemon.remove_forward("web", check=False)
    assert done.returncode == 1
    assert "web" in done.stderr
    assert "web" in daemon.client("forwards").stdout


def test_removing_a_forward_that_is_not_there_returns_1(lab, daemon):
    assert daemon.remove_forward("nobody", check=False).returncode == 1


# Events


def test_events_show_what_opens_and_what_ends(lab, daemon):
    with lab.out.udp(9) as server, process.Process(
        [CLIENT, "-s", daemon.socket, "events", "udp", "remote=:9"],
            directory=daemon.directory) as events:

        def opened():
            """The client may still be subscribing: a new session each time until one is seen."""
            with lab.lab1.udp() as client:
                udp_round_trip(client, server, lab.out.address)
            return "opened" in events.stdout()

        eventually(opened, "an opened session is shown")
        daemon.client("kill", "remote=:9")
        eventually(lambda: "killed" in events.stdout(), "the kill is shown")
        assert "10.0.0.2" in events.stdout()
        assert "icmp" not in events.stdout()
        events.send(signal.SIGINT)
        events.wait()


# Who may


@pytest.fixture
def as_user(daemon):
    """Runs the client as somebody else, from where everyone can reach it."""
    program = daemon.directory / "portreeve"
    if not program.exists():
        shutil.copy(CLIENT, program)
        program.chmod(0o755)

    def run(uid, gid, *words):
        return process.run([
            "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", program, "-s",
            daemon.socket, *words
        ], check=False)

    return run


@pytest.mark.parametrize(
    "words", [["status"], ["sessions"], ["forwards"], ["mappings"], ["sessions", "--json"]])
def test_a_member_of_the_group_may_look(lab, daemon, flows, as_user, words):
    done = as_user(NOBODY, GAMES, *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["reload"], ["kill", "10.0.0.0/8"], ["forward", "remove", "web"],
                                   ["forward", "add", "mine", "99/tcp", "10.0.0.2:99"]])
def test_a_member_of_the_group_may_not_change(lab, daemon, flows, as_user, words):
    before = daemon.client("forwards").stdout
    done = as_user(NOBODY, GAMES, *words)
    assert done.returncode == 4
    assert done.stderr.strip()
    assert daemon.client("forwards").stdout == before
    assert len(daemon.sessions()) == 5


@pytest.mark.parametrize("words", [["status"], ["sessions"], ["reload"]])
def test_anyone_else_may_not_even_look(lab, daemon, as_user, words):
    done = as_user(NOBODY, NOBODY, *words)
    assert done.returncode == 4
    assert done.stdout == ""


# Exit codes


def test_exit_0_and_help_for_a_person_who_asks(daemon):
    for words in (["--help"], ["--version"]):
        done = process.run([CLIENT, *words])
        assert "portreeve" in done.stdout


@pytest.mark.parametrize("words", [["frobnicate"], [], ["forward"], ["forward", "add"],
                                   ["sessions", "--nonsense"], ["status", "extra"]])
def test_exit_2_for_wrong_usage(daemon, words):
    done = daemon.client(*words, check=False)
    assert done.returncode == 2
    assert "portreeve" in done.stderr


def test_exit_3_when_there_is_no_daemon(daemon, tmp_path):
    done = process.run([CLIENT, "-s", tmp_path / "nothing.sock", "status"], check=False)
    assert done.returncode == 3
    assert "nothing.sock" in done.stderr


# The protocol itself


def ask(daemon, *requests):
    """Sends lines as they are; the answer lines."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(daemon.socket))
        connection.sendall(b"".join(request + b"\n" for request in requests))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return [json.loads(line) for line in answer.splitlines()]


def test_json_rpc_errors_have_their_codes(daemon):
    answers = ask(daemon, b"this is no JSON", b'{"jsonrpc":"2.0","id":1,"method":"no such method"}',
                  b'{"id":2}')
    assert [answer["error"]["code"] for answer in answers] == [-32700, -32601, -32600]
    assert [answer["id"] for answer in answers][:2] == [None, 1]


def test_a_line_without_end_does_not_hurt(daemon):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(daemon.socket))
        try:
            for _ in range(64):
                connection.sendall(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert daemon.client("status").returncode == 0


def test_a_client_that_does_not_read_delays_nobody(lab, daemon, flows):
    request = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n'
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(daemon.socket))
        slow.setblocking(False)
        try:
            for _ in range(20_000):
                slow.send(request)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        assert daemon.client("status", timeout=5).returncode == 0
        with lab.out.udp(8) as server, lab.lab1.udp() as client:
            udp_round_trip(client, server, lab.out.address)
    daemon.client("kill", "remote=:8")
