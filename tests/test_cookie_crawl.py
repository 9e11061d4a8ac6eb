"""Cookies in real crawls over real servers: who gets which, who keeps which, and what a kill leaves."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from aiohttp import web
from conftest import StartCli
from sockets import Asked, Reply, Server
from sockets import page as raw_page
from visited import Visited, crawl, page, spider

from scraper import FormRequest, Request, Spider

DATED = "Path=/; Max-Age=3600"


def end(self: Spider, response: Any) -> None:
    """A callback that gives nothing."""


async def test_a_cookie_wall_is_passed(tmp_path: Path) -> None:
    def wall(request: web.Request) -> Any:
        return page() if request.cookies.get("seen") == "1" else page(to="/wall")

    async with Visited({"/": wall, "/wall": page(to="/", set_cookie="seen=1; Path=/")}) as site:
        report = await crawl(spider(site.url()), tmp_path)
    assert site.seen("/") == [None, "seen=1"]
    assert (report.counts.items, report.counts.dead) == (1, 0)


async def test_cookies_stay_with_their_host(tmp_path: Path) -> None:
    """Three names of this machine; each page sets a cookie for itself and tries to set one for the others."""
    asked: list[tuple[str, str | None]] = []

    def answer(request: Asked) -> Reply:
        host = request.headers["host"]
        asked.append((host.partition(":")[0], request.headers.get("cookie")))
        name = host.partition(":")[0].replace(".", "-")
        lines = [
            f"{name}=1; Path=/",
            f"bad-{name}=1; Path=/; Domain=127.0.0.1",
            f"worse-{name}=1; Path=/; Domain=0.0.1",
        ]
        head = "".join(f"Set-Cookie: {line}\r\n" for line in lines)
        return Reply(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}Content-Length: 1\r\n\r\nx".encode())

    async with Server(answer) as one, Server(answer, host="127.0.0.2", bind="127.0.0.2") as two:
        port_one, port_two = one.url().split(":")[2].rstrip("/"), two.url().split(":")[2].rstrip("/")
        urls = [f"http://127.0.0.1:{port_one}/", f"http://localhost:{port_one}/", f"http://127.0.0.2:{port_two}/"]
        starts = [f"{url}{number}" for number in range(2) for url in urls]
        await crawl(spider(*starts), tmp_path, concurrency=1)
    by_host: dict[str, list[str | None]] = {}
    for host, cookie in asked:
        by_host.setdefault(host, []).append(cookie)
    assert by_host == {
        "127.0.0.1": [None, "127-0-0-1=1; bad-127-0-0-1=1"],
        "localhost": [None, "localhost=1"],
        "127.0.0.2": [None, "127-0-0-2=1"],
    }


async def test_a_request_brings_its_own_cookies_and_they_win(tmp_path: Path) -> None:
    pages = {"/": page("/2", set_cookie=f"a=jar; {DATED}"), "/2": page(), "/own": page(), "/header": page()}

    def parse(self: Spider, response: Any) -> Any:
        yield response.follow("/own", self.end, cookies={"a": "own", "b": "own"})
        yield response.follow("/header", self.end, headers={"cookie": "a=header"})
        yield response.follow("/2", self.end, priority=-1)

    async with Visited(pages) as site:
        await crawl(spider(site.url(), parse=parse, end=end), tmp_path, concurrency=1)
    assert site.seen("/own") == ["a=own; b=own"]
    assert site.seen("/header") == ["a=header"]
    assert site.seen("/2") == ["a=jar"]  # what a request brought is not kept


async def test_own_and_kept_cookies_go_together(tmp_path: Path) -> None:
    def parse(self: Spider, response: Any) -> Any:
        yield response.follow("/2", self.end, cookies={"b": "own"}, headers={"Cookie": "c=header"})

    async with Visited({"/": page(set_cookie="a=jar; Path=/"), "/2": page()}) as site:
        await crawl(spider(site.url(), parse=parse, end=end), tmp_path)
    [cookie] = site.seen("/2")
    assert sorted((cookie or "").split("; ")) == ["a=jar", "b=own", "c=header"]


async def test_a_redirect_that_sets_anew_what_the_request_brought(tmp_path: Path) -> None:
    async with Visited({"/": page(to="/in", set_cookie="a=new; Path=/"), "/in": page()}) as site:
        await crawl(spider(Request(site.url(), cookies={"a": "old", "b": "kept"})), tmp_path)
    assert site.seen("/") == ["a=old; b=kept"]
    assert site.seen("/in") == ["a=new; b=kept"]


async def test_a_request_without_cookies_sends_and_keeps_none(tmp_path: Path) -> None:
    def parse(self: Spider, response: Any) -> Any:
        yield response.follow("/bare", self.parse_bare, cookies=False)

    def parse_bare(self: Spider, response: Any) -> Any:
        yield response.follow("/end", self.end)

    pages = {"/": page(set_cookie="a=1; Path=/"), "/bare": page(set_cookie="b=1; Path=/"), "/end": page()}
    async with Visited(pages) as site:
        kind = spider(site.url(), parse=parse, parse_bare=parse_bare, end=end)
        await crawl(kind, tmp_path)
    assert (site.seen("/bare"), site.seen("/end")) == ([None], ["a=1"])


async def test_the_setting_turns_them_off(tmp_path: Path) -> None:
    async with Visited({"/": page("/2", set_cookie=f"a=1; {DATED}"), "/2": page()}) as site:
        await crawl(spider(Request(site.url(), cookies={"own": "1"})), tmp_path, cookies=False)
        assert (site.seen("/"), site.seen("/2")) == (["own=1"], [None])
        await crawl(spider(site.url()), tmp_path, cookies=False)
        assert site.seen("/") == ["own=1", None]


async def test_the_next_run_has_the_dated_cookies_and_not_those_of_the_session(tmp_path: Path) -> None:
    pages: dict[str, Any] = {
        "/": page("/2", set_cookie=f"dated=1; {DATED}"),
        "/2": page(set_cookie="session=1; Path=/"),
    }
    async with Visited(pages) as site:
        await crawl(spider(site.url()), tmp_path, limit_pages=1)
        await crawl(spider(site.url()), tmp_path)
        await crawl(spider(site.url()), tmp_path)
    assert site.seen("/") == [None, "dated=1", "dated=1"]
    assert site.seen("/2") == ["dated=1", "dated=1"]


async def test_robots_txt_is_asked_for_without_cookies(tmp_path: Path) -> None:
    robots = (302, "", {"Location": "/robots2.txt"})
    pages = {"/robots.txt": robots, "/robots2.txt": "", "/": page()}
    async with Visited({"/": page(set_cookie="a=1; Path=/"), "/robots.txt": 404}) as first, Visited(pages) as other:
        other.pages["/robots2.txt"] = (200, "", {"Set-Cookie": "robots=1; Path=/"})

        def parse(self: Spider, response: Any) -> Any:
            yield response.follow(other.url(), self.end)

        kind = spider(first.url(), parse=parse, end=end)
        await crawl(kind, tmp_path, obey_robots=True)
    assert other.seen("/robots.txt") == other.seen("/robots2.txt") == [None]
    assert other.seen("/") == ["a=1"]  # cookies do not know ports


class Account:
    """A shop with a login: a token in the form that must fit a cookie, then a session."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        form = "<form action=/login method=post><input type=hidden name=csrf value=t0k><input name=user>"
        form += "<button name=go value=in>"
        self.pages: dict[str, Any] = {
            "/login": lambda request: (
                self.login(request) if request.method == "POST" else (200, form, {"Set-Cookie": "csrf=t0k"})
            ),
            "/account": self.account,
            "/orders": self.orders,
        }

    async def login(self, request: web.Request) -> Any:
        form = await request.post()
        if form.get("csrf") != request.cookies.get("csrf") or form.get("go") != "in" or not form.get("csrf"):
            return 403
        user = str(form["user"])
        self.sessions[f"s-{user}"] = user
        return page(to="/account", set_cookie=f"session=s-{user}; Path=/; HttpOnly")

    def account(self, request: web.Request) -> Any:
        user = self.sessions.get(request.cookies.get("session", ""))
        return 403 if user is None else f"<h1>{user}</h1><a href=/orders>orders</a>"

    def orders(self, request: web.Request) -> Any:
        user = self.sessions.get(request.cookies.get("session", ""))
        return 403 if user is None else f"<h1>orders of {user}</h1>"


