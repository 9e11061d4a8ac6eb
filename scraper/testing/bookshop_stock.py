"""What the demo bookshop has on its shelves: a thousand invented books, their covers, and the seed data.

The same books come out on every machine and Python version: only `random.Random.random()` is drawn on, the
one method whose sequence the standard library promises to keep (`choice`, `shuffle` and `sample` may change).
"""

import hashlib
import json
import random
import re
import struct
import unicodedata
import zlib
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

SEED: Final = "lantern-lane"
CHANGED: Final = datetime(2024, 3, 4, 10, tzinfo=UTC)
"""When the shop was last changed: the newest book came in then."""


@dataclass(frozen=True, slots=True)
class BookRecord:
    """One book of the shop: the truth that a crawl of the demo site can be compared with."""

    id: int
    """1 to 1,000, in the order of the listing pages."""
    upc: str
    """16 hexadecimal digits, unique."""
    title: str
    """Unique."""
    author: str
    slug: str
    category: str
    price: float
    """Pounds with two decimals, 10.00 to 59.99."""
    stock: int
    """Copies, 1 to 22."""
    rating: int
    """Stars, 1 to 5."""
    description: str | None
    """None for four books, whose pages have no such block."""
    image: str
    """Path of the cover, `/media/cache/xx/yy/<hex>.png`."""

    @property
    def path(self) -> str:
        """Path of the product page."""
        return f"/catalogue/{self.slug}_{self.id}/index.html"

    @property
    def added(self) -> datetime:
        """When it came in: one book every six hours, number 1,000 last."""
        return CHANGED - timedelta(hours=6 * (1000 - self.id))

    def facts(self, origin: str) -> dict[str, str | int | float | None]:
        """What the API and the files of the shop tell of it; `origin` makes the URLs absolute."""
        return {
            "id": self.id,
            "upc": self.upc,
            "title": self.title,
            "author": self.author,
            "category": self.category,
            "price": self.price,
            "stock": self.stock,
            "rating": self.rating,
            "added": self.added.isoformat(),
            "url": origin + self.path,
            "image": origin + self.image,
            "description": self.description,
        }


@cache
def stock() -> tuple[BookRecord, ...]:
    """All books in listing order."""
    rng = random.Random(SEED)
    shelf = [name for name, size in categories().items() for _ in range(size)]
    _shuffle(rng, shelf)
    words: dict[str, list[str]] = json.loads(seed("words.json"))
    sentences: dict[str, list[str]] = json.loads(seed("sentences.json"))
    prose = words | {kind: [word.lower() for word in words[kind]] for kind in ("adjective", "thing", "trade")}
    titles: set[str] = set()
    records = []
    for number, category in enumerate(shelf, start=1):
        title = _sentence(rng, _pick(rng, sentences["titles"]), words)
        while title in titles:
            title = _sentence(rng, _pick(rng, sentences["titles"]), words)
        titles.add(title)
        middles = list(sentences["middles"])
        _shuffle(rng, middles)
        patterns = [
            _pick(rng, sentences["openings"]),
            *middles[: 10 + _below(rng, 14)],
            _pick(rng, sentences["endings"]),
        ]
        description = " ".join(_sentence(rng, pattern, prose) for pattern in patterns)
        upc = hashlib.blake2b(f"{SEED} {number}".encode(), digest_size=8).hexdigest()
        name = hashlib.blake2b(upc.encode(), digest_size=16).hexdigest()
        records.append(
            BookRecord(
                id=number,
                upc=upc,
                title=title,
                author=f"{_pick(rng, words['first'])} {_pick(rng, words['last'])}",
                slug=slug(title),
                category=category,
                price=(1000 + _below(rng, 5000)) / 100,
                stock=1 + _below(rng, 22),
                rating=1 + _below(rng, 5),
                description=None if number % 250 == 77 else description,
                image=f"/media/cache/{name[:2]}/{name[2:4]}/{name}.png",
            )
        )
    return tuple(records)


@cache
def categories() -> dict[str, int]:
    """The 50 categories in sidebar order, each with its number of books."""
    sizes: dict[str, int] = json.loads(seed("categories.json"))
    return sizes


def slug(name: str) -> str:
    """A name as it stands in a URL: lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "")).strip("-")


def cover(word: str) -> bytes:
    """A two-coloured picture, 120 x 160 pixels, as PNG (ISO/IEC 15948: a palette, 1 bit a pixel), drawn from a word."""
    digest = hashlib.blake2b(word.encode()).digest()
    across, down, side = 12, 16, 10  # squares, and the pixels of each
    rows = []
    for y in range(down):
        inks = "".join(str(digest[8 + y] >> min(x, across - 1 - x) & 1) * side for x in range(across))
        rows += [b"\0" + int(inks, 2).to_bytes(across * side // 8)] * side
    # Level 0 only stores: zlib builds differ in how they compress, and the site is the same on every machine.
    pixels = zlib.compress(b"".join(rows), 0)
    header = struct.pack(">IIBBBBB", across * side, down * side, 1, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", digest[:6]), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@cache
def seed(name: str) -> str:
    """A seed file's text. FileNotFoundError, saying where it looked, when the seed data is not there."""
    here = Path(__file__).resolve().parent
    # An installed wheel carries the folder beside this file, a checkout in data/demo.
    places = (here / "demo", here.parents[1] / "data" / "demo")
    for place in places:
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"the demo site's seed file {name} is missing: looked in {places[0]} and {places[1]}; "
        "reinstall the package, or restore data/demo from the repository"
    )


def _below(rng: random.Random, limit: int) -> int:
    return int(rng.random() * limit)


def _pick(rng: random.Random, choices: Sequence[T]) -> T:
    return choices[_below(rng, len(choices))]


def _shuffle(rng: random.Random, items: MutableSequence[Any]) -> None:
    for last in range(len(items) - 1, 0, -1):
        other = _below(rng, last + 1)
        items[last], items[other] = items[other], items[last]


def _sentence(rng: random.Random, pattern: str, words: dict[str, list[str]]) -> str:
    """The pattern with a random word of each kind it asks for."""
    chosen = {kind: _pick(rng, choices) for kind, choices in words.items()}
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", pattern.format(**chosen, volume=2 + _below(rng, 8)))
