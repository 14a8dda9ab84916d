"""What programs that know nothing of portreeve find out about the NAT they are behind

Three hosts' worth of addresses on lab1, each in a share with another filtering, so that all judges
can wait at once.
"""

import contextlib

import pytest

from capture import assert_checksums
from daemon import SHARE
from judges import natdiscovery, second_address, stun, stun_server
from lab import EXTERNAL

# The share's filtering: (its host, the same in the words of turnutils_natdiscovery and of stun)
FILTERINGS = {
    "endpoint-independent": ("10.0.0.40", "Endpoint Independent Filtering", "Independent Filter"),
    "address-dependent": ("10.0.0.41", "Address Dependent Filtering", "Address Dependent Filter"),
    "address-and-port-dependent": ("10.0.0.42", "Address and Port Dependent Filtering",
                                   "Port Dependent Filter"),
}
NEIGHBOUR = "10.0.0.43"  # shares with the first

# The last share holds the rest of the lab: what an earlier test's connections still send must not
# leave as it is.
CONFIG = "".join(
    f"[share {filtering}]\nsource = "
    f"{host}{', ' + NEIGHBOUR if filtering == 'endpoint-independent' else ''}\n"
    f"ports = 50000-59999\nfiltering = {filtering}\n"
    for filtering, (host, _, _) in FILTERINGS.items()) + SHARE

# What each judge is asked: its name here, its options, its local port (they run at the same time)
QUESTIONS = {
    "mapping": (["-m"], 5010),
    "filtering": (["-f"], 5020),
    "hairpin": (["-H"], 5030),
    "mapping-fragmented": (["-m", "-P"], 5040),
    "filtering-fragmented": (["-f", "-P"], 5050),
}


@pytest.fixture(params=FILTERINGS)
def filtering(request):
    return request.param


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("judges")


@pytest.fixture(scope="module")
def server(lab, directory):
    with stun_server(lab.out, directory):
        yield lab.out


@pytest.fixture(scope="module")
def hosts(lab):
    """lab1 speaks as each of the shares' hosts."""
    with contextlib.ExitStack() as stack:
        for address in [host for host, _, _ in FILTERINGS.values()] + [NEIGHBOUR]:
            stack.enter_context(second_address(lab.lab1, address))
        yield lab.lab1


@pytest.fixture(scope="module")
def judges(lab, daemon, server, hosts, directory):
    """Every judge about every filtering, all started; by (filtering, question)."""
    started = {}
    for filtering, (host, _, _) in FILTERINGS.items():
        for question, (options, port) in QUESTIONS.items():
            started[filtering, question] = natdiscovery(lab.lab1, server, directory, *options, "-L",
                                                        host, "-l", port)
        started[filtering, "stun"] = stun(lab.lab1, server, directory, host)
    return started


def assert_seen_outside(judge):
    """Every answer that it got named an external endpoint of the gateway's pool."""
    endpoints = judge.reflexive()
    assert endpoints, judge.report
    assert {address for address, _ in endpoints} == {EXTERNAL}
    assert all(50000 <= port <= 59999 for _, port in endpoints)


@pytest.mark.parametrize("question", ["mapping", "mapping-fragmented"])
def test_rfc4787_req1_a_judge_finds_endpoint_independent_mapping(judges, filtering, question):
    """With "-fragmented", question and answer are padded beyond a frame (RFC 5780, PADDING): RFC
    4787 REQ-14.
    """
    judge = judges[filtering, question]
    assert "NAT with Endpoint Independent Mapping!" in judge.report
    assert_seen_outside(judge)
    assert len(set(judge.reflexive())) == 1


@pytest.mark.parametrize("question", ["filtering", "filtering-fragmented"])
def test_rfc4787_req8_a_judge_finds_the_configured_filtering(judges, filtering, question):
    judge = judges[filtering, question]
    assert f"NAT with {FILTERINGS[filtering][1]}!" in judge.report
    assert_seen_outside(judge)


def test_rfc4787_req9_a_judge_finds_hairpinning_that_obeys_the_filtering(judges, filtering):
    """
    It calls its own mapping from a second socket, to which the first has not spoken: let in by
    endpoint-independent filtering only. The other filterings hairpin for those who have spoken to
    each other: stun's question, below.
    """
    judge = judges[filtering, "hairpin"]
    assert_seen_outside(judge)
    assert ("Received a request (maybe a successful hairpinning)" in judge.report) == \
        (filtering == "endpoint-independent")


def test_rfc4787_the_old_judge_finds_mapping_filtering_and_hairpin(judges, filtering):
    """stun sends its hairpin question from the socket that it calls."""
    report = judges[filtering, "stun"].report
    assert (f"Primary: Independent Mapping, {FILTERINGS[filtering][2]}, random port, will "
            "hairpin") in report


def test_rfc4787_req3_a_judge_finds_that_two_hosts_with_one_port_do_not_collide(
        lab, daemon, server, hosts, directory):
    host = FILTERINGS["endpoint-independent"][0]
    judge = natdiscovery(lab.lab1, server, directory, "-c", "-L", host, "-l", "5090", "-A",
                         NEIGHBOUR)
    assert_seen_outside(judge)
    assert len(set(judge.reflexive())) == len(judge.reflexive()) == 2


def test_rfc4787_req14_the_padded_questions_were_fragments_in_both_directions(
        lab, daemon, server, hosts, record, directory):
    """So that the judges' word about fragments means something."""
    outside = record(lab.out, "eth0", f"udp and host {lab.out.address}")
    host = FILTERINGS["endpoint-independent"][0]
    natdiscovery(lab.lab1, server, directory, "-m", "-P", "-L", host, "-l", "5099").report
    packets = outside.stop()
    assert_checksums(packets)
    fragments = [packet for packet in packets if packet[6:8] not in (b"\0\0", b"\x40\0")]
    sources = {".".join(map(str, packet[12:16])) for packet in fragments}
    assert sources == {EXTERNAL, lab.out.address}
