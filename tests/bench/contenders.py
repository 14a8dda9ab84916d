"""Who is measured: each started in the gateway of the network, and gone without a trace afterwards
"""

import socket
import time

import daemon
import process
from lab import EXTERNAL, SHARED_NET
from net import INSIDE

# Small, so that a few seconds of new connections use it up several times over.
POOL = (50000, 51999)
BULK_PORT, ANSWER_PORT, COUNT_PORT = 5201, 7000, 7001
PROGRAMS = daemon.BUILD / "tests" / "bench"

READY_SECONDS = 60


class Contender:
    """One way through the gateway. `lacks` says what it cannot do: {"share": why, "udp": why}."""

    external = EXTERNAL  # what the outside sees of the inside
    workers = 0  # threads that translate, of a program that has such
    forward_address = EXTERNAL  # where the outside reaches the inside's ports
    lacks = {}

    def __init__(self, name, what):
        self.name, self.what = name, what

    def start(self, net):
        raise NotImplementedError

    def stop(self, net):
        raise NotImplementedError


class Routing(Contender):
    """No translation: the outside has a route to the inside."""

    external = forward_address = INSIDE[0]

    def start(self, net):
        net.route_back(True)

    def stop(self, net):
        net.route_back(False)


_KERNEL_NAT = f"""
table ip bench {{
    chain inbound {{
        type nat hook prerouting priority dstnat
        ip daddr {EXTERNAL} meta l4proto {{ tcp, udp }} \\
            th dport {{ {BULK_PORT}, {ANSWER_PORT}, {COUNT_PORT} }} dnat to {INSIDE[0]}
    }}
    chain outbound {{
        type nat hook postrouting priority srcnat
        oifname wan0 ip saddr {SHARED_NET} meta l4proto {{ tcp, udp }} \\
            masquerade to :{POOL[0]}-{POOL[1]}
    }}
}}
"""


class Kernel(Contender):
    """nftables: masquerade and dnat, with connection tracking."""

    def start(self, net):
        net.gw.nft(_KERNEL_NAT)

    def stop(self, net):
        net.gw.nft("delete table ip bench\n")
        net.gw.run("conntrack", "-F")


class NullQueue(Routing):
    def __init__(self, name, what, workers):
        super().__init__(name, what)
        self.workers = workers
        self.process = None

    def start(self, net):
        super().start(net)
        self.process = net.gw.start(PROGRAMS / "null_queue", "wan0", self.workers, SHARED_NET,
                                    *INSIDE)
        self.process.until(lambda: "ready" in self.process.stdout(), "null_queue is ready")

    def stop(self, net):
        super().stop(net)
        if self.process:
            self.process.stop()


class Daemon(daemon.Daemon):
    """portreeved, and how long it took until READY=1 (seconds)."""

    LOG_LEVEL = "warning"  # its own messages are no part of the work
    PERFORMANCE = ""  # each contender says it itself

    def __init__(self, net, body):
        super().__init__(net, body)
        self.ready_seconds = None

    def start(self, *arguments):
        self._reserved = self.lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports")
        with daemon.notify_socket(self.directory) as (notifications, path):
            began = time.monotonic()
            self.launch(*arguments, environment={"NOTIFY_SOCKET": str(path)})
            notifications.settimeout(0.1)
            while not self._is_ready(notifications):
                assert self.process.running, self._why()
                waited = time.monotonic() - began
                assert waited < READY_SECONDS, f"not ready within {READY_SECONDS} s"
            self.ready_seconds = time.monotonic() - began
        return self

    def _why(self):
        """The first error that it told."""
        lines = self.process.stderr().strip().splitlines()
        return next((line for line in lines if "error:" in line),
                    "ended without a word").replace(f"{self.directory}/", "")

    @staticmethod
    def _is_ready(notifications):
        try:
            return b"READY=1" in notifications.recv(4096)
        except socket.timeout:
            return False


def forward(name, ports, target_port=None):
    first = str(ports).partition("-")[0]
    return f"[forward {name}]\nlisten = {ports}/tcp+udp\nto = {INSIDE[0]}:{target_port or first}\n"


