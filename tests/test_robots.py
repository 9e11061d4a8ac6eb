"""RobotsFetcher: RFC 9309, asked of a real server; and each origin asked once."""

import asyncio
import re

import pytest
from asking import AGENT, Robots
from sockets import Asked, Reply, page

from scraper.errors import DnsError, RobotsDenied
from scraper.request import Request
from scraper.response import Response
from scraper.robots import RobotsFetcher
from scraper.robots_kept import KEPT_FOR, MOST_ORIGINS
from scraper.robots_line import MOST_GROUPS, DenyingLines
from scraper.robots_text import MOST_BYTES
from scraper.settings import Settings
from scraper.testing import FakeClock
from scraper.url import origin_of


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
        assert ours.asked == ["/robots.txt"]
        assert not await ours.allows("/x")
        assert (await ours.get("/robots.txt")).ok
        assert ours.asked == ["/robots.txt"] * 3
    async with Robots(page(b"", "503 Busy")) as ours:
        for _ in range(2):
            assert (await ours.get("/robots.txt")).status == 503
            with pytest.raises(RobotsDenied):
                await ours.get("/x")


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
    fetcher = RobotsFetcher(inner, Settings(), FakeClock())
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
    fetcher = RobotsFetcher(Everywhere(("http://gone",)), Settings(), FakeClock())
    with pytest.raises(DnsError, match="no such name"):
        await fetcher.fetch(Request("http://gone.example/"))


# the line that forbids it


async def said(robots: str | bytes, path: str = "/private/x", agent: str = AGENT) -> tuple[int, str]:
    """Number and text of the line that a denial names."""
    async with Robots(robots if isinstance(robots, bytes) else robots.encode(), agent) as ours:
        with pytest.raises(RobotsDenied) as caught:
            await ours.get(path)
        token = agent.partition("/")[0]
        found = re.fullmatch(
            rf"{origin_of(ours.server.url())}/robots\.txt line (\d+), \"(.*)\", "
            rf"forbids (\S+) to '{token}'; leave it out of the crawl",
            str(caught.value),
        )
        assert found, str(caught.value)
        assert caught.value.request is not None
        assert found[3] == caught.value.request.url
        return int(found[1]), found[2]


HEAD = "User-agent: *\n"
LINES = "# ours\n\nUser-agent: *  # all\n\n  Disallow: /cart\n#Disallow: /private\n\tDisallow :  /private \t# secret\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
async def test_lines_are_counted_as_editors_do(end: str, bom: bytes) -> None:
    assert await said(bom + LINES.replace("\n", end).encode()) == (7, "Disallow : /private")
    assert await said(bom + LINES.replace("/cart", "/c\x0bart\u2028x").replace("\n", end).encode()) == (
        7,
        "Disallow : /private",
    )


@pytest.mark.parametrize(
    ("rules", "path", "line"),
    [
        ("Disallow: /\nDisallow: /private\nDisallow: /p", "/private/x", 3),
        ("Disallow: /p\nDisallow: /private/y\nAllow: /pr\nDisallow: /pri", "/private/x", 5),
        ("Disallow: /a\nAllow: /a/b\nDisallow: /a/b/c\nAllow: /elsewhere/that/is/longer", "/a/b/c", 4),
        ("Disallow: /list\nDisallow: /*?sort=", "/list?sort=up", 3),
        ("Disallow: /*.pdf$\nDisallow: /*.pd$", "/a.pdf", 2),
        ("Disallow: /a.pdf.html\nDisallow: /*.pdf$\nDisallow: /a", "/a.pdf", 3),
        ("Disallow: /x\nDisallow: /caf%C3%A9", "/café/1", 3),
        ("Disallow: /x\nDisallow: /café", "/caf%c3%a9/1", 3),
        ("Disallow: /%7e%61%62\nAllow: /~a\nDisallow: /~abc", "/~abcd", 4),
        ("Disallow: /aaaa\nDisallow: /%61%61", "/aaaaa", 2),
        ("Disallow: /aé\nDisallow: /aéb", "/aéb", 3),
        ("Disallow: /a%2F\nDisallow: /a%2Fb", "/a%2fb", 3),
        ("Disallow: /same\nDisallow: /same", "/same", 2),
        ("Dissallow: /a\ndisallow /b\nDISALOW:/c", "/a", 2),
        ("Dissallow: /a\ndisallow /b\nDISALOW:/c", "/b", 3),
        ("Dissallow: /a\ndisallow /b\nDISALOW:/c", "/c", 4),
        ("Disallow:\nCrawl-delay: 0\nNoindex: /a\njunk\nDisallow: /a", "/a", 6),
    ],
)
async def test_the_longest_rule_that_matches_is_named(rules: str, path: str, line: int) -> None:
    assert await said(HEAD + rules, path) == (line, (HEAD + rules).splitlines()[line - 1])


