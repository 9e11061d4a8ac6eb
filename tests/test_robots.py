"""RobotsFetcher: RFC 9309, asked of a real server; and each origin asked once."""

import asyncio
from collections.abc import Callable

import pytest
from sockets import Asked, Reply, Server, always, page

from scraper.errors import Disconnected, DnsError, RobotsDenied
from scraper.fetchers.http import HttpFetcher
from scraper.request import Request
from scraper.response import Response
from scraper.robots import FAILED_FOR, KEPT_FOR, MOST_BYTES, MOST_ORIGINS, RobotsFetcher
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.testing import FakeClock
from scraper.url import origin_of

AGENT = "Shopper/1.2 (+https://shopper.example)"


class Robots:
    """A RobotsFetcher over a real pool, and a server whose robots.txt is given."""

    def __init__(self, robots: bytes | Reply | Callable[[Asked], Reply], agent: str = AGENT) -> None:
        reply = page(robots, Content_Type="text/plain") if isinstance(robots, bytes) else robots
        self.answer = reply if callable(reply) else always(reply)
        self.server = Server(self.behave)
        self.clock = FakeClock()
        self.settings = Settings(user_agent=agent)

    def behave(self, asked: Asked) -> Reply:
        return self.answer(asked) if asked.path.endswith("robots.txt") else page()

    async def __aenter__(self) -> "Robots":
        await self.server.__aenter__()
        self.pool = SessionPool(self.settings)
        self.fetcher = RobotsFetcher(HttpFetcher(self.pool, self.settings), self.settings, self.clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.fetcher.close()
        await self.pool.close()
        await self.server.__aexit__()

    @property
    def asked(self) -> list[str]:
        return [each.path for each in self.server.asked]

    async def get(self, path: str) -> Response:
        return await self.fetcher.fetch(Request(self.server.url(path)))

    async def allows(self, path: str) -> bool:
        try:
            await self.get(path)
        except RobotsDenied as denied:
            assert denied.reason == "robots"
            assert denied.request is not None
            assert denied.request.url in str(denied)
            assert not denied.transient
            return False
        return True


async def test_rules_for_all_and_rules_for_us() -> None:
    text = b"User-agent: *\nDisallow: /\n\nUser-agent: shopper\nDisallow: /cart\nAllow: /cart/help\n"
    async with Robots(text) as ours:
        assert await ours.allows("/")
        assert not await ours.allows("/cart/1?x=y")
        assert await ours.allows("/cart/help")
        assert ours.asked == ["/robots.txt", "/", "/cart/help"]
    async with Robots(text, agent="Other/1") as ours:
        assert not await ours.allows("/")


async def test_wildcards_and_escapes() -> None:
    async with Robots(b"User-agent: *\nDisallow: /*?sort=\nDisallow: /*.pdf$\nDisallow: /caf%C3%A9\n") as ours:
        assert not await ours.allows("/list?sort=up")
        assert not await ours.allows("/a.pdf")
        assert await ours.allows("/a.pdf.html")
        assert not await ours.allows("/café/1")


@pytest.mark.parametrize("body", [b"", b"User-agent: *\nDisallow:\n", b"<html>soft 404</html>", b"\x00\xff\xfe"])
async def test_nothing_said_is_allowed(body: bytes) -> None:
    async with Robots(body) as ours:
        assert await ours.allows("/any")


@pytest.mark.parametrize("status", ["400 Bad", "401 Who", "403 No", "404 None", "410 Gone", "429 Slow"])
async def test_client_errors_allow_all(status: str) -> None:
    async with Robots(page(b"User-agent: *\nDisallow: /\n", status)) as ours:
        assert await ours.allows("/any")


async def test_bom_charset_and_line_ends() -> None:
    async with Robots(b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /caf\xe9\r\nDisallow: /no\r\n") as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


async def test_half_a_rule_at_the_size_limit_is_no_rule() -> None:
    head = b"User-agent: *\nDisallow: /no\n"
    filler = b"#" * (MOST_BYTES - len(head) - len(b"\nDisallow: /y")) + b"\n"
    async with Robots(head + filler + b"Disallow: /yes/but/not/this\nDisallow: /beyond\n") as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")
        assert await ours.allows("/beyond")


async def test_server_errors_forbid_for_now() -> None:
    async with Robots(page(b"", "503 Busy")) as ours:
        for _ in range(3):
            with pytest.raises(RobotsDenied) as caught:
                await ours.get("/any")
            assert caught.value.transient
            assert caught.value.retry_after == FAILED_FOR
            assert "503" in str(caught.value)
        assert ours.asked == ["/robots.txt"]
        ours.clock.advance(FAILED_FOR - 1)
        with pytest.raises(RobotsDenied) as caught:
            await ours.get("/any")
        assert caught.value.retry_after == 1
        ours.answer = always(page(b""))
        ours.clock.advance(1)
        assert await ours.allows("/any")


async def test_network_errors_forbid_for_now() -> None:
    async with Robots(Reply(close=True)) as ours:
        for attempt in (1, 2):
            with pytest.raises(Disconnected, match=r"/any is not fetched while .*/robots.txt cannot be had") as caught:
                await ours.get("/any")
            assert caught.value.transient
            assert caught.value.retry_after is None
            assert ours.asked == ["/robots.txt"] * attempt, "the page itself is never asked for"


@pytest.mark.parametrize(("hops", "allowed"), [(1, False), (5, False), (6, True)])
async def test_redirects(hops: int, allowed: bool) -> None:
    def behave(asked: Asked) -> Reply:
        at = int(asked.path.strip("/").partition("/")[0]) if asked.path != "/robots.txt" else 0
        if at < hops:
            return page(b"", "301 Moved", Location=f"/{at + 1}/robots.txt")
        return page(b"User-agent: *\nDisallow: /\n")

    async with Robots(behave) as ours:
        assert await ours.allows("/any") is allowed


@pytest.mark.parametrize("location", ["", "mailto:x@example.org", "http://["])
async def test_a_redirect_to_nowhere_allows_all(location: str) -> None:
    async with Robots(page(b"", "302 Found", Location=location)) as ours:
        assert await ours.allows("/any")


async def test_fifty_at_once_ask_once() -> None:
    def held(asked: Asked) -> Reply:
        return page(b"User-agent: *\nDisallow: /no\n", held=True)

    async with Robots(held) as ours:
        work = [asyncio.ensure_future(ours.allows(f"/{'no' if n % 2 else 'yes'}/{n}")) for n in range(50)]
        await ours.server.until(lambda: ours.server.requests == 1)
        ours.server.release()
        assert await asyncio.gather(*work) == [n % 2 == 0 for n in range(50)]
        assert ours.asked.count("/robots.txt") == 1
        assert len(ours.asked) == 26


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    async with Robots(lambda asked: page(b"", held=True)) as ours:
        first, second = (asyncio.ensure_future(ours.allows(f"/{n}")) for n in range(2))
        await ours.server.until(lambda: ours.server.requests == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        ours.server.release()
        assert await second
        assert ours.asked == ["/robots.txt", "/1"]


async def test_closing_gives_up_what_is_being_asked() -> None:
    async with Robots(Reply()) as ours:
        waiting = asyncio.ensure_future(ours.get("/any"))
        await ours.server.until(lambda: ours.server.requests == 1)
        await ours.fetcher.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_kept_for_a_day() -> None:
    async with Robots(b"") as ours:
        assert await ours.allows("/a")
        ours.clock.advance(KEPT_FOR - 1)
        assert await ours.allows("/b")
        ours.clock.advance(1)
        assert await ours.allows("/c")
        assert ours.asked == ["/robots.txt", "/a", "/b", "/robots.txt", "/c"]


async def test_robots_txt_itself_is_always_allowed_and_asks_nothing() -> None:
    async with Robots(b"User-agent: *\nDisallow: /\n") as ours:
        assert (await ours.get("/robots.txt")).ok
        assert not await ours.allows("/x")
        assert (await ours.get("/robots.txt")).ok
        assert ours.asked == ["/robots.txt"] * 3


async def test_crawl_delay_and_sitemaps() -> None:
    text = (
        b"User-agent: shopper\nCrawl-delay: 2.5\nSitemap: https://a.example/1.xml\nSitemap: https://a.example/2.xml\n"
    )
    async with Robots(text) as ours:
        origin = origin_of(ours.server.url())
        assert (ours.fetcher.crawl_delay(origin), ours.fetcher.sitemaps(origin)) == (None, ())
        await ours.get("/")
        assert ours.fetcher.crawl_delay(origin) == 2.5
        assert ours.fetcher.sitemaps(origin) == ("https://a.example/1.xml", "https://a.example/2.xml")


class Everywhere:
    """A fetcher that has a page at every address; ``down`` hosts have no name."""

    def __init__(self, down: tuple[str, ...] = ()) -> None:
        self.down = down
        self.asked: list[str] = []

    async def fetch(self, request: Request) -> Response:
        self.asked.append(request.url)
        if request.url.startswith(self.down):
            raise DnsError("no such name", request=request)
        return Response(request.url, 200, {}, b"Disallow: /", request)

    async def close(self) -> None: ...


async def test_origins_are_kept_apart_and_the_oldest_are_forgotten() -> None:
    inner = Everywhere()
    fetcher = RobotsFetcher(inner, Settings())
    for number in range(MOST_ORIGINS + 1):
        await fetcher.fetch(Request(f"http://h{number}.example/"))
        await fetcher.fetch(Request("http://h1.example/again"))  # used, so not the oldest
    asked = [url for url in inner.asked if url.endswith("robots.txt")]
    assert len(asked) == MOST_ORIGINS + 1
    inner.asked.clear()
    await fetcher.fetch(Request("http://h1.example/"))
    await fetcher.fetch(Request("http://h0.example/"))
    await fetcher.fetch(Request("https://h0.example/"))
    assert inner.asked == [
        "http://h1.example/",
        "http://h0.example/robots.txt",
        "http://h0.example/",
        "https://h0.example/robots.txt",
        "https://h0.example/",
    ]


async def test_a_name_that_does_not_resolve_is_said() -> None:
    fetcher = RobotsFetcher(Everywhere(("http://gone",)), Settings())
    with pytest.raises(DnsError, match="no such name"):
        await fetcher.fetch(Request("http://gone.example/"))
