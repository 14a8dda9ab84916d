"""Much of it: a million sessions, ten thousand forwards

The million sessions are one UDP packet each, from 1000 source ports to as many destinations as it
takes, that nobody answers; they are made at a rate that leaves the gateway room, because the
question is what the table does to other packets, not what a flood does. A datagram goes through
every millisecond all the while.
"""

import json
import signal
import time

from contenders import ANSWER_PORT, FORWARDS, PROGRAMS, Portreeve, Routing, forward
from daemon import CLIENT
from deadline import eventually, measure_for
from net import MANY_DESTINATIONS
from work import Path, Work, answering, latency, load, pps

FILL_RATE = 50000  # sessions a second
FILL_SOCKETS = 1000
FIRST_FILL_PORT = 30000
PING_PORT = 20100
FIFO = ("chrt", "-f", "10")  # measures the gateway rather than its own turn at a processor
MANY = 10000


class Pings:
    """ping_pong in the background; each look at it ends one phase and begins the next."""

    def __init__(self, path):
        self._process = path.client.start(*FIFO, PROGRAMS / "ping_pong", path.target, ANSWER_PORT,
                                          PING_PORT)
        self._phases = 0
        self._process.until(self._lines, "ping_pong is ready")

    def _lines(self):
        return self._process.stdout().splitlines()

    def phase(self):
        self._phases += 1
        self._process.send(signal.SIGUSR1)
        self._process.until(lambda: len(self._lines()) > self._phases, "ping_pong reports")
        return json.loads(self._lines()[-1])

    def stop(self):
        self._process.stop(signal.SIGKILL)


def _stall(prefix, phase):
    """A datagram that was lost has no time of its own, but leaves a gap: of more than the one
    millisecond that is due.
    """
    longest = max(phase["max_us"], phase["gap_us"] - 1000)
    return {f"{prefix}_p999_ms": phase["p999_us"] / 1000, f"{prefix}_longest_ms": longest / 1000,
            f"{prefix}_lost": phase["lost"]}


def _fill(path, options):
    expected = options.sessions / FILL_RATE
    return load(path.client, "fill", options.sessions, FILL_SOCKETS, FILL_RATE, FIRST_FILL_PORT,
                MANY_DESTINATIONS, seconds=3 * expected)


def _idle_and_full(path, pings, options):
    measure_for(options.duration)
    figures = _stall("idle", pings.phase())
    filled = _fill(path, options)
    figures["fill_seconds"] = filled["seconds"]
    return {**figures, **_stall("filling", pings.phase())}


def _streaming(net, contender, options):
    """Latency with nobody looking, and while the whole table is listed again and again."""
    idle = latency(net, contender, options, "forward")
    began = time.monotonic()
    contender.daemon.client("sessions", "--json", timeout=120)
    listing = time.monotonic() - began
    command = f"while :; do {CLIENT} -s {contender.daemon.socket} sessions --json >/dev/null; done"
    reader = net.gw.start("sh", "-c", command)
    try:
        busy = latency(net, contender, options, "forward")
    finally:
        reader.stop(signal.SIGKILL)
    return {
        "listing_seconds": listing, "idle_p99_us": idle["p99_us"],
        "streaming_p99_us": busy["p99_us"], "streaming_max_us": busy["max_us"]
    }


def _sessions(contender):
    return contender.daemon.status()["sessions"]["live"]


def _expire(contender, pings, options):
    """From the first session that goes to the last."""
    pings.phase()
    eventually(lambda: _sessions(contender) <= options.sessions / 100, "the sessions expire",
               4 * options.sessions / FILL_RATE + 60)
    return _stall("expiring", pings.phase())


def _with_pings(net, contender, options, then):
    path = Path(net, contender, "share")
    with answering(path) as server:
        net.outside.run("chrt", "-f", "-p", "10", server.pid)
        pings = Pings(path)
        try:
            return then(path, pings)
        finally:
            pings.stop()


def _scale_plain(net, contender, options):
    """The same packets without a table: what of a stall is the machine's own, and the turn of a
    program on it.
    """
    contender.start(net)
    return _with_pings(net, contender, options,
                       lambda path, pings: _idle_and_full(path, pings, options))


def _stay(options):
    """How long a session stays, in seconds: until all are there, and have been listed twice."""
    return int(3 * options.sessions / FILL_RATE + 6 * options.duration + 5)


def _scale_portreeve(net, contender, options):
    limit = max(1024, options.sessions + options.sessions // 20 + 1000)
    contender.start(net, limits=f"sessions = {limit}\nsessions-per-host = {limit}",
                    timeouts=f"udp = {_stay(options)}s")

    def then(path, pings):
        figures = _idle_and_full(path, pings, options)
        figures["sessions"] = _sessions(contender)
        assert figures[
            "sessions"] >= 0.98 * options.sessions, f"only {figures['sessions']} sessions were made"
        return figures

    figures = _with_pings(net, contender, options, then)
    figures.update(_streaming(net, contender, options))
    figures.update(
        _with_pings(net, contender, options,
                    lambda path, pings: _expire(contender, pings, options)))
    return figures


def scale(net, contender, options):
    run = _scale_plain if isinstance(contender, Routing) else _scale_portreeve
    return run(net, contender, options)


def forwards(net, contender, options):
    """How long a start takes with many forwards, and what they cost a packet."""
    tables = {
        "one": FORWARDS, "range": FORWARDS + "\n" + forward("range", f"10000-{10000 + MANY - 1}"),
        "many": FORWARDS + "\n" +
        "\n".join(forward(f"f{port}", port) for port in range(10000, 10000 + MANY))
    }
    figures = {}
    for name, text in tables.items():
        contender.start(net, forwards=text)
        figures[f"ready_ms_{name}"] = 1000 * contender.daemon.ready_seconds
        figures[f"kpps_{name}"] = pps(net, contender, options, "forward")["kpps"]
        contender.stop(net)
    return figures


def _is_portreeve(contender):
    return isinstance(contender, Portreeve) and contender.workers == 2


def _scales(contender):
    return _is_portreeve(contender) or isinstance(contender,
                                                  Routing) and contender.workers in (0, 2)


def works():
    return [
        Work("scale", "a million sessions: latency and stalls", scale, "filling_longest_ms",
             "longest while filling, ms", only=_scales),
        Work("forwards", f"{MANY} forwards, and one of {MANY} ports: start and packets", forwards,
             "ready_ms_many", f"ready with {MANY} forwards, ms", only=_is_portreeve)
    ]
