"""The pace of one host against hosts that are simulated: what it costs where there is no trouble, or just a little."""

import heapq
import random
from collections.abc import Callable

import pytest

from scraper.pace import Pace

CAP = 8


def rate(latency: Callable[[random.Random], float], share: float = 0.0, seed: int = 4, requests: int = 20_000) -> float:
    """Requests per second of a host that answers after ``latency``, and 503 to this share of them."""
    rng, pace, now, last, asked = random.Random(seed), Pace(CAP), 0.0, -1.0, 0
    under_way: list[tuple[float, float, bool]] = []
    while asked < requests:
        while len(under_way) < int(pace.cap) and now >= last + pace.delay:
            elapsed = latency(rng)
            heapq.heappush(under_way, (now + elapsed, elapsed, rng.random() < share))
            asked, last = asked + 1, now
        then = under_way[0][0] if under_way else last + pace.delay
        now = min(then, last + pace.delay) if len(under_way) < int(pace.cap) else then
        while under_way and under_way[0][0] <= now:
            _, elapsed, failed = heapq.heappop(under_way)
            if failed:
                pace.troubled(elapsed, now)
            else:
                pace.answered(elapsed, now)
    return asked / now


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("share", "slow"), [(0.5, 1.5), (0.3, 3.0)])
def test_two_kinds_of_pages_are_no_trouble(share: float, slow: float, seed: int) -> None:
    """Some come from a cache in 10 ms, the others have to be made."""
    found = rate(lambda rng: slow if rng.random() < share else 0.01, seed=seed, requests=3000)
    assert found > 0.9 * CAP / (share * slow + (1 - share) * 0.01)


@pytest.mark.parametrize(("share", "least"), [(0.05, 0.4), (0.1, 0.15)])
def test_a_few_503s_cost_a_part_of_the_rate(share: float, least: float) -> None:
    assert rate(lambda rng: rng.uniform(0.04, 0.06), share) > least * CAP / 0.05


def test_slow_and_at_one_at_a_time_it_still_grows() -> None:
    """Latency is no reason to stay at a cap of one: nothing less can be asked, so nothing would ever be learnt."""
    pace, now = Pace(CAP), 0.0
    for _ in range(50):
        now += 1.0
        pace.answered(0.05, now)
    for _ in range(3):
        now += 1.0
        pace.troubled(0.05, now)
    assert pace.cap == 1.0
    caps = []
    for _ in range(300):
        now += 10.0
        pace.answered(9.0, now)
        caps.append(int(pace.cap))
    assert max(caps[:10]) > 1
    assert caps[-1] == CAP, "what is slow for good is as usual as any"


def test_pages_that_have_failed_before_space_it_no_further_than_seconds() -> None:
    pace, now = Pace(CAP), 0.0
    for _ in range(30):
        now += 100.0
        pace.troubled(0.05, now, alone=True)
    assert pace.delay == 2.0
    pace.troubled(0.05, now + 100.0)
    assert pace.delay == 4.0
    pace.troubled(0.05, now + 200.0, alone=True)
    assert pace.delay == 4.0, "nor does it come nearer by them"
