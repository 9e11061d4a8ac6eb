"""The commands for one page: scraper fetch, view, parse."""

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from conftest import ROOT, Cli, environment
from rich.console import Console

from scraper import Response, Settings, Spider
from scraper.cli.fetch import _line
from scraper.cli.view import prepared
from scraper.oneoff import OneOff
from scraper.request import Request
from scraper.saved import saved_page
from scraper.testing import LocalSite

PAGE = "<html><head><title>T</title></head><body><h1>Hello</h1><a href='/two'>two</a></body></html>"


class Plain(Spider):
    def parse(self, response: Response) -> None: ...


# scraper fetch


async def test_fetch_shows_hops_headers_and_the_kept_connection(here: Cli) -> None:
    def login(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/in", "Set-Cookie": "session=7; Path=/"})

    pages = {"/login": login, "/in": lambda request: web.Response(text=request.headers.get("Cookie", "none"))}
    async with LocalSite(pages) as site:
        done = await asyncio.to_thread(
            here, "fetch", site.url("/login"), "-n", 2, "-H", "X-One: 1", "-s", "auth=me:secret"
        )
        assert (done.returncode, done.stdout) == (0, "session=7")
        lines = done.stderr.splitlines()
        assert [line for line in lines if line.startswith("> GET")] == [
            "> GET /login HTTP/1.1",
            "> GET /in HTTP/1.1",
            "> GET /login HTTP/1.1",
            "> GET /in HTTP/1.1",
        ]
        assert [line for line in lines if line.startswith("< HTTP")][:2] == [
            "< HTTP/1.1 302 Found",
            "< HTTP/1.1 200 OK",
        ]
        assert "> X-One: 1" in lines
        assert "< Location: /in" in lines
        assert "> Authorization: Basic ***" in lines
        assert "secret" not in done.stderr
        assert lines[0].startswith(
            "* robots.txt: 404, so everything is allowed; asked on a new connection to 127.0.0.1:"
        )
        assert sum("on a kept connection" in line for line in lines) == 4
        assert sum("on a new connection" in line for line in lines) == 1
        assert site.requests["/robots.txt"] == 1
        done = await asyncio.to_thread(here, "fetch", site.url("/login"), "--no-follow", "--headers")
        assert "> GET /in HTTP/1.1" not in done.stderr
        assert "< HTTP/1.1 302 Found" in done.stderr


async def test_fetch_as_json_and_what_its_exit_code_says(here: Cli, tmp_path: Path) -> None:
    robots = "User-agent: *\nAllow: /private/open\nDisallow: /private/\n"
    pages = {
        "/robots.txt": robots,
        "/private/open": "<p>open",
        "/form": lambda request: web.Response(text=f"{request.method} {request.content_type}"),
        "/gone": (410, "gone"),
    }
    async with LocalSite(pages) as site:

        async def fetched(*arguments: object) -> "subprocess.CompletedProcess[str]":
            return await asyncio.to_thread(here, "fetch", *arguments)

        done = await fetched(site.url("/private/open"), "--json", "-o", "page.html")
        report = json.loads(done.stdout)
        assert (report["status"], report["error"]) == (200, None)
        assert [each["url"] for each in report["exchanges"]] == [site.url("/robots.txt"), site.url("/private/open")]
        first, second = report["exchanges"]
        assert (first["reused"], second["reused"]) == (False, True)
        assert first["connect"] > 0 == second["connect"]
        assert second["total"] >= second["first_byte"] > 0
        [verdict] = report["robots"].values()
        assert 'line 3, "Disallow: /private/", is overruled by a longer Allow' in verdict
        assert (tmp_path / "page.html").read_text() == "<p>open"

        done = await fetched(site.url("/private/shut"))
        assert (done.returncode, done.stdout) == (1, "")
        assert 'line 3, "Disallow: /private/"' in done.stderr
        assert site.requests["/private/shut"] == 0
        done = await fetched(site.url("/private/shut"), "--ignore-robots", "--headers")
        assert (done.returncode, site.requests["/private/shut"]) == (1, 1)
        assert "* robots.txt: not asked" in done.stderr

        assert (await fetched(site.url("/form"), "-d", "a=1", "-q")).stdout == "POST application/x-www-form-urlencoded"
        done = await fetched(site.url("/form"), "-X", "put", "-d", "{}", "-H", "content-type: application/json", "-q")
        assert done.stdout == "PUT application/json"
        done = await fetched(site.url("/gone"), "-q")
        assert (done.returncode, done.stdout) == (1, "gone")
    done = await fetched("http://127.0.0.1:1/", "--json")
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (1, "connect")


async def test_credentials_are_shown_nowhere(here: Cli, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "tried.py").write_text(TRIED)
    sent = []

    def answer(request: web.Request) -> web.Response:
        sent.append((request.headers["Authorization"], request.headers.get("X-Api-Key")))
        return web.Response(text="<p>", content_type="text/html")

    basic = base64.b64encode(b"me:hush").decode()
    async with LocalSite({"/": answer}) as site:
        url = site.url().replace("://", "://me:hush@")
        options = ["-H", "X-Api-Key: hush", "-H", "Cookie: a=1"]
        for command in (["fetch", url, *options], ["fetch", url, "--json", *options]):
            done = await asyncio.to_thread(here, *command)
            assert done.returncode == 0, done.stderr
            for words in ("Basic ***", "a=1"):
                assert words in done.stdout + done.stderr
            for words in ("hush", basic):
                assert words not in done.stdout + done.stderr
        assert sent == [(f"Basic {basic}", "hush")] * 2
        code = f"fetch({url!r}); str(exchanges) + str(response)"
        done = await asyncio.to_thread(here, "shell", "-c", code, "-s", "allow_private=all")
        assert (done.returncode, "Basic ***" in done.stdout, "hush" in done.stdout) == (0, True, False), done.stderr
        for more in ([], ["--json"]):
            done = await asyncio.to_thread(here, "parse", url, "--spider", "tried", "-c", "login", *more)
            assert (done.returncode, "***" in done.stdout) == (0, True), done.stderr
            assert "hush" not in done.stdout


def test_a_server_does_not_write_on_the_terminal() -> None:
    out = StringIO()
    _line(Console(file=out), "<", "Server: \x1b[2Jx\x9b31m\r")
    assert out.getvalue() == "< Server: \ufffd[2Jx\ufffd31m\ufffd\n"


async def test_a_crawl_delay_holds_between_two_requests() -> None:
    robots = "User-agent: *\nCrawl-delay: 0.2\n"
    loop, times = asyncio.get_running_loop(), []

    def answer(body: str) -> Callable[[web.Request], str]:
        return lambda _: times.append(loop.time()) or body

    pages = {"/robots.txt": answer(robots), "/": answer("<p>")}
    async with LocalSite(pages) as site, OneOff(Plain(), Settings()) as oneoff:
        for _ in range(2):
            await oneoff.get(Request(site.url()))
        assert oneoff.gap(site.url().split("/")[2]) == 0.2
    assert len(times) == 3
    assert all(later - earlier >= 0.195 for earlier, later in pairwise(times))


async def test_a_long_wait_is_told() -> None:
    told: asyncio.Future[tuple[str, float]] = asyncio.get_running_loop().create_future()
    settings = Settings(delay=100, obey_robots=False)
    async with (
        LocalSite({"/": "<p>"}) as site,
        OneOff(Plain(), settings, lambda *what: told.set_result(what)) as oneoff,
    ):
        await oneoff.get(Request(site.url()))
        second = asyncio.create_task(oneoff.get(Request(site.url())))
        host, seconds = await told
        second.cancel()
        assert host == site.url().split("/")[2]
    assert 1 <= seconds <= 100


# scraper view


def test_view_stops_scripts_and_keeps_links(here: Cli, tmp_path: Path) -> None:
    page = Response(
        "https://example.org/a/b", headers={"Content-Type": "text/html; charset=latin-1"}, body=PAGE.encode()
    )
    html = prepared(page).decode()
    assert '<head><meta charset="windows-1252"><base href="https://example.org/a/b"><meta http-equiv=' in html
    assert "script-src 'none'" in html
    assert "script-src" not in prepared(page, scripts=True).decode()
    based = Response(page.url, body=b"<base href='/x/'><p>")
    assert prepared(based).count(b"<base") == 1
    (tmp_path / "page.html").write_text(PAGE)
    done = here("view", "page.html", "--url", "https://example.org/", "--no-browser")
    assert done.returncode == 0, done.stderr
    shown = Path(done.stdout.strip())
    assert b'<base href="https://example.org/">' in shown.read_bytes()
    shown.unlink()
    done = here("view", "page.html", BROWSER="false")
    assert (done.returncode, "no browser" in done.stderr) == (0, True)
    Path(done.stdout.strip()).unlink()


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ("<!-- saved from url=(0022)https://example.org/a -->", "https://example.org/a"),
        ('<link rel="canonical" href="https://example.org/b">', "https://example.org/b"),
        ('<meta property="og:url" content="https://example.org/c">', "https://example.org/c"),
        ('<base href="https://example.org/d/">', "https://example.org/d/"),
        ('<base href="/relative/">', "http://localhost/page.html"),
    ],
    ids=["saved", "canonical", "og", "base", "unknown"],
)
def test_a_saved_page_knows_where_it_comes_from(tmp_path: Path, html: str, url: str) -> None:
    (tmp_path / "page.html").write_text(html)
    assert saved_page(tmp_path / "page.html").url == url
    assert saved_page(tmp_path / "page.html", "https://example.org/given").url == "https://example.org/given"


