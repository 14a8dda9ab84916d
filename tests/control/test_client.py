"""portreeve, the client: its output and exit codes"""

import csv
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import CLIENT, SECONDS, eventually


def test_status(stub):
    done = stub.run("status")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == "warning: this is not a gateway but a stub of one"
    assert re.search(r"^portreeved \S+, process \d+, up 4m\d+s, since ", done.stdout, re.M)
    assert re.search(r"^external +wan0: 203.0.113.5$", done.stdout, re.M)
    assert re.search(r"^sessions +8 of 65536 ", done.stdout, re.M)
    assert re.search(r"^ +no-session +1234567  to a port that an ended mapping still holds$",
                     done.stdout, re.M)
    assert re.search(r"^ +not-allowed +3\b", done.stdout, re.M)
    assert "malformed" not in done.stdout
    assert re.search(
        r"^health +a thread stands still\n +the worker of queue 0: \S+\n"
        r" +the worker of queue 1: 12s$", done.stdout, re.M)
    assert stub.call("status")["health"] == {
        "fine": False,
        "threads": [{"name": "the worker of queue 0", "still": 0.5},
                    {"name": "the worker of queue 1", "still": 12.25}],
        "watchdog": None,
        "log_lines_lost": 0
    }
    assert json.loads(stub.run("status", "--json").stdout)["drops"]["malformed"] == 0


def test_sessions(stub):
    done = stub.run("sessions")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].split()[:4] == ["PROTO", "STATE", "DIRECTION", "INTERNAL"]
    assert len(lines) == 9
    assert [line.split()[0] for line in lines[1:]] == ["icmp"] + ["tcp"] * 5 + ["udp"] * 2
    assert [line.split()[3] for line in lines[2:6]] == [
        "10.0.0.7:40000", "10.0.0.7:41000", "10.0.0.8:40001",
        # By address and port, not by text.
        "10.0.0.8:40002"
    ]
    assert "198.51.100.80:443 https" in lines[2] and "4m" in lines[2] and "1.5k" in lines[2]
    assert "10.0.0.22:22 ssh" in done.stdout
    assert "203.0.113.5:8001 (10.0.0.9:8001)" in done.stdout
    assert not any(line != line.rstrip() for line in lines)


def test_sessions_with_a_filter(stub):
    done = stub.run("sessions", "tcp", "remote=:443", "state=established")
    assert len(done.stdout.splitlines()) == 2
    nothing = stub.run("sessions", "10.9.9.9")
    assert (nothing.returncode, nothing.stdout,
            nothing.stderr) == (1, "", "portreeve: no session matches\n")
    nothing = stub.run("sessions", "10.9.9.9", "--json")
    assert (nothing.returncode, nothing.stdout) == (0, "[]\n")


def test_sessions_as_json(stub):
    sessions = json.loads(stub.run("sessions", "--json").stdout)
    assert len(sessions) == 8 and all(
        set(session) >= {"id", "internal", "bytes"} for session in sessions)
    assert len(json.loads(stub.run("sessions", "--json", "udp").stdout)) == 2


def test_an_empty_table_is_not_an_error(stub):
    stub.call("kill", all=True)
    done = stub.run("sessions")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no sessions" in done.stderr
    assert json.loads(stub.run("mappings", "--json").stdout) == []


def test_mappings_and_forwards(stub):
    done = stub.run("mappings")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 7
    assert len(json.loads(stub.run("mappings", "--json").stdout)) == 6
    done = stub.run("forwards")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "dns", "bastion-ssh", "web"]  # by port
    assert "53 domain" in lines[1] and "tcp+udp" in lines[1] and "anyone" in lines[
        1] and "never" in lines[1]
    assert "bastion, ticket NET-42" in lines[2]
    assert len(json.loads(stub.run("forwards", "--json").stdout)) == 3


@pytest.mark.parametrize("columns", [1, 10, 40, 60, 80, 100, 132])
def test_tables_fit(stub, columns):
    for verb in ("sessions", "mappings", "forwards"):
        done = stub.run(verb, environment={"COLUMNS": str(columns)})
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= columns


