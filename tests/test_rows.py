"""scraper.items: what a crawl stored comes back equal, as objects of its class, from a real database."""

import datetime
import enum
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from crawling import SITE

import scraper
from scraper import Field, Spider, fields
from scraper.errors import UsageError
from scraper.item import to_item
from scraper.restore import restorer
from scraper.testing import FakeFetcher


class Colour(enum.Enum):
    RED = "r"
    TWO = 2


@dataclass(frozen=True)
class Author:
    name: str
    born: datetime.date | None = None


@dataclass
class Publisher:
    city: str
    authors: list[Author] = field(default_factory=list)


class Place(NamedTuple):
    name: str
    since: datetime.date


class More(TypedDict, total=False):
    price: Decimal
    note: str


class Traits(enum.Flag):
    NEW = 1
    SOLD = 2


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


VALUES: dict[str, tuple[Any, Any]] = {
    "upc": (str, "u1"),
    "price": (Decimal | None, Decimal("1.50")),
    "aware": (datetime.datetime, datetime.datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)),
    "naive": (datetime.datetime | None, datetime.datetime(2024, 1, 2, 3)),
    "day": (datetime.date, datetime.date(2024, 1, 2)),
    "clock": (datetime.time, datetime.time(3, 4)),
    "span": (datetime.timedelta, datetime.timedelta(days=1, seconds=2)),
    "raw": (bytes, b"\xff\0"),
    "colours": (list[Colour], [Colour.RED, Colour.TWO]),
    "by": (Author | Publisher | None, Publisher("x", [Author("a", datetime.date(1900, 1, 1))])),
    "pet": (Cat | Dog, Dog("d")),
    "ids": (dict[int, set[float]], {1: {2.5}}),
    "pair": (tuple[int, str], (1, "a")),
    "uuid": (uuid.UUID, uuid.UUID(int=5)),
    "path": (Path, Path("/a")),
    "kind": (Literal["a", 1], 1),
    "either": (int | str | Decimal, "text"),
    "amount": (str | Decimal, Decimal("2.50")),
    "last": (list[frozenset[int]], [frozenset({1})]),
    "free": (Any, {"a": [1, None]}),
    "note": (str | None, None),
    "place": (Place | None, Place("x", datetime.date(2024, 1, 2))),
    "more": (More, {"price": Decimal(1)}),
    "traits": (Traits, Traits.NEW | Traits.SOLD),
}
HINTS = {name: hint for name, (hint, _) in VALUES.items()}
GIVEN = {name: value for name, (_, value) in VALUES.items()}

Plain = dataclass(type("Plain", (), {"__annotations__": HINTS}))
Slots = dataclass(slots=True, frozen=True)(type("Slots", (), {"__annotations__": HINTS}))
Struct = msgspec.defstruct("Struct", list(HINTS.items()), rename="camel", eq=True)
Attrs = attrs.define(type("Attrs", (), {"__annotations__": HINTS}))
NOT_OF_PYDANTIC = {"raw", "pet", "amount", "more", "traits"}  # its bytes are UTF-8, and it takes text for text
Model: Any = pydantic.create_model(  # type: ignore[call-overload]
    "Model",
    shown=(int, pydantic.Field(alias="Shown", default=3)),
    **{name: (hint, ...) for name, hint in HINTS.items() if name not in NOT_OF_PYDANTIC},
)


class Computed(Model):  # type: ignore[misc]
    model_config = pydantic.ConfigDict(extra="forbid")

    @pydantic.computed_field
    def twice(self) -> int:
        return 2 * self.shown  # type: ignore[no-any-return]


def made(kind: Any) -> Any:
    model = issubclass(kind, pydantic.BaseModel)
    given = {name: value for name, value in GIVEN.items() if not model or name not in NOT_OF_PYDANTIC}
    return kind(**given, **({"Shown": 7} if model else {}))


@pytest.mark.parametrize("kind", [Plain, Slots, Struct, Attrs, Model, Computed], ids=lambda kind: str(kind.__name__))
def test_every_type_comes_back_equal(kind: Any) -> None:
    item = made(kind)
    back = restorer(kind)(msgspec.json.decode(to_item(item).data))  # type: ignore[union-attr]
    assert type(back) is kind
    assert back == item
    for name in GIVEN:
        if hasattr(item, name):
            assert type(getattr(back, name)) is type(getattr(item, name)), name


def test_what_was_computed_once_is_not_computed_again() -> None:
    @dataclass
    class Counted:
        title: str
        length: int = field(init=False)

        def __post_init__(self) -> None:
            self.title += "!"
            self.length = len(self.title)

    assert restorer(Counted)({"title": "a!", "length": 2}) == Counted("a")


