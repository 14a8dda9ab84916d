"""One address outside, or many, that take all they can: the others do not notice"""

import contextlib
import re
import socket

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from programs import ping
from traffic import assert_unanswered, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward narrow]
listen = 8081/tcp
to = 10.0.0.2:80
sessions = 5

[forward silent]
listen = 8083/tcp
to = 10.0.0.2:81

[forward slow]
listen = 8084/tcp
to = 10.0.0.2:81
new-sessions = 1

[limits]
sessions = 1024
sessions-per-host = 512
sessions-per-remote = 200
"""


def until_noticed(daemon, name, pattern):
    """The number in it is of the moment when the 80 % were passed."""

    def look():
        texts = [one["text"] for one in daemon.status()["notices"] if one["name"] == name]
        return len(texts) == 1 and re.fullmatch(pattern, texts[0])

    eventually(look, f"the notice {name}")


def try_in_vain(host, port):
    with host.socket(socket.SOCK_STREAM) as client:
        assert_unanswered(client, (EXTERNAL, port))


@pytest.fixture
def web(lab):
    with lab.lab1.listen(80) as listener:
        yield listener


@pytest.fixture
def greedy(daemon, web):
    """Opens connections, and keeps them: greedy(host, how_many, port)."""
    with contextlib.ExitStack() as stack:

        def take(host, count, port=8080):
            for _ in range(count):
                stack.enter_context(host.connect(EXTERNAL, port))
                stack.enter_context(web.accept()[0])

        yield take
    daemon.until_no_session("direction=inbound", "state=established", seconds=20)


def assert_others_do_not_notice(lab, web):
    """The inside, pings, and another client of the same forward."""
    with lab.out.listen(80) as listener, lab.out.udp(7) as server, lab.lab2.udp() as client:
        with tcp_pair(lab.lab2, lab.out.address, 80, listener) as (one, other, _):
            talk(one, other)
        udp_round_trip(client, server, lab.out.address)
    ping(lab.lab1, lab.out.address, "-c", "3", "-i", "0.1")
    with tcp_pair(lab.far, EXTERNAL, 8080, web) as (one, other, _):
        talk(one, other)


def test_one_address_that_takes_all_it_can_is_not_noticed_by_others(lab, daemon, web, greedy):
    greedy(lab.out2, 200)
    with daemon.dropping("remote-limit"):
        try_in_vain(lab.out2, 8080)
    assert_others_do_not_notice(lab, web)
    expected = {"live": 200, "limit": 768, "limit_of_one": 200}
    eventually(lambda: daemon.status()["sessions"]["from_outside"] == expected,
               "only those that are not closed count")
    until_noticed(
        daemon, "outside-near-limit",
        rf"{lab.out2.address} outside has \d+ of the 200 sessions that one remote may have: "
        r"\[limits\] sessions-per-remote")


def test_all_addresses_together_leave_room_for_the_inside(lab, daemon, web, greedy):
    body = CONFIG.replace("sessions-per-remote = 200", "sessions-from-outside = 100")
    daemon.reload(body)
    for host in (lab.out, lab.out2):
        greedy(host, 50)
    with daemon.dropping("outside-limit"):
        try_in_vain(lab.far, 8080)
    with lab.out.listen(80) as listener:
        with tcp_pair(lab.lab2, lab.out.address, 80, listener) as (one, other, _):
            talk(one, other)
    daemon.reload(CONFIG)


def begin_many(host, count):
    """So many first packets at once, to a port where nobody listens."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(host.socket(socket.SOCK_STREAM))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect((EXTERNAL, 8083))


def test_one_address_that_begins_too_many_is_stopped_before_the_queue(lab, daemon, web):
    limit = "\nnew-sessions-per-remote = "
    daemon.reload(CONFIG.rstrip() + limit + "1\n")
    with daemon.dropping("remote-rate", 25):
        begin_many(lab.out2, 50)
    assert_others_do_not_notice(lab, web)
    daemon.reload(CONFIG.rstrip() + limit + "off\n")
    with tcp_pair(lab.out2, EXTERNAL, 8080, web) as (one, other, _):
        talk(one, other)
    daemon.reload(CONFIG)


def test_the_status_shows_the_queues_of_newcomers_last(daemon):
    numbers = [queue["number"] for queue in daemon.status()["queues"]]
    assert numbers[-2:] == [numbers[0] + 32768, numbers[0] + 32769]
    assert len(numbers) == 2 * daemon.status()["workers"] + 2


def test_a_forward_has_a_limit_of_its_own(lab, daemon, web, greedy):
    greedy(lab.out2, 5, 8081)
    with daemon.dropping("forward-limit"):
        try_in_vain(lab.out, 8081)
    assert_others_do_not_notice(lab, web)
    until_noticed(daemon, "forward-near-limit",
                  r"forward 'narrow' has \d of the 5 sessions that it may have")


def test_a_forward_has_a_rate_of_its_own(lab, daemon, web):
    [slow] = [one for one in daemon.forwards() if one["name"] == "slow"]
    assert slow["rate"] == 1 and "limit" not in slow
    with contextlib.ExitStack() as stack, daemon.dropping("forward-rate"):
        for host in (lab.out, lab.out2) * 4:
            client = stack.enter_context(host.socket(socket.SOCK_STREAM))
            client.setblocking(False)
            client.connect_ex((EXTERNAL, 8084))
    assert_others_do_not_notice(lab, web)


def test_a_run_time_forward_may_have_one_and_keeps_it(lab, daemon, web, greedy):
    daemon.add_forward("guest", "8082/tcp", "10.0.0.2:80", "--sessions", "1",
                       "--new-sessions", "1000")
    try:
        daemon.kill()
        daemon.start()
        [guest] = [one for one in daemon.forwards() if one["name"] == "guest"]
        assert (guest["limit"], guest["rate"]) == (1, 1000)
        greedy(lab.out2, 1, 8082)
        with daemon.dropping("forward-limit"):
            try_in_vain(lab.out, 8082)
    finally:
        daemon.remove_forward("guest")


def test_the_sessions_of_a_forward_count_after_a_restart_and_a_reload(lab, daemon, web, greedy):
    greedy(lab.out2, 5, 8081)
    daemon.kill()
    daemon.start()
    with daemon.dropping("forward-limit"):
        try_in_vain(lab.out, 8081)
    daemon.reload(CONFIG + "\n[forward other]\nlisten = 8090/tcp\nto = 10.0.0.2:80\n")
    with daemon.dropping("forward-limit"):
        try_in_vain(lab.out, 8081)
    daemon.reload(CONFIG)
