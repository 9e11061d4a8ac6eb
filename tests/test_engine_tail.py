"""The end of a crawl of which only pages are left that will never answer, and what those cost the healthy ones."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from crawling import SITE, Bench, spider

import scraper.slot
from scraper.errors import BodyCut, ConnectError, FetchError, NoSuchHost, ReadTimeout
from scraper.request import Request
from scraper.response import Response
from scraper.robots import RobotsFetcher
from scraper.settings import Settings
from scraper.testing import FakeClock
from scraper.throttle import AdaptiveThrottle

HEALTHY = 60


def cut() -> BodyCut:
    error = BodyCut("the body ends early")
    error.status = 200
    return error


@pytest.mark.parametrize("bad", [2, 12])
@pytest.mark.parametrize("error", [503, ReadTimeout("silent"), ConnectError("refused")], ids=str)
async def test_pages_that_always_fail_do_not_keep_the_end_waiting(error: Any, bad: int) -> None:
    """Once all that is left has failed before, no pause is waited for: it would go on until the patience ends."""
    good, broken = [str(number) for number in range(20)], [f"bad{number}" for number in range(bad)]
    bench = Bench(spider(*broken, *good), dict.fromkeys(good, "") | dict.fromkeys(broken, error))
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {pages[path].state for path in good} == {"done"}
    assert {(pages[path].state, pages[path].attempts) for path in broken} == {("dead", 4)}
    assert bench.clock.monotonic() < 300.0


def after(clock: FakeClock, seconds: float, answer: Any) -> Callable[[Request], Awaitable[Any]]:
    """Gives the answer after so long."""

    async def give(request: Request) -> Any:
        passed = asyncio.Event()
        clock.call_at(clock.monotonic() + seconds, passed.set)
        await passed.wait()
        return answer

    return give


@pytest.mark.parametrize("priority", [0, 10])
@pytest.mark.parametrize("cap", [2, 8])
@pytest.mark.parametrize(
    ("error", "takes", "healthy_by", "over_by"),
    [
        # Seconds on the fake clock, twice what they come to: the waits between attempts are random.
        (cut(), 0.02, 60.0, 120.0),
        (503, 0.02, 120.0, 180.0),
        (ReadTimeout("silent"), 30.0, 900.0, 2 * 6 * 4 * 30.0),  # at worst one after the other
        (ConnectError("refused"), 0.02, 30.0, 60.0),
    ],
    ids=str,
)
async def test_a_few_broken_pages_do_not_starve_the_healthy_ones(
    error: Any, takes: float, healthy_by: float, over_by: float, cap: int, priority: int
) -> None:
    clock = FakeClock()
    good, broken = [f"g{number}" for number in range(HEALTHY)], [f"b{number}" for number in range(6)]

    async def start(self: Any) -> Any:
        for number, path in enumerate(good):
            if number % 10 == 0:
                yield Request(SITE + broken[number // 10], priority=priority)
            yield Request(SITE + path)

    answers = dict.fromkeys(good, after(clock, 0.02, "")) | dict.fromkeys(broken, after(clock, takes, error))
    settings = {"concurrency_per_host": cap}
    throttle = AdaptiveThrottle(Settings(**settings))  # type: ignore[arg-type]
    bench = Bench(spider(start=start), answers, clock=clock, throttle=throttle, **settings)
    over = 0.0

    def meanwhile() -> None:
        nonlocal over
        if bench.engine.stats.pages < HEALTHY:
            over = clock.monotonic()

    assert await bench.run(meanwhile) == "finished"
    pages = await bench.pages()
    assert {pages[path].state for path in good} == {"done"}
    assert {(pages[path].state, pages[path].attempts) for path in broken} == {("dead", 4)}
    assert over < healthy_by
    assert clock.monotonic() < over_by


async def test_pages_that_were_probes_do_not_keep_the_end_waiting_either() -> None:
    """Ten fail and the host is paused; two probes later none is left that has not failed."""
    paths = [str(number) for number in range(12)]
    answers = dict.fromkeys(paths, ConnectError("refused"))
    bench = Bench(spider(*paths), answers, throttle=AdaptiveThrottle(Settings()))
    assert await bench.run() == "finished"
    assert {(page.reason, page.attempts) for page in (await bench.pages()).values()} == {("connect", 4)}
    assert bench.clock.monotonic() < 300.0, "its patience is 900 s"


async def test_probes_are_not_all_of_the_pages_that_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty that nobody answers: probed one by one, they would be the host's end."""
    monkeypatch.setattr(scraper.slot, "random", Random(4))
    good, broken = [str(number) for number in range(HEALTHY)], [f"bad{number}" for number in range(30)]

    async def start(self: Any) -> Any:
        for path in broken:
            yield Request(SITE + path, priority=10)
        for path in good:
            yield Request(SITE + path)

    answers = dict.fromkeys(good, "") | dict.fromkeys(broken, ConnectError("refused"))
    bench = Bench(spider(start=start), answers, throttle=AdaptiveThrottle(Settings()))
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {pages[path].state for path in good} == {"done"}
    assert {(pages[path].reason, pages[path].attempts) for path in broken} == {("connect", 4)}


class Away:
    """A network in which nothing can be reached."""

    def __init__(self, error: FetchError) -> None:
        self.error = error
        self.asked = 0

    async def fetch(self, request: Request) -> Response:
        self.asked += 1
        raise type(self.error)(str(self.error))

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "pages", "attempts", "seconds"),
    [(ConnectError("refused"), 5, 4, 60.0), (NoSuchHost("no such name"), 15, 1, 1.0)],
    ids=lambda value: getattr(value, "reason", ""),
)
async def test_a_dead_host_ends_in_the_time_of_its_retries(
    error: FetchError, pages: int, attempts: int, seconds: float
) -> None:
    """With default settings, robots.txt asked first: not after all its patience."""
    clock, settings = FakeClock(), Settings()
    inner = Away(error)
    fetcher = RobotsFetcher(inner, settings, clock)
    paths = [str(number) for number in range(pages)]
    bench = Bench(spider(*paths), fetcher, clock=clock, throttle=AdaptiveThrottle(settings))
    assert await bench.run() == "finished"
    found = (await bench.pages()).values()
    assert {(page.state, page.reason, page.attempts) for page in found} == {("dead", error.reason, attempts)}
    assert clock.monotonic() < seconds
    assert inner.asked < 12, "robots.txt is asked for less and less often"
