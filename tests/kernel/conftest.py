import glob
import os
import signal
import subprocess

import pytest

from kernel_lab import Driver, Lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARIES = ["libmnl", "libnetfilter_queue", "libnftnl"]


def _interrupt(number, frame):
    raise KeyboardInterrupt


def pytest_configure(config):
    # So that pytest takes everything down again.
    signal.signal(signal.SIGTERM, _interrupt)


def _build(path):
    """For a run without make: PORTREEVE_KERNEL_DRIVER names a driver that is built already."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *LIBRARIES], check=True, capture_output=True, text=True)
    sources = glob.glob(f"{ROOT}/tests/kernel/*.c") + glob.glob(f"{ROOT}/src/netfilter/*.c")
    sources += [f"{ROOT}/src/nat/{name}.c" for name in ("error", "endpoint", "packet", "checksum")]
    subprocess.run(
        ["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", f"-I{ROOT}/include", "-o", path, *sources, *flags.stdout.split()],
        check=True,
    )
    return path


@pytest.fixture(scope="session", autouse=True)
def driver(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    built = os.environ.get("PORTREEVE_KERNEL_DRIVER")
    Driver.program = os.path.abspath(built) if built else _build(str(tmp_path_factory.mktemp("driver") / "driver"))


@pytest.fixture
def lab(driver):
    made = None
    try:
        made = Lab()
        yield made
    finally:
        from kernel_lab import remove_all

        remove_all()
