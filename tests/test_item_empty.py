"""Items: the fields that hold nothing are named, whatever the values make of their own truth."""

import datetime
import decimal
from dataclasses import dataclass, field
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from test_item import ALL, BookModel

from scraper.item import to_item
from scraper.page import Item


class NoTruth:
    """As an array is: neither true nor false, and equal to nothing in particular."""

    def __bool__(self):
        raise ValueError("the truth of an array is ambiguous")

    __eq__ = __ne__ = __len__ = __hash__ = __bool__

    def model_dump(self, mode):
        return [1, 2]


class FalseModel(pydantic.BaseModel):
    a: int = 1

    def __bool__(self):
        return False


@dataclass
class RowData:
    odd: Any
    text: str
    number: float


class RowStruct(msgspec.Struct):
    odd: Any
    text: str
    number: float


@attrs.define
class RowAttrs:
    odd: Any
    text: str
    number: float


EMPTY = [None, "", b"", bytearray(), [], (), set(), frozenset(), {}, float("nan"), float("inf")]
FULL = [0, 0.0, -0.0, False, " ", [None], [""], {"a": None}, decimal.Decimal(0), datetime.timedelta(0)]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_what_holds_nothing_is_named(make, value):
    assert to_item(make(upc="u1", more=value)).empty == ("more",)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("value", [*FULL, FalseModel(), NoTruth()], ids=lambda value: type(value).__name__)
def test_zero_and_false_and_what_says_nothing_of_itself_are_values(make, value):
    if make is BookModel and isinstance(value, NoTruth):
        value = "pydantic does not dump such an object"
    item = to_item(make(upc="u1", more=value))
    assert isinstance(item, Item)
    assert item.empty == ()


@pytest.mark.parametrize("make", [dict, RowData, RowStruct, RowAttrs])
def test_an_object_without_truth_hides_no_empty_field(make):
    assert to_item(make(odd=NoTruth(), text="", number=float("nan"))).empty == ("text", "number")


def test_all_empty_fields_are_named_in_the_order_of_the_fields():
    assert to_item({"a": None, "b": 1, "c": "", 4: []}).empty == ("a", "c", "4")
    assert to_item({}).empty == ()


def test_a_class_of_one_field_or_none():
    @dataclass
    class Single:
        a: Any

    @dataclass
    class Nothing:
        pass

    assert to_item(Single(None)).empty == to_item(Single("")).empty == ("a",)
    assert to_item(Single([1])).empty == to_item(Single("ab")).empty == to_item(Nothing()).empty == ()


def test_an_empty_field_has_the_name_under_which_it_is_stored():
    class Renamed(msgspec.Struct, rename="camel", omit_defaults=True):
        first_name: str = ""
        last_name: str = "x"
        unset_yet: str | msgspec.UnsetType = msgspec.UNSET

    class Model(pydantic.BaseModel):
        a: pydantic.SecretStr | None = None
        secret: str = pydantic.Field(default="", exclude=True)

        @pydantic.computed_field
        def twice(self) -> str:
            return ""

    assert to_item(Renamed()).empty == ("firstName", "unsetYet")
    assert to_item(Model()).empty == ("a", "twice")


@pytest.mark.parametrize("slots", [True, False])
def test_an_attribute_that_was_never_set_holds_nothing(slots):
    @dataclass(slots=slots)
    class Late:
        a: int
        b: str = field(init=False)

    assert to_item(Late(1)).empty == ("b",)
