"""Random events on a gateway in use, from a seed; after each of them everything adds up"""

import contextlib
import json
import os
import random
import signal
import socket
import time

from scapy.layers.inet import ICMP, IP, TCP, UDP

from daemon import OFFLOAD, SHARE, elements
from deadline import eventually
from lab import EXTERNAL
from programs import ping
from traffic import UDP_MAX, Transfer, talk

SECOND_ADDRESS = "203.0.113.6"
GUEST = "guest"

# Ports that rest after their session, and holds of others, would only make the end of a run late.
SETTINGS = """
[timeouts]
port-hold = 1s
address-hold = 10s
{timeouts}
"""
FORWARDS = """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward echo]
listen = 7/udp
to = 10.0.0.2:7007
"""
OPTIONAL_FORWARD = """
[forward optional]
listen = 9000-9009/tcp+udp
to = 10.0.0.3:9000
"""
CONFIG = SHARE + SETTINGS.format(timeouts="") + FORWARDS


class Pair:
    """A TCP connection that must live through everything."""

    def __init__(self, host, address, port, listener):
        self.client = host.connect(address, port)
        self.server, _ = listener.accept()
        for end in (self.client, self.server):
            end.settimeout(20)

    def check(self):
        talk(self.client, self.server)

    def close(self):
        self.client.close()
        self.server.close()


def _receive(sock, expected):
    """Until it comes: odd packets may come before it. From where it came."""
    while True:
        data, sender = sock.recvfrom(UDP_MAX)
        if data == expected:
            return sender


def answered(client, server, address, port=7, size=16):
    """A datagram of its own, and its answer from where it was sent."""
    token = os.urandom(size)
    client.sendto(token, (address, port))
    server.sendto(token, _receive(server, token))
    assert _receive(client, token) == (address, port)


