"""Attacks: what others notice while one goes on, beside the kernel's NAT in the same run

    sudo make attack                                         all of it
    sudo make attack ROUNDS=1 DURATION=2 ATTACKS=syn-forward,ack CONTENDERS=kernel,portreeve-on

During each attack one established connection transfers bulk, new connections are opened at a steady
pace by a forward and by a share, and `portreeve status` asks the daemon. A connection that fails
counts with the time until it failed. The kernel's NAT meets the same attack in the same round; the
senders of the attack, both hosts and the gateway share the processors of this machine.

The bars are what the project wants to reach. The table says which were met; the exit code says only
whether everything could be measured.
"""

import argparse
import atexit
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "e2e"))
tempfile.tempdir = "/dev/shm"

# pylint: disable=wrong-import-position
import daemon  # noqa: E402
import net as network  # noqa: E402
import netns  # noqa: E402
import process  # noqa: E402
from bench import as_option, chosen, first_line, say  # noqa: E402
from contenders import (
    ANSWER_PORT,
    BULK_PORT,
    COUNT_PORT,
    POOL,
    PROGRAMS,
    Daemon,  # noqa: E402
    Kernel,
    Portreeve)
from deadline import eventually, measure_for  # noqa: E402
from lab import EXTERNAL, SHARED_NET  # noqa: E402
from net import MANY_DESTINATIONS, OUTSIDE  # noqa: E402
from work import Path as Way, answering, last_json, serving  # noqa: E402

ANYONE = f"{MANY_DESTINATIONS}/15"  # forged sources, or destinations that nobody has
PACE = 50  # new connections a second, by the forward and by the share
PARALLEL = 200  # of these under way: enough for all that wait until they fail
ASK_EVERY = 0.2  # seconds
SETTLED = 1  # seconds of the bulk transfer before the attack, which do not count

# What the project wants: of the kernel's bulk, with and without offload; milliseconds; what may
# grow.
BULK = {"portreeve-on": 0.9, "portreeve-off": 0.6}
P50_MS, CONTROL_MS = 10, 50
MEMORY_MIB, LOG_LINES = 8, 10


class Attack:
    """Who sends what; `limits` and `pool` make the table or the pool small for it."""

    def __init__(self, name, what, words=(), outside=True, limits=None, pool=POOL):
        self.name, self.what, self.words, self.outside = name, what, words, outside
        self.limits, self.pool = limits, pool

    def arguments(self, net, rate, seconds):
        interface = "wan0" if self.outside else "lan0"
        return ["eth0", net.gw.hardware_address(interface), *self.words, rate, seconds]


def _ports(first, last):
    return f"{first}-{last}"


def every_attack():
    # Hosts of the share that are not there: the answers to them go nowhere.
    insiders = SHARED_NET.replace(".0/", ".128/").replace("/24", "/25")
    small = (POOL[0], POOL[0] + 255)
    return [
        Attack("none", "no attack"),
        Attack("syn-forward", "SYN to a forward, forged sources",
               ("syn", ANYONE, EXTERNAL, ANSWER_PORT)),
        Attack("syn-forward-one", "SYN to a forward, all from one address",
               ("syn", OUTSIDE[-1], EXTERNAL, ANSWER_PORT)),
        Attack("syn-pool", "SYN to the ports of the pool, forged sources",
               ("syn", ANYONE, EXTERNAL, _ports(*POOL))),
        Attack("ack", "ACK to a forward, forged sources", ("ack", ANYONE, EXTERNAL, BULK_PORT)),
        Attack("udp", "UDP to a forward, forged sources", ("udp", ANYONE, EXTERNAL, COUNT_PORT)),
        Attack("pool-scan", "UDP to the ports of the pool, all from one address",
               ("udp", OUTSIDE[-1], EXTERNAL, _ports(*POOL))),
        Attack("inside-syn",
               "SYN from inside to everywhere", ("syn", insiders, ANYONE, _ports(1, 65535)),
               outside=False),
        Attack("inside-udp",
               "UDP from inside to everywhere", ("udp", insiders, ANYONE, _ports(1, 65535)),
               outside=False),
        Attack("full-table",
               "UDP from inside to everywhere, with a table of 4096 sessions",
               ("udp", insiders, ANYONE, _ports(1, 65535)),
               outside=False,
               limits="sessions = 4096\nsessions-per-host = 4096\nnew-sessions-per-remote = auto"),
        Attack("dry-pool",
               "UDP from inside to everywhere, with a pool of 256 ports",
               ("udp", insiders, ANYONE, _ports(1, 65535)),
               outside=False,
               pool=small),
    ]


