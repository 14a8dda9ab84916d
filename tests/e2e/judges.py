"""Programs that find out from inside what kind of NAT they are behind (RFC 5780, RFC 3489), and the
server they ask
"""

import contextlib
import re

STUN_PORT = 3478
ALTERNATE_PORT = 3479
ALTERNATE_ADDRESS = "203.0.113.12"

LONGEST = 20  # seconds: a judge waits three for an answer that filtering keeps away, and asks again

_REFLEXIVE = re.compile(r"UDP reflexive addr: (\S+):(\d+)")


@contextlib.contextmanager
def second_address(host, address, interface="eth0"):
    """One more address on a host, for as long as the test wants it."""
    host.ip("address", "add", f"{address}/24", "dev", interface)
    try:
        yield address
    finally:
        host.ip("address", "del", f"{address}/24", "dev", interface)


@contextlib.contextmanager
def stun_server(host, directory):
    """
    coturn as a STUN server on two addresses and two ports of a host: RFC 5780 needs both, so that
    answers can come from elsewhere than where the question went.
    """
    options = [
        "-n", "-S", "-z", "-m", "1", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--log-file",
        "stdout", "--pidfile", directory / "turnserver.pid", "-b", directory / "turnserver.db",
        "-p", STUN_PORT, "--alt-listening-port", ALTERNATE_PORT
    ]
    with second_address(host, ALTERNATE_ADDRESS):
        addresses = ["-L", host.address, "-L", ALTERNATE_ADDRESS]
        with host.start("turnserver", *options, *addresses, directory=directory) as server:
            server.until(lambda: _sockets(host) == 4,
                         "turnserver listens on two addresses and two ports", 10)
            yield


def _sockets(host):
    ours = f"sport = :{STUN_PORT} or sport = :{ALTERNATE_PORT}"
    return len(set(line.split()[3] for line in host.run("ss", "-Hnlu", ours).stdout.splitlines()))


class Judge:
    """A judge at work. Most of its time is waiting for what does not come, so start all of them,
    then read.
    """

    def __init__(self, process):
        self._process = process
        self._report = None

    @property
    def report(self):
        """All that it said, once it has ended."""
        if self._report is None:
            self.code = self._process.wait(LONGEST)
            self._report = self._process.stdout()
            self._process.stop()
        return self._report

    def reflexive(self):
        """The external endpoints that the server told it, in order."""
        return [(address, int(port)) for address, port in _REFLEXIVE.findall(self.report)]


def natdiscovery(host, server, directory, *options):
    """coturn's turnutils_natdiscovery: RFC 5780."""
    return Judge(
        host.start("turnutils_natdiscovery", *options, "-p", STUN_PORT, server.address,
                   directory=directory))


def stun(host, server, directory, source):
    """stun-client: RFC 3489, which judges mapping, filtering and hairpin by other code and another
    protocol.
    """
    return Judge(host.start("stun", server.address, "-i", source, directory=directory))