def test_wide_characters_count_as_two(stub):
    stub.call("forward.add", name="cjk", listen="70/tcp", to="10.0.0.9:70", owner="\u4e2d\u6587",
              note="n")
    header, *rows = stub.run("forwards").stdout.splitlines()
    row = next(row for row in rows if row.startswith("cjk"))
    assert row.endswith("n") and len(row) - 1 == header.index("NOTE") - 2


def test_a_terminal_without_size_has_80_columns(stub):
    reader, terminal = pty.openpty()
    subprocess.run([CLIENT, "-s", stub.path, "sessions"], stdout=terminal, check=True,
                   timeout=SECONDS, env={"PATH": os.environ["PATH"]})
    os.close(terminal)
    text = b""
    try:
        while chunk := os.read(reader, 65536):
            text += chunk
    except OSError:
        pass  # a pty reports in this way that it has no more writers
    os.close(reader)
    widest = max(len(line) for line in text.decode().splitlines())
    assert 40 < widest <= 80


def columns_of(text):
    return text.splitlines()[0].split()


def test_forwards_at_80_columns_has_what_matters(stub):
    stub.call("forward.add", name="a-name-that-is-rather-long-for-a-table", listen="9000/tcp",
              to="10.0.0.9:9000", owner="the people of the second floor, left",
              allow="192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 10.99.0.0/16")
    lines = stub.run("forwards", environment={"COLUMNS": "80"}).stdout.splitlines()
    assert lines[0].split() == ["NAME", "LISTEN", "TO", "ALLOW", "OWNER"]
    assert max(map(len, lines)) == 80
    assert "\u2026" in lines[-2] and "\u2026" not in lines[1]
    assert re.fullmatch(r"\d+ more columns: --wide, or -o name,...", lines[-1])
    wide = stub.run("forwards", "--wide", environment={"COLUMNS": "80"}).stdout
    assert "the people of the second floor, left" in wide and "more columns" not in wide
    assert "10.99.0.0/16" in stub.run("forwards").stdout  # no terminal


def test_columns_are_those_that_are_asked_for(stub):
    done = stub.run("forwards", "-o", "owner,name,last-used")
    assert columns_of(done.stdout) == ["OWNER", "NAME", "LAST-USED"]
    assert re.search(r"^netops +bastion-ssh +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", done.stdout, re.M)
    assert re.search(r"^- +dns +never$", done.stdout, re.M)
    done = stub.run("forwards", "-o", "owner,colour")
    assert done.returncode == 2 and "no column 'colour'; expected name, proto," in done.stderr


def test_rows_are_sorted_and_limited(stub):

    def names(*words):
        text = stub.run("forwards", "--format", "tsv", "-o", "name", *words).stdout
        return text.split()[1:]

    assert names("--sort", "name") == ["bastion-ssh", "dns", "web"]
    assert names("--sort", "-name") == ["web", "dns", "bastion-ssh"]
    assert names("--sort=-in", "--limit", "1") == ["bastion-ssh"]  # bytes, not their text
    assert names("--sort", "owner")[0] == "bastion-ssh"  # no owner is last
    lines = stub.run("sessions", "--limit", "2").stdout.splitlines()
    assert len(lines) == 4 and lines[-1] == "2 of 8 rows"
    for words in (("--limit", "0"), ("--sort", "colour"), ("--format", "xml"),
                  ("--json", "--wide")):
        assert stub.run("forwards", *words).returncode == 2


@pytest.mark.parametrize("verb", ["sessions", "mappings", "forwards"])
def test_rows_for_programs_have_the_same_fields(stub, verb):

    def without_times(row):  # these go on between two calls
        return {name: text for name, text in row.items() if name not in ("age", "idle", "expires")}

    lines = stub.run(verb, "--format", "tsv").stdout.splitlines()
    names, *fields = [line.split("\t") for line in lines]
    assert {len(one) for one in fields} == {len(names)}
    rows = list(csv.DictReader(stub.run(verb, "--format", "csv").stdout.splitlines()))
    assert [list(row) for row in rows] == [names] * len(fields)
    assert [without_times(row) for row in rows] == \
        [without_times(dict(zip(names, one))) for one in fields]
    markdown = stub.run(verb, "--format", "markdown").stdout.splitlines()
    assert len(markdown) == len(lines) + 1
    assert all(re.match(r"^\|.*\|$", line) for line in markdown)
    assert stub.run(verb, "--format", "json").stdout == stub.run(verb, "--json").stdout or \
        verb == "sessions"  # their times go on


