"""portreeve audit: each finding with a configuration that has it, and one that does not"""

import json
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import CLIENT, SECONDS

HEAD = "[gateway]\nexternal = wan0\n[share lab]\nsource = 10.0.0.0/24\nports = 10000-10999\n"
RECORDS = "owner = netops\nnote = ticket 7\n"
ALLOW = "allow = 198.51.100.0/24\n"


def forward(listen, to, *more):
    return f"[forward one]\nlisten = {listen}\nto = {to}\n" + "".join(more)


def audit(stub, body, *options):
    stub.config.write_text(HEAD + body)
    assert stub.run("reload").returncode == 0
    return stub.run("audit", *options)


def found(stub, body):
    """(id, severity) of each finding."""
    done = audit(stub, body, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    findings = json.loads(done.stdout)
    for finding in findings:
        assert set(finding) == {"id", "severity", "forward", "reason", "advice", "source"}
        assert finding["forward"] == "one" and finding["reason"] and finding["advice"]
    return {(finding["id"], finding["severity"]) for finding in findings}


CASES = [
    # id, severity, what has it, what does not
    ("cleartext", "high", forward("23/tcp", "10.0.0.2:23"), forward("22/tcp", "10.0.0.2:22")),
    ("cleartext", "medium", forward("2100/tcp", "10.0.0.2:21"), forward("21/tcp", "10.0.0.2:990")),
    ("cleartext", "low", forward("80/tcp", "10.0.0.2:80"), forward("443/tcp", "10.0.0.2:443")),
    ("cleartext", "low", forward("143/tcp", "10.0.0.2:143",
                                 ALLOW), forward("143/udp", "10.0.0.2:143", ALLOW)),
    ("no-allow", "low", forward("443/tcp", "10.0.0.2:443"), forward("443/tcp", "10.0.0.2:443",
                                                                    ALLOW)),
    ("no-allow", "low", forward("443/tcp", "10.0.0.2:443", "allow = 0.0.0.0/0\n"),
     forward("443/tcp", "10.0.0.2:443", "allow = 0.0.0.0/1\n")),
    ("no-owner", "low", forward("443/tcp", "10.0.0.2:443",
                                "note = x\n"), forward("443/tcp", "10.0.0.2:443", "owner = x\n")),
    ("no-note", "info", forward("443/tcp", "10.0.0.2:443",
                                "owner = x\n"), forward("443/tcp", "10.0.0.2:443", "note = x\n")),
    ("expired", "medium", forward("443/tcp", "10.0.0.2:443", "expires = 2020-01-01T00:00:00Z\n"),
     forward("443/tcp", "10.0.0.2:443", "expires = 2099-01-01T00:00:00Z\n")),
    ("hidden-service", "info", forward("2222/tcp", "10.0.0.2:22"), forward("22/tcp",
                                                                           "10.0.0.2:22")),
    ("whole-range", "medium", forward("20000-20999/udp",
                                      "10.0.0.2:20000"), forward("20000-20998/udp",
                                                                 "10.0.0.2:20000")),
    ("outside-target", "medium", forward("443/tcp",
                                         "10.9.0.2:443"), forward("443/tcp", "10.0.0.2:443")),
    # in the middle of a range
    ("exposed-service", "high", forward("3000-4000/tcp", "10.0.0.2:3000",
                                        RECORDS), forward("3000-3100/tcp", "10.0.0.2:3000",
                                                          RECORDS)),
]
EXPOSED = [22, 135, 136, 137, 138, 139, 445, 2375, 3306, 3389, 5432, 5900, 6379, 9200, 11211, 27017]
CASES += [("exposed-service", "medium" if port == 22 else "high",
           forward(f"{port}/tcp",
                   f"10.0.0.2:{port}"), forward(f"{port}/tcp", f"10.0.0.2:{port}", ALLOW))
          for port in EXPOSED]
CASES += [("udp-amplifier", "high", forward(f"{port}/udp", f"10.0.0.2:{port}"),
           forward(f"{port}/udp", f"10.0.0.2:{port}", ALLOW))
          for port in (19, 53, 123, 161, 389, 1900, 11211)]


@pytest.mark.parametrize("name,severity,has_it,has_not", CASES)
def test_a_finding(stub, name, severity, has_it, has_not):
    assert (name, severity) in found(stub, has_it)
    assert (name, severity) not in found(stub, has_not)


def test_nothing_to_find(stub):
    clean = forward("443/tcp", "10.0.0.2:443", ALLOW, RECORDS)
    assert found(stub, clean) == set()
    done = audit(stub, clean, "--fail-on", "info")
    assert (done.returncode, done.stdout) == (0, "0 findings: 0 high, 0 medium, 0 low, 0 info\n")


def test_what_people_read_has_the_worst_first(stub):
    done = audit(stub, forward("6379/tcp", "10.0.0.2:6379"))
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0] == "high    one: Redis is open to everyone (exposed-service)"
    assert lines[-1] == "4 findings: 1 high, 0 medium, 2 low, 1 info"
    assert [line.split()[0] for line in lines[:-1:2]] == ["high", "low", "low", "info"]


