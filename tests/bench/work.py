"""The pieces of work: each done by one contender that is running, each giving figures

A forward is used from outside to inside, a share from inside to outside. Upload is from the client
to the server.
"""

import contextlib
import json
import math
import signal

from contenders import ANSWER_PORT, BULK_PORT, COUNT_PORT, POOL, PROGRAMS
from deadline import settled
from net import INSIDE, OUTSIDE, Cpu

PARALLEL = 20  # connections at a time
FLOWS = 16
FIRST_SOURCE_PORT = 20000
WARM_UP = 0.3  # seconds
PACED = 2  # loads after the flood
HEADROOM = 1.15  # of such a load over what has arrived
LOSSLESS = 1.0  # percent: with less loss than this the gateway could have carried more


class Path:
    """From a client through the gateway to a server."""

    def __init__(self, net, contender, direction):
        outward = direction == "share"
        self.client, self.server = (net.inside, net.outside) if outward else (net.outside,
                                                                              net.inside)
        self.target = net.outside.address if outward else contender.forward_address
        self.gateway_hardware = net.gw.hardware_address("lan0" if outward else "wan0")
        self.sources = INSIDE if outward else OUTSIDE
        # What the server sees of the client: who is translated, and by whom, is part of the work.
        self.seen_as = contender.external if outward else net.outside.address


@contextlib.contextmanager
def serving(host, *argv, port, protocol="tcp"):
    """A server for as long as it is needed; its output when it has ended, if anyone asks."""
    server = host.start(*argv)
    try:
        server.until(lambda: host.run("ss", "-Hnl", f"--{protocol}", f"sport = :{port}").stdout,
                     f"{argv[0]} listens")
        yield server
    finally:
        server.stop(signal.SIGKILL)


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


def load(host, program, *arguments, seconds):
    """One of our load programs, run to its end; the figures that it prints."""
    return last_json(host.run(PROGRAMS / program, *arguments, timeout=seconds + 30).stdout)


def answering(path):
    return serving(path.server, PROGRAMS / "answer", ANSWER_PORT, port=ANSWER_PORT)


def bulk(net, contender, options, direction, way, streams):
    path = Path(net, contender, direction)
    seconds = max(1, math.ceil(options.duration))
    arguments = [
        "-c", path.target, "-p", BULK_PORT, "-t", seconds, "-P", streams, "-J",
        *(["-R"] if way == "down" else [])
    ]
    with serving(path.server, "iperf3", "-s", "-p", BULK_PORT, port=BULK_PORT):
        with Cpu(net) as cpu:
            done = path.client.run("iperf3", *arguments, check=False, timeout=seconds + 30)
    report = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    received = report["end"]["sum_received"]
    gigabytes = received["bytes"] / 1e9
    return {"gbit_s": received["bits_per_second"] / 1e9, "cpu_s_per_gb": cpu.busy / gigabytes,
            "gateway_cpu_s_per_gb": cpu.gateway / gigabytes}


def _udp_counters(host):
    """What the host's sockets got and did not get so far."""
    return [line for line in host.run("cat", "/proc/net/snmp").stdout.splitlines()
            if line.startswith("Udp:")][1]


def _flood(net, path, seconds, *rate):
    """What arrived of a flood of all that the sender can do, or of `rate` packets a second."""
    with serving(path.server, PROGRAMS / "udp_count", COUNT_PORT, port=COUNT_PORT,
                 protocol="udp") as counter:
        with Cpu(net) as cpu:
            sent = load(path.client, "udp_flood", "eth0", path.gateway_hardware,
                        path.client.address, path.target, COUNT_PORT, seconds, FLOWS,
                        FIRST_SOURCE_PORT, *rate, seconds=seconds)
            settled(lambda: _udp_counters(path.server), "what waits in queues has come out")
        counter.send(signal.SIGTERM)
        counter.wait()
        got = last_json(counter.stdout())
    assert got["received"] > 0, "nothing arrived"
    assert got["from"] == path.seen_as, f"the server saw {got['from']}, expected {path.seen_as}"
    return {
        "kpps": got["received"] / got["seconds"] / 1e3,
        "offered_kpps": sent["sent"] / sent["seconds"] / 1e3,
        "lost_percent": 100 * (1 - got["received"] / sent["sent"]),
        "receiver_dropped_percent": 100 * got["socket_drops"] / sent["sent"],
        "cpu_s_per_mpkt": 1e6 * cpu.busy / got["received"],
        "gateway_cpu_s_per_mpkt": 1e6 * cpu.gateway / got["received"]
    }