class Named(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    one: int = pydantic.Field(alias="One")
    two: int = pydantic.Field(validation_alias=pydantic.AliasChoices("Two", "Zwei"), default=0)


class Naming(pydantic.BaseModel):
    named: list[Named]


def test_aliases_of_pydantic_are_no_hindrance_however_deep() -> None:
    item = Naming(named=[Named(One=1, Zwei=2)])
    assert restorer(Naming)(msgspec.json.decode(to_item(item).data)) == item  # type: ignore[union-attr]


class Doubled(pydantic.BaseModel):
    n: Annotated[int, Field(clean=lambda value: value * 2)]


def test_what_was_cleaned_once_is_not_cleaned_again() -> None:
    item = Doubled(n=2)
    assert item.n == 4
    assert restorer(Doubled)({"n": 4}) == item


# -- over a database


@dataclass
class Book:
    upc: str = Field(key=True)
    price: Decimal = Field(clean=fields.price)
    by: Author | None = None


class Books(Spider):
    start_urls = [SITE + "1"]  # noqa: RUF012

    def __init__(self, upcs: str = "a,b", price: str = "5") -> None:
        self.upcs, self.price = upcs, price

    def parse(self, response: Any) -> Any:
        for upc in self.upcs.split(","):
            yield self.build(Book, upc=upc, price=f"£{self.price}", by={"name": upc.upper()})
        yield {"page": response.url}


async def crawl(db: Path, **arguments: str) -> None:
    await scraper.crawl(Books, db=db, arguments=arguments, fetcher=FakeFetcher({SITE + "1": ""}))


async def test_items_are_read_by_class_kind_run_and_date(tmp_path: Path) -> None:
    db = tmp_path / "b.db"
    await crawl(db)
    with closing(sqlite3.connect(db)) as file:
        file.execute("update items set stored_at = stored_at - 1000")
        (between,) = file.execute("select max(stored_at) + 500 from items").fetchone()
        file.commit()
    await crawl(db, upcs="b,c", price="7")
    a, b, c = Book("a", Decimal(5), Author("A")), Book("b", Decimal(7), Author("B")), Book("c", Decimal(7), Author("C"))
    assert list(scraper.items(db, Book)) == [a, b, c]
    assert list(scraper.items(db, Book, run=1)) == [a]
    assert list(scraper.items(db, Book, run=2)) == [b, c]
    for since in (between, datetime.datetime.fromtimestamp(between, datetime.UTC)):
        assert list(scraper.items(db, Book, since=since)) == [b, c]
    assert list(scraper.items(db, Book, since=datetime.date(2000, 1, 1))) == [a, b, c]
    assert list(scraper.items(db, "book", run=1)) == [{"upc": "a", "price": 5, "by": {"name": "A", "born": None}}]
    assert list(scraper.items(db, dict)) == [{"page": SITE + "1"}]
    assert [next(iter(each)) for each in scraper.items(db)] == ["upc", "upc", "page", "upc"]


async def test_many_items_pass_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = tmp_path / "b.db"
    await crawl(db, upcs=",".join(map(str, range(10))))
    monkeypatch.setattr("scraper.rows.CHUNK", 3)
    assert [book.upc for book in scraper.items(db, Book)] == list(map(str, range(10)))


async def test_rows_that_do_not_fit_are_named(tmp_path: Path) -> None:
    db = tmp_path / "b.db"
    await crawl(db)

    @dataclass
    class New:
        upc: str
        stock: int

    @dataclass
    class Other:
        upc: int

    for fields_, words in ((New, "stock: it is missing; a default"), (Other, "upc: 'a' is not int")):
        kind = type("Book", (fields_,), {})
        with pytest.raises(UsageError, match=rf"book 'a' in .*b\.db does not fit Book: {words}"):
            list(scraper.items(db, kind))


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no database .*none\.db"):
        scraper.items(tmp_path / "none.db")
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as file:
        file.execute("create table t (a)")
    with pytest.raises(UsageError, match="not a database of scraper"):
        list(scraper.items(other))
    with pytest.raises(UsageError, match="no class of items"):
        scraper.items(other, Colour)


async def test_a_database_of_a_newer_scraper_is_not_guessed_at(tmp_path: Path) -> None:
    db = tmp_path / "b.db"
    await crawl(db)
    with closing(sqlite3.connect(db)) as file:
        file.execute("pragma user_version = 1000")
    with pytest.raises(UsageError, match="written by a newer scraper"):
        list(scraper.items(db))
