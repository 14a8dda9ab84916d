"""A log that nobody reads stops nothing
"""

import fcntl
import os
import re

import pytest

from daemon import SHARE, Daemon
from deadline import eventually
from traffic import udp_round_trip


class Unread(Daemon):
    """Its standard error is a pipe, and nobody reads from it."""

    def __init__(self, lab):
        super().__init__(lab, SHARE)
        self.pipe = self.directory / "stderr"
        os.mkfifo(self.pipe)
        self.reader = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)

    def launch(self, *arguments, **options):
        script = f"exec \"$0\" \"$@\" 2>{self.pipe}"
        return super().launch(*arguments, wrapper=("sh", "-c", script), **options)

    def read(self):
        """What waits in the pipe."""
        text = b""
        while True:
            try:
                part = os.read(self.reader, 65536)
            except BlockingIOError:
                return text.decode()
            if not part:
                return text.decode()
            text += part


@pytest.fixture
def unread(lab):
    daemon = Unread(lab)
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.abandon()
        os.close(daemon.reader)


def lost(daemon):
    return daemon.status()["health"]["log_lines_lost"]


def test_a_log_that_nobody_reads_stops_nothing(lab, unread):

    def is_full():
        unread.client("reload")
        return lost(unread) > 0

    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        eventually(is_full, "lines of the log are lost", 60)
        for _ in range(20):
            unread.client("reload")
        assert udp_round_trip(client, server, lab.out.address) == seen
    count = lost(unread)
    said = [unread.read()]

    def says_so():
        said.append(unread.read())
        return re.search(r"(\d+) lines of the log were lost", "".join(said))

    found = eventually(says_so, "the log says how much was lost", 30)
    assert int(found.group(1)) >= count


def test_the_end_does_not_wait_for_a_reader(lab, unread):
    """Stopping it is the test."""
    for _ in range(3):
        unread.client("reload")
    assert unread.client("status").stdout