def pps(net, contender, options, direction):
    """
    The most that arrives. What the gateway must throw away costs it, too, and where the sender
    shares its processors, so does sending it: after the flood come loads that are a little above
    what has arrived so far.
    """
    path = Path(net, contender, direction)
    _flood(net, path, WARM_UP)  # sessions are made, and offloaded where that is done
    best = flood = _flood(net, path, options.duration / 2)
    for _ in range(PACED):
        if flood["lost_percent"] < LOSSLESS:
            break
        paced = _flood(net, path, options.duration / 2, int(HEADROOM * 1000 * best["kpps"]))
        best = max(best, paced, key=lambda figures: figures["kpps"])
    return {**best, "flood_kpps": flood["kpps"], "flood_lost_percent": flood["lost_percent"]}


def connect(net, contender, options, direction):
    path = Path(net, contender, direction)
    with answering(path), Cpu(net) as cpu:
        report = load(path.client, "connect_load", path.target, ANSWER_PORT, options.duration,
                      PARALLEL, *path.sources, seconds=options.duration)
    assert report["connections"] > 0, f"no connection was answered: {report['failures']}"
    figures = {"per_second": report["connections"] / report["seconds"], "failed": report["failed"],
               "p50_us": report["p50_us"], "p99_us": report["p99_us"],
               "cpu_ms_per_connection": 1000 * cpu.busy / report["connections"]}
    if direction == "share" and contender.external != INSIDE[0]:
        figures["pool_used_over"] = report["connections"] / (POOL[1] - POOL[0] + 1)
    for why, count in report["failures"].items():
        if count:
            figures[f"failed: {why}"] = count
    return figures


def latency(net, contender, options, direction):
    path = Path(net, contender, direction)
    with answering(path):
        return load(path.client, "latency", path.target, ANSWER_PORT, options.duration,
                    seconds=options.duration)


class Work:
    """A name, what it needs of a contender ("share", "udp"), which figure stands for it, and how it
    is done.
    """

    def __init__(self, name, what, run, figure, unit, needs=(), only=None, **arguments):
        self.name, self.what, self.figure, self.unit = name, what, figure, unit
        self._run, self._needs, self._only, self._arguments = run, needs, only, arguments
        self.starts_itself = only is not None

    def impossible(self, contender):
        """Why this contender cannot do it, or nothing."""
        if self._only and not self._only(contender):
            return "not measured"
        return next((contender.lacks[need] for need in self._needs if need in contender.lacks),
                    None)

    def run(self, net, contender, options):
        return self._run(net, contender, options, **self._arguments)


def _bulk_works():
    for direction in ("forward", "share"):
        for way, streams in (("up", 1), ("down", 1), ("up", 8), ("down", 8)):
            what = (f"bulk TCP by a {direction}, {way}load, {streams} "
                    f"stream{'s' if streams > 1 else ''}")
            yield Work(f"bulk-{direction}-{way}-{streams}", what, bulk, "gbit_s", "Gbit/s",
                       _needs(direction), direction=direction, way=way, streams=streams)


def _needs(direction, *more):
    return (("share",) if direction == "share" else ()) + more


def basic():
    made = list(_bulk_works())
    for direction in ("forward", "share"):
        made.append(
            Work(f"pps-{direction}", f"UDP packets of 64 bytes by a {direction}", pps, "kpps",
                 "kpps", _needs(direction, "udp"), direction=direction))
        made.append(
            Work(f"connect-{direction}", f"new TCP connections by a {direction}", connect,
                 "per_second", "per second", _needs(direction), direction=direction))
        made.append(
            Work(f"latency-{direction}",
                 f"request and answer of 64 bytes over a kept connection, by a {direction}",
                 latency, "p99_us", "p99, µs", _needs(direction), direction=direction))
    return made
