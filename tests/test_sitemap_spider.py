"""SitemapSpider: every form of site map, what of it is followed, and what is told of the rest."""

import gzip
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlite_rows import rows as ask

import scraper
from scraper import Response, SitemapSpider
from scraper.errors import SpiderError
from scraper.feeds.maps import read_map
from scraper.feeds.sitemaps import Entries
from scraper.feeds.source import Source
from scraper.stores.sqlite import SqliteStore
from scraper.testing import LocalSite

SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
XML = {"Content-Type": "application/xml"}


class Pages(SitemapSpider):
    """Says which pages it was led to."""

    async def parse(self, response: Response) -> Any:  # type: ignore[override]
        return {"path": response.url.partition("//")[2].partition("/")[2]}


@pytest.fixture
async def site() -> AsyncIterator[LocalSite]:
    async with LocalSite({f"/{name}": f"<h1>{name}" for name in "abcd"}) as site:
        yield site


def urlset(*locs: str, tag: str = "url", root: str = "urlset") -> tuple[int, str, dict[str, str]]:
    rows = "".join(f"<{tag}><loc>{loc}</loc></{tag}>" if "<" not in loc else f"<{tag}>{loc}</{tag}>" for loc in locs)
    return 200, f"<{root} {SPACE}>{rows}</{root}>", XML


def index(*locs: str) -> tuple[int, str, dict[str, str]]:
    return urlset(*locs, tag="sitemap", root="sitemapindex")


async def crawl(
    folder: Path, site: LocalSite, *paths: str, base: type[SitemapSpider] = Pages, **more: Any
) -> scraper.CrawlReport:
    settings = {"obey_robots": False, "files": str(folder / "files"), "allow_private": "all"}
    members = {"sitemap_urls": [site.url(path) for path in paths], "name": "pages", **more}
    return await scraper.crawl(type("Made", (base,), members), db=folder / "x.db", settings=settings)


def found(folder: Path) -> set[str]:
    return {
        row["data"].partition('"path":"')[2].partition('"')[0] for row in ask(folder / "x.db", "select * from items")
    }


def dead(folder: Path) -> dict[str, str]:
    rows = ask(folder / "x.db", "select url, error from pages where state = 'dead'")
    return {row["url"].rpartition("/")[2]: row["error"] for row in rows}


def drops(folder: Path) -> set[tuple[str, str]]:
    return {(row["reason"], row["url"]) for row in ask(folder / "x.db", "select * from dropped")}


# what is read


def rows(text: str) -> list[dict[str, Any]]:
    return list(read_map(Source(text.encode(), "http://h.test/map"))[1])


def test_entries_as_the_protocol_has_them() -> None:
    assert rows(
        f'\ufeff\n<?xml version="1.0" encoding="UTF-8"?><!-- x --><urlset {SPACE} xmlns:xhtml="x" xmlns:image="y">'
        "<url><loc> http://h.test/?a=1&amp;b=2 </loc><lastmod>2024-01-01</lastmod><changefreq/><priority>0.5</priority>"
        '<xhtml:link rel="alternate" hreflang="de" href="/de"/><xhtml:link rel="canonical" href="/no"/>'
        "<image:image><image:loc>http://h.test/i.png</image:loc></image:image></url>"
        "<url><loc><![CDATA[http://h.test/x]]></loc></url><junk><loc>no</loc></junk><url/></urlset>"
    ) == [
        {"loc": "http://h.test/?a=1&b=2", "alternate": ["/de"], "lastmod": "2024-01-01", "priority": "0.5"},
        {"loc": "http://h.test/x"},
        {},
    ]


@pytest.mark.parametrize(
    "text",
    ["<s:urlset xmlns:s='x'><s:url><s:loc>u</s:loc></s:url></s:urlset>", "<urlset><url><loc>u</loc></url></urlset>"],
    ids=["prefix", "none"],
)
def test_any_namespace_will_do(text: str) -> None:
    assert rows(text) == [{"loc": "u"}]


def test_text_and_feeds_are_site_maps_too() -> None:
    assert rows("\ufeffhttp://h.test/a\r\n\n# no\nhttp://h.test/b") == [
        {"loc": "http://h.test/a"},
        {"loc": "http://h.test/b"},
    ]
    feed = "<rss><channel><link>/no</link><item><link>/a</link><pubDate>4 Mar 2024</pubDate></item></channel></rss>"
    assert rows(feed) == [{"loc": "http://h.test/a", "lastmod": "2024-03-04T00:00:00+00:00"}]
    assert rows("<feed xmlns='http://www.w3.org/2005/Atom'><entry><link href='b'/></entry></feed>") == [
        {"loc": "http://h.test/b"}
    ]


# what is followed