def log_in(self: Spider, response: Any) -> Any:
    user = response.meta.get("user", "ann")
    yield FormRequest.from_response(response, self.parse_page, formdata={"user": user})


def parse_page(self: Spider, response: Any) -> Any:
    yield {"heading": response.css("h1::text").get()}
    yield from response.follow_all("a", self.parse_page)


def headings(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "visit.db") as db:
        found = [row[0] for row in db.execute("select json_extract(data, '$.heading') from items order by 1")]
    db.close()
    return found


async def test_a_spider_logs_in(tmp_path: Path) -> None:
    async with Visited(Account().pages) as site:
        kind = spider(site.url("/login"), parse=log_in, parse_page=parse_page)
        report = await crawl(kind, tmp_path)
    assert report.counts.dead == 0
    assert headings(tmp_path) == ["ann", "orders of ann"]
    assert site.seen("/orders") == ["csrf=t0k; session=s-ann"]


async def test_two_users_at_once_have_a_jar_each_which_their_links_and_redirects_keep(tmp_path: Path) -> None:
    async with Visited(Account().pages) as site:
        starts = [Request(site.url("/login"), cookiejar=user, meta={"user": user}) for user in ("ann", "bob")]
        report = await crawl(spider(*starts, parse=log_in, parse_page=parse_page), tmp_path)
    assert report.counts.dead == 0
    assert headings(tmp_path) == ["ann", "bob", "orders of ann", "orders of bob"]


