"""Items: anything with fields becomes a kind, a key and one JSON object.

dict, dataclass, msgspec.Struct, attrs and pydantic are told apart by what they look like, so none of
these libraries is imported here (msgspec, which writes the JSON, is).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from scraper.page import Item, Reject


class Shape(NamedTuple):
    """What a type of item looks like. ``fields`` is None when each item has its own (dict)."""

    kind: str
    fields: tuple[str, ...] | None
    key: tuple[str, ...]


def is_item(value: object) -> bool:
    """True for what can be yielded as an item."""
    return _shape(type(value)) is not None


def to_item(value: Any) -> Item | Reject:
    """``value`` ready to be stored, or the reason why it cannot be. ``value`` must pass ``is_item``."""
    shape = _shape(type(value))
    assert shape is not None, value
    try:
        if hasattr(value, "model_dump"):
            data = _encoder.encode(value.model_dump(mode="json"))
        else:
            data = _encoder.encode(value)
        fields = shape.fields if shape.fields is not None else tuple(map(str, value))
        return Item(shape.kind, _key(shape, value), data.decode(), fields, value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        reason = f"{type(error).__name__}: {error}"
        return Reject(shape.kind, _storable(reason)[:1000], _storable(repr(value))[:4000])


def _key(shape: Shape, value: Any) -> str | None:
    if not shape.key:
        return None
    parts = [getattr(value, name) for name in shape.key]
    for name, part in zip(shape.key, parts, strict=True):
        if part is None or part == "":
            raise ValueError(f"the key field {name!r} is empty")
    return str(parts[0]) if len(parts) == 1 else _encoder.encode(parts).decode()


def _storable(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=512)
def _shape(kind: type) -> Shape | None:
    fields: tuple[str, ...] | None
    if issubclass(kind, dict):
        return Shape("item" if kind is dict else snake(kind.__name__), None, ())
    if hasattr(kind, "__dataclass_fields__"):
        fields = tuple(kind.__dataclass_fields__)
    elif hasattr(kind, "__struct_fields__"):
        fields = tuple(getattr(kind, "__struct_encode_fields__", kind.__struct_fields__))
    elif hasattr(kind, "__attrs_attrs__"):
        fields = tuple(each.name for each in kind.__attrs_attrs__)
    elif hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        fields = tuple(kind.model_fields)
    else:
        return None
    key = () if "key" in fields else getattr(kind, "key", ())
    if isinstance(key, str):
        key = (key,)
    if not (isinstance(key, tuple) and all(hasattr(kind, "__annotations__") and isinstance(k, str) for k in key)):
        key = ()
    return Shape(snake(kind.__name__), fields, key)


def snake(name: str) -> str:
    """``BookReview`` -> ``book_review``: the kind of a class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
