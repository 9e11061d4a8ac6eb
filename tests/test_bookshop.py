"""The demo site: the same shop everywhere, whole, and served as HTTP says."""

import asyncio
import importlib.util
import os
import posixpath
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from scraper.response import Response
from scraper.testing.bookshop import BookRecord, books, feed_paths, page_paths, render, serve, write_static
from scraper.testing.bookshop_pages import asset_paths
from scraper.testing.bookshop_stock import categories, seed

ROOT = Path(__file__).resolve().parents[1]
ORIGIN = "http://shop.test"
RECORDS_DIGEST = "7304fc2f98c05553eed03262168a45b3e84d1ea859ed5b08266e19eee693f393"
DIGESTS = """
import hashlib
from scraper.testing.bookshop import books, page_paths, render
print(hashlib.sha256(repr(books()).encode()).hexdigest())
print(hashlib.sha256(b"".join(render(path, "http://shop.test").body for path in page_paths())).hexdigest())
"""

Start = Callable[..., Awaitable[str]]


def body(path: str) -> bytes:
    page = render(path, ORIGIN)
    assert page is not None, path
    assert page.status == 200
    return page.body


# The shop


def test_same_shop_in_every_process() -> None:
    """Whatever the hash seed; the first digest also holds for every Python version and machine."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", DIGESTS],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    one, two = (child.communicate()[0].split() for child in children)
    assert one == two
    assert one[0] == RECORDS_DIGEST


def test_a_thousand_plausible_books() -> None:
    shop = books()
    assert [book.id for book in shop] == list(range(1, 1001))
    for unique in ("upc", "title", "path", "image"):
        assert len({getattr(book, unique) for book in shop}) == 1000, unique
    assert all(10 <= book.price < 60 and round(book.price, 2) == book.price for book in shop)
    assert {book.stock for book in shop} == set(range(1, 23))
    assert {book.rating for book in shop} == {1, 2, 3, 4, 5}
    assert sum(book.description is None for book in shop) == 4
    sold = [book.category for book in shop]
    assert len(categories()) == 50
    assert {name: sold.count(name) for name in categories()} == categories()
    with pytest.raises(AttributeError):
        shop[0].price = 1.0  # type: ignore[misc]


def test_pages_counted() -> None:
    paths = page_paths()
    listings = 50 + sum(-(-size // 20) for size in categories().values())
    # Front listing, "Books" category and the 50 categories; `/` and `/index.html` are the first page again.
    assert len(paths) == len(set(paths)) == 1000 + 50 + listings + 2 == 1183
    assert body("/") == body("/index.html")
    assert render("/catalogue/page-51.html", ORIGIN) is None


def test_page_sizes_are_realistic() -> None:
    products = {book.path for book in books()}
    for path in page_paths():
        size = len(body(path))
        if path in products:
            assert 15_000 <= size <= 25_000, path
        elif body(path).count(b'class="product_pod"') == 20:
            assert 25_000 <= size <= 50_000, path
        else:
            assert 15_000 <= size <= 50_000, path


def test_every_link_leads_somewhere_and_every_page_is_reached() -> None:
    pages, assets = set(page_paths()), set(asset_paths())
    reached, waiting = {"/"}, ["/"]
    while waiting:
        path = waiting.pop()
        folder = posixpath.dirname(path)
        for node in LexborHTMLParser(body(path)).css("[href], [src]"):
            href = node.attributes.get("href") or node.attributes.get("src") or ""
            assert not href.startswith("/") and ":" not in href, (path, href)
            target = posixpath.normpath(posixpath.join(folder, href))
            assert target in (pages if node.tag == "a" else assets), (path, href)
            if node.tag == "a" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert reached == pages


def test_pages_are_utf8_with_more_than_ascii() -> None:
    text = b"".join(body(path) for path in page_paths()).decode()
    assert all(letter in text for letter in "£é—ñ’©")


def test_images_are_valid_png() -> None:
    for path in (path for path in asset_paths() if path.endswith(".png")):
        data = body(path)
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        kinds, at = [], 8
        while at < len(data):
            length = int.from_bytes(data[at : at + 4])
            kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
            assert int.from_bytes(data[at + 8 + length : at + 12 + length]) == zlib.crc32(kind + content)
            kinds.append(kind)
            if kind == b"IHDR":
                width, height = int.from_bytes(content[:4]), int.from_bytes(content[4:8])
            if kind == b"IDAT":
                assert len(zlib.decompress(content)) == height * (1 + width // 8)
            at += 12 + length
        assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]


def test_covers_are_large_enough_for_thumbnails_and_small_enough_for_a_demonstration() -> None:
    for book in books()[:20]:
        data = body(book.image)
        with Image.open(BytesIO(data)) as cover:
            assert (cover.size, len(cover.convert("RGB").getcolors() or ())) == ((120, 160), 2)
        assert len(data) < 3_000
    assert len({body(book.image) for book in books()}) == 1_000


def test_robots_and_sitemap_name_the_visited_origin() -> None:
    robots = body("/robots.txt").decode()
    assert "Disallow: /private/\n" in robots and f"Sitemap: {ORIGIN}/sitemap.xml\n" in robots
    listed = [loc.text() for loc in LexborHTMLParser(body("/sitemap.xml")).css("loc")]
    assert listed == [ORIGIN + path for path in page_paths()]


def test_static_copy_holds_the_same_bytes(tmp_path: Path) -> None:
    assert write_static(tmp_path, ORIGIN) == 1182  # `/` is its index.html
    files = {f"/{file.relative_to(tmp_path).as_posix()}": file for file in tmp_path.rglob("*") if file.is_file()}
    expected = {*page_paths(), *asset_paths(), *feed_paths(), "/robots.txt", "/sitemap.xml"}
    assert files.keys() == expected - {"/"}
    assert all(file.read_bytes() == body(path) for path, file in files.items())


def test_missing_seed_data_says_where_it_looked() -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json is missing: looked in .*demo and .*demo; reinstall"):
        seed("absent.json")


def test_example_spider_reads_every_book() -> None:
    spec = importlib.util.spec_from_file_location("example_books", ROOT / "spiders" / "books.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    spider = module.Books(start=f"{ORIGIN}/")

    listings, products = list(spider.start_urls), []
    for url in listings:
        for request in spider.parse(Response(url, body=body(url.removeprefix(ORIGIN)))):
            (products if "_" in request.url else listings).append(request.url)
    assert len(listings) == 50
    assert products == [ORIGIN + book.path for book in books()]

    def row(book: BookRecord) -> object:
        page = Response(ORIGIN + book.path, body=body(book.path))
        (read,) = spider.parse_book(page)
        return read

    assert [row(book) for book in books()] == [
        module.Book(
            upc=book.upc,
            title=book.title,
            price=book.price,
            currency="£",
            stock=book.stock,
            rating=book.rating,
            category=book.category,
            description=book.description,
            image=ORIGIN + book.image,
        )
        for book in books()
    ]


# The server


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts shops on free ports and returns their origins."""
    runners = []

    async def begin(**options: float | None) -> str:
        runner = await serve(**options)  # type: ignore[arg-type]
        runners.append(runner)
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    yield begin
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_pages_come_with_their_headers(start: Start, client: aiohttp.ClientSession) -> None:
    origin = await start()
    for path in ("/", "/catalogue/page-2.html", books()[0].path):
        async with client.get(origin + path) as answer:
            assert answer.status == 200
            assert await answer.read() == body(path)
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Content-Length"] == str(len(body(path)))
            assert answer.headers["Keep-Alive"] == "timeout=75"
            assert answer.headers["Last-Modified"] == "Mon, 04 Mar 2024 10:00:00 GMT"
            assert answer.headers["ETag"].startswith('"')
    async with client.get(origin + books()[0].image) as answer:
        assert answer.content_type == "image/png"
    async with client.get(origin + "/robots.txt") as answer:
        assert f"Sitemap: {origin}/sitemap.xml" in await answer.text()