class Attacked(Portreeve):
    """As it comes: with the default limits for the outside."""

    def start_for(self, net, attack):
        limits = attack.limits or "sessions = 262144\nsessions-per-host = 262144"
        body = self.configuration(limits=limits)
        body = body.replace(_ports(*POOL), _ports(*attack.pool))
        self.daemon = Daemon(net, body)
        self.daemon.start()


class KernelAttacked(Kernel):
    daemon = None

    def start_for(self, net, _attack):
        self.start(net)


def every_contender():
    return [
        KernelAttacked("kernel", "the kernel's NAT: nftables masquerade and dnat"),
        Attacked("portreeve-on", "portreeve, offload = on", "on", "auto"),
        Attacked("portreeve-off", "portreeve, offload = off", "off", "auto")
    ]


def resident_mib(pid):
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


class Observed:
    """The daemon during an attack: its memory, its log, how long its answers take."""

    def __init__(self, running):
        self._daemon = running
        if running:
            self._before = self._memory(), self._lines()
        self.answers = []

    def _memory(self):
        return resident_mib(self._daemon.process.pid)

    def _lines(self):
        return len(self._daemon.process.stderr().splitlines())

    def ask(self):
        if self._daemon:
            began = time.monotonic()
            self._daemon.client("status", "--json", check=False)
            self.answers.append(1000 * (time.monotonic() - began))

    def figures(self):
        if not self._daemon:
            return {}
        return {
            "control_ms": max(self.answers),
            "memory_mib": self._memory() - self._before[0],
            "log_lines": self._lines() - self._before[1]
        }


def paced(way, seconds):
    """New connections at a steady pace, in the background."""
    return way.client.start(PROGRAMS / "connect_load", "--paced", PACE, way.target, ANSWER_PORT,
                            seconds, PARALLEL, *way.sources[:-1])


def finish(program, seconds):
    program.wait(seconds + 60)
    return json.loads(program.stdout())


def bulk_rate(program, seconds):
    """Gbit/s of the seconds behind those that do not count."""
    report = finish(program, seconds)
    if "error" in report or not report["intervals"]:
        return 0.0
    return report["end"]["sum_received"]["bits_per_second"] / 1e9


def measure(net, attack, contender, options):
    forward, share = Way(net, contender, "forward"), Way(net, contender, "share")
    seconds = options.duration
    with answering(forward), answering(share), serving(forward.server,
                                                       "iperf3",
                                                       "-s",
                                                       "-p",
                                                       BULK_PORT,
                                                       port=BULK_PORT):
        bulk = forward.client.start("iperf3", "-c", forward.target, "-p", BULK_PORT, "-J", "-O",
                                    SETTLED, "-t", seconds)
        eventually(lambda: _is_connected(forward), "the bulk transfer runs")
        flood = None
        if attack.words:
            sender = net.outside if attack.outside else net.inside
            flood = sender.start(PROGRAMS / "flood",
                                 *attack.arguments(net, options.rate, seconds + SETTLED + 5))
        observed = Observed(contender.daemon)
        loads = [paced(way, seconds) for way in (forward, share)]
        while bulk.running:
            observed.ask()
            measure_for(ASK_EVERY)
        figures = {"gbit_s": bulk_rate(bulk, seconds), **observed.figures()}
        for name, program in zip(("forward", "share"), loads):
            report = finish(program, seconds)
            figures[f"p50_{name}_ms"] = report["p50_us"] / 1000
            figures[f"failed_{name}"] = report["failed"]
        if flood:
            flood.send(signal.SIGTERM)
            flood.wait()
            sent = last_json(flood.stdout())
            figures["flood_kpps"] = sent["sent"] / sent["seconds"] / 1000
    return figures


def _is_connected(way):
    return way.server.run("ss", "-Hnt", "state", "established", f"sport = :{BULK_PORT}").stdout


def run(options):
    about = {
        "machine": network.machine(),
        "rate": options.rate,
        "duration": options.duration,
        "rounds": options.rounds
    }
    net = network.Net()
    results = {}
    for number in range(options.rounds):
        for attack in options.attacks:
            for contender in options.contenders:
                cell = results.setdefault(attack.name, {}).setdefault(contender.name, [])
                try:
                    contender.start_for(net, attack)
                    cell.append(measure(net, attack, contender, options))
                    say(f"round {number + 1}  {attack.name:16} {contender.name:14} "
                        f"{cell[-1]['gbit_s']:6.2f} Gbit/s  forward "
                        f"{cell[-1]['p50_forward_ms']:.1f} ms  share "
                        f"{cell[-1]['p50_share_ms']:.1f} ms")
                finally:
                    contender.stop(net)
    return about, results


