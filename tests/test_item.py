"""Items: every sort of object becomes a kind, a key and a JSON object, or a reject that says why."""

import datetime
import decimal
import enum
import json
import pathlib
import re
import uuid
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar, NamedTuple

import attrs
import msgspec
import pydantic
import pytest

from scraper.errors import CallbackError
from scraper.item import is_item, snake, to_item
from scraper.page import Item, Reject


@dataclass
class BookData:
    key = "upc"

    upc: str
    more: Any = None


@dataclass
class AnyKey:
    key = "upc"

    upc: Any


@dataclass(slots=True)
class BookSlots:
    key: ClassVar[str] = "upc"

    upc: str
    more: Any = None


class BookStruct(msgspec.Struct):
    upc: str
    more: Any = None
    key: ClassVar[str] = "upc"


@attrs.define
class BookAttrs:
    upc: str
    more: Any = None
    key: ClassVar[str] = "upc"


class BookModel(pydantic.BaseModel):
    upc: str
    more: Any = None
    key: ClassVar[str] = "upc"


KEYED = [BookData, BookSlots, BookStruct, BookAttrs, BookModel]
ALL = [*KEYED, dict]


class Colour(enum.Enum):
    RED = "r"


@pytest.mark.parametrize("make", KEYED)
def test_each_sort_of_class_is_a_kind_with_fields_and_key(make):
    value = make(upc="u1", more=[1])
    item = to_item(value)
    assert isinstance(item, Item)
    assert (item.kind, item.key, item.fields) == (snake(make.__name__), "u1", ("upc", "more"))
    assert json.loads(item.data) == {"upc": "u1", "more": [1]}
    assert item.value is value


def test_a_dict_is_an_item_of_its_own_fields():
    class BookReview(dict):
        pass

    item = to_item({"a": 1, "b": None})
    assert (item.kind, item.key, item.data, item.fields) == ("item", None, '{"a":1,"b":null}', ("a", "b"))
    assert to_item(BookReview(a=1)).kind == "book_review"
    assert to_item({}).data == "{}"


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (decimal.Decimal("1.50"), 1.5),
        (datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC), "2020-01-02T03:00:00Z"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.timedelta(seconds=3), "PT3S"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("/a/b"), "/a/b"),
        (Colour.RED, "r"),
        ({1}, [1]),
        ((1, "é", "\U0001f600", "\0"), [1, "é", "\U0001f600", "\0"]),
        ({1: {"a": [None, True]}}, {"1": {"a": [None, True]}}),
        (2**200, 2**200),
        (-(2**63), -(2**63)),
        (float("nan"), None),
        ([BookModel(upc="x", more=datetime.date(2020, 1, 2))], [{"upc": "x", "more": "2020-01-02"}]),
        (BookData("x", {"y": 1.5}), {"upc": "x", "more": {"y": 1.5}}),
    ],
)
def test_values_are_stored_as_json_has_them(make, value, stored):
    assert json.loads(to_item(make(upc="u1", more=value)).data) == {"upc": "u1", "more": stored}


def test_bytes_are_base64_and_nested_items_are_objects():
    nested = [BookStruct("a"), BookAttrs("b"), BookModel(upc="c")]
    item = to_item(BookData("u", {"raw": b"\xff\0", "nested": nested}))
    assert json.loads(item.data)["more"] == {"raw": "/wA=", "nested": [{"upc": u, "more": None} for u in "abc"]}


recursive = {}
recursive["again"] = recursive
deep = []
for _ in range(100_000):
    deep = [deep]


class Unshowable:
    def __repr__(self):
        raise RuntimeError("broken")


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "object"),
        (lambda: 1, "function"),
        ("cut \ud83d", "surrogates not allowed"),
        ({"\ud83d": 1}, "surrogates not allowed"),
        (recursive, "(?i)recursi|circular"),
        (deep, "(?i)recursi|circular|depth"),
        (Unshowable(), "Unshowable"),
    ],
    ids=["object", "function", "surrogate", "surrogate key", "recursive", "deep", "unshowable"],
)
def test_what_cannot_be_stored_is_a_reject_with_its_reason(make, value, reason):
    item = make(upc="u1", more=value)
    reject = to_item(item)
    assert isinstance(reject, Reject)
    assert reject.kind == ("item" if make is dict else snake(make.__name__))
    assert re.search(reason, reject.reason)
    assert reject.data.startswith(("{'upc': 'u1'", make.__name__ + "(", "<"))
    assert len(reject.reason) <= 1000
    assert len(reject.data) <= 4000
    (reject.reason + reject.data).encode()  # so that the reject itself can be stored


