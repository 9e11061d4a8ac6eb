"""The engine's places: hosts that hang hold none for long, and what is lent comes back."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from crawling import Bench, spider

from scraper.request import Request
from scraper.response import Response
from scraper.workers import HANGS_AFTER, LENT_AFTER


class Half:
    """Hosts named ``stuck…`` never answer. The others do once ``release()`` is called; meanwhile they are held."""

    def __init__(self) -> None:
        self.stuck: list[asyncio.Future[None]] = []
        self.held: list[asyncio.Future[None]] = []
        self.done: Counter[str] = Counter()

    async def fetch(self, request: Request) -> Response:
        host = request.url.split("/")[2]
        future = asyncio.get_running_loop().create_future()
        (self.stuck if host.startswith("stuck") else self.held).append(future)
        await future
        self.done[host] += 1
        return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

    def release(self) -> None:
        held, self.held = self.held, []
        for each in held:
            each.set_result(None)

    def unblock(self) -> None:
        for each in self.stuck:
            if not each.done():
                each.set_result(None)

    async def close(self) -> None: ...


@pytest.mark.parametrize(("stuck", "hosts", "pages"), [(1, 50, 4), (40, 100, 10)])
async def test_stuck_hosts_take_nothing_from_the_others(stuck: int, hosts: int, pages: int) -> None:
    """All pages of the others are done, never fewer than ``concurrency`` at once, while the stuck ones hang."""
    site = Half()
    names = [f"{'stuck' if number < stuck else 'h'}{number}" for number in range(hosts)]
    urls = [f"http://{name}.test/{number}" for number in range(pages) for name in names]
    bench = Bench(spider(start_urls=urls), site, concurrency=32, concurrency_per_host=8)
    at_once: list[int] = []
    left = (hosts - stuck) * pages

    def meanwhile() -> None:
        nonlocal left
        if len(site.held) < min(32, left):
            return  # those that hang have not lent their places yet: time passes, or the crawl stands still
        at_once.append(len(site.held))
        left -= len(site.held)
        site.release()
        if not left:
            assert len(site.stuck) >= stuck, "each of them hangs"
            site.unblock()

    assert await bench.run(meanwhile) == "finished"
    assert sum(site.done.values()) == hosts * pages
    # What is too few for all places is so because the others' last pages wait for a connection that is busy.
    assert at_once.count(32) >= (hosts - stuck) * pages // 32 - 3


async def test_places_that_are_lent_come_back() -> None:
    site = Half()
    names = [f"stuck{number}" for number in range(20)] + ["h"]
    bench = Bench(spider(start_urls=[f"http://{name}.test/" for name in names]), site, concurrency=4)
    numbers: list[int] = []

    def meanwhile() -> None:
        numbers.append(bench.engine._workers.number)
        site.release()
        if bench.clock.monotonic() >= 30.0:  # whoever was to begin has begun
            site.unblock()

    bench.clock.call_at(30.0, lambda: None)
    assert await bench.run(meanwhile) == "finished"
    assert max(numbers) == 16, "four times as many, and no more"
    assert site.done["h.test"] == 1
    assert bench.engine._workers.number <= 4


async def test_a_burst_after_a_lull_finds_no_more_places_than_usual() -> None:
    """Those who had the places that were lent are still there, and idle."""
    most = in_flight = 0

    class Quick(Half):
        async def fetch(self, request: Request) -> Response:
            nonlocal most, in_flight
            if "stuck" in request.url:
                return await super().fetch(request)
            in_flight += 1
            most = max(most, in_flight)
            for _ in range(20):
                await asyncio.sleep(0)
            in_flight -= 1
            return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

    site = Quick()
    stuck = [f"http://stuck{number}.test/" for number in range(8)]
    burst = [f"http://h{number}.test/" for number in range(40)]

    def parse(self: Any, response: Response) -> Any:
        if response.url == stuck[0]:
            yield from map(Request, burst)

    bench = Bench(spider(start_urls=stuck, parse=parse), site, concurrency=4)
    bench.clock.call_at(10.0, lambda: None)
    assert await bench.run(lambda: site.unblock() if bench.clock.monotonic() >= 10.0 else None) == "finished"
    assert bench.engine.stats.pages == 48
    assert most == 4


async def test_no_place_is_lent_before_its_time() -> None:
    site = Half()
    urls = ["http://stuck.test/", "http://stuck2.test/", "http://h.test/"]
    bench = Bench(spider(start_urls=urls), site, concurrency=2)
    seen: list[tuple[float, int]] = []

    def meanwhile() -> None:
        seen.append((bench.clock.monotonic(), bench.engine._workers.number))
        if site.held:
            site.release()
            site.unblock()

    assert await bench.run(meanwhile) == "finished"
    assert all(number == (2 if now < LENT_AFTER else 4) for now, number in seen[:-1] if now <= LENT_AFTER)
    assert (LENT_AFTER, 4) in seen


async def test_a_host_that_has_answered_may_take_longer() -> None:
    site = Half()
    bench = Bench(spider(start_urls=["http://h.test/1", "http://h.test/2", "http://h.test/3"]), site, concurrency=2)
    seen: set[tuple[float, int]] = set()

    def meanwhile() -> None:
        now = bench.clock.monotonic()
        seen.add((now, bench.engine._workers.number))
        if not site.done or now >= HANGS_AFTER:
            site.release()

    bench.clock.call_at(5.0, lambda: None)
    assert await bench.run(meanwhile) == "finished"
    assert {number for now, number in seen if now < HANGS_AFTER} == {2}
    assert any(number > 2 for now, number in seen if now >= HANGS_AFTER)


async def test_one_at_once_is_one_at_once() -> None:
    """Also while it hangs: whoever asks for one means it."""
    site = Half()
    bench = Bench(spider(start_urls=["http://stuck.test/", "http://h.test/"]), site, concurrency=1)
    most = 0

    def meanwhile() -> None:
        nonlocal most
        most = max(most, len(site.held) + sum(not each.done() for each in site.stuck))
        site.release()
        if bench.clock.monotonic() >= 60.0:
            site.unblock()

    bench.clock.call_at(60.0, lambda: None)
    assert await bench.run(meanwhile) == "finished"
    assert most == 1


async def test_a_host_that_never_answered_gets_one_place() -> None:
    site = Half()
    urls = [f"http://{name}.test/{number}" for number in range(20) for name in ("stuck", "h")]
    bench = Bench(spider(start_urls=urls), site, concurrency=16, concurrency_per_host=8)
    most: Counter[str] = Counter()

    def meanwhile() -> None:
        most["stuck"] = max(most["stuck"], sum(not each.done() for each in site.stuck))
        most["h"] = max(most["h"], len(site.held))
        if not site.done["h.test"] or bench.clock.monotonic() > 5.0:
            site.release()  # the first answer, and then all that came to be in flight together
        if site.done["h.test"] == 20:
            most.setdefault("stuck alone", most["stuck"])
            site.unblock()

    bench.clock.call_at(5.5, lambda: None)
    assert await bench.run(meanwhile) == "finished"
    assert (most["stuck alone"], most["h"]) == (1, 8)
    assert site.done == {"h.test": 20, "stuck.test": 20}
