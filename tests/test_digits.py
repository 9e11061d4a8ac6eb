"""Decimals are numbers in the database, with every digit, and come back as they went."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest
import typing_extensions
from exporting import export

import scraper
from scraper import Field, Spider
from scraper.digits import decoded
from scraper.item import to_item
from scraper.page import Item, Reject
from scraper.restore import restorer
from scraper.testing.fakes import FakeFetcher

SITE = "http://a.test/"
DIGITS = ["0.1", "10.00", "1E+3", "12345678901234567890.123456789", "-0", "-0.00", "7", "1E-7", "123456789012345678901"]


class Rate(Enum):
    LOW = Decimal("0.10")


class Part(typing_extensions.TypedDict):
    price: Decimal


class Inner(pydantic.BaseModel):
    price: Decimal | None = pydantic.Field(default=None, alias="Price")
    weight: float = 12.0
    inner: Inner | None = None


@dataclass
class Data:
    price: Decimal = Field(key=True)
    weight: float
    prices: dict[str, list[Decimal | None]]
    either: Decimal | str
    text: Decimal | str
    model: Inner | None = None
    rate: Rate = Rate.LOW
    free: Any = None


class Struct(msgspec.Struct, rename="camel"):
    unit_price: Decimal


@attrs.define
class Attrs:
    price: Decimal


class Model(pydantic.BaseModel):
    price: Annotated[Decimal, pydantic.Field(ge=-1)]
    weight: float
    prices: list[Decimal]
    pair: tuple[int, Decimal]
    by_name: dict[str, Decimal]
    unique: set[Decimal]
    inner: Inner
    inners: list[Inner]
    part: Part
    free: Any = None


def all_of(text: str) -> list[Any]:
    price = Decimal(text)
    inner = Inner(Price=price, inner=Inner(Price=price))
    return [
        Data(price, 12.0, {"a": [price, None]}, price, text, inner),
        Struct(price),
        Attrs(price),
        Model(
            price=price,
            weight=12.0,
            prices=[price],
            pair=(1, price),
            by_name={"a": price},
            unique={price, Decimal("0.50")},
            inner=inner,
            inners=[inner],
            part={"price": price},
        ),
    ]


@pytest.mark.parametrize("text", DIGITS)
def test_every_digit_is_stored_as_a_number_and_comes_back(text: str) -> None:
    for item in all_of(text):
        stored = to_item(item)
        assert isinstance(stored, Item), stored
        assert f'rice":{text},' in stored.data or f'rice":{text}}}' in stored.data
        assert f'"{text}"' not in stored.data.replace(f'"text":"{text}"', "")
        back = restorer(type(item))(decoded(stored.data))
        assert repr(back) == repr(item)  # of a Decimal it has every digit; of equal ones the types may differ
    assert to_item({"a": [Decimal(text)]}).data == f'{{"a":[{text}]}}'


def test_a_text_that_looks_like_a_number_stays_one() -> None:
    item = Data(Decimal("1.0"), 0.5, {}, "5", "6.50", free={"a": 0.25, "b": [1]})
    back = restorer(Data)(decoded(to_item(item).data))
    assert back == item
    assert type(back.free["a"]) is float


def test_texts_of_older_rows_are_still_read() -> None:
    assert restorer(Attrs)({"price": "10.00"}) == Attrs(Decimal("10.00"))
    assert restorer(Inner)({"price": "10.00"}) == Inner(Price=Decimal("10.00"))


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity", "1E+400", "1" * 5000])
def test_what_is_no_json_number_is_rejected_by_its_field(text: str) -> None:
    for item in ({"title": "a", "price": Decimal(text)}, {"title": "a", "price": {"b": [Decimal(text)]}}):
        stored = to_item(item)
        assert isinstance(stored, Reject)
        assert "price: NaN, an infinite Decimal and one beyond 1e308 are no JSON numbers" in stored.reason
    for value in (text, Decimal(text)):
        fits = to_item(Attrs(value))  # type: ignore[arg-type]
        assert isinstance(fits, Reject), value
        assert fits.reason.startswith("price: ")


def test_a_dict_by_decimals_is_rejected_with_words() -> None:
    stored = to_item({"prices": {Decimal("1.5"): 1}})
    assert isinstance(stored, Reject)
    assert "prices: a dict with a Decimal for a key" in stored.reason


def test_a_key_stays_the_text_of_the_decimal() -> None:
    @dataclass
    class Offer:
        key = ("shop", "price")
        shop: str
        price: Decimal

    assert to_item(all_of("10.00")[0]).key == "10.00"
    assert to_item(Offer("a", Decimal("1.50"))).key == '["a","1.50"]'


# -- over a database


@dataclass
class Book:
    price: Decimal = Field(key=True)
    prices: list[Decimal]


PRICES = ["100.00", "9.99", "20", "10.00", "1E+1"]


class Books(Spider):
    start_urls = [SITE]  # noqa: RUF012

    def parse(self, response: Any) -> Any:
        for price in PRICES:
            yield Book(Decimal(price), [Decimal(price)])


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    path = tmp_path / "b.db"
    await scraper.crawl(Books, db=path, fetcher=FakeFetcher({SITE: ""}))
    return path


async def test_sql_sorts_and_compares_them_as_numbers(db: Path) -> None:
    with closing(sqlite3.connect(db)) as file:
        found = [price for (price,) in file.execute("select price from book order by price")]
        (few,) = file.execute("select count(*) from book where price < 10.5").fetchone()
    assert found == [9.99, 10, 10, 20, 100]
    assert few == 3
    assert [str(book.price) for book in scraper.items(db, Book)] == PRICES
    assert [book["price"] for book in scraper.items(db, "book")] == [100, 9.99, 20, 10, 10]


async def test_files_sort_them_as_numbers_and_keep_their_digits(db: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    ordered = ["9.99", "10.00", "1E+1", "20", "100.00"]
    for name in ("b.csv", "b.jsonl", "b.xml", "b.parquet"):
        export(db, db.parent / name, "--order", "price")
    rows = list(csv.DictReader(io.StringIO((db.parent / "b.csv").read_text())))
    assert [row["price"] for row in rows] == ordered
    assert [row["prices"] for row in rows] == [f"[{price}]" for price in ordered]
    lines = (db.parent / "b.jsonl").read_text().splitlines()
    assert lines == [f'{{"price":{price},"prices":[{price}]}}' for price in ordered]
    xml = (db.parent / "b.xml").read_text()
    assert all(f"<price>{price}</price>" in xml and f"<value>{price}</value>" in xml for price in ordered)
    table = pyarrow.read_table(db.parent / "b.parquet")
    assert str(table.schema.field("price").type) == "double"
    assert table["price"].to_pylist() == [9.99, 10, 10, 20, 100]
    assert [json.loads(each) for each in table["prices"].to_pylist()] == [[9.99], [10], [10], [20], [100]]


def test_a_text_that_is_no_number_is_no_decimal() -> None:
    stored = to_item(Attrs("NaN"))  # type: ignore[arg-type]
    assert isinstance(stored, Reject)
    assert stored.reason == "price: 'NaN' (str) is not Decimal"
