"""A robots.txt that cannot be had is never leave to go on; and one that has no end is read to where it matters."""

import gzip
import json
import zlib
from email.utils import formatdate
from random import Random
from typing import Any

import pytest
from asking import NO, Robots
from crawling import SITE, Bench, spider
from sockets import Reply, Server, always, page

import scraper
from scraper.errors import ConnectError, Disconnected, ReadTimeout, RobotsDenied, TotalTimeout
from scraper.robots import LONGEST_BACK_OFF, MOST_HOPS, SILENT_FOR, TROUBLED_FOR, RobotsFetcher
from scraper.robots_text import MOST_BYTES
from scraper.settings import Settings
from scraper.stores.memory import MemoryStore
from scraper.testing import FakeClock, FakeFetcher, LocalSite


async def denied(ours: Robots, path: str = "/any") -> RobotsDenied:
    """The denial of a page whose robots.txt cannot be had for now."""
    with pytest.raises(RobotsDenied) as caught:
        await ours.get(path)
    assert caught.value.transient
    assert caught.value.request is not None
    assert caught.value.request.url in str(caught.value)
    return caught.value


async def test_server_errors_forbid_for_now() -> None:
    async with Robots(page(b"", "503 Busy")) as ours:
        for _ in range(3):
            failure = await denied(ours)
            assert failure.retry_after == TROUBLED_FOR
            assert "answered 503" in str(failure)
            assert "not asked for again within 30 s" in str(failure)
            assert "tried again" not in str(failure), "nobody knows here whether there is another attempt"
        assert ours.asked == ["/robots.txt"]
        ours.clock.advance(TROUBLED_FOR - 1)
        assert (await denied(ours)).retry_after == 1
        ours.answer = always(page(NO))
        ours.clock.advance(1)
        assert await ours.allows("/any")
        assert not await ours.allows("/no")
        assert ours.robots_asked == 2


async def test_each_failure_in_a_row_doubles_the_wait_up_to_an_hour() -> None:
    waits = []
    async with Robots(page(b"", "500 Broken"), breaker_patience=0) as ours:
        for _ in range(10):
            waits.append((await denied(ours)).retry_after)
            ours.clock.advance(waits[-1] or 0)
        assert waits == [30, 60, 120, 240, 480, 960, 1920, LONGEST_BACK_OFF, LONGEST_BACK_OFF, LONGEST_BACK_OFF]
        assert ours.robots_asked == 10
        ours.answer = always(page(b""))
        assert await ours.allows("/any")
        ours.clock.advance(24 * 3600)
        ours.answer = always(page(b"", "500 Broken"))
        assert (await denied(ours)).retry_after == TROUBLED_FOR, "it begins anew after a success"


@pytest.mark.parametrize(
    ("after", "wait"), [("90", 90), ("5", 30), ("86400", 600), (formatdate(1_700_000_200, usegmt=True), 200)]
)
async def test_retry_after_is_honoured_where_it_is_longer(after: str, wait: float) -> None:
    async with Robots(page(b"", "503 Busy", Retry_After=after), retry_after_max=600) as ours:
        assert (await denied(ours)).retry_after == wait
        ours.clock.advance(wait - 1)
        await denied(ours)
        assert ours.robots_asked == 1


async def test_a_silent_server_is_left_alone_for_a_while_too() -> None:
    async with Robots(Reply(close=True)) as ours:
        for asked, wait in ((1, SILENT_FOR), (2, 2 * SILENT_FOR), (3, 4 * SILENT_FOR)):
            for _ in range(3):
                with pytest.raises(Disconnected, match=r"/any broke .* \(asked for robots.txt first\)") as caught:
                    await ours.get("/any")
                assert "obey_robots" not in str(caught.value)
                assert caught.value.transient
                assert caught.value.retry_after == wait
                assert ours.asked == ["/robots.txt"] * asked, "the page itself is never asked for"
            ours.clock.advance(wait)


async def test_without_waits_between_attempts_there_is_none_here() -> None:
    async with Robots(Reply(close=True), retry_max_wait=0) as ours:
        for asked in (1, 2):
            with pytest.raises(Disconnected) as caught:
                await ours.get("/any")
            assert caught.value.retry_after is None
            assert ours.robots_asked == asked


async def test_what_fails_at_another_host_is_no_fault_of_the_page() -> None:
    async with Server() as gone:
        elsewhere = gone.url("/robots.txt")
    async with Robots(page(b"", "302 Found", Location=elsewhere)) as ours:
        failure = await denied(ours)
        assert failure.retry_after == SILENT_FOR
        assert isinstance(failure.__cause__, ConnectError)
        assert elsewhere in str(failure)
        assert ours.asked == ["/robots.txt"]


async def test_redirects_lead_to_other_hosts() -> None:
    async with Server(always(page(NO, Content_Type="text/plain"))) as other:
        moved = page(b"", "301 Moved", Location=other.url("/their/robots.txt"))
        async with Robots(moved) as ours:
            assert not await ours.allows("/no")
            assert await ours.allows("/yes")
            assert [each.path for each in other.asked] == ["/their/robots.txt"]
            assert ours.asked == ["/robots.txt", "/yes"]


async def test_a_loop_ends() -> None:
    async with Robots(page(b"", "302 Found", Location="/robots.txt")) as ours:
        assert await ours.allows("/any")
        assert ours.asked == ["/robots.txt"] * (1 + MOST_HOPS) + ["/any"]


LINE = b"Allow: /yes\n"