async def test_from_robots_txt_through_indexes_to_pages(site: LocalSite, tmp_path: Path) -> None:
    one, two = urlset("/a", site.url("/b")), urlset("/c", "/a")
    site.pages |= {
        "/robots.txt": (200, "User-agent: *\nSitemap: /index.xml\nsitemap: /index.xml", {"Content-Type": "text/plain"}),
        "/index.xml": index("/one.xml.gz", "/two.xml", "/index.xml", "/nested.xml"),
        "/nested.xml": index("/index.xml", "/one.xml.gz"),
        "/one.xml.gz": (200, gzip.compress(str(one[1]).encode()), {"Content-Type": "application/gzip"}),
        "/two.xml": (200, gzip.compress(str(two[1]).encode()), {**XML, "Content-Encoding": "gzip"}),
    }
    report = await crawl(tmp_path, site, "/robots.txt")
    assert report.reason == "finished" and report.counts.dead == 0
    assert found(tmp_path) == {"a", "b", "c"}
    assert max(site.requests.values()) == 1, "a loop ends where it began"
    assert not (tmp_path / "files" / "feeds").exists(), "no file is left behind"


async def test_indexes_without_end_come_to_an_end(site: LocalSite, tmp_path: Path) -> None:
    site.pages |= {f"/{number}.xml": index(f"/{number + 1}.xml") for number in range(30)}
    report = await crawl(tmp_path, site, "/0.xml")
    assert report.counts.pages == 11
    assert drops(tmp_path) == {("depth", site.url("/11.xml"))}


async def test_rules_follow_filter_and_alternates(site: LocalSite, tmp_path: Path) -> None:
    class Chosen(Pages):
        sitemap_rules: ClassVar[Any] = [("/a/no", None), ("/a", "parse"), (r"/[bc]$", "other")]
        sitemap_follow: ClassVar[Any] = ["wanted"]
        sitemap_alternate_links = True

        def sitemap_filter(self, entries: Entries) -> Iterable[dict[str, Any]]:
            assert entries.type in ("sitemapindex", "urlset")
            return [entry for entry in entries if entry.get("priority") != "0"]

        def other(self, response: Response) -> Any:
            return {"path": "other " + response.url[-1]}

    link = '<x:link xmlns:x="x" rel="alternate" href="/b"/>'
    site.pages |= {
        "/index.xml": index("/wanted.xml", "/unwanted-not.xml?x", "/no.xml"),
        "/wanted.xml": urlset(f"<loc>/a</loc>{link}", "<loc>/c</loc><priority>0</priority>", "/d", "/a/no"),
        "/unwanted-not.xml?x": urlset("/c"),
    }
    await crawl(tmp_path, site, "/index.xml", base=Chosen)
    assert found(tmp_path) == {"a", "other b", "other c"}
    assert site.requests["/no.xml"] == 0 and site.requests["/d"] == 0
    assert site.requests["/a/no"] == 0, "a rule without a callback passes over"


async def test_what_is_not_followed_is_told(site: LocalSite, tmp_path: Path) -> None:
    site.pages["/map.xml"] = urlset("http://foreign.invalid/a", "ftp://x/y", "<lastmod>2024</lastmod>", "/a", "http://")
    report = await crawl(tmp_path, site, "/map.xml")
    assert found(tmp_path) == {"a"}
    assert drops(tmp_path) == {
        ("other host", "http://foreign.invalid/a"),
        ("scheme", "ftp://x/y"),
        ("scheme", "http://"),
    }
    assert report.counts.drops == {"other host": 1, "scheme": 2}
    (row,) = ask(tmp_path / "x.db", "select reason, data from rejects")
    assert (row["reason"], row["data"]) == ("it has no loc", '{"lastmod":"2024"}')


async def test_other_hosts_when_asked_for(site: LocalSite, tmp_path: Path) -> None:
    async with LocalSite({"/x": "<h1>x"}) as other:
        away = other.url("/x").replace("127.0.0.1", "localhost")
        site.pages["/map.xml"] = urlset(away)
        await crawl(tmp_path, site, "/map.xml")
        assert found(tmp_path) == set()
        for number, given in enumerate(({"sitemap_other_hosts": True}, {"allowed_domains": ["localhost"]})):
            await crawl(tmp_path / str(number), site, "/map.xml", **given)
            assert found(tmp_path / str(number)) == {"x"}


async def test_a_robots_txt_vouches_for_maps_on_other_hosts(site: LocalSite, tmp_path: Path) -> None:
    async with LocalSite({}) as other:
        away = other.url("/map.xml").replace("127.0.0.1", "localhost")
        other.pages["/map.xml"] = urlset(site.url("/a"))
        site.pages["/robots.txt"] = (200, f"Sitemap: {away}", {"Content-Type": "text/plain"})
        await crawl(tmp_path, site, "/robots.txt")
        assert found(tmp_path) == {"a"}


async def test_a_map_that_is_redirected_speaks_for_the_site_that_was_asked(site: LocalSite, tmp_path: Path) -> None:
    async with LocalSite({}) as other:
        other.pages["/map.xml"] = urlset(site.url("/a"))
        site.pages["/map.xml"] = (302, "", {"Location": other.url("/map.xml").replace("127.0.0.1", "localhost")})
        await crawl(tmp_path, site, "/map.xml")
        assert found(tmp_path) == {"a"}