@pytest.mark.parametrize("level,code", [("info", 1), ("low", 1), ("medium", 1), ("high", 0)])
def test_fail_on_a_severity(stub, level, code):
    whole = forward("20000-20999/udp", "10.0.0.2:20000")  # medium is the worst
    assert audit(stub, whole, "--fail-on", level).returncode == code
    assert audit(stub, whole, "--fail-on", level, "--json").returncode == code


def test_a_wrong_severity_is_wrong_usage(stub):
    done = stub.run("audit", "--fail-on", "worst")
    assert done.returncode == 2 and "expected info, low, medium or high" in done.stderr


# What takes a month, said by a daemon of the test


def days_ago(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))


def serve(path, results):
    """Answers a request on each connection with the result for its method."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(SECONDS)

    def answer():
        with listener:
            for _ in results:
                connection, _ = listener.accept()
                with connection, connection.makefile("rwb") as stream:
                    request = json.loads(stream.readline())
                    response = {
                        "jsonrpc": "2.0",
                        "id": request["id"],
                        "result": results[request["method"]]
                    }
                    stream.write(json.dumps(response).encode() + b"\n")

    threading.Thread(target=answer, daemon=True).start()


def audit_of(path, one, shares=({"source": ["10.0.0.0/24"]}, )):
    serve(
        path, {
            "forwards": {
                "forwards": [one]
            },
            "status": {
                "shares": list(shares)
            },
            "listeners": {
                "listeners": []
            }
        })
    done = subprocess.run([CLIENT, "-s", path, "audit", "--json"],
                          capture_output=True,
                          text=True,
                          check=True,
                          timeout=SECONDS)
    return {(finding["id"], finding["severity"]) for finding in json.loads(done.stdout)}


@pytest.mark.parametrize("since,last,expected", [
    (31, None, {("never-used", "medium")}),
    (29, None, set()),
    (90, 31, {("not-lately-used", "low")}),
    (90, 29, set()),
    (5, 31, set()),
])
def test_use(tmp_path, since, last, expected):
    use = {"since": days_ago(since), "last_used": last and days_ago(last)}
    assert audit_of(
        tmp_path / "socket", {
            "name": "web",
            "protocols": ["tcp"],
            "listen": "443",
            "to": "10.0.0.2:443",
            "allow": ["192.0.2.1/32"],
            "owner": "me",
            "note": "web",
            "use": use
        }) == expected


def of_the_gateway(stub, body):
    """(id, severity, reason) of the findings that are about no forward."""
    return {(one["id"], one["severity"], one["reason"])
            for one in json.loads(audit(stub, body, "--json").stdout) if one["forward"] is None}


def test_programs_of_the_gateway_are_in_no_register(monkeypatch, start_stub):
    monkeypatch.setenv("PORTREEVE_STUB_LISTENER", "yes")
    stub = start_stub()
    known = forward("443/tcp", "10.0.0.2:443", ALLOW, RECORDS)
    assert of_the_gateway(stub, known) == {
        ("own-listener", "low", "telnetd (user 0) listens at the external address on 23/tcp: no "
         "forward says who needs it")
    }
    assert "low     the gateway: telnetd" in stub.run("audit").stdout
    assert of_the_gateway(stub, forward("23/tcp", "10.0.0.2:22", ALLOW, RECORDS)) == set()
    assert stub.run("listeners").stdout.splitlines()[1].split() == [
        "tcp", "23", "any", "telnetd", "(user", "0)"
    ]
    assert stub.call("listeners") == {
        "listeners": [{
            "protocol": "tcp",
            "port": 23,
            "address": None,
            "program": "telnetd (user 0)"
        }],
        "count": 1
    }


def test_a_pool_in_the_range_of_the_hosts_own_ports(stub):
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
        first, last = (int(word) for word in file.read().split())
    known = forward("443/tcp", "10.0.0.2:443", ALLOW, RECORDS)
    share = f"[share other]\nsource = 10.0.1.0/24\nports = {first}-{last}\n"
    found, = of_the_gateway(stub, known + share)
    assert found[:2] == ("pool-in-local-range", "info") and "share 'other'" in found[2]
    assert of_the_gateway(stub, known) == set()


def test_answers_that_make_no_sense_are_not_judged(tmp_path):
    for number, one in enumerate((5, {}, {"name": 7, "listen": "EVIL", "to": "10.0.0.2:80"})):
        assert audit_of(tmp_path / f"socket{number}", one, (5, {"source": [1, "x"]})) == set()


def test_the_risks_have_sources(stub):
    done = audit(stub, forward("53/udp", "10.0.0.2:53"), "--json")
    [risk] = [one for one in json.loads(done.stdout) if one["id"] == "udp-amplifier"]
    assert re.search("TA14-017A", risk["source"])
