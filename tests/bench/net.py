"""The network that is measured, and what is known about the machine

      inside                     gw                          outside
    +------------------+       +-------------------+       +------------------------+
    | 10.0.0.2 ... .9  |-------| lan0         wan0 |-------| 203.0.113.10 ... .17   |
    +------------------+  veth | 10.0.0.1       .5 | veth  +------------------------+
                               +-------------------+
The interfaces keep the offloads that veth has from the start (segmentation, checksums), for every
contender alike. Both hosts have several addresses, so that a client that opens thousands of
connections a second does not run out of ports. 198.18.0.0/15, where the million sessions go, is
dropped outside without an answer.
"""

import os
from pathlib import Path

import process
from deadline import measure_for
from lab import EXTERNAL, GATEWAY_INSIDE, SHARED_NET, Host, link

INSIDE = [f"10.0.0.{n}" for n in range(2, 10)]
OUTSIDE = [f"203.0.113.{n}" for n in range(10, 18)]
MANY_DESTINATIONS = "198.18.0.0"

_TICKS = os.sysconf("SC_CLK_TCK")


class Net:
    def __init__(self):
        self.inside = Host("inside", INSIDE[0])
        self.gw = Host("gw", EXTERNAL)
        self.outside = Host("outside", OUTSIDE[0])
        link(self.inside, "eth0", self.gw, "lan0")
        link(self.outside, "eth0", self.gw, "wan0")
        self._addresses()
        self._neighbours()
        self.gw.sysctl("net.ipv4.ip_forward", 1)
        for host in (self.inside, self.gw, self.outside):
            host.sysctl("net.ipv4.ip_local_port_range", "10000 65535")
            host.sysctl("net.ipv4.tcp_tw_reuse", 1)
            host.sysctl("net.ipv4.tcp_max_syn_backlog", 8192)
            host.sysctl("net.core.somaxconn", 8192)

    def _addresses(self):
        self.gw.ip("address", "add", f"{GATEWAY_INSIDE}/24", "dev", "lan0")
        self.gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
        for host, addresses in ((self.inside, INSIDE), (self.outside, OUTSIDE)):
            for address in addresses:
                host.ip("address", "add", f"{address}/24", "dev", "eth0")
        self.inside.ip("route", "add", "default", "via", GATEWAY_INSIDE)
        self.gw.ip("route", "add", f"{MANY_DESTINATIONS}/15", "via", self.outside.address)
        self.outside.ip("route", "add", "blackhole", f"{MANY_DESTINATIONS}/15")

    def _neighbours(self):
        """Nobody's first packet, and nobody's worst one, waits for ARP."""
        for host, addresses, interface, gateway in ((self.inside, INSIDE, "lan0", GATEWAY_INSIDE),
                                                    (self.outside, OUTSIDE, "wan0", EXTERNAL)):
            for address in addresses:
                _neighbour(self.gw, address, host.hardware_address("eth0"), interface)
            _neighbour(host, gateway, self.gw.hardware_address(interface), "eth0")

    def route_back(self, present):
        """Without translation the outside must know the way to the inside; with it, it must not."""
        self.outside.ip("route", "replace" if present else "delete", SHARED_NET, "via", EXTERNAL)

    def gateway_seconds(self):
        """CPU seconds of all programs in the gateway's namespace so far, those of their ended
        children included.
        """
        pids = process.run(["ip", "netns", "pids", self.gw.namespace]).stdout.split()
        return sum(_process_ticks(pid) for pid in pids) / _TICKS


def _neighbour(host, address, hardware, interface):
    host.ip("neighbour", "replace", address, "lladdr", hardware, "dev", interface, "nud",
            "permanent")


def _process_ticks(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(ticks) for ticks in fields[11:15])  # utime, stime, cutime, cstime


def machine_seconds():
    """(busy, stolen) CPU seconds of the whole machine since it booted."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int,
                                                                      stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq) / _TICKS, steal / _TICKS


class Cpu:
    """What a piece of work costs: `busy` of the whole machine, `gateway` of the programs in the
    gateway, in seconds.
    """

    def __init__(self, net):
        self._net = net
        self.busy = self.stolen = self.gateway = 0.0

    def __enter__(self):
        self._began = (*machine_seconds(), self._net.gateway_seconds())
        return self

    def __exit__(self, *_):
        ended = (*machine_seconds(), self._net.gateway_seconds())
        self.busy, self.stolen, self.gateway = (after - before
                                                for after, before in zip(ended, self._began))


def busy_share(seconds=1.0):
    """How busy the machine is with other things: 0 to 1 of all its processors."""
    before = machine_seconds()[0]
    measure_for(seconds)
    return (machine_seconds()[0] - before) / seconds / os.cpu_count()


def machine():
    """What the figures hold for."""
    model = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cores": os.cpu_count(), "cpu": model[0] if model else "unknown",
        "kernel": os.uname().release, "machine": os.uname().machine,
        "memory_gib": round(int(memory) / 2**20,
                            1), "load": os.getloadavg()[0], "busy_before": round(busy_share(), 3)
    }
