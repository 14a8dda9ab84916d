"""portreeved under test: configured, started, asked, reloaded, stopped, and checked when it leaves
"""

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import process
from deadline import eventually

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PORTREEVE_BUILD", "build")
DAEMON = BUILD / "portreeved"
CLIENT = BUILD / "portreeve"

# What every test is run with: the queue alone, or the kernel's own rewriting of every session that
# may be.
OFFLOAD = os.environ.get("PORTREEVE_OFFLOAD", "on")
OFFLOADING = {
    "on": "workers = 2\noffload = on\noffload-after = 1", "off": "workers = 2\noffload = off"
}

START_SECONDS = 10
STOP_SECONDS = 10

SHARE = """
[share lab]
source = 10.0.0.0/24
ports = 50000-59999
"""


class Charge:
    """From the moment a daemon's rules are in place on a gateway to the moment it is told to leave.
    """

    def __init__(self, gateway):
        self.gateway = gateway
        self.begin, self.end = time.time(), None

    def covers(self, gateway, when):
        return (self.gateway is gateway and self.begin <= when
                and (self.end is None or when <= self.end))


charges = []


def _end_charges(gateway):
    for charge in charges:
        if charge.gateway is gateway:
            charge.end = charge.end or time.time()


class Daemon:
    """
    One configuration, and the process that runs it. Control socket, state and log are in a
    directory of its own that everyone may look into.
    """

    LOG_LEVEL = "debug"
    PERFORMANCE = OFFLOADING[OFFLOAD]

    def __init__(self, lab, body=SHARE, external="wan0"):
        self.lab = lab
        self.external = external
        self.directory = Path(tempfile.mkdtemp(prefix=f"portreeve-e2e-{os.getpid()}-"))
        self.directory.chmod(0o755)
        self.socket = self.directory / "control.sock"
        self.config = self.directory / "portreeve.conf"
        self.process = None
        self.program = DAEMON
        self.environment = {}  # of the process
        self.log = ""
        self._reserved = None  # the gateway's reserved ports before the first start
        self.write(body)

    def write(self, body):
        """Writes the configuration: `body`, and what keeps this daemon apart from others."""
        fixed = {
            "gateway": f"external = {self.external}",
            "control": f"socket = {self.socket}",
            "state": f"directory = {self.directory}/state",
            "performance": self.PERFORMANCE,
            "log": f"level = {self.LOG_LEVEL}\ntarget = stderr",
        }
        for name, keys in fixed.items():
            header = f"[{name}]\n"
            keys = "\n".join(line for line in keys.splitlines()
                             if name not in ("gateway", "performance")
                             or f"\n{line.split(' =')[0]} =" not in body)
            if header not in body:
                body += f"\n{header}"
            body = body.replace(header, f"{header}{keys}\n")
        self.config.write_text(body)

    # The life of the process

    def command(self, *arguments):
        return [self.program, "-c", self.config, *arguments]

    def launch(self, *arguments, wrapper=(), environment=None, descriptors=()):
        """Starts the program and does not wait."""
        if self._reserved is None:
            self._reserved = self.lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports")
        self.process = self.lab.gw.start(*wrapper, *self.command(*arguments),
                                         environment={**self.environment, **(environment or {})},
                                         directory=self.directory, descriptors=descriptors)
        return self.process

    def start(self, *arguments):
        """Starts the program and waits until it says READY=1, as the service manager would."""
        with notify_socket(self.directory) as (notifications, path):
            self.launch(*arguments, environment={"NOTIFY_SOCKET": str(path)})
            self.process.until(lambda: "READY=1" in received(notifications),
                               "portreeved says READY=1", START_SECONDS)
        self.take_charge()
        return self

    def take_charge(self):
        """From here on no private address may leave this gateway."""
        gateway = self.lab.gw
        if not any(charge.gateway is gateway and charge.end is None for charge in charges):
            charges.append(Charge(gateway))

    def stop(self, answers=True):
        """An orderly stop, which leaves nothing behind. `answers`: it can still be asked."""
        if self.process is None or not self.process.running:
            return
        if answers:
            self._assert_sound()
        self.tell_to_leave(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        self.collect_log()
        assert code == 0, f"portreeved returned {code} after SIGTERM\n{self.log}"
        assert not tables(self.lab), "a table of portreeve is left after SIGTERM"
        assert self.lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports") == self._reserved

    def _assert_sound(self):
        """Whatever a test has done, the table adds up. A test may have taken the socket away."""
        asked = self.client("check", "--json", check=False)
        assert asked.returncode != 1, asked.stdout + asked.stderr

    def tell_to_leave(self, signal_number):
        """From here on its rules may be gone at any moment, and others' late packets leave as they
        are.
        """
        _end_charges(self.lab.gw)
        self.process.send(signal_number)

    @contextlib.contextmanager
    def out_of_charge(self):
        """Another program removes or changes the rules: until they are restored, late packets of
        other tests may leave as they are.
        """
        _end_charges(self.lab.gw)
        yield
        self.take_charge()

    def kill(self):
        """A death without warning. The rules stay, so the daemon stays in charge of what leaves."""
        self.process.send(signal.SIGKILL)
        self.process.wait()
        self.collect_log()

    def abandon(self):
        """After a failure: nothing of this daemon is in the next one's way."""
        _end_charges(self.lab.gw)
        if self.process is not None and self.process.running:
            self.kill()
        for table in tables(self.lab):
            self.lab.gw.run("nft", "delete", *table.split(), check=False)

    def collect_log(self):
        """Of a process that has ended."""
        self.log += self.process.stderr() + self.process.stdout()
        process.assert_no_sanitizer_report(self.log)

    def log_so_far(self):
        running = self.process is not None and self.process.running
        return self.log + self.process.stderr() if running else self.log

    # What it can be asked

    def client(self, *words, check=True, **options):
        """The client program on this daemon's socket."""
        return process.run([CLIENT, "-s", self.socket, *words], check=check, **options)

    def reload(self, body, check=True):
        self.write(body)
        return self.client("reload", check=check)

    def hang_up(self, body):
        """A reload by signal."""
        self.write(body)
        self.process.send(signal.SIGHUP)

    def sessions(self, *words):
        return json.loads(self.client("sessions", *words, "--json").stdout)

    def session(self, *words):
        """The one session that matches."""
        found = self.sessions(*words)
        assert len(found) == 1, f"{len(found)} sessions match {words}: {found}"
        return found[0]

    def until_session(self, *words, seconds=5):
        return eventually(lambda: self.sessions(*words), f"a session {' '.join(words)}", seconds)[0]

    def until_no_session(self, *words, seconds=5):
        eventually(lambda: not self.sessions(*words), f"no session {' '.join(words)}", seconds)

    def until_offloaded(self, *words, seconds=5):
        """Where sessions are offloaded: until those that match are."""
        if OFFLOAD == "on":
            eventually(
                lambda: (found := self.sessions(*words)) and all(one["offloaded"] for one in found),
                f"sessions {' '.join(words)} are offloaded", seconds)

    def add_forward(self, name, listen, target, *options, check=True):
        return self.client("forward", "add", name, listen, target, *options, check=check)

    def remove_forward(self, name, check=True):
        return self.client("forward", "remove", name, check=check)

    def status(self):
        return json.loads(self.client("status", "--json").stdout)

    def forwards(self):
        return json.loads(self.client("forwards", "--json").stdout)

    def check(self):
        """What the daemon finds when it looks through its whole table."""
        return json.loads(self.client("check", "--json", check=False).stdout)

    def drops(self, reason):
        """How many packets were dropped for this reason."""
        return self.status()["drops"][reason]

    @contextlib.contextmanager
    def dropping(self, reason, at_least=1):
        """What happens inside is dropped for this reason; leaving waits until it is counted."""
        before = self.drops(reason)
        yield
        eventually(lambda: self.drops(reason) >= before + at_least,
                   f"{at_least} more drops for {reason}")


def tables(lab):
    """The nf_tables tables of portreeve in the gateway."""
    return [
        line for line in lab.gw.run("nft", "list", "tables").stdout.splitlines()
        if "portreeve" in line
    ]


def elements(lab):
    """How many elements the kernel's maps of offloaded sessions have: two for each."""
    listing = json.loads(lab.gw.run("nft", "-j", "list", "table", "ip", "portreeve").stdout)
    maps = {entry["map"]["name"]: entry["map"] for entry in listing["nftables"] if "map" in entry}
    return sum(len(maps[name].get("elem", ())) for name in ("offload_in", "offload_out"))


@contextlib.contextmanager
def notify_socket(directory):
    """What a service manager gives to Type=notify services: a datagram socket and its path."""
    path = Path(directory) / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(str(path))
        path.chmod(0o777)
        notifications.setblocking(False)
        try:
            yield notifications, path
        finally:
            path.unlink()


def received(notifications):
    """One waiting notification as text, or nothing."""
    try:
        return notifications.recv(4096).decode()
    except BlockingIOError:
        return ""
