"""Runs in the virtual machine, started by its service manager: does the task, tells how it ended,
and switches the machine off
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

PROJECT = Path("/portreeve")
sys.path.insert(0, str(PROJECT / "tests"))

from deadline import eventually  # noqa: E402

REBOOTED = PROJECT / "rebooted"
PORT = Path("/dev/virtio-ports/said")
# A processor that is interpreted is five to twenty times slower than the real one.
PATIENCE = "6"
SO_TIMESTAMP = 29  # the kernel's include/uapi/asm-generic/socket.h


def task():
    return json.loads((PROJECT / "task.json").read_text())


def pytest(directory, chosen):
    # -s: failures are shown when they happen
    return ["/usr/bin/python3", "-m", "pytest", "-v", "-s", "--tb=no", f"tests/vm/{directory}",
            *(["-k", chosen] if chosen else [])]


def command(wanted):
    chosen = wanted["chosen"]
    if wanted["suite"] == "system":
        return pytest("boot" if REBOOTED.exists() else "system", chosen)
    return ["make", wanted["suite"], f"BUILD={wanted['build']}", f"OFFLOAD={wanted['offload']}",
            *([f"TEST={chosen}"] if chosen else [])]


def do(wanted, said):
    if wanted["suite"] == "e2e":
        subprocess.run(["modprobe", "br_netfilter"], check=True)  # some tests are about it
    # Debian 13 has /tmp in memory, and little of that.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": "/var/tmp",
                   "PORTREEVE_PATIENCE": PATIENCE,
                   "PORTREEVE_BUILD": str(PROJECT / wanted["build"])}
    return subprocess.run(command(wanted), cwd=PROJECT, env=environment, check=False,
                          stdin=subprocess.DEVNULL, stdout=said, stderr=said).returncode


def timestamps_on():
    """As long as one socket wants the times of its packets, the kernel's code that takes them stays
    in: an emulated processor can trip over the change (see machine.py), which each ping would make.
    """
    wants_times = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wants_times.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    return wants_times


def main():
    eventually(PORT.exists, "the port has its name", 60)
    with timestamps_on(), open(PORT, "wb", buffering=0) as said:
        uptime = Path("/proc/uptime").read_text().split()[0]
        said.write(f"vm: {os.uname().release}, up {uptime} s\n".encode())
        wanted = task()
        code = do(wanted, said)
        chosen = wanted["chosen"]
        if wanted["suite"] == "system" and not REBOOTED.exists():
            # 5: no test was chosen before the machine is started again
            if code == 0 and not chosen or code in (0, 5) and "boot" in chosen:
                return reboot()
        said.write(f"\nvm: the end, {code}\n".encode())
    return subprocess.run(["systemctl", "poweroff", "--force", "--force"], check=False)


def reboot():
    """What is on the disk stays: tests/vm/boot finds portreeved started by the service manager."""
    REBOOTED.touch()
    subprocess.run([sys.executable, PROJECT / "tests/vm/boot/prepare.py"], check=True,
                   env={**os.environ, "PORTREEVE_BUILD": str(PROJECT / task()["build"])})
    return subprocess.run(["systemctl", "reboot"], check=False)


main()
