"""Waiting: always for a state, always with a deadline"""

import time

POLL = 0.02  # seconds between two looks


class DeadlinePassed(AssertionError):
    """The state that a test waits for did not come."""


def eventually(condition, what, seconds=5.0):
    """The first true value of `condition()`; DeadlinePassed with `what` and the last value when
    none comes.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise DeadlinePassed(f"{what}: not within {seconds:g} s (last: {value!r})")
        time.sleep(POLL)