def test_fields_for_programs_have_no_names_and_no_units(stub):
    rows = list(csv.DictReader(stub.run("sessions", "--format", "csv").stdout.splitlines()))
    known = {str(one["id"]): one for one in json.loads(stub.run("sessions", "--json").stdout)}
    for row in rows:
        session = known.pop(row["id"])
        assert row["sent"] == str(session["bytes"]["out"])
        assert row["received"] == str(session["bytes"]["in"])
        assert row["age"].isdigit() and int(row["age"]) <= session["age"]
        assert " " not in row["internal"] + row["external"]
    assert not known
    rows = list(csv.DictReader(stub.run("forwards", "--format", "csv").stdout.splitlines()))
    assert rows[1]["note"] == "bastion, ticket NET-42"
    assert rows[1]["expires"] == "2099-12-31T18:00:00Z" and rows[0]["expires"] == ""
    assert rows[0]["listen"] == "53"
    assert "domain" not in stub.run("forwards", "-n").stdout


def test_drops(stub):
    done = stub.run("drops")
    assert (done.returncode, done.stdout) == (0, "") and "nothing has been dropped" in done.stderr
    assert json.loads(stub.run("drops", "--json").stdout) == {"drops": [], "others": 0}
    assert stub.run("drops", "--by", "source", "--format", "csv").returncode == 0
    assert stub.run("drops", "--by", "colour").returncode == 2
    assert stub.run("drops", "everything").returncode == 2


def test_explain(stub):
    done = stub.run("explain", "8443/tcp", "from", "198.51.100.7")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "8443/tcp from 198.51.100.7", " ok    this is a stub", " ?     nobody has asked it",
        "It may be target-silent: look at the firewall of the target",
        "   or host-firewall: allow it in that chain of this gateway's firewall"
    ]
    done = stub.run("explain", "tcp", "198.51.100.7:40000", "203.0.113.5:8443", "--probe")
    assert done.returncode == 1  # nobody listens on port 1 of this host
    assert done.stdout.splitlines()[0] == "203.0.113.5:8443/tcp from 198.51.100.7"
    assert done.stdout.splitlines()[-1].startswith("The cause is target-refuses: ")
    answer = json.loads(stub.run("explain", "https/tcp", "--json").stdout)
    assert (answer["verdict"], answer["cause"], answer["advice"]) == ("undecided", None, "")
    assert [one["cause"] for one in answer["candidates"]] == ["target-silent", "host-firewall"]
    for words in ((), ("8443",), ("8443/icmp",), ("0/tcp",), ("tcp", "1.2.3.4:5"), ("from",),
                  ("8443/tcp", "from", "nobody")):
        done = stub.run("explain", *words)
        assert done.returncode == 2 and done.stderr, words


def test_kill(stub):
    done = stub.run("kill", "udp")
    assert (done.returncode, done.stdout) == (0, "ended 2 sessions\n")
    assert stub.run("kill", "udp").returncode == 1
    assert stub.run("kill", "icmp").stdout == "ended 1 session\n"
    assert stub.run("kill").returncode == 2
    assert stub.run("kill", "--all", "tcp").returncode == 2
    assert stub.run("kill", "--all").stdout == "ended 5 sessions\n"
    assert stub.run("kill", "--all").returncode == 0