GROUPS = """User-agent: *
Disallow: /private/x

User-agent: other
User-agent: Shopper
Sitemap: https://a.example/1.xml
User-agent: third
Disallow: /all-three
Disallow:

User-agent: other
Disallow: /private/

User-agent: my-shopper
Disallow: /private/x

user agent: SHOPPER
Allow: /private/y
Disallow: /priv
"""


async def test_only_groups_for_us_count_and_all_of_them() -> None:
    assert await said(GROUPS) == (19, "Disallow: /priv")
    assert await said(GROUPS, "/all-three") == (8, "Disallow: /all-three")
    assert await said(GROUPS, agent="Other/2") == (12, "Disallow: /private/")
    assert await said(GROUPS, agent="Stranger") == (2, "Disallow: /private/x")
    apart = "User-agent: other\nAllow: /a\n\nUser-agent: Shopper\nDisallow: /private/x\n\n{}Disallow: /private\n"
    assert await said(apart.format("User-agent: other\n"), agent="Other/2") == (8, "Disallow: /private")
    assert await said(apart.format("User-agent: other\nDisallow:\n"), agent="Other/2") == (9, "Disallow: /private")
    two = "User-agent: hopper\nDisallow: /\n\nUser-agent: *\nDisallow: /private\n"
    assert await said(two) == (5, "Disallow: /private")


async def test_what_a_line_says_cannot_write_on_a_terminal() -> None:
    line, text = await said(HEAD + "Disallow: /private/x\nDisallow: /p*\x1b[31m\x07*", "/p/%1B[31m%07")
    assert (line, text) == (3, "Disallow: /p*\ufffd[31m\ufffd*")
    assert await said(HEAD + "Disallow: /" + "*" * 500) == (2, "Disallow: /" + "*" * 109 + "…")


async def test_many_lines_and_many_denials(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("scraper.robots_line.DenyingLines", lambda *args: made.append(args) or DenyingLines(*args))
    rules = [f"Disallow: /{'x' * (n % 7)}/{n}/" for n in range(3000)]
    async with Robots((HEAD + "\n".join(rules)).encode()) as ours:
        await ours.allows("/")

        async def denied(number: int) -> None:
            with pytest.raises(RobotsDenied, match=rf'line {number + 2}, "{rules[number]}", forbids'):
                await ours.get(rules[number].split()[1])

        assert not made, "it is not looked into before something is denied"
        await asyncio.gather(*(denied(number) for number in range(0, 3000, 7)))
        await denied(1)
        assert len(made) == 1, "nor twice"
        assert ours.asked == ["/robots.txt", "/"]


async def test_a_line_that_cannot_be_told_is_left_out() -> None:
    others = "".join(f"User-agent: bot{n}\nDisallow: /{n}\n\n" for n in range(MOST_GROUPS))
    async with Robots((others + HEAD + "Disallow: /no").encode()) as ours:
        with pytest.raises(RobotsDenied, match=r"/robots\.txt forbids http://\S+/no to 'Shopper'; leave it out"):
            await ours.get("/no")