# scraper parse

TRIED = """
from scraper import DropItem, Spider

class Tried(Spider):
    allowed_domains = ["127.0.0.1"]
    start_urls = []

    def cheap(self, item):
        if item["n"] > 1:
            raise DropItem("too dear")
        return item

    steps = [cheap]

    def parse(self, response, least=0):
        for n in range(least, 3):
            yield {"n": n, "page": response.meta.get("page")}
        yield {"n": 0, "bad": object()}
        yield response.follow("https://example.org/")
        yield response.follow("/next", self.later, cb_kwargs={"a": 1})

    def login(self, response):
        secret = {"X-Token": "hush", "Accept": "text/plain"}
        yield response.follow("/next", self.later, auth="me:hush", headers=secret, cookies={"a": "hush"})

    def later(self, response, a):
        yield {"n": a}
        1 / 0
"""


async def test_parse_shows_all_that_a_callback_gives(here: Cli, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "tried.py").write_text(TRIED)
    async with LocalSite({"/": "<p>", "/next": "<p>", "/old": (302, "", {"Location": "/"})}) as site:

        async def parsed(*arguments: object) -> "subprocess.CompletedProcess[str]":
            return await asyncio.to_thread(here, "parse", *arguments)

        done = await parsed(site.url(), "--json", "--cb-kwargs", '{"least": 1}', "--meta", '{"page": 7}')
        assert done.returncode == 0, done.stderr
        page = json.loads(done.stdout)
        assert page["items"] == {"item": [{"n": 1, "page": 7}]}
        assert [each["kind"] for each in page["rejects"]] == ["item"]
        assert page["drops"]["offsite"] == 1
        assert any("too dear" in reason for reason in page["drops"])
        [request] = page["requests"]
        assert (request["url"], request["callback"]) == (site.url("/next"), "later")
        assert request["more"] == {"cb_kwargs": {"a": 1}}

        done = await parsed(site.url("/old"), "--depth", 2)
        assert done.returncode == 1
        assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("http")] == [
            site.url("/old"),
            site.url("/"),
            site.url("/next"),
        ]
        assert re.search(r'tried\.py", line \d+, in later\n +1 / 0', done.stdout)
        assert "scraper/collect.py" not in done.stdout
        for words in ("requests: 1", "rejected items: 1", "offsite", "too dear", "later  GET " + site.url("/next")):
            assert words in done.stdout, words
        assert (await parsed(site.url(), "-c", "latr")).stderr.strip().endswith("there: cheap, parse, login, later")
        assert not (tmp_path / "data").exists()


