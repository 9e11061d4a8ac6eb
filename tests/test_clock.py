"""The real clock: set back, it is steady; far ahead, it is followed."""

import pytest

from scraper import clock


class Both:
    """The two clocks of the system, to be set."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000.0, 50.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


def test_time_goes_on_while_the_wall_clock_is_set_back_and_follows_it_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    monkeypatch.setattr(clock, "time", both)
    system = clock.SystemClock()
    assert (system.time(), system.monotonic()) == (1_700_000_000.0, 50.0)
    both.wall -= 3600
    both.steady += 7
    assert system.time() == 1_700_000_007.0
    both.wall += 3610
    assert system.time() == 1_700_000_007.0, "a little ahead is drift"
    both.wall += 3600  # the machine slept
    assert system.time() == 1_700_003_610.0
    both.steady += 2
    assert system.time() == 1_700_003_612.0
