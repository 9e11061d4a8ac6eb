"""What one request may have in place of the settings of the crawl: its time, its attempts, its statuses."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from crawling import SITE, Bench, spider

from scraper import Request, Response, Spider, crawl
from scraper.testing import LocalSite


def asking(**options: Any) -> Spider:
    """A spider that asks for one page with these options, and notes the statuses that its callback sees."""

    async def start(self: Any) -> Any:
        yield Request(SITE + "1", **options)

    def parse(self: Any, response: Response) -> None:
        self.seen.append(response.status)

    return spider(start=start, parse=parse, seen=[])


@pytest.mark.parametrize(
    ("named", "chosen", "seen"),
    [
        ([404], (), [404]),
        ({404, 410}, (), [404]),
        ("all", (), [404]),
        ([410], (404,), []),  # in place of the setting, not besides it
        ([], "all", []),
        (None, (404,), [404]),
    ],
)
async def test_statuses(named: Any, chosen: Any, seen: list[int]) -> None:
    bench = Bench(one := asking(handle_statuses=named), {"1": 404}, handle_statuses=chosen)
    assert await bench.run() == "finished"
    assert one.seen == seen  # type: ignore[attr-defined]
    assert await bench.states() == {"1": "done" if seen else "dead"}


async def test_a_redirect_is_an_answer_where_it_is_named() -> None:
    moved = Response(SITE + "1", 302, {"Location": "/2"})
    bench = Bench(one := asking(handle_statuses=[302]), {"1": moved, "2": ""})
    await bench.run()
    assert one.seen == [302]  # type: ignore[attr-defined]
    assert set(await bench.states()) == {"1"}
    bench = Bench(one := asking(handle_statuses="all"), {"1": moved, "2": ""})  # all errors: that is none
    await bench.run()
    assert one.seen == [200]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("own", "attempts"), [(None, 3), (1, 1), (5, 5)])
async def test_attempts(own: int | None, attempts: int) -> None:
    bench = Bench(asking(retry_attempts=own), {"1": 503}, retry_attempts=3)
    await bench.run()
    assert bench.fetcher.asked[SITE + "1"] == attempts
    assert (await bench.pages())["1"].attempts == attempts


async def test_time(tmp_path: Any) -> None:
    never = asyncio.Event()

    async def hang(request: web.Request) -> str:
        await never.wait()
        return ""

    async with LocalSite({"/": "", "/hangs": hang}) as site:

        class Impatient(Spider):
            async def start(self) -> Any:
                yield Request(site.url("/hangs"), errback=self.failed, total_timeout=0.05, retry_attempts=1)
                yield Request(site.url("/"), total_timeout=600)

            def parse(self, response: Response) -> Any:
                yield {"url": response.url}

            def failed(self, request: Request, error: Exception) -> Any:
                yield {"failed": str(error)}

        report = await crawl(Impatient, db=tmp_path / "x.db", total_timeout=600)
        never.set()
    assert (report.counts.pages, report.counts.reasons) == (1, {"total timeout": 1})
    assert report.counts.items == 2