FORWARDS = "\n".join(
    (forward("bulk", BULK_PORT), forward("answer", ANSWER_PORT), forward("count", COUNT_PORT)))

LIMITS = "sessions = 262144\nsessions-per-host = 262144\nnew-sessions-per-remote = off"


class Portreeve(Contender):
    def __init__(self, name, what, offload, workers):
        super().__init__(name, what)
        self.offload, self.workers = offload, workers
        self.daemon = None

    def configuration(self, forwards=FORWARDS, limits=LIMITS, timeouts=""):
        return (f"[share lab]\nsource = {SHARED_NET}\nports = {POOL[0]}-{POOL[1]}\n\n{forwards}\n"
                f"[limits]\n{limits}\n\n[timeouts]\n{timeouts}\n\n"
                f"[performance]\nworkers = {self.workers}\noffload = {self.offload}\n")

    def start(self, net, **configuration):
        self.daemon = Daemon(net, self.configuration(**configuration))
        self.daemon.start()

    def stop(self, net):
        if self.daemon is None:
            return
        try:
            self.daemon.stop()
        finally:
            self.daemon.abandon()
            process.remove_tree(self.daemon.directory)
            self.daemon = None


class Proxy(Contender):
    """A program that takes a connection and makes another one. The target sees the gateway's
    address.
    """

    lacks = {"share": "a proxy: it takes connections in, but does not share an address",
             "udp": "forwards TCP only here"}

    def __init__(self, name, what, commands):
        super().__init__(name, what)
        self._commands = commands
        self._processes = []

    def start(self, net):
        ports = (BULK_PORT, ANSWER_PORT)
        for argv in self._commands(ports):
            self._processes.append(net.gw.start(*argv))
        self._processes[-1].until(lambda: all(self._listens(net, port) for port in ports),
                                  f"{self.name} listens")

    @staticmethod
    def _listens(net, port):
        return net.gw.run("ss", "-Hnlt", f"sport = :{port}").stdout

    def stop(self, net):
        while self._processes:
            self._processes.pop().stop()


def _write(name, text):
    path = daemon.tempfile.gettempdir() + f"/portreeve-e2e-{daemon.os.getpid()}-{name}"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def _haproxy(ports):
    text = ("global\n    maxconn 4000\ndefaults\n    mode tcp\n    timeout connect 5s\n"
            "    timeout client 60s\n    timeout server 60s\n")
    for port in ports:
        text += (f"listen p{port}\n    bind {EXTERNAL}:{port}\n"
                 f"    server inside {INSIDE[0]}:{port}\n")
    return [["haproxy", "-db", "-q", "-f", _write("haproxy.cfg", text)]]


def _rinetd(ports):
    text = "".join(f"{EXTERNAL} {port} {INSIDE[0]} {port}\n" for port in ports)
    return [["rinetd", "-f", "-c", _write("rinetd.conf", text)]]


def _socat(ports):
    return [[
        "socat", f"TCP4-LISTEN:{port},bind={EXTERNAL},reuseaddr,fork,backlog=1024",
        f"TCP4:{INSIDE[0]}:{port}"
    ] for port in ports]


def every():
    """All contenders, those that others are compared with first."""
    made = [Routing("routing", "plain routing, no translation"),
            Kernel("kernel", "the kernel's NAT: nftables masquerade and dnat")]
    made += [
        NullQueue(f"null-{n}", f"the queue alone, nothing decided, {_workers(n)}", n)
        for n in (1, 2)
    ]
    made += [
        Portreeve(f"portreeve-{mode}-{n}", f"portreeve, offload = {mode}, {_workers(n)}", mode, n)
        for mode in ("off", "on") for n in (1, 2)
    ]
    made += [Proxy("haproxy", "haproxy, mode tcp", _haproxy), Proxy("rinetd", "rinetd", _rinetd),
             Proxy("socat", "socat, a process for each connection", _socat)]
    return made


def _workers(number):
    return "1 worker" if number == 1 else f"{number} workers"
