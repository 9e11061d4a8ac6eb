"""scraper record: pages become fixtures, and what is secret does not."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from recorded import BOOK, LIST, Shop, forget, here, read, run, shop, site

from scraper.offline import recording
from scraper.offline.sources import failed
from scraper.testing import LocalSite

__all__ = ["here", "shop", "site"]


async def test_a_page_and_what_it_leads_to_are_recorded(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    code, said = await run("record", "shop", site.url("/"), "--depth", 1)
    assert (code, site.log) == (0, ["GET /robots.txt", "GET /", "GET /book/1"])
    folder = tmp_path / "fixtures" / "shop"
    assert sorted(each.name for each in folder.iterdir()) == ["book-1", "index"]
    assert (folder / "book-1" / "page.html").read_text() == BOOK
    head = read(folder / "book-1" / "fixture.json")
    assert (head["callback"], head["cb_kwargs"], head["meta"]) == ("parse_book", {"shelf": "new"}, {"from": "list"})
    assert head["ignore"] == ["at"], said
    items = read(folder / "book-1" / "expected.json")["items"]
    assert items[0] == {"kind": "book", "key": "1", "data": {"id": "1", "title": "Emma", "price": "4.20"}}
    assert items[1]["data"]["shelf"] == "new"
    carried = {"callback": "parse_book", "meta": {"from": "list"}, "cb_kwargs": {"shelf": "new"}}
    assert read(folder / "index" / "expected.json") == {
        "requests": [
            {"url": site.url("/book/1"), **carried},
            {"url": site.url("/book/2"), **carried},
            {"url": site.url("/2")},
        ]
    }


async def test_the_database_says_what_a_page_is_for(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    shop(('allowed_domains = ["127.0.0.1"]', f'start_urls = ["{site.url("/")}"]'))
    site.pages["/book/2"] = "<div>"
    shop(
        ('allowed_domains = ["127.0.0.1"]', f'start_urls = ["{site.url("/")}"]'),
        ("price=price.get()", "price=price[0].get()"),
    )
    assert (await run("crawl", "shop"))[0] == 0
    assert (await run("record", "shop", site.url("/book/1")))[0] == 0
    head = read(tmp_path / "fixtures/shop/book-1/fixture.json")
    assert (head["callback"], head["cb_kwargs"], head["depth"]) == ("parse_book", {"shelf": "new"}, 1)

    code, said = await run("record", "shop", "--failed")
    assert (code, "the callback raised IndexError" in said) == (3, True)
    code, said = await run("check", "shop/book-2")
    assert code == 3
    assert re.search(r"raised IndexError.*\n +at shop\.py:\d+ in parse_book: price=price\[0\]\.get\(\),", said)
    shop(("price=price.get()", "price=price.get('none')"), ('h1::text").get()', "h1::text\").get('none')"))
    assert (await run("record", "--update", "--offline", "--yes", "shop/book-2"))[0] == 0
    assert (await run("check", "shop/book-2"))[0] == 0


async def test_what_is_secret_is_not_written(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    said_by_site: list[str] = []

    async def form(request: Any) -> Any:
        said_by_site.append(f"{request.headers['Authorization']} {request.cookies['id']} {await request.text()}")
        return 200, "thanks", {"Set-Cookie": "s=geheim1", "Content-Type": "text/plain", "X-Total": "7"}

    site.pages["/form?api_key=geheim6"] = form
    curl = f"curl {site.url('/form?api_key=geheim6')} -u me:geheim2 -b id=geheim3 -d name=x -H 'X-Api-Key: geheim4'"
    code, said = await run(
        *("record", "shop", "--curl", curl, "-c", "parse_form", "--ignore-robots", "-a", "password=geheim5"),
        *("--name", "form", "--meta", '{"secret": "geheim7"}'),
    )
    assert code == 0, said
    assert "geheim2" not in said_by_site[0].replace("Basic", "") and "geheim3 name=x" in said_by_site[0]
    folder = tmp_path / "fixtures/shop/form"
    everything = "".join(path.read_text() for path in sorted(folder.iterdir()))
    assert "geheim" not in everything
    head = read(folder / "fixture.json")
    assert (head["method"], head["body"], head["headers"]["X-Total"]) == ("POST", "name=x", "7")
    assert head["left_out"] == [
        "header X-Api-Key",
        "cookies",
        "parameter api_key of the URL",
        "secret of meta",
        "auth",
        "argument password",
    ]
    expected = read(folder / "expected.json")
    assert expected["items"][0]["data"]["password"] == "***"
    assert expected["requests"][0]["body"] == "again=***" or "again=" in expected["requests"][0]["body"]
    assert (await run("check"))[0] == 0


async def test_a_page_that_gives_something_else_each_time_is_told(shop: Shop, site: LocalSite) -> None:
    shop(('yield from response.follow_all("a.next")', 'yield response.follow(f"/{time.time_ns()}")'))
    code, said = await run("record", "shop", site.url("/"))
    assert code == 3
    assert re.search(r"gives something else each time, so scraper check fails:\n +request GET .*: not any more", said)


async def test_pages_that_cannot_be_had_are_not_recorded(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    code, said = await run("record", "shop", site.url("/none"))
    assert (code, "answered 404" in said, "-s handle_statuses=404" in said) == (1, True, True)
    site.pages["/robots.txt"] = (200, "User-agent: *\nDisallow: /book", {"Content-Type": "text/plain"})
    code, said = await run("record", "shop", site.url("/book/1"))
    assert (code, "robots" in said) == (1, True)
    assert "GET /book/1" not in site.log
    assert not list((tmp_path / "fixtures").glob("*/*"))
    assert (await run("record", "shop", site.url("/book/1"), "--ignore-robots"))[0] == 0
    code, said = await run("record", "shop", site.url("/none"), "-s", "handle_statuses=404")
    assert (code, read(tmp_path / "fixtures/shop/none/fixture.json")["status"]) == (0, 404)
    assert (await run("check"))[0] == 0


async def test_a_page_behind_a_redirect_is_recorded_where_it_is(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    site.pages["/old"] = (302, "", {"Location": "/book/1"})
    assert (await run("record", "shop", site.url("/old"), "-c", "parse_book"))[0] == 0
    head = read(tmp_path / "fixtures/shop/old/fixture.json")
    assert (head["url"], head["trail"]) == (site.url("/book/1"), [site.url("/old")])


async def test_a_page_is_recorded_once(shop: Shop, site: LocalSite) -> None:
    assert (await run("record", "shop", site.url("/")))[0] == 0
    code, said = await run("record", "shop", site.url("/"))
    assert (code, "recorded already, as shop/index" in said) == (2, True)
    assert (await run("record", "shop", site.url("/"), "--name", "index"))[0] == 2
    assert (await run("record", "shop", site.url("/"), "--name", "second"))[0] == 0


async def test_bodies_are_kept_as_they_came(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    body = '{"items": [{"name": "a\\r\\n"},\r\n {"name": "ü"}]}'.encode()
    site.pages["/api"] = (200, body, {"Content-Type": "application/json"})
    assert (await run("record", "shop", site.url("/api"), "-c", "parse_json"))[0] == 0
    assert (tmp_path / "fixtures/shop/api/page.json").read_bytes() == body
    assert (tmp_path / "fixtures/.gitattributes").read_text() == "page.* -text\n"
    latin = '<meta charset="latin1"><div class=main><h1>Grün</h1>'.encode("latin-1")
    site.pages["/latin"] = (200, latin, {"Content-Type": "text/html"})
    assert (await run("record", "shop", site.url("/latin"), "-c", "parse_book"))[0] == 0
    assert read(tmp_path / "fixtures/shop/latin/expected.json")["items"][0]["data"]["title"] == "Grün"
    assert (await run("check"))[0] == 0


RULED = """
from scraper import CrawlSpider, LinkExtractor, Rule