def test_parse_reads_a_file_and_a_feed_without_the_network(here: Cli, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    spider = "from scraper import FeedSpider\nclass News(FeedSpider):\n    start_urls = ['https://example.org/feed']\n"
    (tmp_path / "spiders" / "news.py").write_text(spider)
    (tmp_path / "feed.xml").write_text("<rss version='2.0'><channel><item><title>One</title></item></channel></rss>")
    done = here("parse", "feed.xml", "--url", "https://example.org/feed", "--json")  # found by its host
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert page["callback"] == "parse_feed"  # as the spider itself would read it
    [[entry]] = page["items"].values()
    assert entry["title"] == "One"


def test_parse_reads_a_seed_as_the_spider_would_and_asks_which_of_two(here: Cli, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    spider = (
        "from scraper import Request, Spider\nclass {0}(Spider):\n    allowed_domains = ['example.org']\n"
        "    def start(self):\n        yield Request('https://example.org/', self.first, cb_kwargs={{'n': 7}})\n"
        "    def first(self, response, n):\n        yield {{'n': n}}\n"
    )
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "spiders" / "one.py").write_text(spider.format("One"))
    done = here("parse", "page.html", "--url", "https://example.org/", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"] == {"item": [{"n": 7}]}
    (tmp_path / "spiders" / "two.py").write_text(spider.format("Two"))
    done = here("parse", "page.html", "--url", "https://example.org/", "--json")
    assert (done.returncode, "one, two are for example.org" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["parse", "http://127.0.0.1:1/"], ["no spider", "--spider"]),
        (["parse", "http://127.0.0.1:1/", "--spider", "books", "--meta", "{"], ["--meta", "not JSON"]),
        (["parse", "page.html", "--spider", "books"], ["page.html is no file"]),
        (["fetch", "127.0.0.1:1"], ["begin it with http"]),
        (["fetch", "http://127.0.0.1:1/", "-H", "nonsense"], ["-H NAME:VALUE"]),
        (["fetch", "http://127.0.0.1:1/", "-a", "x=1"], ["--spider"]),
        (["fetch", "http://127.0.0.1:1/", "-d", "@nowhere"], ["cannot read nowhere"]),
        (["view", "http://127.0.0.1:1/", "--url", "http://127.0.0.1:1/"], ["this is a URL already"]),
        (["shell", "nowhere.html"], ["nowhere.html is no file"]),
    ],
    ids=lambda value: "-".join(value[:2]) if value[0] in ("parse", "fetch", "view", "shell") else "",
)
def test_mistakes_are_explained(here: Cli, spiders: Path, arguments: list[str], words: list[str]) -> None:
    done = here(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_nothing_of_this_is_imported_by_a_crawl() -> None:
    names = "{each for each in sys.modules if each.startswith('scraper.')}"
    program = f"import sys, scraper; from scraper.cli import app; app('crawl'); print(*{names})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "scraper.cli.crawl" in loaded
    ours = ("oneoff", "saved", "tryout", "drafts", "cli.single", "cli.completing", "cli.settings", "cli.version")
    assert not {each for each in loaded if each.removeprefix("scraper.").startswith(ours)}
