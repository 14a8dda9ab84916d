"""A gateway between two hosts, in network namespaces of this process's own.

    inside                    gw                         outside
    10.0.0.2 eth0 ----- lan0 10.0.0.1
                        wan0 192.0.2.1 ----- eth0 192.0.2.2

Everything is named after the process id and is removed again, whatever happens.
"""

import atexit
import contextlib
import ctypes
import json
import os
import queue
import socket
import subprocess
import threading

from deadline import PATIENCE, eventually

LIBC = ctypes.CDLL(None, use_errno=True)
DEADLINE = 10.0
UDP_QUEUE = 16384  # where UDP waits that does not wait in queue 0 (queue_first_udp)
SOCKET_TIMEOUT = DEADLINE * PATIENCE


def run(*words, check=True, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    assert done.returncode == 0 or not check, f"{' '.join(words)}: {done.stderr}"
    return done


def wait_until(condition, what):
    return eventually(condition, what, DEADLINE)


class Namespace:
    alive = []

    def __init__(self, role):
        self.name = f"portreeve-k-{os.getpid()}-{role}"
        Namespace.alive.append(self)
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def remove(self):
        if self in Namespace.alive:
            Namespace.alive.remove(self)
            run("ip", "netns", "del", self.name, check=False)

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def nft(self, text):
        return self.run("nft", "-f", "-", input=text)

    def index(self, interface):
        return json.loads(self.ip("-j", "link", "show", interface).stdout)[0]["ifindex"]

    @contextlib.contextmanager
    def entered(self):
        """What is opened meanwhile (sockets, files of /proc/sys/net) belongs to this namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if LIBC.setns(there, 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                LIBC.setns(home, 0)
        finally:
            os.close(there)
            os.close(home)

    def socket(self, kind=socket.SOCK_DGRAM, bind=None, family=socket.AF_INET, listen=False):
        with self.entered():
            opened = socket.socket(family, kind)
        opened.settimeout(SOCKET_TIMEOUT)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bind:
            opened.bind(bind)
        if listen:
            opened.listen()
        return opened

    def sysctl(self, path, value=None):
        """One read or one write: of a long value, a second read would return nothing."""
        with self.entered():
            file = os.open(f"/proc/sys/net/{path}", os.O_RDONLY if value is None else os.O_WRONLY)
        try:
            if value is None:
                return os.read(file, 1 << 20).decode().strip()
            return os.write(file, value.encode())
        finally:
            os.close(file)


def remove_all():
    for driver in list(Driver.alive):
        driver.stop()
    for namespace in list(Namespace.alive):
        namespace.remove()


atexit.register(remove_all)


class Driver:
    """The driver at work in a namespace; each line it tells is a JSON object."""

    alive = []
    program = None

    def __init__(self, namespace, *words, settle=True):
        self.process = subprocess.Popen(namespace.command(Driver.program, *words),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        Driver.alive.append(self)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        if settle:
            first = self.line()
            assert first["code"] == 0, first

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def line(self):
        return json.loads(self.lines.get(timeout=SOCKET_TIMEOUT))

    def silent(self):
        return self.lines.empty()

    def release(self, word=""):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def stop(self):
        if self in Driver.alive:
            Driver.alive.remove(self)
            self.process.kill()
            self.process.wait()


class Lab:
    def __init__(self):
        self.gw = Namespace("gw")
        self.inside = Namespace("in")
        self.outside = Namespace("out")
        self._link(self.inside, "lan0", "10.0.0.1/24", "10.0.0.2/24")
        self._link(self.outside, "wan0", "192.0.2.1/24", "192.0.2.2/24")
        self.gw.sysctl("ipv4/ip_forward", "1")
        self.inside.ip("route", "add", "default", "via", "10.0.0.1")
        self.outside.ip("route", "add", "10.0.0.0/24", "via", "192.0.2.1")

    def _link(self, host, interface, gateway_address, host_address):
        run("ip", "link", "add", interface, "netns", self.gw.name, "type", "veth",
            "peer", "name", "eth0", "netns", host.name)
        self.gw.ip("address", "add", gateway_address, "dev", interface)
        host.ip("address", "add", host_address, "dev", "eth0")
        self.gw.ip("link", "set", interface, "up")
        host.ip("link", "set", "eth0", "up")
        wait_until(lambda: "LOWER_UP" in self.gw.ip("link", "show", interface).stdout,
                   f"carrier of {interface}")

    def drive(self, *words, prefix=()):
        """Runs a driver verb that ends by itself; returns the lines it told, the last one being
        code and error.
        """
        done = self.gw.run(*prefix, Driver.program, *words, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ruleset(self, *words):
        lines = self.drive("ruleset", *words)
        assert lines[-1]["code"] == 0, lines[-1]
        return lines[0]

    def serve(self, *words):
        return Driver(self.gw, "queue", *words)

    def statistics(self, number=UDP_QUEUE):
        return self.drive("statistics", f"number={number}")[0]

    def listing(self):
        """{kind: [objects]} of the daemon's table."""
        found = {}
        for entry in json.loads(
                self.gw.run("nft", "-j", "list", "table", "ip", "portreeve").stdout)["nftables"]:
            for kind, value in entry.items():
                found.setdefault(kind, []).append(value)
        return found

    def set_elements(self, name):
        listed = json.loads(self.gw.run("nft", "-j", "list", "set", "ip", "portreeve", name).stdout)
        return listed["nftables"][1]["set"].get("elem", [])

    def remove(self):
        remove_all()
