"""The commands for one page: scraper fetch, view, shell, parse."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from conftest import ROOT, Cli, environment

from scraper import Response, Settings, Spider
from scraper.cli.shell import Session
from scraper.cli.view import prepared
from scraper.log import configure
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


# scraper shell


@pytest.fixture
def own_log() -> Iterator[None]:
    """What is logged here goes to the stderr of this test, and of no later one."""
    yield
    configure()


@pytest.mark.usefixtures("own_log")
def test_the_shell_keeps_one_session(bookshop_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    spider = Plain()
    spider.start_urls = [bookshop_url]
    with Session(spider, Settings()) as session:
        names = session.names
        names["fetch"](bookshop_url)
        names["fetch"]("catalogue/page-2.html")
        assert names["response"].url == f"{bookshop_url}catalogue/page-2.html"
        assert len(names["css"]("article.product_pod")) == 20
        names["fetch"](names["response"].follow(names["css"]("li.next a")[0]))
        assert names["request"].url == f"{bookshop_url}catalogue/page-3.html"
        assert [each.reused for each in names["exchanges"]] == [False, True, True, True]
        with pytest.raises(Exception, match="nothing") as caught:
            names["fetch"]("http://127.0.0.1:1/nothing")
        assert [frame.name for frame in caught.traceback] == [caught.traceback[0].name, "fetch"]
        assert names["response"].url == f"{bookshop_url}catalogue/page-3.html"
    assert "connection kept" in capsys.readouterr().err
    assert not session._thread.is_alive()


@pytest.mark.parametrize(
    ("code", "status", "out"),
    [
        ("response.url", 0, "https://example.org/p\n"),
        ('x = css("a::attr(href)").getall(); x', 0, "['/two']\n"),
        ("spider.name", 0, "shell\n"),
        ("None", 0, ""),
        ("1 / 0", 1, ""),
        ("1 /", 2, ""),
        ('css("a:::")', 1, ""),
        ('fetch("http://127.0.0.1:1/")', 1, ""),
    ],
    ids=["expression", "statements", "spider", "none", "raises", "syntax", "selector", "refused"],
)
def test_code_for_the_shell(here: Cli, tmp_path: Path, code: str, status: int, out: str) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    done = here("shell", "page.html", "--url", "https://example.org/p", "-c", code)
    assert (done.returncode, done.stdout) == (status, out), done.stderr
    if status:
        assert "cli/shell.py" not in done.stderr  # no frame of ours


@pytest.mark.parametrize("prompt", [["--plain"], []], ids=["python", "ipython"])
def test_the_prompt_has_the_names(tmp_path: Path, prompt: list[str], bookshop_url: str) -> None:
    if not prompt:
        pytest.importorskip("IPython")
    (tmp_path / "page.html").write_text(PAGE)
    lines = f'css("h1::text").get()\nfetch("{bookshop_url}")\nresponse.status + 1000\n'
    command = [sys.executable, "-m", "scraper", "shell", "page.html", *prompt]
    given = environment(IPYTHONDIR=str(tmp_path / "ipython"))
    done = subprocess.run(command, cwd=tmp_path, env=given, input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'Hello'" in done.stdout
    assert "1200" in done.stdout
    assert "<200 http://localhost/page.html>" in done.stdout + done.stderr  # the banner


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
        assert (await parsed(site.url(), "-c", "latr")).stderr.strip().endswith("there: cheap, parse, later")
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
