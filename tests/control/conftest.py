"""The control socket with a stub of the gateway: a real translator with invented sessions. Most
tests need no root.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import deadline
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PORTREEVE_BUILD", "build")
STUB = BUILD / "tests/control/stub"
CLIENT = BUILD / "portreeve"

SECONDS = 20  # limit for what happens at once, on a slow machine with sanitizers


def pytest_sessionstart():
    for program in (STUB, CLIENT):
        if not program.exists():
            pytest.exit(f"{program} is missing: run make control", 2)


def eventually(condition, what):
    return deadline.eventually(condition, what, SECONDS)


class Connection:
    """One connection to the control socket, line by line"""

    def __init__(self, path, as_user=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        if as_user is None:
            self.socket.connect(str(path))
        else:
            _connect_as(self.socket, path, *as_user)
        self.lines = self.socket.makefile("rb")
        self.number = 0

    def send(self, line):
        self.socket.sendall(line if isinstance(line, bytes) else line.encode())

    def request(self, method, **params):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.send(json.dumps(request) + "\n")

    def read(self):
        """The next message; None if the daemon has closed the connection."""
        line = self.lines.readline()
        assert not line or line.endswith(b"\n"), line
        return json.loads(line) if line else None

    def answer(self):
        """The lines of a stream, and the response after them."""
        stream = []
        while True:
            message = self.read()
            assert message is not None, "closed without an answer"
            if "method" not in message:
                assert message["jsonrpc"] == "2.0"
                return stream, message
            stream.append(message)

    def call(self, method, **params):
        """The result of a method that succeeds."""
        self.request(method, **params)
        stream, response = self.answer()
        assert response["id"] == self.number
        assert "error" not in response, response
        return [line["params"] for line in stream] if stream else response["result"]

    def refusal(self, method, **params):
        """The error of a method that is refused."""
        self.request(method, **params)
        _, response = self.answer()
        assert response["id"] == self.number
        return response["error"]

    def close(self):
        self.lines.close()
        self.socket.close()


def _connect_as(connection, path, uid, gid, groups):
    """Connects as another user. The peer credentials are those of the process that connects."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            connection.connect(str(path))
            os._exit(0)
        except OSError:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "cannot connect"


class Stub:
    """The stub as a process, with its own directory"""

    def __init__(self, *arguments):
        self.directory = tempfile.TemporaryDirectory(prefix="portreeve-control-")
        os.chmod(self.directory.name, 0o755)
        self.path = Path(self.directory.name) / "control.sock"
        self.config = Path(self.directory.name) / "portreeve.conf"
        self.log_path = Path(self.directory.name) / "log"
        self.connections = []
        group = arguments[0] if arguments else ""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([STUB, self.path, group, self.config],
                                            stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout.readline() == b"ready\n", self.log()

    def connect(self, as_user=None):
        self.connections.append(Connection(self.path, as_user))
        return self.connections[-1]

    def call(self, method, **params):
        """Calls one method on its own connection."""
        connection = self.connect()
        result = connection.call(method, **params)
        connection.close()
        return result

    def run(self, *words, **options):
        """Runs the client program with this socket."""
        environment = {
            "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], **options.pop("environment", {})
        }
        return subprocess.run([CLIENT, "-s", self.path, *words], env=environment,
                              capture_output=True, text=True, timeout=SECONDS, check=False,
                              **options)

    def signal(self, number):
        self.process.send_signal(number)

    def open_many(self):
        """Opens 20000 more sessions, so that a list of them is larger than all buffers."""
        self.signal(signal.SIGHUP)
        eventually(lambda: self.call("status")["sessions"]["live"] > 20000, "20000 sessions")

    def log(self):
        return self.log_path.read_text()

    def stop(self):
        for connection in self.connections:
            connection.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(SECONDS)
        assert code == 0, f"the stub returned {code}\n{self.log()}"
        assert not self.path.exists()
        self.process.stdout.close()
        self.directory.cleanup()


@pytest.fixture
def start_stub():
    """Starts stubs; each must end with exit code 0."""
    started = []

    def start(*arguments):
        started.append(Stub(*arguments))
        return started[-1]

    yield start
    for stub in started:
        stub.stop()


@pytest.fixture
def stub(start_stub):
    return start_stub()


@pytest.fixture
def connection(stub):
    return stub.connect()
