"""Network namespaces: made, entered, and removed whatever happens

Every namespace is called portreeve-<pid of the test run>-<role>, so that a run knows its own, and
the next run can tell what one that was killed has left.
"""

import atexit
import contextlib
import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from deadline import eventually

_CLONE_NEWNET = 0x40000000
_DIRECTORY = Path("/run/netns")
_OURS = re.compile(r"portreeve-(\d+)-\w+$")
_libc = ctypes.CDLL(None, use_errno=True)


def name_of(role):
    return f"portreeve-{os.getpid()}-{role}"


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextlib.contextmanager
def entered(name):
    """The calling thread is in namespace `name`; sockets made here stay there when it has left."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(_DIRECTORY / name, "rb") as namespace:
        _setns(namespace.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def create(name):
    ip("netns", "add", name)
    with entered(name):
        # Neighbour discovery would only be noise in the captures.
        sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    ip("-n", name, "link", "set", "lo", "up")


def _sysctl_path(key):
    return Path("/proc/sys") / key.replace(".", "/")


def sysctl(key, value):
    """Sets a value in the current namespace; one that this kernel does not have is left alone."""
    path = _sysctl_path(key)
    if path.exists():
        path.write_text(f"{value}\n")


def needs_sysctl(key):
    """Skips a test about something that this kernel does not have, or has not loaded."""
    if not _sysctl_path(key).exists():
        pytest.skip(f"this kernel has no {key} now")


def read_sysctl(key):
    return _sysctl_path(key).read_text().strip()


def _processes(name):
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True,
                            check=False)
    return [int(pid) for pid in listed.stdout.split()]


def _kill_inside(name):
    """What runs in a namespace of ours was started by us, directly or by a program of ours."""
    for pid in _processes(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove(name):
    if (_DIRECTORY / name).exists():
        _kill_inside(name)
        eventually(lambda: not _processes(name), f"the programs in {name} are gone")
        subprocess.run(["ip", "netns", "delete", name], check=False)


def _existing():
    """(pid of the run, name) of every namespace of a test run."""
    if not _DIRECTORY.is_dir():
        return []
    matches = [_OURS.match(path.name) for path in _DIRECTORY.iterdir()]
    return [(int(match.group(1)), match.group(0)) for match in matches if match]


def remove_mine():
    for pid, name in _existing():
        if pid == os.getpid():
            remove(name)


def remove_leftovers():
    """Removes the namespaces of runs that are no longer alive."""
    for pid, name in _existing():
        if not Path(f"/proc/{pid}").exists():
            remove(name)


def _interrupt(*_):
    """A polite kill ends the run the way Ctrl-C does: with all its finalizers."""
    raise KeyboardInterrupt


def clean_up_whatever_happens():
    remove_leftovers()
    atexit.register(remove_mine)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