async def test_other_languages_are_not_followed_unless_asked_for(site: LocalSite, tmp_path: Path) -> None:
    site.pages["/map.xml"] = urlset('<loc>/a</loc><link rel="alternate" hreflang="de" href="/b"/>')
    await crawl(tmp_path, site, "/map.xml")
    assert found(tmp_path) == {"a"}


async def test_a_map_in_parts(site: LocalSite, tmp_path: Path) -> None:
    site.pages["/map.xml"] = urlset("/a", "/b", "/c", "/d")
    report = await crawl(tmp_path, site, "/map.xml", rows_per_page=1)
    assert found(tmp_path) == {"a", "b", "c", "d"}
    assert (report.counts.pages, site.requests["/map.xml"]) == (8, 1)


# what has changed


async def test_only_what_has_changed_since_the_last_run(site: LocalSite, tmp_path: Path) -> None:
    def dated(path: str, lastmod: str) -> str:
        return f"<loc>{path}</loc><lastmod>{lastmod}</lastmod>"

    site.pages |= {
        "/index.xml": index(dated("/map.xml", "2999-01-01"), dated("/old.xml", "2001-01-01")),
        "/old.xml": urlset("/b"),
        "/map.xml": urlset(dated("/a", "2001-01-01"), dated("/b", "soon"), "/c", dated("/d", "2999-01-01T00:00:00Z")),
    }
    changed = {"sitemap_changed_only": True}
    await crawl(tmp_path, site, "/index.xml", **changed)
    assert found(tmp_path) == {"a", "b", "c", "d"}, "the first run has nothing to go by"
    site.requests.clear()
    report = await crawl(tmp_path, site, "/index.xml", **changed)
    assert site.requests == {"/index.xml": 1, "/map.xml": 1, "/b": 1, "/c": 1, "/d": 1}
    assert report.counts.drops == {"unchanged": 2}
    site.requests.clear()
    await crawl(tmp_path, site, "/index.xml")
    assert site.requests["/a"] == 1, "all of them, where nothing else is asked for"


@pytest.mark.parametrize(
    ("lastmod", "fetched"),
    [
        ("2024-03-04T10:00:00Z", True),
        ("2024-03-04T09:59:59Z", False),
        ("2024-03-04T11:30:00+02:00", False),
        ("2024-03-04", True),
        ("2024-03-03", True),
        ("2024-03-02", False),
        ("2024-03", True),
        ("2024-01", False),
        ("2023", False),
        ("?", True),
        (None, True),
    ],
)
def test_a_day_may_be_any_moment_of_it(lastmod: str | None, fetched: bool) -> None:
    spider = Pages()
    spider.last_run = datetime(2024, 3, 4, 10, tzinfo=UTC)
    assert spider._may_have_changed(lastmod) is fetched


async def test_the_last_run_is_one_that_came_to_its_end(tmp_path: Path) -> None:
    """One that a limit ended is no measure: it has not seen all pages."""
    store = SqliteStore(tmp_path / "x.db")
    for started, reason in ((1000.0, "finished"), (2000.0, "limit_pages"), (3000.0, "finished")):
        await store.open()
        await store.begin("x", started)
        if reason == "finished":
            last = (await store.figures(1))[1]
        await store.finish(reason, started + 1, True)
        await store.close()
    assert [each.started for each in last] == [1000.0]


# what is no site map


NONE: dict[str, tuple[Any, str]] = {
    "html": ("<!doctype html><title>404</title>", "is an HTML page (text/html; charset=utf-8), no feed"),
    "soft-404": ((200, "<html><p>no", XML), "is an HTML page (application/xml), no feed"),
    "xml": ((200, "<note/>", XML), "XML whose root is <note>, no site map"),
    "empty": ((200, " ", XML), "is empty, no site map"),
    "json": ((200, "{}", {"Content-Type": "application/json"}), "is JSON, no site map"),
    "binary": ((200, b"\xff\xd8\xff\xe0\x00\x10" * 99, {"Content-Type": "image/jpeg"}), "is binary data"),
    "bomb": ((200, '<!DOCTYPE urlset [<!ENTITY a "b">]><urlset/>', XML), "declares entities"),
    "robots.txt": ((200, "User-agent: *\nAllow: /", {"Content-Type": "text/plain"}), "names no site map"),
}


async def test_what_is_no_site_map_is_a_dead_page_that_says_so(site: LocalSite, tmp_path: Path) -> None:
    site.pages |= {f"/{name}": answer for name, (answer, _) in NONE.items()}
    await crawl(tmp_path, site, *(f"/{name}" for name in NONE))
    told = dead(tmp_path)
    assert {name: words in told.get(name, "") for name, (_, words) in NONE.items()} == dict.fromkeys(NONE, True), told


def test_a_spider_without_site_maps_is_told(tmp_path: Path) -> None:
    for urls, words in ((), "has no sitemap_urls"), ("http://h.test/x", "is one string"):
        with pytest.raises(SpiderError, match=words):
            scraper.run(type("None_", (Pages,), {"sitemap_urls": urls}), db=tmp_path / "x.db")
