"""Programs that the tests start: in a namespace, with their output kept, and never outliving the
run
"""

import ctypes
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from deadline import PATIENCE, eventually

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_counter = itertools.count()
_started = []


def _die_with_the_tests():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _inside(namespace, argv):
    """`ip netns exec` becomes the program, so the child's pid is the program's."""
    return ["ip", "netns", "exec", namespace, *argv] if namespace else list(argv)


def _environment(extra):
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}


_SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:")


def assert_no_sanitizer_report(text):
    """A build with sanitizers runs the same tests; whatever it reports is a failure."""
    assert not _SANITIZER.search(text), text


def run(argv, namespace=None, environment=None, timeout=30, check=True, stdin=None):
    """Runs a program to its end and returns it with its output; a failure shows all of it."""
    argv = [str(word) for word in argv]
    done = subprocess.run(_inside(namespace, argv), env=_environment(environment),
                          timeout=timeout * PATIENCE, input=stdin, capture_output=True, text=True,
                          check=False, preexec_fn=_die_with_the_tests)
    assert_no_sanitizer_report(done.stderr)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{shlex.join(argv)} returned {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Process:
    """A program that runs beside the test. Its two outputs are files, so that it never blocks on a
    full pipe.
    """

    def __init__(self, argv, namespace=None, environment=None, directory=None, descriptors=()):
        """`descriptors`: what else the program inherits, under the numbers that they have here."""
        directory = Path(directory or tempfile.gettempdir())
        number = next(_counter)
        self.argv = [str(word) for word in argv]
        self._stem = directory / f"portreeve-e2e-{os.getpid()}-{number}"
        with open(f"{self._stem}.out", "wb") as out, open(f"{self._stem}.err", "wb") as err:
            self._child = subprocess.Popen(_inside(namespace, self.argv),
                                           env=_environment(environment), stdin=subprocess.DEVNULL,
                                           stdout=out, stderr=err, pass_fds=descriptors,
                                           preexec_fn=_die_with_the_tests)
        _started.append(self)

    @property
    def pid(self):
        return self._child.pid

    @property
    def returncode(self):
        return self._child.poll()

    @property
    def running(self):
        return self.returncode is None

    def stdout(self):
        return Path(f"{self._stem}.out").read_text(errors="replace")

    def stderr(self):
        return Path(f"{self._stem}.err").read_text(errors="replace")

    def send(self, number):
        self._child.send_signal(number)

    def wait(self, seconds=10):
        """The exit code; a program that does not end is killed and fails the test."""
        try:
            return self._child.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise AssertionError(
                f"{shlex.join(self.argv)} did not end within {seconds} s\n{self.stderr()}"
            ) from None

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Ends the program if it still runs, forgets its output, and returns its exit code."""
        if self.running:
            self.send(number)
        code = self.wait(seconds)
        self._forget()
        return code

    def until(self, condition, what, seconds=5):
        """Waits for `condition()` while the program lives."""

        def look():
            if condition():
                return True
            assert self.running, (f"{shlex.join(self.argv)} ended with "
                                  f"{self.returncode}\n{self.stdout()}{self.stderr()}")
            return False

        eventually(look, what, seconds)
        return self

    def _forget(self):
        if self in _started:
            _started.remove(self)
        for kind in ("out", "err"):
            Path(f"{self._stem}.{kind}").unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def remove_files(pid):
    """What the run with this process id has put into the temporary directory."""
    for leftover in Path(tempfile.gettempdir()).glob(f"portreeve-e2e-{pid}-*"):
        remove_tree(leftover)


def remove_leftover_files():
    """Removes the files of runs that are no longer alive."""
    for leftover in Path(tempfile.gettempdir()).glob("portreeve-e2e-*-*"):
        pid = leftover.name.split("-")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            remove_tree(leftover)


def stop_all():
    """The last resort at the end of a run."""
    for process in list(_started):
        process.stop(signal.SIGKILL)


def find(program):
    """Where a program is, with the system directories that a user's PATH may leave out."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def remove_tree(path):
    """A file or a directory with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
