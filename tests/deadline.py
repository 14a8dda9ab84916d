"""Waiting: always for a state, always with a deadline. The only place of the tests that sleeps"""

import os
import time

# A machine that is interpreted by another, as those of tests/vm are, is many times slower: there
# every deadline is so many times longer.
PATIENCE = float(os.environ.get("PORTREEVE_PATIENCE", "1"))
POLL = 0.02  # seconds between two looks
STEADY_LOOKS = 5


class DeadlinePassed(AssertionError):
    """The state that a test waits for did not come."""


def eventually(condition, what, seconds=5.0):
    """The first true value of `condition()`; DeadlinePassed with `what` and the last value when
    none comes.
    """
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise DeadlinePassed(f"{what}: not within {seconds * PATIENCE:g} s (last: {value!r})")
        time.sleep(POLL)


def settled(look, what, seconds=5.0):
    """What `look()` gives once it has given the same a few times in a row: what fills or drains
    has come to rest.
    """
    seen = []

    def is_steady():
        seen.append(look())
        return len(seen) >= STEADY_LOOKS and len(set(seen[-STEADY_LOOKS:])) == 1

    eventually(is_steady, what, seconds)
    return seen[-1]


def measure_for(seconds):
    """Lets the time pass over which something is measured. Never to wait for a state by."""
    time.sleep(seconds)