def test_forward_add_and_remove(stub):
    done = stub.run("forward", "add", "new", "9000/tcp", "10.0.0.9:9000", "--allow",
                    "198.51.100.0/24,192.0.2.1", "--owner", "me", "--note", "why not", "--for",
                    "90m")
    assert done.returncode == 0 and re.fullmatch(r"added new, until \S+Z\n", done.stdout)
    line = next(line for line in stub.run("forwards").stdout.splitlines() if line.startswith("new"))
    assert "198.51.100.0/24,192.0.2.1/32" in line and "run-time" in line and "why not" in line
    assert re.search(r" in 1h(29|30)m ", line)
    done = stub.run("forward", "add", "other", "9000/tcp", "10.0.0.9:9000")
    assert done.returncode == 1 and "already" in done.stderr
    done = stub.run("forward", "set", "new", "--note", "other", "--expires", "never")
    assert done.stdout == "changed new: note, expires\n"
    assert stub.run("forward", "set", "new", "--note", "other").stdout == "changed new: nothing\n"
    assert stub.run("forward", "remove", "new").stdout == "removed new; 0 sessions ended\n"
    assert stub.run("forward", "remove", "new").returncode == 1
    done = stub.run("forward", "add", "ssh", "22/tcp", "10.0.0.9:22")
    assert done.returncode == 0 and done.stdout == "added ssh\n"
    assert done.stderr == "portreeve: warning: a listener of the gateway is hidden\n"
    stub.run("forward", "remove", "ssh")
    taken = ("forward", "add", "taken", "7777/tcp", "10.0.0.9:22")
    done = stub.run(*taken)
    assert done.returncode == 1 and "is used by a mapping" in done.stderr
    assert stub.run(*taken, "--force").stdout == "added taken\n"
    stub.run("forward", "remove", "taken")
    assert stub.run("forward", "add", "x", "1/tcp", "10.0.0.9:1", "--for", "soon").returncode == 2
    assert stub.run("forward", "add", "x", "1/tcp", "10.0.0.9:1", "--expires",
                    "soon").returncode == 1


def test_reload(stub):
    stub.config.write_text("[gateway]\nextrenal = wan0\n")
    done = stub.run("reload")
    assert done.returncode == 1 and done.stdout == ""
    assert "nothing has changed" in done.stderr and ":2:" in done.stderr
    stub.config.write_text(
        "[gateway]\nexternal = wan0\n[share lab]\nsource = 10.0.0.0/24\nports = 50000-50999\n")
    done = stub.run("reload")
    assert (done.stdout, done.stderr) == ("reloaded; 2 sessions ended\n", "")
    stub.config.write_text(stub.config.read_text() + "[timeouts]\nudp = 30s\n")
    done = stub.run("reload")
    assert done.stdout == "reloaded; 0 sessions ended\n"
    assert done.stderr.startswith("portreeve: warning: ") and "udp = 30s" in done.stderr


def test_reload_diff(stub):
    head = "[gateway]\nexternal = wan0\n[share lab]\nsource = 10.0.0.0/24\nports = 50000-50999\n"
    ssh = "[forward bastion-ssh]\nlisten = 2222/tcp\nto = 10.0.0.22:22\n"
    dns = "[forward dns]\nlisten = 53/tcp+udp\nto = 10.0.0.53:53\n"
    stub.config.write_text(head + ssh + dns + "[share b]\nsource = 10.2.0.0/24\nports = 5000\n")
    stub.run("reload")
    stub.config.write_text(head + dns.replace(".53:", ".54:") + "note = moved\n" +
                           "[forward new]\nlisten = 90/tcp\nto = 10.0.0.9:90\n" +
                           "[timeouts]\nicmp = 90s\n")
    forwards = [one["name"] for one in stub.call("forwards")["forwards"]]
    sessions = len(stub.call("sessions"))
    done = stub.run("reload", "--diff")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(lines[:-1]) == [
        "added forward new", "changed forward dns: to, note", "changed settings: icmp",
        "removed forward bastion-ssh", "removed share b"
    ]
    assert lines[-1] == "1 sessions would end"
    changes = json.loads(stub.run("reload", "--diff", "--json").stdout)["changes"]
    assert changes["forwards"]["names"]["dns"]["to"] == {
        "before": "10.0.0.53:53",
        "after": "10.0.0.54:53"
    }
    assert changes["settings"] == {"icmp": {"before": 60, "after": 90}}
    assert len(stub.call("sessions")) == sessions
    assert [one["name"] for one in stub.call("forwards")["forwards"]] == forwards
    assert stub.log().count("reloaded") == 1
    assert stub.run("reload").stdout == "reloaded; 1 sessions ended\n"
    assert "forwards: 1 added, 1 changed, 1 removed" in stub.log()
    assert "forward 'dns' changed: to \"10.0.0.53:53\" -> \"10.0.0.54:53\", note" in stub.log()
    assert stub.run("reload", "--diff").stdout == "0 sessions would end\n"
    stub.config.write_text("[gateway]\n")
    done = stub.run("reload", "--diff")
    assert done.returncode == 1 and "external" in done.stderr


