"""The files of a new project."""

from __future__ import annotations

from scraper.settings import VERSION

SETTINGS = """\
# Settings of all spiders in this folder; docs/settings.md has them all, `scraper settings` shows what applies.
# What is given nearer wins: the spider's own settings, SCRAPER_… variables, and -s name=value.

# Whom those who run a site can write to: a mail address or a URL. Please set it.
# contact = "you@example.org"

# How hard one host is asked: requests at once, and seconds between the starts of two.
concurrency_per_host = 4
# delay = 1.0

# robots.txt is obeyed, and nothing private is asked for that you did not name.
obey_robots = true

# Where spiders, databases and downloads are.
spiders = "spiders"
data = "data"
# files = "data/files"

# For some hosts only:
# [hosts."*.example.org"]
# cap = 1
# delay = 5
"""

SPIDER = '''\
"""The books of the demo shop: listings lead to books and to the next listing.

scraper demo-site             serves the shop on this machine (in another terminal)
scraper crawl books
"""

from dataclasses import dataclass

from scraper import Spider


@dataclass
class Book:
    key = "upc"  # met again, a book replaces itself

    upc: str
    title: str
    price: float


class Books(Spider):
    name = "books"
    expect = ["items >= 1", "book.price >= 95%"]

    def __init__(self, start: str = "http://127.0.0.1:8000/"):
        self.start_urls = [start]

    def parse(self, response):
        yield from response.follow_all("article.product_pod h3 a", self.parse_book)
        yield from response.follow_all("li.next a")

    def parse_book(self, response):
        page = response.css("div.product_main")
        yield Book(
            upc=response.css("table td::text").get(),
            title=page.css("h1::text").get(),
            price=float(page.css("p.price_color::text").re_first(r"[\\d.]+")),
        )
'''

TESTS = '''\
"""`scraper record SPIDER URL` keeps a page and what the spider made of it; `pytest --spiders` replays them all,
without the network, and names the selector that has moved. The plugin comes with scraper.
"""
'''

IGNORED = """\
data/
*.log
__pycache__/
.pytest_cache/
.venv/
"""


def readme(project: str, spider: str, page: str) -> str:
    """README.md: what stands where, and the commands for every day."""
    shop = "scraper demo-site             # a bookshop to practise on, in another terminal\n" if not page else ""
    return f"""\
# {project}

Spiders for scraper, made with version {VERSION}.

```
scraper.toml      settings of all spiders
spiders/          one file a spider; {spider}.py is the first
tests/            recorded pages, replayed by pytest --spiders
data/             databases, one a spider (not in git)
```

```console
{shop}scraper crawl {spider}
scraper items {spider}
scraper list
scraper genspider NAME URL    # a first draft of another spider
scraper shell URL             # look at a page
scraper record {spider} {page or "http://127.0.0.1:8000/"}
pytest --spiders              # replay what was recorded, without the network
```
"""