def median(results, attack, contender, figure):
    values = [one[figure] for one in results[attack].get(contender, []) if figure in one]
    return statistics.median(values) if values else None


def ratios(results, attack, contender):
    """Bulk, beside the kernel's in the same round."""
    pairs = zip(results[attack].get("kernel", []), results[attack].get(contender, []))
    found = [own["gbit_s"] / kernel["gbit_s"] for kernel, own in pairs if kernel["gbit_s"] > 0]
    return statistics.median(found) if found else None


def judged(value, bar, good, digits=1):
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text if bar is None or good(value, bar) else f"**{text}**"


def at_most(value, bar):
    return value <= bar


def at_least(value, bar):
    return value >= bar


def row(results, attack, contender):

    def figure(name):
        return median(results, attack.name, contender.name, name)

    is_ours = contender.name in BULK
    cells = [
        attack.name if not is_ours else "", contender.name,
        judged(figure("gbit_s"), None, None),
        judged(
            ratios(results, attack.name, contender.name) if is_ours else None,
            BULK.get(contender.name), at_least, 2)
    ]
    for name, bar in (("p50_forward_ms", P50_MS), ("p50_share_ms", P50_MS),
                      ("control_ms", CONTROL_MS), ("memory_mib", MEMORY_MIB), ("log_lines",
                                                                               LOG_LINES)):
        cells.append(judged(figure(name), bar if is_ours else None, at_most))
    return "| " + " | ".join(cells) + " |"


HEAD = """# Under attack

{cpu}, {cores} processors, Linux {kernel}. Attacks of {rate} packets a second, {duration} seconds
each, {rounds} rounds; medians. The attackers, both hosts and the gateway share the processors.

Bold: over the bar. Bars: bulk at least {on} of the kernel's with offload and {off} without, new
connections {p50} ms at the median (one that fails counts with the time until it failed), control
{control} ms at most, memory {memory} MiB, {lines} lines of the log.

"""
COLUMNS = ("attack", "who", "bulk, Gbit/s", "of the kernel's", "new by forward, ms",
           "new by share, ms", "control, ms", "memory, MiB", "log lines")


def report(options, about, results):
    machine = about["machine"]
    page = HEAD.format(cpu=machine["cpu"],
                       cores=machine["cores"],
                       kernel=machine["kernel"],
                       rate=about["rate"],
                       duration=about["duration"],
                       rounds=about["rounds"],
                       on=BULK["portreeve-on"],
                       off=BULK["portreeve-off"],
                       p50=P50_MS,
                       control=CONTROL_MS,
                       memory=MEMORY_MIB,
                       lines=LOG_LINES)
    page += f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    page += "\n".join(
        row(results, attack, contender) for attack in options.attacks
        for contender in options.contenders)
    page += "\n\nThe attacks:\n\n"
    page += "".join(f"- {attack.name}: {attack.what}\n" for attack in options.attacks)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "attack.md").write_text(page)
    (options.output / "attack.json").write_text(
        json.dumps({
            "about": about,
            "results": results
        }, indent=1))
    print(page, end="")
    say(f"written to {options.output}/: attack.md, attack.json")


def parse(argv):
    parser = argparse.ArgumentParser(description="portreeve under attack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=int, default=4, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=100000, help="packets of an attack per second")
    parser.add_argument("--attacks", metavar="NAME,...", help="default: all")
    parser.add_argument("--contenders", metavar="NAME,...", help="default: all")
    parser.add_argument("--output",
                        type=Path,
                        default=daemon.ROOT / "bench-output",
                        metavar="DIRECTORY")
    options = parser.parse_args([as_option(word) for word in argv])
    options.attacks = chosen(options.attacks, every_attack(), "attack", lambda _: True)
    options.contenders = chosen(options.contenders, every_contender(), "contender", lambda _: True)
    return options


def clean_up():
    process.stop_all()
    netns.remove_mine()
    process.remove_files(os.getpid())


def main(argv):
    options = parse(argv)
    if os.geteuid() != 0:
        sys.exit("attack: it makes network namespaces: run it as root")
    netns.clean_up_whatever_happens()
    process.remove_leftover_files()
    atexit.register(clean_up)
    try:
        about, results = run(options)
    except KeyboardInterrupt:
        sys.exit("attack: interrupted; nothing is left behind, and nothing was written")
    except AssertionError as error:
        sys.exit(f"attack: {first_line(error)}")
    report(options, about, results)


if __name__ == "__main__":
    main(sys.argv[1:])
