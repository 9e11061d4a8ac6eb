"""Drafts of spiders: what is found on pages of many shapes, and spiders that run."""

import ast
import asyncio
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, last_event

from scraper import Response
from scraper.cli.genspider import unseen
from scraper.discover import find
from scraper.drafts import api
from scraper.drafts.blocks import repeated
from scraper.drafts.columns import Column, of_blocks
from scraper.drafts.links import next_link, pattern
from scraper.drafts.looking import look
from scraper.drafts.written import Draft, spider_file
from scraper.testing import LocalSite

URL = "https://example.org/list/"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def page(html: str, url: str = URL) -> Response:
    return Response(url, headers={"Content-Type": "text/html; charset=utf-8"}, body=html.encode())


def found(html: str) -> tuple[str, dict[str, str]]:
    blocks = repeated(page(html).tree)
    assert blocks is not None
    return blocks.css, {each.name: each.query for each in of_blocks(blocks.nodes)}


def following(done: "subprocess.CompletedProcess[str]") -> list[list[str]]:
    """The commands that are proposed, without the name of the program."""
    return [shlex.split(line)[1:] for line in done.stderr.partition("\nnext:\n")[2].splitlines()]


NAV = (
    "<nav><ul>"
    + "".join(f'<li class="item"><a href="/c/{n}">Shelf number {n}</a></li>' for n in range(40))
    + "</ul></nav>"
)


def test_rows_win_over_a_longer_navigation() -> None:
    rows = "".join(
        f'<div class="card col-md-4"><img src="/i/{n}.png"><h2><a href="/p/{n}">Thing {n}</a></h2>'
        f'<span class="amount">{n},99 €</span><time datetime="2026-01-0{n}">then</time></div>'
        for n in range(1, 7)
    )
    css, columns = found(f"<body>{NAV}<main>{rows}</main></body>")
    assert css == "div.card"
    assert columns == {
        "url": "a::attr(href)",
        "title": "a::text",
        "price": "span.amount::text",
        "date": "time::attr(datetime)",
        "image": "img::attr(src)",
    }


def test_texts_are_called_after_their_class_and_what_never_differs_is_left_out() -> None:
    rows = "".join(
        f'<div class="quote"><span class="text">Words number {n}.</span><span>by '
        f'<small class="author">Author {n % 3}</small>'
        f'<a href="/author/{n % 3}">(about)</a></span><i class="badge">new</i></div>'
        for n in range(10)
    )
    css, columns = found(f"<body>{rows}</body>")
    assert css == "div.quote"
    assert columns["text"] == "span.text::text"
    assert columns["author"] == "small.author::text"
    assert "badge" not in columns


def test_a_selector_finds_the_same_in_nearly_every_block() -> None:
    """In the first block the price is the first <b>; in all others a label stands before it."""
    rows = "".join(
        f'<article><h2><a href="/{n}">Thing {n}</a></h2>{"" if n == 0 else "<p><b>only</b></p>"}'
        f"<div class='pay'><b>{n}.50 €</b></div></article>"
        for n in range(9)
    )
    _, columns = found(f"<body>{rows}</body>")
    assert columns["price"] == "div.pay b::text"


def test_cells_of_a_table_are_called_after_its_head() -> None:
    rows = "".join(
        f'<tr><td><a href="/team/{n}">Team {n}</a></td><td>{1990 + n}</td><td>{n * 3}</td></tr>' for n in range(12)
    )
    head = "<tr><th>Team Name</th><th>Year</th><th>Wins</th></tr>"
    css, columns = found(f'<body><table class="results">{head}{rows}</table></body>')
    assert css == "table.results tr:has(td)"  # the head is no row
    assert columns["year"] == "td:nth-child(2)::text"
    assert columns["wins"] == "td:nth-child(3)::text"


