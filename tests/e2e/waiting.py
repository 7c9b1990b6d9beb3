"""Waiting for what must come true: as long as something moves, and no longer."""

import time
from collections.abc import Callable
from typing import Any

import pytest

STILL_S = 180
"""Seconds without any movement after which nothing more is expected: longer than a failover of every part."""
LONGEST_S = 1_200
"""Seconds after which nothing more is expected even though something moves: endless trades move for ever."""
PAUSE_S = 0.25


def wait_until(what: str, true: Callable[[], bool], movement: Callable[[], Any]) -> None:
    """Return once `true()` holds; fail when `movement()` has not changed for a long time, or for a very long time whatever moves."""
    last, since = movement(), time.monotonic()
    begun = since
    while not true():
        time.sleep(PAUSE_S)
        now = movement()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > STILL_S:
            pytest.fail(f"waited in vain until {what}: nothing has moved for {STILL_S} s, and this is where it stands: {last}")
        if time.monotonic() - begun > LONGEST_S:
            pytest.fail(f"waited in vain until {what}, for {LONGEST_S} s; it stands at {last}, and still moves")
