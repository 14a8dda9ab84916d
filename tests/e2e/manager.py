"""A service manager with a descriptor store, as systemd is one, in a few lines (sd_notify(3))

It takes descriptors that the daemon sends (FDSTORE=1), passes them to the next start
(sd_listen_fds(3)), and closes them when the service is stopped for good.
"""

import array
import contextlib
import os
import signal
import socket
import sys

from daemon import START_SECONDS, STOP_SECONDS, Daemon, tables
from deadline import eventually

STORE_MAX = 80

# Becomes the program, with its descriptors from 3 up, and with its own process id in LISTEN_PID.
_LISTENING = """
import fcntl, os, sys
inherited = [int(word) for word in sys.argv[1].split(",") if word]
given = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 200) for descriptor in inherited]
for descriptor in inherited:
    os.close(descriptor)
for number, descriptor in enumerate(given, 3):
    os.dup2(descriptor, number)
for descriptor in given:
    os.close(descriptor)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager(Daemon):
    """A daemon as a service."""

    def __init__(self, lab, body, store_max=STORE_MAX):
        super().__init__(lab, body)
        self.store = []  # (name, descriptor)
        self._path = self.directory / "notify.sock"
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.bind(str(self._path))
        self._notifications.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(self._path), "FDSTORE": str(store_max)}
        self.states = []  # what was told, in its order

    # What the daemon tells

    def _take(self):
        """One notification; False if none waits."""
        numbers = array.array("i")
        try:
            text, ancillary, _, _ = self._notifications.recvmsg(4096, 1024)
        except BlockingIOError:
            return False
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(data[:len(data) - len(data) % numbers.itemsize])
        told = dict(line.split("=", 1) for line in text.decode().splitlines())
        if "FDSTOREREMOVE" in told:
            self._forget(told["FDNAME"])
        if "FDSTORE" in told:
            assert told["FDPOLL"] == "0", "a socket with an error would be thrown away"
            assert len(numbers) == 1
            self._keep(told["FDNAME"], numbers[0])
        if "BARRIER" in told:
            os.close(numbers[0])  # all that was told before is done
        self.states.append(told)
        return True

    def hear(self):
        while self._take():
            pass

    def fill_notifications(self):
        """As if it had read nothing for long. A filler's own buffer may be full first
        (net.unix.max_dgram_qlen, which systemd sets to 512): then the next one goes on.
        """
        while self._fill_by_one():
            pass

    def _fill_by_one(self):
        sent = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler, \
                contextlib.suppress(BlockingIOError):
            filler.setblocking(False)
            while True:
                filler.sendto(b"STATUS=", str(self._path))
                sent += 1
        return sent

    def _keep(self, name, descriptor):
        """The same description is kept once, as systemd does it."""
        same = [
            one for one, other in self.store
            if os.fstat(other).st_ino == os.fstat(descriptor).st_ino
        ]
        if same or len(self.store) >= STORE_MAX:
            os.close(descriptor)
        else:
            self.store.append((name, descriptor))

    def _forget(self, name):
        for one, descriptor in list(self.store):
            if one == name:
                self.store.remove((one, descriptor))
                os.close(descriptor)

    def names(self):
        self.hear()
        return sorted(name for name, _ in self.store)

    # The life of the service

    def start(self, *arguments):
        self.states.clear()
        descriptors = [descriptor for _, descriptor in self.store]
        listening = {
            "LISTEN_FDS": str(len(descriptors)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in self.store)
        } if descriptors else {}
        self.launch(*arguments,
                    wrapper=(sys.executable, "-c", _LISTENING, ",".join(map(str, descriptors))),
                    environment=listening,
                    descriptors=descriptors)
        self.process.until(self.is_ready, "portreeved says READY=1", START_SECONDS)
        self.take_charge()
        return self

    def is_ready(self):
        self.hear()
        return any("READY" in told for told in self.states)

    def end(self, number=signal.SIGTERM):
        """The process ends, the service does not."""
        self.process.send(number)
        code = self.process.wait(STOP_SECONDS)
        self.collect_log()
        assert number != signal.SIGTERM or code == 0, f"{code} after SIGTERM\n{self.log}"
        self.hear()

    def restart(self):
        self.end()
        self.start()

    def crash(self):
        self.end(signal.SIGKILL)
        self.start()

    def close_store(self):
        for _, descriptor in self.store:
            os.close(descriptor)
        self.store.clear()

    def stop(self):
        """The service is stopped for good: the host is as it was before."""
        if self.process is None or not self.process.running:
            return
        self.tell_to_leave(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0
        self.collect_log()
        self.close_store()
        eventually(lambda: not tables(self.lab), "the kernel has removed the table")
        assert self.lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports") == self._reserved

    def abandon(self):
        super().abandon()
        self.close_store()
        self._notifications.close()
        super().abandon()  # the table, if the store had its owner