class Ruled(CrawlSpider):
    rules = [
        Rule(LinkExtractor(restrict_css=".next"), follow=True),
        Rule(LinkExtractor(allow="/book/"), callback="parse_book", cb_kwargs={"shelf": "new"}),
    ]

    def parse_book(self, response, shelf):
        self.state["books"] = self.state.get("books", 0) + 1
        yield {"title": response.xpath("//h1/text()").get(), "shelf": shelf, "books": self.state["books"]}
        yield response.download(response.css("img")[0], into="covers")
"""


async def test_rules_say_what_a_page_is_for(site: LocalSite, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "ruled.py").write_text(RULED)
    site.pages["/book/1"] = f"{BOOK}<img src=/cover.png>"
    code, said = await run("record", "ruled", site.url("/book/1"))
    assert (code, "ruled/book-1: parse_book gave 1 item, 1 request" in said) == (0, True), said
    expected = read(tmp_path / "fixtures/ruled/book-1/expected.json")
    assert expected["items"][0]["data"] == {"title": "Emma", "shelf": "new", "books": 1}
    assert expected["requests"] == [{"url": site.url("/cover.png"), "options": {"download": {"into": "covers"}}}]
    assert (await run("record", "ruled", site.url("/"), "--depth", 2))[0] == 0
    assert (await run("check"))[0] == 0
    (tmp_path / "spiders" / "ruled.py").write_text(RULED.replace("//h1", "//h2"))
    forget("ruled")
    code, said = await run("check", "ruled/book-1")
    assert "xpath('//h2/text()') at ruled.py:" in said and "is new, and matches nothing" in said
    (tmp_path / "spiders" / "ruled.py").write_text(RULED.replace(".next", ".nxt"))
    forget("ruled")
    assert "css('.nxt') is new, and matches nothing" in (await run("check", "ruled/index"))[1]


LOGIN = """
from scraper import FormRequest, Spider