@pytest.mark.parametrize("path", ["/nowhere", "/catalogue/<b>_7/index.html", "/private/"])
async def test_anything_else_is_404(start: Start, client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(await start() + path) as answer:
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "ETag" not in answer.headers
        assert "<b>" not in await answer.text()


async def test_head_is_get_without_the_body(start: Start, client: aiohttp.ClientSession) -> None:
    origin = await start()
    async with client.get(f"{origin}/") as whole, client.head(f"{origin}/") as head:
        assert head.status == 200
        assert await head.read() == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
            assert head.headers[name] == whole.headers[name]


async def test_unchanged_pages_answer_304(start: Start, client: aiohttp.ClientSession) -> None:
    origin = await start()
    async with client.get(f"{origin}/") as first:
        etag, date = first.headers["ETag"], first.headers["Last-Modified"]
    earlier = "Sun, 03 Mar 2024 10:00:00 GMT"
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": earlier}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": date}, 200),
        ({"If-None-Match": etag, "If-Modified-Since": earlier}, 304),
    ):
        async with client.get(f"{origin}/", headers=headers) as answer:
            assert answer.status == status, headers
            assert await answer.read() == (body("/") if status == 200 else b"")
            assert answer.headers["ETag"] == etag


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """One GET on an open socket; the head of the answer, its body read to the end."""
    writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    await reader.readexactly(len(body("/robots.txt")))
    return head


async def connect(origin: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = origin.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_keepalive_serves_many_requests_on_one_socket(start: Start) -> None:
    reader, writer = await connect(await start(keepalive=30))
    for _ in range(3):
        head = await ask(reader, writer)
        assert "Keep-Alive: timeout=30" in head and "Connection: close" not in head
    writer.close()


async def test_keepalive_0_closes_each_connection(start: Start) -> None:
    reader, writer = await connect(await start(keepalive=0))
    head = await ask(reader, writer)
    assert "Connection: close" in head and "Keep-Alive" not in head
    assert await reader.read() == b""
    writer.close()


async def test_idle_connections_are_closed_after_the_timeout(start: Start) -> None:
    reader, writer = await connect(await start(keepalive=0.05))
    assert "Connection: close" not in await ask(reader, writer)
    async with asyncio.timeout(10):  # only so that a broken server fails instead of hanging
        assert await reader.read() == b""  # ends when the server hangs up
    writer.close()


async def test_every_answer_waits_for_the_latency(start: Start, client: aiohttp.ClientSession) -> None:
    origin = await start(latency=0.05)
    # Timers of one loop fire in order: this one, set before the request, must be over when the answer comes.
    earlier = asyncio.create_task(asyncio.sleep(0.05))
    await asyncio.sleep(0)
    async with client.get(f"{origin}/nowhere") as answer:
        await answer.read()
    assert earlier.done()


async def test_a_taken_port_is_an_error(start: Start) -> None:
    port = int((await start()).rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await serve(port=port)