class Following:
    """A `portreeve events` that runs during the test"""

    def __init__(self, stub, *words):
        self._output = stub.config.parent / "events"
        with open(self._output, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen([CLIENT, "-s", stub.path, "events", *words],
                                            stdout=output)
        # It says nothing before the first event, so one is made until it does.
        eventually(lambda: stub.signal(signal.SIGUSR1) or self.text(), "an event is told")

    def text(self):
        return self._output.read_text(encoding="utf-8")

    def stop(self, number):
        self.process.send_signal(number)
        return self.process.wait(SECONDS), self.text()


def test_events_end_with_ctrl_c(stub):
    following = Following(stub, "share=bulk")
    stub.call("kill", filter=["share=bulk"])
    eventually(lambda: " closed " in following.text(), "the end of a session is told")
    code, text = following.stop(signal.SIGINT)
    assert code == 0
    assert re.match(
        r"\d{4}-\S+Z opened udp 10\.1\.0\.\d+:1024 -> 198\.51\.100\.123:\d+.*, as "
        r"203\.0\.113\.5:\d+ \(id=\d+ "
        r"share=bulk\)$",
        text.splitlines()[0])
    assert re.search(r" closed udp .*: killed after \d+s, sent 48, received 0 \(id=", text)


def test_events_as_json(stub):
    code, text = Following(stub, "--json").stop(signal.SIGTERM)
    assert code == 0
    assert {"type", "time", "session"} == set(json.loads(text.splitlines()[0]))


def test_events_end_with_the_daemon(start_stub):
    stub = start_stub()
    following = Following(stub)
    stub.process.send_signal(signal.SIGTERM)
    stub.process.wait(SECONDS)
    assert following.process.wait(SECONDS) == 3


@pytest.mark.parametrize("words, says", [
    ([], "usage:"),
    (["nope"], "unknown verb 'nope'"),
    (["forward"], "forward add"),
    (["forward", "list"], "forward add"),
    (["status", "now"], "too many words"),
    (["forward", "add", "x"], "too few words"),
    (["forward", "remove"], "too few words"),
    (["reload", "--json"], "does not accept --json"),
    (["sessions", "--note", "x"], "does not accept --note"),
    (["sessions", "--nope"], "--help"),
    (["-x"], "--help"),
    (["sessions", "sate=established"], "did you mean 'state='"),
    (["sessions", "10.0.0.7/24"], "host bits"),
    (["kill", "hello"], "expected tcp"),
    (["events", b"\xff\xfe"], "filter word '?'"),
])
def test_wrong_usage(stub, words, says):
    done = stub.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr, done.stderr


def test_help_and_version(stub):
    for words in (["--help"], ["sessions", "--help"], ["forward", "add",
                                                       "-h"], ["--version"], ["-h", "kill"]):
        done = stub.run(*words)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout
    assert "--allow" in stub.run("forward", "add", "--help").stdout
    assert "FILTER:" in stub.run("events", "--help").stdout


def test_a_daemon_that_cannot_be_reached(stub, tmp_path):
    for path in (tmp_path / "none", tmp_path / ("x" * 200), tmp_path):
        done = subprocess.run([CLIENT, "-s", path, "status"], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 3 and str(path)[:50] in done.stderr
    done = subprocess.run([CLIENT, "-s", tmp_path / "none", "status"], capture_output=True,
                          text=True, check=False)
    assert "is portreeved running?" in done.stderr


def test_a_reader_that_stops_early(stub):
    stub.open_many()
    for extra in ("", " --json"):
        done = subprocess.run(f"{CLIENT} -s {stub.path} sessions{extra} | head -1", shell=True,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 1


def test_an_array_too_long_to_be_kept_is_printed_in_parts_and_is_complete(stub):
    stub.open_many()
    done = stub.run("sessions", "--json")
    assert done.returncode == 0 and len(done.stdout) > 4 << 20  # JSON_LIST_KEPT
    ids = [session["id"] for session in json.loads(done.stdout)]
    assert len(ids) == len(set(ids)) == stub.call("status")["sessions"]["live"]


def test_a_full_disk_is_reported(stub):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CLIENT, "-s", stub.path, "sessions", "--json"], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr


# Wrong answers


def answer_with(path, *lines):
    """Answers one request with these lines, valid or not."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"".join(line + b"\n" for line in lines))
        connection.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()


def ask_wrong_daemon(tmp_path, verb, *lines):
    path = tmp_path / f"wrong{time.monotonic_ns()}"
    answer_with(path, *lines)
    return subprocess.run([CLIENT, "-s", path, verb], capture_output=True, text=True, check=False,
                          timeout=SECONDS)


EVIL = r"\u001b[31m\n\u009bx"


@pytest.mark.parametrize("verb, result", [
    ("status",
     '{"version":"EVIL","warnings":["EVIL",5],"shares":[{"name":"EVIL","source":["EVIL",1]},7],'
     '"queues":[{"error":"EVIL"},[]],"drops":{"EVIL":1,"x":"y"},"sessions":{"closed":{"EVIL":2}},'
     '"external":{"interface":"EVIL","addresses":["EVIL"]},"kernel":[],'
     '"health":{"fine":0,"threads":[{"name":"EVIL","still":"EVIL"},4],"watchdog":"EVIL"}}'),
    ("forwards",
     '{"forwards":[{"name":"EVIL","note":"EVIL","protocols":["EVIL"],"listen":"EVIL","to":"EVIL",'
     '"allow":'
     '["EVIL"],"expires":"EVIL"},{},5,{"protocols":[7],"listen":"80"}]}'), ("status", "{}"),
    ("status", "5"), ("forwards", "{}"), ("forwards", "[]"), ("sessions", "{}"), ("reload", "7"),
])
def test_unprintable_text_is_replaced(tmp_path, verb, result):
    done = ask_wrong_daemon(tmp_path, verb,
                    f'{{"jsonrpc":"2.0","id":1,"result":{result}}}'.replace("EVIL", EVIL).encode())
    assert done.returncode == 0, done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)


@pytest.mark.parametrize("verb", ["sessions", "mappings", "events"])
def test_unprintable_text_in_streams_is_replaced(tmp_path, verb):
    evil = (
        '{"jsonrpc":"2.0","method":"%s","params":{"protocol":"EVIL","state":"EVIL","share":"EVIL",'
        '"forward":"EVIL",'
        '"internal":{"address":"EVIL","port":-1},"remote":5,"type":"EVIL","reason":"EVIL",'
        '"time":"EVIL","peer":{},'
        '"age":1e300,"idle":-1,"bytes":{"out":-9223372036854775808,"in":9223372036854775807},'
        '"session":{"share":'
        '"EVIL","internal":{"address":"EVIL"}}}}' % verb.rstrip("s")).replace("EVIL",
                                                                              EVIL).encode()
    done = ask_wrong_daemon(tmp_path, verb, evil, b'{"method":"other","params":7}', b'{"method":7}',
                    b'{"jsonrpc":"2.0","id":1,"result":{}}', evil)
    assert done.returncode == (3 if verb == "events" else 0), done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)


def test_wrong_errors_and_garbage(tmp_path):
    error = (f'{{"error":{{"code":"x","message":"{EVIL}","data":{{"errors":["{EVIL}",'
             f'5]}}}}}}').encode(
    )
    done = ask_wrong_daemon(tmp_path, "reload", error)
    assert done.returncode == 1 and "\x1b" not in done.stderr
    for garbage in (b"hello", b"[]", b"5", b"\xff"):
        done = ask_wrong_daemon(tmp_path, "status", garbage)
        assert done.returncode == 3 and "protocol" in done.stderr
    done = ask_wrong_daemon(tmp_path, "status")
    assert done.returncode == 3 and "closed the connection" in done.stderr