class Login(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response):
        yield FormRequest.from_response(response, formdata={"password": "geheim"}, callback=self.inside)

    def inside(self, response):
        yield {"hello": response.css("h1::text").get()}
"""


async def test_a_login_is_recorded_in_one_session_from_what_the_spider_starts_with(
    site: LocalSite, tmp_path: Path
) -> None:
    async def login(request: Any) -> Any:
        form = await request.post()
        fine = (form.get("csrf"), form.get("password"), request.cookies.get("id")) == ("7", "geheim", "1")
        return 200, "<h1>Hello" if fine else "<h1>No"

    form = '<form action="/in" method="post"><input name="csrf" value="7"><input name="password"></form>'
    site.pages |= {"/login": (200, form, {"Set-Cookie": "id=1; Path=/"}), "/in": login}
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "login.py").write_text(LOGIN)
    code, said = await run("record", "login", "-a", f"start={site.url('/login')}", "--depth", 1)
    assert (code, "left out, for they may be secret: field password of the body" in said) == (0, True), said
    folder = tmp_path / "fixtures" / "login"
    assert read(folder / "in" / "expected.json")["items"] == [{"kind": "item", "data": {"hello": "Hello"}}]
    assert read(folder / "in" / "fixture.json")["body"] == "csrf=7&password=***"
    assert "geheim" not in "".join(path.read_text() for path in folder.rglob("*.*"))
    assert (await run("check"))[0] == 0


async def test_what_leads_to_its_own_kind_only_is_gone_through(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    site.pages |= {"/": "<a class=next href=/2>", "/2": LIST}
    assert (await run("record", "shop", site.url("/"), "--depth", 2))[0] == 0
    assert sorted(each.name for each in (tmp_path / "fixtures/shop").iterdir()) == ["2", "book-1", "index"]


async def test_a_download_is_refused(shop: Shop, site: LocalSite) -> None:
    shop(
        ('allowed_domains = ["127.0.0.1"]', f'start_urls = ["{site.url("/book/1")}"]'),
        ('yield from response.follow_all("a.next")', f'yield response.download("{site.url("/a.png")}", "x")'),
    )
    site.pages["/a.png"] = (200, b"\x89PNG", {"Content-Type": "image/png"})
    assert (await run("crawl", "shop"))[0] == 0
    code, said = await run("record", "shop", site.url("/a.png"))
    assert (code, "goes to a file, which no fixture holds" in said) == (2, True)


async def test_a_page_that_is_too_large_is_refused(
    shop: Shop, site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/large"] = "x" * 3_000
    code, said = await run("record", "shop", site.url("/large"), "-s", "max_body_size=2000")
    assert (code, "not recorded" in said) == (1, True)
    with monkeypatch.context() as patch:
        patch.setattr(recording, "TOO_LARGE", 2_500)
        assert (await run("record", "shop", site.url("/large")))[0] == 1
    site.pages["/large"] = "<p>" + "x" * 1_100_000
    code, said = await run("record", "shop", site.url("/large"))
    assert (code, "page.html has 1,100,003 bytes" in said) == (0, True)


def test_failed_pages_are_those_of_the_last_run_and_first_those_that_the_spider_failed_on(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "shop.db")
    db.executescript((ROOT / "scraper/stores/sqlite.sql").read_text())
    db.execute("insert into runs (id, spider, started) values (2, 'shop', 0)")
    for number, (state, run_, reason) in enumerate(
        [("dead", 1, "callback"), ("dead", 2, "status 500"), ("done", 2, None), ("dead", 2, "callback")]
    ):
        row = (str(number).encode(), f"http://a.test/{number}", state, run_, reason)
        db.execute("insert into pages (fp, url, host, state, run, reason, found_at) values (?, ?, '', ?, ?, ?, 0)", row)
    db.commit()
    db.close()
    assert [each.url for each in failed(tmp_path / "shop.db", 9)] == ["http://a.test/3", "http://a.test/1"]
    assert [each.url for each in failed(tmp_path / "shop.db", 1)] == ["http://a.test/3"]