class Soak:
    """One run. `manager` is a service manager with the daemon as its started service."""

    def __init__(self, lab, manager, seed):
        self.lab, self.daemon = lab, manager
        self.chance = random.Random(seed)
        self.done = []  # names of events, in their order
        self._stack = contextlib.ExitStack()
        self._guest = False
        self._listen()
        self._descriptors = self._count_descriptors()

    def _keep(self, sock):
        return self._stack.enter_context(sock)

    def _listen(self):
        lab = self.lab
        self._outside = self._keep(lab.out.listen(80))
        self._inside = self._keep(lab.lab1.listen(80))
        self._server = self._keep(lab.out.udp(7))
        self._target = self._keep(lab.lab1.udp(7007))
        self._client = self._keep(lab.lab2.udp(4000))
        self._asker = self._keep(lab.out2.udp(4001))
        self._pairs = [
            Pair(lab.lab2, lab.out.address, 80, self._outside),
            Pair(lab.out2, EXTERNAL, 8080, self._inside),
            Pair(lab.lab2, EXTERNAL, 8080, self._inside)
        ]
        for pair in self._pairs:
            self._stack.callback(pair.close)
        bulk = Pair(lab.lab2, lab.out.address, 80, self._outside)
        self._stack.callback(bulk.close)
        self._transfer = Transfer(bulk.client, bulk.server)

    # Events: what users, hosts, other programs and faults do

    def event_connections_from_inside(self):
        for _ in range(self.chance.randrange(1, 20)):
            host = self.chance.choice((self.lab.lab1, self.lab.lab2))
            with contextlib.closing(Pair(host, self.lab.out.address, 80, self._outside)) as pair:
                pair.check()

    def event_connections_by_a_forward(self):
        for _ in range(self.chance.randrange(1, 20)):
            host = self.chance.choice((self.lab.out, self.lab.out2, self.lab.far))
            with contextlib.closing(Pair(host, EXTERNAL, 8080, self._inside)) as pair:
                pair.check()

    def event_hairpins(self):
        for _ in range(self.chance.randrange(1, 5)):
            with contextlib.closing(Pair(self.lab.lab2, EXTERNAL, 8080, self._inside)) as pair:
                pair.check()

    def event_datagrams(self):
        for _ in range(self.chance.randrange(1, 50)):
            with self.lab.lab1.udp() as client:
                answered(client, self._server, self.lab.out.address)

    def event_long_datagrams(self):
        size = self.chance.randrange(16, 60000)
        answered(self._client, self._server, self.lab.out.address, size=size)

    def event_ping(self):
        ping(self.lab.lab1, self.lab.out.address, "-c", "3", "-i", "0.05", "-W", "5")

    def event_connections_that_nobody_closes(self):
        """The client's host is gone: RST to what still comes."""
        for _ in range(self.chance.randrange(1, 10)):
            pair = Pair(self.lab.lab1, self.lab.out.address, 80, self._outside)
            pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            pair.close()

    def event_odd_packets(self):
        for _ in range(self.chance.randrange(1, 100)):
            sender, target = self.chance.choice(
                ((self.lab.out, EXTERNAL), (self.lab.lab1, self.lab.out.address), (self.lab.lab1,
                                                                                   EXTERNAL)))
            sender.inject(self._odd_packet(sender.address, target))

    def _odd_packet(self, source, target):
        chance = self.chance
        ports = {
            "sport": chance.choice((80, 7, 4001, 65535)),
            "dport": chance.choice((8080, 7, 22, 50000 + chance.randrange(10000)))
        }
        layer = chance.choice(
            (TCP(flags=chance.randrange(256),
                 **ports), UDP(**ports), ICMP(type=chance.randrange(256)), IP(src=target,
                                                                              dst=source)))
        return IP(src=source,
                  dst=target,
                  flags=chance.randrange(8),
                  frag=chance.choice((0, 0, 8)),
                  ttl=chance.choice((1, 64)),
                  proto=chance.choice(
                      (1, 6, 17, 47))) / layer / chance.randbytes(chance.randrange(100))

    def event_reload(self):
        timeouts = f"udp = {self.chance.randrange(60, 400)}s"
        body = SHARE + SETTINGS.format(timeouts=timeouts) + FORWARDS
        self.daemon.reload(body + self.chance.choice(("", OPTIONAL_FORWARD)))

    def event_reload_with_an_error(self):
        refused = self.daemon.reload(CONFIG + "[limits]\nsessions = many\n", check=False)
        assert refused.returncode == 1
        self.daemon.write(CONFIG)

    def event_run_time_forward(self):
        if self._guest:
            self.daemon.remove_forward(GUEST)
        else:
            self.daemon.add_forward(GUEST, "2222/tcp", "10.0.0.3:22")
        self._guest = not self._guest

    def event_restart(self):
        self.daemon.restart()

    def event_kill_9(self):
        self.daemon.crash()

    def event_upgrade(self):
        self.daemon.client("upgrade")

    def event_address_renewed(self):
        gw = self.lab.gw
        gw.ip("address", "del", f"{EXTERNAL}/24", "dev", "wan0")
        gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
        gw.ip("route", "replace", "default", "via", self.lab.edge.address)
        self._until_addresses(EXTERNAL)

    def event_daemon_stands_still_for_a_moment(self):
        """Packets wait in its queues."""
        tokens = {os.urandom(16) for _ in range(self.chance.randrange(1, 100))}
        self.daemon.process.send(signal.SIGSTOP)
        with self.lab.lab1.udp() as client:
            for token in tokens:
                client.sendto(token, (self.lab.out.address, 7))
        self.daemon.process.send(signal.SIGCONT)
        while tokens:
            tokens.discard(self._server.recvfrom(UDP_MAX)[0])

    def event_state_directory_full(self):
        """What was saved stays; what cannot be saved is in use all the same."""
        state = self.daemon.directory / "state"
        before = self._saved(state)
        with contextlib.suppress(OSError), (state / "filler").open("wb", 0) as file:
            while file.write(bytes(1 << 12)):
                pass
        self.daemon.add_forward("unsaved", "2223/tcp", "10.0.0.3:22")
        assert self._saved(state) == before
        (state / "filler").unlink()
        self.daemon.remove_forward("unsaved")
        assert self._saved(state) == before

    @staticmethod
    def _saved(state):
        saved = state / "forwards.json"
        return json.loads(saved.read_text()) if saved.exists() else []

    def event_second_address(self):
        gw = self.lab.gw
        gw.ip("address", "add", f"{SECOND_ADDRESS}/24", "dev", "wan0")
        self._until_addresses(EXTERNAL, SECOND_ADDRESS)
        gw.ip("address", "del", f"{SECOND_ADDRESS}/24", "dev", "wan0")
        self._until_addresses(EXTERNAL)

    def _until_addresses(self, *addresses):
        eventually(lambda: sorted(self._status()["external"]["addresses"]) == sorted(addresses),
                   f"the external addresses are {addresses}", 30)

    def event_cable_pulled(self):
        switch, port = self.chance.choice(
            ((self.lab.lan, "to-gw"), (self.lab.wan, "to-gw"), (self.lab.lan, "to-lab2")))
        switch.ip("link", "set", port, "down")
        switch.ip("link", "set", port, "up")
        for host in (self.lab.lab1, self.lab.lab2, self.lab.out, self.lab.out2):
            eventually(lambda host=host: self.lab.gw.run(
                "ping", "-nqc1", "-W1", host.address, check=False).returncode == 0,
                       f"{host.role} answers the gateway again",
                       20)

    def event_flush_ruleset(self):
        """Its table is its own, where the kernel knows owners; elsewhere it comes back."""
        with self.daemon.out_of_charge():
            self.lab.gw.run("nft", "flush", "ruleset")
            eventually(lambda: self._rules_are_there(), "the rules are there", 10)

    def _rules_are_there(self):
        listed = self.lab.gw.run("nft", "list", "chain", "ip", "portreeve", "outbound",
                                 check=False).stdout
        return "queue" in listed

    def event_control_clients_that_misbehave(self):
        for _ in range(self.chance.randrange(1, 5)):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.daemon.socket))
                with contextlib.suppress(OSError):
                    client.sendall(
                        self.chance.choice(
                            (self.chance.randbytes(200), b"{" * 5000, b"\n" * 100,
                             b'{"jsonrpc":"2.0","id":1,"method":"sessions"}\n' * 50)))

    def event_sessions_killed(self):
        """Those of the hosts' short connections; the others are used again by this test."""
        self.daemon.client("kill",
                           "internal=10.0.0.2",
                           f"remote={self.lab.out.address}",
                           check=False)

    # What must hold

    def _status(self):
        self.daemon.hear()
        return self.daemon.status()

    def check(self):
        for pair in self._pairs:
            pair.check()
        answered(self._client, self._server, self.lab.out.address)
        answered(self._asker, self._target, EXTERNAL)
        eventually(self._adds_up, "the counters add up")
        assert not self.daemon.check()["faults"]
        assert self._status()["health"]["fine"]

    def _adds_up(self):
        status = self._status()
        sessions, offload = status["sessions"], status["offload"]
        ended = sum(sessions["closed"].values())
        if sessions["opened"] + sessions["adopted"] - ended != sessions["live"]:
            return False
        if OFFLOAD == "off":
            return True
        return (offload["added"] - offload["removed"] == offload["sessions"]
                and elements(self.lab) == 2 * offload["sessions"])

    def step(self):
        """One event by chance, and a look at everything."""
        names = sorted(name for name in dir(self) if name.startswith("event_"))
        name = self.chance.choice(names)
        self.done.append(name.removeprefix("event_"))
        getattr(self, name)()
        self.check()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    # The end

    def close(self):
        self._stack.close()

    def _count_descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def finish(self):
        """Everything is closed: nothing may be left in the table, the maps and the process."""
        assert self._transfer.finish() > 0
        self.close()
        self.daemon.write(CONFIG)
        self.daemon.restart()
        self.daemon.client("kill", "10.0.0.0/8", check=False)
        eventually(self._is_empty, "table, pools and maps are empty", 30)
        eventually(lambda: self._count_descriptors() <= self._descriptors,
                   "the process has no more descriptors than at its start", 10)

    def _is_empty(self):
        status = self._status()
        pool = status["shares"][0]["pool"]
        return (status["sessions"]["live"] == 0 and status["mappings"]["live"] == 0
                and all(of["used"] == 0 for of in pool.values()) and status["hosts"] == 0
                and (OFFLOAD == "off" or elements(self.lab) == 0))
