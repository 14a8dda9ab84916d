"""One virtual machine: qemu, without KVM and without any network, and what it says

What the runner inside prints comes through a virtio port; the console is kept beside it and shown
when the machine does not come to an end by itself.
"""

import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time

MEMORY = "3G"
_PR_SET_PDEATHSIG = 1
_END = re.compile(rb"^vm: the end, ([0-9]+)\r?$", re.M)
_PANIC = b"Kernel panic"

# The kernel changes its own code while it runs (jump labels), and marks the place with int3
# meanwhile. qemu without KVM can execute the mark when it is no longer there: the kernel stops.
_EMULATOR_FAULT = b"int3: 0000 [#1]"


class MachineError(Exception):
    """The machine did not do what it was started for; the text says what is known."""


class EmulatorFault(MachineError):
    """The emulator has made the kernel stop: this says nothing about what was tested."""


def command(image, archive, console):
    processors = str(min(os.cpu_count() or 1, 2))
    return [
        "nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512",
        "-machine", "q35", "-cpu", "max", "-smp", processors, "-m", MEMORY,
        "-nodefaults", "-display", "none", "-nic", "none",
        "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-append", "console=ttyS0 loglevel=4 systemd.show_status=0 mitigations=off "
        "systemd.journald.forward_to_console=0 audit=0",
        "-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe",
        "-drive", f"file={archive},format=raw,if=virtio,readonly=on",
        "-serial", f"file:{console}",
        "-device", "virtio-rng-pci",
        "-device", "virtio-serial", "-chardev", "stdio,id=said,signal=off",
        "-device", "virtserialport,chardev=said,name=said",
    ]  # yapf: disable


def _end_with_this_program():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(image, archive, directory, seconds):
    """Starts the machine, shows what it says while it says it, and returns the code that its runner
    ended with. A machine that is not at its end after so many seconds is stopped.
    """
    console = directory / "console"
    environment = {**os.environ, "TMPDIR": str(directory)}  # where qemu keeps what was written
    # At the end of its input, qemu would take nothing more from the port.
    process = subprocess.Popen(command(image, archive, console), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environment,
                               preexec_fn=_end_with_this_program)
    try:
        said = _follow(process, console, time.monotonic() + seconds)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    ends = _END.findall(said)
    if ends:
        return int(ends[-1])
    shown = _read(console)
    tail = shown[-3000:].decode(errors="replace")
    kind = EmulatorFault if _PANIC in shown and _EMULATOR_FAULT in shown else MachineError
    raise kind(f"{image.release}: the machine did not come to its end within {seconds:.0f} s "
               f"(qemu returned {process.returncode}). The end of its console:\n{tail}")


def _read(console):
    return console.read_bytes() if console.exists() else b""


def _follow(process, console, deadline):
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(1):
                if _PANIC in _read(console):
                    break
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            said += chunk
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            if _END.search(said):
                break
    return said


def interrupt_on_signals():
    """A polite kill ends the run as Ctrl-C does: with all its finalizers."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
