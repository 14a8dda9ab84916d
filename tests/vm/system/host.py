"""The virtual machine as a gateway: its own network is the gateway's, the other hosts of
tests/e2e/lab.py are namespaces; portreeved is a service of its service manager
"""

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import lab as laboratory
import netns
import process
from deadline import eventually
from traffic import talk

PROJECT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ["PORTREEVE_BUILD"])
CONFIG = Path("/etc/portreeve/portreeve.conf")
RESERVED = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")

BODY = """
[gateway]
external = wan0

[share lab]
source = 10.0.0.0/24

[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[performance]
offload-after = 1
"""


class Gateway(laboratory.Host):
    """The machine's own network namespace, by a name that nobody removes."""

    def __init__(self):
        self.role = "gw"
        self.address = laboratory.EXTERNAL
        self.namespace = "machine"
        netns.ip("netns", "attach", self.namespace, str(os.getpid()))


def make_lab():
    return laboratory.Lab(gateway=Gateway())


def systemctl(*words, check=True, timeout=60):
    return process.run(["systemctl", *words], check=check, timeout=timeout)


def make(*words):
    """make install and make uninstall, as the README has them."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    subprocess.run(["make", "-s", "-C", PROJECT, f"BUILD={BUILD.relative_to(PROJECT)}", *words],
                   env=environment,
                   check=True,
                   stdout=subprocess.DEVNULL)


class Service:
    """portreeved as an administrator has it."""

    NAME = "portreeved.service"

    def write(self, body):
        CONFIG.write_text(body)

    def show(self, what):
        return systemctl("show", "--value", "-p", what, self.NAME).stdout.strip()

    def is_active(self):
        return self.show("ActiveState") == "active"

    def pid(self):
        return int(self.show("MainPID"))

    def client(self, *words, check=True):
        return process.run(["/usr/local/bin/portreeve", *words], check=check)

    def status(self):
        return json.loads(self.client("status", "--json").stdout)

    def sessions(self, *words):
        return json.loads(self.client("sessions", *words, "--json").stdout)

    def log(self, lines=60):
        return process.run(["journalctl", "-b", "-o", "cat", "-n",
                            str(lines), "-u", self.NAME],
                           check=False).stdout

    def answers(self):
        return self.client("status", check=False).returncode == 0

    def start(self):
        systemctl("start", self.NAME)
        eventually(self.answers, "portreeved answers", 10)

    def stop(self):
        systemctl("stop", self.NAME)


def tables():
    """All nf_tables tables of the machine, as family and name."""
    return process.run(["nft", "list", "tables"]).stdout.replace("table ", "").splitlines()


def forget_rules():
    """After a test: the machine has no rules of anybody, and no service of others runs."""
    for unit in ("firewalld", "ufw", "nftables", "unbound", "named"):
        systemctl("stop", unit, check=False)
    for table in tables():
        family, name = table.split()
        if name != "portreeve":
            process.run(["nft", "delete", "table", family, name], check=False)


class Connections:
    """
    As many connections through the share as through the forward. Both sides talk all the time, a
    few bytes and then a pause, until the end of the block; what broke is in `broken`.
    """

    EACH = 20

    def __init__(self, lab):
        self._lab = lab
        self._stack = contextlib.ExitStack()
        self._pairs = []
        self._stop = threading.Event()
        self._threads = []
        self.broken = []
        self.rounds = 0

    def _open(self, client_host, server_host, address, port, listen_port):
        with server_host.listen(listen_port) as listener:
            for _ in range(self.EACH):
                client = self._stack.enter_context(client_host.connect(address, port))
                server = self._stack.enter_context(listener.accept()[0])
                server.settimeout(client.gettimeout())
                self._pairs.append((client, server))

    def _talk(self, pair):
        while not self._stop.wait(0.1):
            try:
                talk(*pair)
                self.rounds += 1
            except (OSError, AssertionError) as error:
                self.broken.append(repr(error))
                return

    def __enter__(self):
        lab = self._lab
        self._open(lab.lab1, lab.out, lab.out.address, 81, 81)
        self._open(lab.out, lab.lab1, laboratory.EXTERNAL, 8080, 80)
        for pair in self._pairs:
            talk(*pair)
            self._threads.append(threading.Thread(target=self._talk, args=(pair, ), daemon=True))
            self._threads[-1].start()
        return self

    def go_on(self):
        """Each connection has talked again since the call."""
        seen = self.rounds
        eventually(lambda: self.broken or self.rounds > seen + 3 * len(self._pairs),
                   "the connections go on", 20)

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def all_live(self):
        self.go_on()
        assert not self.broken, f"{len(self.broken)} of {len(self._pairs)} broke: {self.broken[:3]}"