def test_the_head_of_a_table_is_no_row_and_a_column_of_prices_is_one() -> None:
    rows = "".join(f"<tr><td>Thing {n}</td><td>€{n}.50</td></tr>" for n in range(9))
    blocks = repeated(page(f"<table><tr><th>Name</th><th>Cost</th></tr>{rows}</table>").tree)
    assert blocks is not None
    assert (blocks.css, len(blocks.nodes)) == ("tr:has(td)", 9)
    assert [(each.name, each.kind) for each in of_blocks(blocks.nodes)] == [("name", "text"), ("cost", "price")]


@pytest.mark.parametrize(
    ("html", "shell"),
    [
        ("<script src=/app.js></script><div id=root></div><noscript>Please enable JavaScript</noscript>", True),
        (f"<script>{'word ' * 50}</script><div id=root></div>", True),
        (f"<script src=/app.js></script><p>{'word ' * 50}", False),
        ("<h1>Not much</h1>", False),
    ],
    ids=["root", "words of a script", "words", "no script"],
)
async def test_a_page_that_its_scripts_fill_is_told(html: str, shell: bool) -> None:
    async def nothing(url: str) -> Response:
        raise AssertionError(url)

    draft = await look(page(f"<title>T</title><body>{html}"), nothing)
    assert ("URL of that" in draft.why) is shell


def test_a_page_of_prose_has_no_rows() -> None:
    assert repeated(page("<body><h1>One thing</h1><p>Long text.</p><p>More of it.</p><p>End.</p></body>").tree) is None


@pytest.mark.parametrize(
    ("html", "css"),
    [
        ('<a rel="next" href="?page=2">on</a>', "a[rel~=next]"),
        ('<ul class="pager"><li class="next"><a href="page-2.html">next</a></li></ul>', "li.next a"),
        ('<a href="/list/1">1</a><a class="older" href="/list/2">Older posts</a>', "a.older"),
        ('<a href="?page=2">2</a><a href="?page=3">3</a>', 'a[href*="?page="]'),
        ('<a rel="next" href="https://elsewhere.example/">on</a>', None),
        ('<a class="next" href="/list/">next</a>', None),
        ('<a href="/more">Read it all</a>', None),
    ],
    ids=["rel", "class", "words", "numbers", "another host", "itself", "none"],
)
def test_the_link_to_the_next_page(html: str, css: str | None) -> None:
    assert next_link(page(f"<body>{html}</body>")) == css


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/c/a-b_1/index.html", "/c/c_22/index.html"], r"/c/[^/]+_\d+/index\.html$"),
        (["/p/1", "/p/22"], r"/p/\d+$"),
        (["/page-2.html"], r"/page-\d+\.html$"),
        (["/blog/one-thing", "/blog/another"], r"/blog/[^/]+$"),
        (["/item?id=1", "/item?id=2"], r"/item\?"),
    ],
    ids=["numbered", "numbers", "one page", "words", "query"],
)
def test_a_pattern_of_paths(paths: list[str], expected: str) -> None:
    import re

    urls = [f"https://example.org{path}" for path in paths]
    assert pattern(urls) == expected
    assert all(re.search(expected, url) for url in urls)


@pytest.mark.parametrize(
    ("value", "query", "expected"),
    [
        ({"items": [{"id": 1}], "next_cursor": "abc"}, "", {"cursor": "next_cursor", "param": "cursor"}),
        ({"data": {"rows": [{"id": 1}]}, "links": {"next": "/api?p=2"}}, "", {"url": "links.next"}),
        ({"items": [{"id": 1}], "page": 1, "total_pages": 4}, "", {"page": "page", "pages": "total_pages"}),
        ({"items": [{"id": 1}], "total": 90}, "?offset=0", {"offset": "offset", "total": "total"}),
        ([{"id": 1}], "", None),
    ],
    ids=["cursor", "url", "page", "offset", "none"],
)
def test_how_an_api_goes_on(value: object, query: str, expected: dict[str, str] | None) -> None:
    answer = Response(f"https://example.org/api{query}", headers={"Content-Type": "application/json"})
    rows = api.rows_of(value)
    assert rows is not None
    assert next(api.pagings(value, rows[0], answer), None) == expected


