"""Items: anything with fields becomes a kind, a key and one JSON object.

dict, dataclass, msgspec.Struct, attrs and pydantic are told apart by what they look like, so none of
these libraries is imported here (msgspec, which writes the JSON, is).
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from scraper.errors import CallbackError
from scraper.page import Item, Reject


class Shape(NamedTuple):
    """What a type of item looks like. ``fields`` is None when each item has its own (dict, pydantic)."""

    kind: str
    fields: tuple[str, ...] | None
    key: tuple[str, ...] = ()
    dumps: bool = False
    """pydantic: ``model_dump`` says what is stored."""
    attributes: tuple[str, ...] = ()
    """Where the values of ``fields`` are; a Struct may rename what it stores."""
    values: Callable[[Any], Iterable[Any]] = dict.values
    """All values at once. May raise AttributeError: an attribute can be unset."""


def is_item(value: object) -> bool:
    """True for what can be yielded as an item."""
    return _shapes[type(value)] is not None


def to_item(value: Any, most: int = sys.maxsize) -> Item | Reject:
    """``value`` ready to be stored, or the reason why it cannot be. ``value`` must pass ``is_item``.

    One of more than ``most`` bytes as JSON cannot be.
    Decimal, date, UUID, Enum, bytes (base64), set, nested items: as msgspec writes them. NaN is null.
    Raises CallbackError for a class whose declared key is not among its fields.
    """
    shape = _shapes[type(value)]
    assert shape is not None, value
    kind, fields, key, dumps, _, values = shape  # sooner than by name: this runs for every item
    try:
        plain = value.model_dump(mode="json") if dumps else value
        data = _encode(plain)
        if data[:1] != b"{":
            raise TypeError("its JSON is not an object")
        if len(data) > most:
            words = f"{len(data):,} bytes of JSON, more than max_item_size ({most:,})"
            return Reject(kind, words, data[:4000].decode("utf-8", "replace"))
        if fields is None:
            fields = tuple(map(str, plain))
        empty: tuple[str, ...] = ()
        try:  # in the usual case nothing is empty, and no more is asked than what costs least
            for each in values(plain):
                if not each or (type(each) is float and each - each):  # of NaN and infinity that is NaN, else 0
                    empty = _empty(shape, fields, plain)
                    break
        except Exception:  # an unset attribute, or an object that has no truth, such as an array
            empty = _empty(shape, fields, plain)
        return Item(kind, _key(key, value) if key else None, data.decode(), fields, value, empty)
    except Exception as error:  # of any serialiser: the page is kept, and the reason beside it
        return Reject(kind, _storable(f"{type(error).__name__}: {error}")[:1000], _storable(_shown(value))[:4000])


def _empty(shape: Shape, fields: tuple[str, ...], plain: Any) -> tuple[str, ...]:
    """The names of the fields that hold nothing; by type, for ``==`` and truth are what each object makes of them."""
    values = dict.values(plain) if shape.fields is None else [getattr(plain, name, None) for name in shape.attributes]
    return tuple(name for name, value in zip(fields, values, strict=True) if _is_empty(value))


def _is_empty(value: object) -> bool:
    """None (and NaN, which is stored as null), "" and what has no elements. 0 and False are values."""
    if isinstance(value, float):
        return value - value != 0.0
    return value is None or value is msgspec.UNSET or (isinstance(value, _SIZED) and len(value) == 0)


def _key(names: tuple[str, ...], value: Any) -> str:
    parts = [getattr(value, name) for name in names]
    if len(parts) == 1 and type(parts[0]) is str and parts[0]:  # the usual case, sooner
        return parts[0]
    for name, part in zip(names, parts, strict=True):
        if part is None or part == "":
            raise ValueError(f"the key field {name!r} is empty")
    if len(parts) > 1:
        return _encode(parts).decode()
    return str(msgspec.to_builtins(parts[0], enc_hook=_plain))


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # it nests too deeply, or is broken itself: the reject is kept all the same
        return f"<{type(value).__name__}: {type(error).__name__} in repr()>"


def _storable(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Shapes(dict[type, Shape | None]):
    """The shape of a type, found out once."""

    def __missing__(self, kind: type) -> Shape | None:
        self[kind] = shape = _shape(kind)
        return shape


def _shape(kind: Any) -> Shape | None:
    if issubclass(kind, type):  # the class itself, where an instance was meant
        return None
    if issubclass(kind, dict):
        return Shape("item" if kind is dict else snake(kind.__name__), None)
    fields: tuple[str, ...]
    dumps = hasattr(kind, "model_dump") and hasattr(kind, "model_fields")
    if dumps:
        fields = tuple(kind.model_fields)
    elif dataclasses.is_dataclass(kind):
        fields = tuple(each.name for each in dataclasses.fields(kind))
    elif hasattr(kind, "__struct_fields__"):
        fields = kind.__struct_fields__
    elif hasattr(kind, "__attrs_attrs__"):
        fields = tuple(each.name for each in kind.__attrs_attrs__ if not each.name.startswith("_"))
    else:
        return None
    key = getattr(kind, "key", ())
    names = (key,) if isinstance(key, str) else key
    if "key" in fields or not isinstance(names, tuple):  # a field or a method of that name declares nothing
        names = ()
    for name in names:
        if name not in fields:
            raise CallbackError(f"{kind.__name__}.key names {name!r}, which is not one of {', '.join(fields)}")
    if dumps:
        return Shape(snake(kind.__name__), None, names, True)
    stored = getattr(kind, "__struct_encode_fields__", fields)
    return Shape(snake(kind.__name__), stored, names, False, fields, _reader(fields))


def _reader(fields: tuple[str, ...]) -> Callable[[Any], Iterable[Any]]:
    read = attrgetter(*fields) if fields else lambda value: ()
    return read if len(fields) != 1 else lambda value: (read(value),)


def snake(name: str) -> str:
    """``BookReview`` -> ``book_review``: the kind of a class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


_SIZED = (str, bytes, bytearray, memoryview, list, tuple, set, frozenset, dict)
_shapes = _Shapes()
_encode = msgspec.json.Encoder(enc_hook=_plain).encode