async def test_a_link_may_go_to_another_jar_or_to_the_common_one(tmp_path: Path) -> None:
    def parse(self: Spider, response: Any) -> Any:
        yield response.follow("/kept", self.end)
        yield response.follow("/common", self.end, cookiejar="")
        yield response.follow("/other", self.end, cookiejar="b")

    pages = {"/": page(set_cookie="a=1; Path=/"), "/kept": page(), "/common": page(), "/other": page()}
    async with Visited(pages) as site:
        kind = spider(Request(site.url(), cookiejar="a"), parse=parse, end=end)
        await crawl(kind, tmp_path)
    assert (site.seen("/kept"), site.seen("/common"), site.seen("/other")) == (["a=1"], [None], [None])


LOGIN = """
from scraper import FormRequest, Spider

class Visit(Spider):
    settings = {"obey_robots": False}

    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response):
        yield FormRequest.from_response(response, self.parse_page, formdata={"user": "ann"})

    def parse_page(self, response):
        yield {"heading": response.css("h1::text").get()}
        yield from response.follow_all("a", self.parse_page)
"""


async def test_a_login_that_was_done_keeps_its_cookie_when_the_crawl_is_killed(
    tmp_path: Path, start_cli: StartCli
) -> None:
    """The page after the login is never answered to the first process: that is killed while it waits for it."""
    shop = Account()
    asked = asyncio.Event()
    never = asyncio.Event()

    async def first_account(request: web.Request) -> Any:
        asked.set()
        await never.wait()

    shop_account = shop.pages["/account"]
    shop.pages["/account"] = first_account
    (tmp_path / "visit.py").write_text(LOGIN)
    async with Visited(shop.pages) as site:
        command = ("crawl", "visit.py", "-a", f"start={site.url('/login')}", "--db", "visit.db")
        killed = start_cli(*command)
        await asyncio.wait_for(asked.wait(), 60)
        killed.kill()
        await asyncio.to_thread(killed.communicate)
        never.set()
        site.pages["/account"] = shop_account
        again = start_cli(*command)
        await asyncio.to_thread(again.communicate)
    assert again.returncode == 0
    assert [each for each in site.log if each.startswith("POST")] == ["POST /login"]  # it is not done again
    assert site.seen("/account") == 2 * ["csrf=t0k; session=s-ann"]
    assert headings(tmp_path) == ["ann", "orders of ann"]


async def test_what_cannot_be_sent_back_is_not_kept(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 would make every later request to the host fail."""
    answer = raw_page(b'<a href="/2">2</a>')
    bad = answer.data.replace(b"\r\n\r\n", b"\r\nSet-Cookie: bad=\xff\xfe\r\nSet-Cookie: good=1\r\n\r\n", 1)
    async with Server(lambda asked: Reply(bad)) as server:
        report = await crawl(spider(server.url()), tmp_path)
        assert [asked.headers.get("cookie") for asked in server.asked] == [None, "good=1"]
    assert report.counts.dead == 0


async def test_answers_that_come_at_once_lose_nothing(tmp_path: Path) -> None:
    """Four pages, each with a cookie of its own, are answered together."""
    waiting: list[None] = []
    all_here = asyncio.Event()

    async def together(request: web.Request) -> Any:
        waiting.append(None)
        if len(waiting) == 4:
            all_here.set()
        await all_here.wait()
        return page(set_cookie=f"c{request.path[1:]}=1; {DATED}")

    pages: dict[str, Any] = {f"/{n}": together for n in range(4)}
    pages |= {"/": page(*pages), "/end": page()}
    async with Visited(pages) as site:
        options = {"adaptive": False, "concurrency": 4, "concurrency_per_host": 4}
        await crawl(spider(site.url()), tmp_path, **options)
        await crawl(spider(site.url("/end")), tmp_path)
    [cookie] = site.seen("/end")
    assert sorted((cookie or "").split("; ")) == sorted(f"c{n}=1" for n in range(4))
