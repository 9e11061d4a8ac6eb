"""What a class declares: values are converted where nothing is lost, else rejected by name; cleaned; and keyed."""

import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, make_dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import attrs
import msgspec
import pydantic
import pytest

from scraper import DropItem, Field, Response, Spider, fields
from scraper.errors import CallbackError, MissingExtra
from scraper.item import Built, to_item
from scraper.page import Item, Reject
from scraper.typed import MOST_GOOD, types_of

PAGE = Response("http://a.test/books/1", body=b"<h1>x</h1>")


class Colour(enum.Enum):
    RED = "r"


@dataclass
class Author:
    name: str = Field(clean=fields.strip)
    born: int | None = None


def one(hint: Any) -> Any:
    return make_dataclass("One", [("it", hint)])


Upc = NewType("Upc", str)


@pytest.mark.parametrize(
    ("hint", "given", "kept"),
    [
        (float, "12.5", 12.5),
        (float, 12, 12),
        (float, Decimal("1.5"), 1.5),
        (int, " 7 ", 7),
        (int, 7.0, 7),
        (bool, "true", True),
        (str, 7, "7"),
        (str, Decimal("1.50"), "1.50"),
        (Upc, "u", "u"),
        (Decimal, "1.50", Decimal("1.50")),
        (Decimal, 0.1, Decimal("0.1")),
        (datetime.date, "2024-01-02", datetime.date(2024, 1, 2)),
        (datetime.date, datetime.datetime(2024, 1, 2), datetime.date(2024, 1, 2)),
        (datetime.datetime, "2024-01-02T03:04:05Z", datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
        (datetime.datetime, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2)),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (Colour, "r", Colour.RED),
        (pathlib.Path, "/a", pathlib.Path("/a")),
        (bytes, bytearray(b"a"), b"a"),
        (list[str], ["a", 1], ["a", "1"]),
        (list[str], ("a",), ["a"]),
        (tuple[int, str], ["1", "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (Sequence[int], ("1",), (1,)),
        (dict[str, float], {"a": "1"}, {"a": 1.0}),
        (Mapping[str, Any], {"a": object}, {"a": object}),
        (int | None, "5", 5),
        (Decimal | str, "5", "5"),
        (Author, {"name": " x ", "born": "1900"}, Author("x", 1900)),
        (Author | None, Author(" x "), Author("x")),
        (list[Author], [Author(" x ")], [Author("x")]),
        (Annotated[int, msgspec.Meta(ge=3)], "3", 3),
        (Literal["a", "b"], "b", "b"),
        (list[int] | list[str], ["1"], ["1"]),
    ],
)
def test_a_value_is_converted_where_nothing_is_lost(hint: Any, given: Any, kept: Any) -> None:
    from scraper.item import fitted

    item = one(hint)(given)
    found = fitted(item, PAGE).it
    assert (type(found), found) == (type(kept), kept)
    assert item.it is given, "what the spider holds is left alone"


@pytest.mark.parametrize(
    ("hint", "given", "reason"),
    [
        (float, "£12", r"it: '£12' \(str\) is not float"),
        (float, None, r"it: it is None, not float; write 'float \| None' where it may be missing"),
        (float, True, r"it: True \(bool\) is not float"),
        (int, 7.5, r"it: 7\.5 \(float\) is not int"),
        (int, True, r"is not int"),
        (str, True, r"is not str"),
        (str, b"a", r"is not str"),
        (bytes, "YQ==", r"is not bytes"),
        (datetime.date, datetime.datetime(2024, 1, 2, 3), r"is not date"),
        (datetime.datetime, "12345", r"is not datetime"),
        (Colour, "blue", r"'blue' \(str\) is not Colour"),
        (list[str], "a", r"it: 'a' \(str\) is not list\[str\]"),
        (list[str], ["a", None], r"it\[1\]: it is None"),
        (dict[str, int], {"a": "x"}, r"it\['a'\]: 'x' \(str\) is not int"),
        (tuple[int, str], (1,), r"is not tuple\[int, str\]"),
        (int | None, "x", r"'x' \(str\) is not int \| None"),
        (Author, {"name": "x", "age": 5}, r"it\.age: Author has no such field"),
        (Author, Author("x", born="y"), r"it\.born: 'y' \(str\) is not int \| None"),  # type: ignore[arg-type]
        (Author, 5, r"it: 5 is no Author"),
        (Annotated[int, msgspec.Meta(ge=3)], 2, r"it: 2: Expected `int` >= 3"),
        (Literal["a", "b"], "c", r"it: 'c' is not one of 'a', 'b'"),
        (Literal[1], True, r"it: True is not one of 1"),
    ],
)
def test_what_would_be_a_guess_is_rejected_by_name(hint: Any, given: Any, reason: str) -> None:
    reject = to_item(one(hint)(given))
    assert isinstance(reject, Reject)
    with pytest.raises(ValueError, match=f"^{reason}" if reason.startswith("it") else reason):
        raise ValueError(reject.reason)
    assert reject.kind == "one"
    assert reject.data.startswith("One(it=")


def test_all_that_does_not_fit_is_named() -> None:
    reason = to_item(make_dataclass("Two", [("a", int), ("b", str), ("c", int)])("x", None, 3)).reason  # type: ignore[union-attr]
    assert [part.partition(":")[0] for part in reason.split("; ") if part[1] == ":"] == ["a", "b"]


def test_what_declares_nothing_pays_nothing() -> None:
    from scraper.item import _shapes

    for kind in (one(Any), one(object), one("nowhere.Known"), dict):
        value = kind({}) if kind is not dict else {}
        assert isinstance(to_item(value), Item)
        shape = _shapes[type(value)]
        assert shape is not None
        assert shape.types is None


def test_a_checked_class_is_known_by_its_types() -> None:
    from scraper.typed import types_of

    kind = make_dataclass("Known", [("a", int), ("b", str | None)])
    types = types_of(kind)
    assert types is not None
    for value in (kind(1, "x"), kind(1, None), kind(2, "y")):
        assert types.fit(value) is value
    assert types._good == {(int, str), (int, type(None))}
    assert isinstance(to_item(kind("x", None)), Reject)


# -- Field, in every kind of class


@dataclass
class InData:
    upc: str = Field(key=True, clean=fields.strip)
    price: Decimal = Field(clean=[fields.strip, fields.price])
    url: str = Field(clean=fields.absolute_url)
    stock: int = Field(default=0, clean=fields.number)
    tags: list[str] = Field(default_factory=list, clean=fields.strip)


@dataclass(slots=True, frozen=True)
class InSlots:
    upc: Annotated[str, Field(key=True, clean=fields.strip)]
    price: Annotated[Decimal, Field(clean=[fields.strip, fields.price])]
    url: Annotated[str, Field(clean=fields.absolute_url)]
    stock: Annotated[int, Field(clean=fields.number)] = 0
    tags: Annotated[list[str], Field(clean=fields.strip)] = field(default_factory=list)


class InStruct(msgspec.Struct, frozen=True):
    upc: Annotated[str, Field(key=True, clean=fields.strip)]
    price: Annotated[Decimal, Field(clean=[fields.strip, fields.price])]
    url: Annotated[str, Field(clean=fields.absolute_url)]
    stock: Annotated[int, Field(clean=fields.number)] = 0
    tags: Annotated[list[str], Field(clean=fields.strip)] = []


@attrs.frozen
class InAttrs:
    upc: Annotated[str, Field(key=True, clean=fields.strip)]
    price: Annotated[Decimal, Field(clean=[fields.strip, fields.price])]
    url: Annotated[str, Field(clean=fields.absolute_url)]
    stock: Annotated[int, Field(clean=fields.number)] = 0
    tags: Annotated[list[str], Field(clean=fields.strip)] = attrs.field(factory=list)


class InModel(pydantic.BaseModel):
    upc: Annotated[str, Field(key=True, clean=fields.strip)]
    price: Annotated[Decimal, Field(clean=[fields.strip, fields.price])]
    url: Annotated[str, Field(clean=fields.absolute_url)]
    stock: Annotated[int, Field(clean=fields.number)] = 0
    tags: Annotated[list[str], Field(clean=fields.strip)] = []


ALL = [InData, InSlots, InStruct, InAttrs, InModel]


@pytest.mark.parametrize("built", [False, True], ids=["made", "built"])
@pytest.mark.parametrize("make", ALL)
def test_fields_are_cleaned_and_keyed_in_every_kind_of_class(make: Any, built: bool) -> None:
    given = {"upc": " u1 ", "price": " £1,234.50 ", "url": "2", "stock": "In stock (22)", "tags": [" a "]}
    item = to_item(Built(make, given) if built else make(**given), page=PAGE)
    assert isinstance(item, Item), item
    assert item.key == "u1"
    want = {"upc": "u1", "price": Decimal("1234.50"), "url": "http://a.test/books/2", "stock": 22, "tags": ["a"]}
    assert item.value == make(**want)
    assert type(item.value.stock) is int
    plain = to_item(make(upc="u", price=Decimal(1), url="http://b.test/"), page=PAGE)
    assert isinstance(plain, Item), plain
    assert plain.value == make(upc="u", price=Decimal(1), url="http://b.test/")


@pytest.mark.parametrize("make", ALL)
def test_what_cannot_be_cleaned_is_rejected_with_field_value_and_words(make: Any) -> None:
    reject = to_item(Built(make, {"upc": "u", "price": "free", "url": "2"}), page=PAGE)
    assert isinstance(reject, Reject)
    assert reject.kind == make.__name__.lower().replace("in", "in_", 1)
    assert reject.reason.startswith("price: ")
    assert "'free'" in reject.reason
    assert "no number in it" in reject.reason
    assert "free" in reject.data


def test_none_is_never_cleaned_and_a_cleaner_may_drop_or_be_missing() -> None:
    def odd(value: str) -> str:
        raise {"drop": DropItem("not wanted"), "extra": MissingExtra("pip")}.get(value) or KeyError(value)

    kind = make_dataclass("Odd", [("it", Annotated[str | None, Field(clean=odd)])])
    assert isinstance(to_item(kind(None), page=PAGE), Item)
    assert to_item(kind("x"), page=PAGE).reason == "it: odd cannot clean 'x': KeyError: 'x'"  # type: ignore[union-attr]
    with pytest.raises(DropItem, match="not wanted"):
        to_item(kind("drop"), page=PAGE)
    with pytest.raises(MissingExtra, match="pip"):
        to_item(kind("extra"), page=PAGE)


def test_what_a_class_refuses_is_a_reject_when_it_is_built() -> None:
    @dataclass
    class Strict:
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise ValueError("n must not be negative")

    class Model(pydantic.BaseModel):
        n: int = pydantic.Field(ge=0)

    spider = type("Any", (Spider,), {})()
    assert to_item(spider.build(Strict, n="-1"), page=PAGE).reason == "n must not be negative"
    assert to_item(spider.build(Strict, n="5"), page=PAGE).value == Strict(5)
    assert (
        "n: Input should be greater than or equal to 0, not -1" in to_item(spider.build(Model, n=-1), page=PAGE).reason
    )
    assert "missing 1 required" in to_item(spider.build(Strict), page=PAGE).reason
    with pytest.raises(CallbackError, match="no class of items"):
        to_item(spider.build(Colour, n=1), page=PAGE)


def test_a_missing_key_is_told_as_such() -> None:
    @dataclass
    class Numbered:
        n: int = Field(key=True)

    for value in (None, ""):
        assert to_item(Numbered(value)).reason == "the key field 'n' is empty"  # type: ignore[arg-type, union-attr]


def test_an_item_within_an_item_is_held_to_its_own_class() -> None:
    @dataclass
    class Author:
        name: str

    @dataclass
    class Dated(Author):
        born: int

    @dataclass
    class By:
        author: Author

    assert to_item(By(Dated("a", "1900"))).value == By(Dated("a", 1900))  # type: ignore[arg-type, union-attr]
    assert "author.born: 'x' (str) is not int" in to_item(By(Dated("a", "x"))).reason  # type: ignore[arg-type, union-attr]


def test_few_combinations_of_types_are_remembered() -> None:
    @dataclass
    class Free:
        a: Any
        n: int = 0

    for _ in range(MOST_GOOD + 10):
        to_item(Free(type("Other", (), {})))
        to_item(Free(type("Other", (dict,), {})()))
    assert len(types_of(Free)._good) == MOST_GOOD  # type: ignore[union-attr]


def test_build_takes_what_the_constructor_takes() -> None:
    @dataclass
    class Scaled:
        n: int
        factor: InitVar[int] = 1

        def __post_init__(self, factor: int) -> None:
            self.n *= factor

    @attrs.define
    class Named:
        n: Annotated[int, Field(clean=fields.number)] = attrs.field(alias="N")
        _hidden: int = 0

    spider = type("Any", (Spider,), {})()
    assert to_item(spider.build(Scaled, n="2", factor=3), page=PAGE).value == Scaled(2, 3)
    for values in ({"N": "1,234"}, {"n": "1,234"}):
        assert to_item(spider.build(Named, **values, hidden=5), page=PAGE).value == Named(1234, hidden=5)
    assert "other: Scaled has no such field" in to_item(spider.build(Scaled, n=1, other=2), page=PAGE).reason


def test_a_field_where_it_would_not_be_seen_is_an_error() -> None:
    class Struct(msgspec.Struct):
        price: Decimal = Field(clean=fields.price)

    @attrs.define
    class Attrs:
        price: Decimal = Field(clean=fields.price)

    class Model(pydantic.BaseModel):
        price: Decimal = Field(clean=fields.price)

    class Unresolved:
        __annotations__ = {"price": "Annotated[nowhere.Decimal, Field()]"}

    unresolved = dataclass(Unresolved)
    for value in (Struct(Decimal(1)), Attrs(Decimal(1)), Model(price=Decimal(1))):
        with pytest.raises(CallbackError, match=r"price = Field\(…\) is for dataclasses; write price: Annotated"):
            to_item(value)
    with pytest.raises(CallbackError, match=r"Unresolved\.price: its annotation .* cannot be resolved"):
        to_item(unresolved(1))  # type: ignore[call-arg]


def test_two_declared_keys_must_be_the_same() -> None:
    @dataclass
    class Both:
        key = "a"
        a: str
        b: str = Field(key=True)

    @dataclass
    class Pair:
        a: str = Field(key=True)
        b: int = Field(key=True)

    with pytest.raises(CallbackError, match=r"Both\.key names a, and Field\(key=True\) b"):
        to_item(Both("x", "y"))
    assert to_item(Pair("x", 1)).key == '["x",1]'  # type: ignore[union-attr]
    assert "'a' is empty" in to_item(Pair("", 1)).reason  # type: ignore[union-attr]


def test_decimal_context_does_not_round() -> None:
    with decimal.localcontext(prec=3):
        assert fields.price("123456.789") == Decimal("123456.789")
