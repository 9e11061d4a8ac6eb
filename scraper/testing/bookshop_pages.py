"""The demo bookshop's pages as values: a path goes in, a `Page` comes out; nothing here awaits or writes.

The markup has the shape of the practice shop at books.toscrape.com, so a spider written for one reads the
other; the templates and words are our own and lie in `data/demo`.
"""

import hashlib
import posixpath
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from html import escape
from string import Template
from typing import Final

from scraper.testing.bookshop_stock import SEED, BookRecord, categories, cover, seed, slug, stock

Writer = Callable[[str], bytes]

PER_PAGE: Final = 20
VIEWED: Final = 6
RATINGS: Final = ("One", "Two", "Three", "Four", "Five")
HTML: Final = "text/html; charset=utf-8"
PNG: Final = "image/png"
FAVICON: Final = "/static/shop/favicon.png"
STATIC: Final = {
    "/static/shop/css/styles.css": ("styles.css", "text/css; charset=utf-8"),
    "/static/shop/js/shop.js": ("shop.js", "text/javascript; charset=utf-8"),
}


@dataclass(frozen=True)
class Page:
    """An answer of the site: status, full Content-Type and the body's bytes."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """What it has besides Content-Type."""

    @cached_property
    def etag(self) -> str:
        """Opaque tag of the body, without quotes (RFC 9110, 8.8.3)."""
        return hashlib.blake2b(self.body, digest_size=12).hexdigest()


def page_paths() -> list[str]:
    """Every path that answers with HTML, sorted; `/` and `/index.html` are the same page."""
    return sorted(_pages())


def asset_paths() -> list[str]:
    """Every cover, style sheet, script and icon that the pages refer to, sorted."""
    return sorted([*_covers(), *STATIC, FAVICON])


def render(path: str, origin: str) -> Page | None:
    """The page at a path (without query), or None when the shop has none there.

    `origin` is what the visitor calls this site, such as `http://127.0.0.1:8000`; only robots.txt (RFC 9309)
    and the site map (sitemaps.org) contain it, because their links have to be absolute.
    """
    if path == "/robots.txt":
        rules = "User-agent: *\nDisallow: /private/\nDisallow: /logout\n"
        rules += f"\nSitemap: {origin}/sitemap.xml\nSitemap: {origin}/sitemap-index.xml\n"
        return Page(200, "text/plain; charset=utf-8", rules.encode())
    if path == "/sitemap.xml":
        return Page(200, "application/xml; charset=utf-8", _sitemap(origin))
    known = path in _pages() or path in _covers() or path in STATIC or path == FAVICON
    return _lasting(path) if known else None


def missing(path: str) -> Page:
    """The 404 page for a path that the shop does not have."""
    content = f"<h1>No such page</h1>\n<p>There is nothing at {escape(path)} — go back to the first shelf.</p>"
    return Page(404, HTML, frame(path, "No such page", "", '<li class="active">No such page</li>', content))


@cache
def _lasting(path: str) -> Page:
    """A page that is the same for every origin: written once, then kept."""
    if path in _pages():
        return Page(200, HTML, _pages()[path](path))
    if path in STATIC:
        name, content_type = STATIC[path]
        return Page(200, content_type, seed(name).encode())
    return Page(200, PNG, cover(_covers().get(path, "favicon")))


@cache
def _covers() -> dict[str, str]:
    """Path of a cover to the UPC it is drawn from."""
    return {book.image: book.upc for book in stock()}


@cache
def _pages() -> dict[str, Writer]:
    """Path of a page to the function that writes it."""
    front = [f"/catalogue/page-{number}.html" for number in range(1, len(stock()) // PER_PAGE + 1)]
    pages = _listings("All books", stock(), front)
    pages["/"] = pages["/index.html"] = pages[front[0]]
    for name, first in _shelves().items():
        chosen = [book for book in stock() if name in ("Books", book.category)]
        more = range(2, -(-len(chosen) // PER_PAGE) + 1)
        folder = posixpath.dirname(first)
        pages |= _listings(name, chosen, [first, *(f"{folder}/page-{number}.html" for number in more)])
    pages |= {book.path: partial(_product, book) for book in stock()}
    return pages


def _listings(heading: str, chosen: Sequence[BookRecord], paths: Sequence[str]) -> dict[str, Writer]:
    return {path: partial(_listing, heading, chosen, paths, index) for index, path in enumerate(paths)}


@cache
def _shelves() -> dict[str, str]:
    """Category to the path of its first page; "Books", number 1, holds all of them."""
    named = {name: f"books/{slug(name)}_{number}" for number, name in enumerate(categories(), start=2)}
    return {name: f"/catalogue/category/{place}/index.html" for name, place in ({"Books": "books_1"} | named).items()}


def _product(book: BookRecord, path: str) -> bytes:
    rng = random.Random(f"{SEED} {book.upc}")
    viewed = [stock()[int(rng.random() * len(stock()))] for _ in range(VIEWED)]
    description = escape(book.description or "")
    content = _template("product.html").substitute(
        _fields(book, path),
        stock=book.stock,
        upc=book.upc,
        description=_template("description.html").substitute(text=description) if description else "",
        pods=_pods(viewed, path),
    )
    steps = [(name, link(path, _shelves()[name])) for name in ("Books", book.category)]
    trail = "".join(
        f'\n        <li>\n            <a href="{href}">{escape(name)}</a>\n        </li>\n' for name, href in steps
    )
    title = escape(book.title)
    return frame(path, title, description, f'{trail}\n        <li class="active">{title}</li>\n', content)


def _listing(heading: str, chosen: Sequence[BookRecord], paths: Sequence[str], index: int, path: str) -> bytes:
    start = index * PER_PAGE
    shown = chosen[start : start + PER_PAGE]
    item = _template("category.html")
    content = _template("listing.html").substitute(
        all=link(path, _shelves()["Books"]),
        categories="".join(
            item.substitute(href=link(path, first), name=escape(name))
            for name, first in _shelves().items()
            if name != "Books"
        ),
        heading=escape(heading),
        total=len(chosen),
        first=start + 1,
        last=start + len(shown),
        pods=_pods(shown, path),
        pager=_pager(paths, index, path) if len(paths) > 1 else "",
    )
    return frame(path, escape(heading), "", f'<li class="active">{escape(heading)}</li>', content)


def _pager(paths: Sequence[str], index: int, path: str) -> str:
    steps = [f'<li class="current">Page {index + 1} of {len(paths)}</li>']
    if index > 0:
        steps.insert(0, f'<li class="previous"><a href="{link(path, paths[index - 1])}">previous</a></li>')
    if index + 1 < len(paths):
        steps.append(f'<li class="next"><a href="{link(path, paths[index + 1])}">next</a></li>')
    return _template("pager.html").substitute(steps="\n".join(steps))


def _pods(shown: Iterable[BookRecord], path: str) -> str:
    pod = _template("pod.html")
    return "\n".join(pod.substitute(_fields(book, path), href=link(path, book.path)) for book in shown)


def _fields(book: BookRecord, path: str) -> dict[str, str]:
    """What a product page and a pod on the page at `path` both show."""
    short = book.title
    if len(short) > 28:
        short = short[:28].rpartition(" ")[0] + " ..."
    return {
        "title": escape(book.title),
        "short": escape(short),
        "image": link(path, book.image),
        "price": f"£{book.price:.2f}",
        "rating": RATINGS[book.rating - 1],
    }


def frame(path: str, title: str, summary: str, trail: str, content: str) -> bytes:
    """A whole page around some HTML; `title`, `summary` and `trail` are HTML too."""
    root = "../" * (path.count("/") - 1)
    fields = {"title": title, "summary": summary, "trail": trail, "content": content, "root": root}
    return _template("page.html").substitute(fields).encode()


def link(path: str, target: str) -> str:
    """From one page to another: the shop links relatively throughout."""
    return posixpath.relpath(target, posixpath.dirname(path))


def _sitemap(origin: str) -> bytes:
    rows = "".join(
        f"  <url><loc>{escape(origin + path)}</loc><lastmod>2024-03-04</lastmod></url>\n" for path in page_paths()
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n".encode()


@cache
def _template(name: str) -> Template:
    return Template(seed(name))