@pytest.mark.parametrize("body", [NO + LINE * (10_000_000 // len(LINE)), NO + b"#" * 1_000_000])
async def test_of_a_huge_one_the_beginning_counts(body: bytes) -> None:
    async with Robots(body) as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


async def test_a_small_limit_for_pages_is_none_for_robots_txt() -> None:
    async with Robots(b"User-agent: *\n" + LINE * 20_000 + b"Disallow: /no\n", max_body_size=1000) as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


def endless(body: bytes, *headers: bytes) -> Reply:
    """An answer of which so much comes, and which has no end."""
    lines = (b"HTTP/1.1 200 OK", *headers, b"Transfer-Encoding: chunked", b"", b"%x" % len(body), body, b"")
    return Reply(b"\r\n".join(lines))


async def test_an_endless_one_is_read_to_its_500_kib() -> None:
    async with Robots(endless(NO + LINE * (2 * MOST_BYTES // len(LINE)))) as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")
        assert ours.robots_asked == 1


async def test_a_bomb_is_a_large_one() -> None:
    bomb = gzip.compress(NO + LINE * 2_000_000)
    async with Robots(page(bomb, Content_Encoding="gzip")) as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


async def test_an_endless_one_may_be_compressed() -> None:
    noise = Random(1)
    folder = zlib.compressobj(wbits=31)
    lines = NO + b"".join(b"# %s\n" % noise.randbytes(32).hex().encode() for _ in range(20_000))
    body = folder.compress(lines) + folder.flush(zlib.Z_FULL_FLUSH)
    async with Robots(endless(body, b"Content-Encoding: gzip")) as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


async def test_a_corrupt_one_forbids_for_now() -> None:
    async with Robots(page(b"not gzip", Content_Encoding="gzip")) as ours:
        assert (await denied(ours)).retry_after == TROUBLED_FOR


@pytest.mark.parametrize(("setting", "kind"), [("read_timeout", ReadTimeout), ("total_timeout", TotalTimeout)])
async def test_a_slow_one_is_given_up(setting: str, kind: type[Exception]) -> None:
    half = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nUser-agent: *\n")
    async with Robots(half, **{setting: 0.05}) as ours:
        assert isinstance((await denied(ours)).__cause__, kind)
        assert ours.asked == ["/robots.txt"]


# whole crawls


def crawl(statuses: list[int], pages: int, **settings: Any) -> tuple[Bench, FakeFetcher]:
    """A crawl of so many pages of a host whose robots.txt answers so, the last for ever."""
    clock = FakeClock()
    inner = FakeFetcher({f"{SITE}{n}": "" for n in range(pages)})
    answers = iter(statuses)
    inner.answers[f"{SITE}robots.txt"] = lambda request: next(answers, statuses[-1])
    fetcher = RobotsFetcher(inner, Settings(**settings), clock)
    return Bench(spider(*map(str, range(pages))), fetcher, clock=clock, **settings), inner


async def test_pages_wait_until_it_can_be_had() -> None:
    bench, inner = crawl([500, 503, 200], 20)
    assert await bench.run() == "finished"
    assert set((await bench.states()).values()) == {"done"}
    assert bench.clock.monotonic() >= 30 + 60
    assert inner.asked[f"{SITE}robots.txt"] == 3


async def test_a_host_whose_robots_txt_stays_broken_is_given_up_with_all_its_pages() -> None:
    bench, inner = crawl([500], 200, retry_after_max=3600)
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {(each.state, each.reason) for each in pages.values()} == {("dead", "robots")}
    assert set(inner.asked) == {f"{SITE}robots.txt"}, "no page was asked for"
    assert inner.asked[f"{SITE}robots.txt"] <= 7
    assert bench.clock.monotonic() <= 2 * Settings().breaker_patience
    assert "so this page is given up" in (pages["199"].error or "")


async def test_a_hop_to_a_private_address_is_not_taken() -> None:
    pages = {"/": "", "/robots.txt": (301, "", {"Location": "http://10.0.0.1/robots.txt"})}
    async with LocalSite(pages) as at:
        store = MemoryStore()
        report = await scraper.crawl(spider(start_urls=[at.url("/")]), store=store, retry_attempts=1)
        assert report.counts.reasons == {"robots": 1}, "which counts as one that cannot be had"
        (page,) = [each async for each in store.pages()]
        assert "private" in (page.error or "")
        assert at.log == ["GET /robots.txt"]


async def test_the_last_wait_ends_with_the_patience() -> None:
    """30, 60 and 120 seconds of 250; the fourth would be 240."""
    async with Robots(page(b"", "500 Broken"), breaker_patience=250.0) as ours:
        waits = []
        for _ in range(4):
            waits.append((await denied(ours)).retry_after)
            ours.clock.advance(waits[-1] or 0.0)
        assert waits == [30, 60, 120, 40]
        with pytest.raises(RobotsDenied, match="given up") as caught:
            await ours.get("/any")
        assert not caught.value.transient


async def test_it_is_said_once_for_each_origin(capsys: pytest.CaptureFixture[str]) -> None:
    scraper.log.configure("info", "json")
    async with Robots(page(b"", "503 Busy")) as ours:
        for _ in range(3):
            wait = (await denied(ours)).retry_after
            ours.clock.advance(wait or 0.0)
        ours.answer = always(page(NO))
        assert await ours.allows("/any")
        (line,) = (json.loads(text) for text in capsys.readouterr().err.splitlines())
        assert (line["event"], line["level"], line["seconds"]) == ("robots_unavailable", "warning", 30.0)
        assert ours.server.url().startswith(line["origin"])
        assert "answered 503" in line["error"]
    scraper.log.configure()
