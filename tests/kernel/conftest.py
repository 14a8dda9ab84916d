import os
import signal

import pytest

from kernel_lab import Driver, Lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _interrupt(number, frame):
    raise KeyboardInterrupt


def pytest_configure(config):
    # So that pytest takes everything down again.
    signal.signal(signal.SIGTERM, _interrupt)


@pytest.fixture(scope="session", autouse=True)
def driver():
    if os.geteuid() != 0:
        pytest.exit("the tests of the kernel make network namespaces: run them as root", 2)
    build = os.environ.get("PORTREEVE_BUILD", os.path.join(ROOT, "build"))
    Driver.program = os.path.join(build, "tests", "kernel", "driver")
    if not os.path.exists(Driver.program):
        pytest.exit(f"{Driver.program} is missing: run make kernel", 2)


@pytest.fixture
def lab(driver):
    made = None
    try:
        made = Lab()
        yield made
    finally:
        from kernel_lab import remove_all

        remove_all()