def test_a_reject_shows_even_what_utf8_cannot_hold():
    class Odd:
        def __repr__(self):
            return "odd \ud83d"

    assert to_item({"a": Odd()}).data == "{'a': odd \\ud83d}"


def test_a_serialiser_that_raises_anything_rejects_only_its_item():
    class Odd(pydantic.BaseModel):
        a: int

        @pydantic.field_serializer("a")
        def _dump(self, value):
            raise KeyError("odd")

    assert isinstance(to_item(Odd(a=1)), Reject)


def test_what_is_no_json_object_is_rejected():
    class Row(msgspec.Struct, array_like=True):
        a: int

    assert "not an object" in to_item(Row(1)).reason


# -- keys


@pytest.mark.parametrize("make", KEYED)
@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_key_is_rejected(make, empty):
    value = make.model_construct(upc=empty) if make is BookModel else make(upc=empty)
    assert "the key field 'upc' is empty" in to_item(value).reason


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (0, "0"),
        (7, "7"),
        (1.5, "1.5"),
        (" ", " "),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (Colour.RED, "r"),
        (b"\xff", "/w=="),
    ],
)
def test_a_key_is_the_text_of_what_is_stored(value, key):
    assert to_item(AnyKey(value)).key == key


def test_a_tuple_names_a_key_of_several_fields():
    @dataclass
    class Offer:
        key = ("shop", "sku")
        shop: str
        sku: Any

    assert to_item(Offer("a", 1)).key == '["a",1]'
    assert to_item(Offer("a", datetime.date(2020, 1, 2))).key == '["a","2020-01-02"]'
    assert to_item(Offer("a,b", "c")).key != to_item(Offer("a", "b,c")).key
    assert "'sku' is empty" in to_item(Offer("a", None)).reason


def test_a_key_that_is_no_field_is_the_callbacks_error():
    @dataclass
    class Typo:
        key = "ucp"
        upc: str

    with pytest.raises(CallbackError, match=r"Typo\.key names 'ucp', which is not one of upc"):
        to_item(Typo("x"))


def test_a_field_or_method_called_key_declares_nothing():
    @dataclass
    class Entry:
        key: str = "default"

    @dataclass
    class Method:
        a: str

        def key(self):
            return self.a

    assert (to_item(Entry("x")).key, to_item(Entry("x")).fields) == (None, ("key",))
    assert to_item(Method("x")).key is None


def test_a_key_is_inherited():
    @dataclass
    class Sub(BookData):
        extra: int = 0

    assert (to_item(Sub("u")).key, to_item(Sub("u")).fields) == ("u", ("upc", "more", "extra"))


# -- fields are the columns of the view: those that the JSON has


def fields_and_json(value):
    item = to_item(value)
    assert set(item.fields) == set(json.loads(item.data))
    return item.fields


def test_fields_are_the_names_in_the_json():
    @dataclass
    class Data:
        a: int
        klass: ClassVar[int] = 1
        given: InitVar[int] = 2
        hidden: int = field(default=3, repr=False)

    class Renamed(msgspec.Struct, rename="camel"):
        a_b: int

    @attrs.define
    class Private:
        a: int
        _b: int = 2

    class Model(pydantic.BaseModel, extra="allow"):
        a: int
        secret: int = pydantic.Field(default=1, exclude=True)
        site: pydantic.HttpUrl = pydantic.HttpUrl("http://example.org/")

        @pydantic.computed_field
        def twice(self) -> int:
            return 2 * self.a

    assert fields_and_json(Data(1)) == ("a", "hidden")
    assert fields_and_json(Renamed(1)) == ("aB",)
    assert fields_and_json(Private(1)) == ("a",)
    assert set(fields_and_json(Model(a=1, more=2))) == {"a", "site", "twice", "more"}
    assert fields_and_json({"a": 1, 2: 3}) == ("a", "2")


class Pair(NamedTuple):
    a: int


@pytest.mark.parametrize("value", ["text", b"", 1, 1.5, [1], (1,), {1}, Pair(1), object(), *ALL, Colour.RED])
def test_other_things_are_no_items(value):
    assert not is_item(value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Book", "book"),
        ("BookReview", "book_review"),
        ("HTMLPage", "html_page"),
        ("Page2Item", "page2_item"),
        ("a", "a"),
    ],
)
def test_a_kind_is_the_class_name_in_snake_case(name, kind):
    assert snake(name) == kind