def test_a_file_is_short_and_as_ruff_would_have_it(tmp_path: Path) -> None:
    columns = [Column("url", "a::attr(href)", "key"), Column("price", "b::text", "price"), Column("title", "h2::text")]
    long = "https://example.org/" + "a-long-way/" * 9
    drafts = [
        Draft("basic", "", long, "Rows", columns, "article.product", 'a[href*="page="]'),
        Draft("crawl", "", long, "Pages", columns, rules=[(r"/a/[^/]+_\d+/index\.html$", True), ("", False)]),
        Draft("sitemap", "", long, "Pages", columns, sitemaps=[long, long], rules=[(r"/p/\d+$", True)]),
        Draft("feed", "", long, "Entries", names=["title", "link"]),
        Draft("api", "", long, "Objects", path=["a", "b"], names=["id", 'a "b"'], paging={"cursor": "next"}),
        Draft("api", "", long, "Objects"),
    ]
    for number, draft in enumerate(drafts):
        text = spider_file(f"shop_{number}", draft)
        assert len(text.splitlines()) <= 60
        (tmp_path / f"shop_{number}.py").write_text(text)
    command = [sys.executable, "-m", "ruff", "format", "--check", "--diff", "--isolated", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_page_says_stays_text() -> None:
    """Names of members, paths and addresses are the site's to choose, and the file is run: nothing of them is code."""
    evil = '"]; raise SystemExit("it ran"); x = ["\\'
    drafts = [
        Draft(
            "api",
            "",
            f"https://example.org/?{evil}",
            f'About """ {evil}',
            path=[evil],
            names=[evil, "it's"],
            paging={"url": evil},
        ),
        Draft("basic", "", f"https://example.org/?{evil}", "", [Column("title", f'a[x="{evil}"]::text')], evil, evil),
        Draft("crawl", "", URL, "", [Column("title", "h1::text")], rules=[(evil, True)]),
        Draft("sitemap", "", URL, "", [Column("title", "h1::text")], rules=[(evil, True)], sitemaps=[evil]),
    ]
    for draft in drafts:
        tree = ast.parse(spider_file("shop", draft))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        assert evil in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize(
    ("template", "path", "kind", "least"),
    [
        (None, "", "basic", 60),
        ("crawl", "", "crawl", 10),
        ("sitemap", "", "sitemap", 10),
        (None, "feed.rss", "feed", 50),
        (None, "api/books?page=1", "api", 60),
        (None, "sitemap-index.xml", "sitemap", 5),
    ],
    ids=["basic", "crawl", "sitemap", "feed", "api", "index"],
)
def test_a_draft_crawls_the_shop(
    cli: Cli, here: Cli, tmp_path: Path, bookshop_url: str, template: str | None, path: str, kind: str, least: int
) -> None:
    done = here("genspider", "shop", bookshop_url + path, *(["--template", template] if template else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "spiders/shop.py\n"
    assert done.stderr.startswith(f"{kind}: ")
    assert "tried on what was fetched: " in done.stderr
    assert "no item" not in done.stderr
    crawl, items, parse = following(done)
    assert crawl == ["crawl", "shop", "--limit-pages", "20"]
    if kind in ("crawl", "sitemap"):  # a page with an item, and who reads it
        assert re.search(r"_\d+/index\.html$", parse[1]) and parse[-2:] == ["-c", "parse_item"], parse
    crawled = cli(*crawl)
    assert crawled.returncode == 0, crawled.stderr
    for command in (items, parse):
        shown = here(*command)
        assert shown.returncode == 0, shown.stderr
        assert re.search("^item: [1-9]" if command is parse else "title", shown.stdout, re.MULTILINE), shown.stdout
    event = last_event(crawled.stderr)
    assert event["items"] >= least, crawled.stderr
    assert (event["rejects"], event["failures"]) == (0, 0), crawled.stderr
    with sqlite3.connect(tmp_path / "data" / "shop.db") as db:
        titles = [json.loads(data)["title"] for (data,) in db.execute("select data from items")]
    db.close()
    assert all(titles)
    assert len(set(titles)) > 0.9 * len(titles)


@pytest.mark.parametrize("template", ["basic", "crawl", "sitemap"])
def test_what_is_proposed_for_a_page_that_was_not_seen(here: Cli, bookshop_url: str, template: str) -> None:
    done = here("genspider", "shop", f"{bookshop_url}?a=1&b=2", "--no-fetch", "-t", template)
    assert done.returncode == 0, done.stderr
    assert f"'{bookshop_url}?a=1&b=2'" in done.stderr, "for a shell"
    shown = here(*following(done)[-1])
    assert (shown.returncode, "error" in shown.stdout.lower()) == (0, False), shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["book-shop"], ["book-shop", "call it 'book_shop'"]),
        (["class"], ["class_site"]),
        (["item"], ["item_site"]),
        (["books"], ["spiders/books.py", "--force"]),
        (["elsewhere"], ["spiders/two.py", "another name"]),
        (["shop", "--template", "api"], ["JSON"]),
        (["shop", "--template", "feed"], ["names none"]),
    ],
    ids=lambda value: "-".join(each.strip("-") for each in value[:2]) if len(value) < 4 else "",
)
def test_what_cannot_be_written_is_explained(
    here: Cli, spiders: Path, bookshop_url: str, arguments: list[str], words: list[str]
) -> None:
    (spiders / "two.py").write_text("from scraper import Spider\nclass Two(Spider):\n    name = 'elsewhere'\n1 / 0\n")
    before = {path.name: path.read_text() for path in spiders.iterdir() if path.is_file()}
    done = here("genspider", arguments[0], bookshop_url, *arguments[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert {path.name: path.read_text() for path in spiders.iterdir() if path.is_file()} == before


def test_robots_txt_is_obeyed_and_nothing_is_asked_without_fetch(here: Cli, tmp_path: Path, bookshop_url: str) -> None:
    done = here("genspider", "shop", f"{bookshop_url}private/x")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'line 2, "Disallow: /private/"' in done.stderr
    done = here("genspider", "shop", "http://me:hush@127.0.0.1:1/", "--no-fetch")
    assert (done.returncode, "-s auth=" in done.stderr, "hush" in done.stderr) == (2, True, False)
    done = here("genspider", "shop", "http://127.0.0.1:1/", "--no-fetch")
    assert done.returncode == 0, done.stderr
    assert "has not seen" in (tmp_path / "spiders" / "shop.py").read_text()
    for template in ("basic", "crawl", "sitemap", "feed", "api"):
        text = spider_file("shop", unseen("http://127.0.0.1:1/", template))
        find(str(write(tmp_path / f"{template}.py", text)), tmp_path)


async def test_a_page_that_names_its_feed(here: Cli, tmp_path: Path) -> None:
    feed = "<rss version='2.0'><channel><item><title>One</title><link>/1</link></item></channel></rss>"
    home = '<link rel="alternate" type="application/rss+xml" href="/news.xml"><h1>Home</h1>'
    async with LocalSite({"/": home, "/news.xml": (feed, {"Content-Type": "application/rss+xml"})}) as site:
        done = await asyncio.to_thread(here, "genspider", "news", site.url(), "-t", "feed")
        assert done.returncode == 0, done.stderr
        assert f'start_urls = ["{site.url("/news.xml")}"]' in (tmp_path / "spiders" / "news.py").read_text()
        assert (site.requests["/"], site.requests["/news.xml"]) == (1, 1)


async def test_a_price_that_is_none_in_one_row_stays_text(here: Cli, tmp_path: Path) -> None:
    rows = "".join(
        f'<li class="offer"><a href="/{n}">Thing number {n}</a><b>{f"{n} €" if n else "ask us"}</b></li>'
        for n in range(9)
    )
    async with LocalSite({"/": f"<title>T</title><ul>{rows}</ul>"}) as site:
        done = await asyncio.to_thread(here, "genspider", "offers", site.url())
    assert done.returncode == 0, done.stderr
    assert "9 items" in done.stderr
    assert "    price: str | None" in (tmp_path / "spiders" / "offers.py").read_text()
