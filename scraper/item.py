"""Items: anything with fields becomes a kind, a key and one JSON object.

dict, dataclass, msgspec.Struct, attrs and pydantic are told apart by what they look like, so none of
these libraries is imported here (msgspec, which writes the JSON, is). What the fields of a class declare
is ``typed``'s, which a spider of dicts never imports.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scraper.errors import CallbackError, DropItem, MissingExtra
from scraper.page import Item, Reject, Unfit

if TYPE_CHECKING:
    from scraper.typed import Types


class Built:
    """An item that is still to be made: of a class, from values as the page has them."""

    __slots__ = ("given", "kind")

    def __init__(self, kind: type, given: dict[str, Any]) -> None:
        self.kind = kind
        self.given = given

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"


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
    types: Types | None = None
    """What its fields declare; None: nothing that could be cleaned or checked."""


def is_item(value: object) -> bool:
    """True for what can be yielded as an item."""
    return _shapes[type(value)] is not None


def to_item(value: Any, most: int = sys.maxsize, page: Any = None) -> Item | Reject:
    """``value`` ready to be stored, or the reason why it cannot be. ``value`` must pass ``is_item``.

    Its fields are checked against what its class declares, and cleaned before that when there is a ``page`` (a
    Response). One of more than ``most`` bytes as JSON cannot be stored.
    Date, UUID, Enum, bytes (base64), set, nested items: as msgspec writes them. NaN is null. A Decimal is a
    number with just its digits.
    Raises CallbackError for a class whose declared key is not among its fields, and what ``fitted`` raises.
    """
    shape = _shapes[type(value)]
    assert shape is not None, value
    kind, fields, key, dumps, _, values, types = shape  # sooner than by name: this runs for every item
    try:
        if types is not None:
            fitted = types.fit(value, page)
            if type(fitted) is not type(value):
                return to_item(fitted, most)
            value = fitted
        plain = _dumped(value) if dumps else value
        try:
            data = _encode(plain)
        except _NoJson as flaw:
            raise Unfit(_which(map(str, plain) if fields is None else fields, values(plain), flaw)) from None
        if data[:1] != b"{":
            raise TypeError("its JSON is not an object")
        if len(data) > most:
            words = f"{len(data):,} bytes of JSON, more than max_item_size ({most:,})"
            return Reject(kind, words, data[:4000].decode("utf-8", "replace"))
        if fields is None:
            fields = tuple(map(str, plain))
        try:
            _read(data)
        except msgspec.DecodeError:
            raise Unfit(_no_number(fields, values(plain))) from None
        empty: tuple[str, ...] = ()
        try:  # in the usual case nothing is empty, and no more is asked than what costs least
            for each in values(plain):
                if not each or (type(each) is float and each - each):  # of NaN and infinity that is NaN, else 0
                    empty = _empty(shape, fields, plain)
                    break
        except Exception:  # an unset attribute, or an object that has no truth, such as an array
            empty = _empty(shape, fields, plain)
        return Item(kind, _key(key, value) if key else None, data.decode(), fields, value, empty)
    except (DropItem, CallbackError, MissingExtra):
        raise
    except Exception as error:  # of any serialiser: the page is kept, and the reason beside it
        return _reject(value, error)


def fitted(value: Any, page: Any = None) -> Any:
    """The item as its class declares it, or its Reject; see ``to_item``.

    Raises DropItem of what cleans, CallbackError for a class that cannot be, MissingExtra.
    """
    shape = _shapes[type(value)]
    assert shape is not None, value
    try:
        return value if shape.types is None else shape.types.fit(value, page)
    except (DropItem, CallbackError, MissingExtra):
        raise
    except Exception as error:
        return _reject(value, error)


def kind_of(value: Any) -> str:
    """The kind of an item."""
    if type(value) is Built:
        return snake(value.kind.__name__)
    shape = _shapes[type(value)]
    assert shape is not None, value
    return shape.kind


def reject(value: Any, reason: str) -> Reject:
    """An item that is not stored, for this reason."""
    return Reject(kind_of(value), _storable(reason)[:1000], _storable(_shown(value))[:4000])


def _reject(value: Any, error: Exception) -> Reject:
    return reject(value, str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}")


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
    parts = [value.get(name) for name in names] if isinstance(value, dict) else [getattr(value, name) for name in names]
    if len(parts) == 1 and type(parts[0]) is str and parts[0]:  # the usual case, sooner
        return parts[0]
    for name, part in zip(names, parts, strict=True):
        if part is None or part == "":
            raise ValueError(f"the key field {name!r} is empty")
    if len(parts) > 1:
        return _encode_key(parts).decode()
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
        return Shape("item" if kind is dict else snake(kind.__name__), None, _named(getattr(kind, "key", ())))
    if kind is not Built and not any(hasattr(kind, name) for name in _MARKS):
        return None
    from scraper.typed import BUILDING, names_of, types_of

    if kind is Built:
        return Shape("item", None, types=BUILDING)  # type: ignore[arg-type]
    fields = names_of(kind)
    types = types_of(kind)
    if fields is None or types is None:
        return None
    names = _declared_key(kind, fields, types.key)
    checked = None if types.idle else types
    if types.model:
        return Shape(snake(kind.__name__), None, names, True, types=checked)
    stored = getattr(kind, "__struct_encode_fields__", fields)
    return Shape(snake(kind.__name__), stored, names, False, fields, _reader(fields), checked)


def _declared_key(kind: Any, fields: tuple[str, ...], marked: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of the key: those that ``key = …`` names, or that have a ``Field(key=True)``."""
    names = _named(getattr(kind, "key", ())) if "key" not in fields else ()
    for name in names:
        if name not in fields:
            raise CallbackError(f"{kind.__name__}.key names {name!r}, which is not one of {', '.join(fields)}")
    if names and marked and set(names) != set(marked):
        raise CallbackError(f"{kind.__name__}.key names {', '.join(names)}, and Field(key=True) {', '.join(marked)}")
    return names or marked


def _named(key: Any) -> tuple[str, ...]:
    """The names in ``key = …``; a method or a property of that name declares nothing."""
    return (key,) if isinstance(key, str) else key if isinstance(key, tuple) else ()


def _reader(fields: tuple[str, ...]) -> Callable[[Any], Iterable[Any]]:
    read = attrgetter(*fields) if fields else lambda value: ()
    return read if len(fields) != 1 else lambda value: (read(value),)


def snake(name: str) -> str:
    """``BookReview`` -> ``book_review``: the kind of a class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class _NoJson(Unfit):
    """A value that JSON has no word for."""


def _which(fields: Iterable[str], values: Iterable[Any], flaw: _NoJson) -> str:
    """The words of ``flaw`` with the field that has the value."""
    for name, value in zip(fields, values, strict=False):
        try:
            _encode(value)
        except _NoJson:
            return f"{name}: {flaw}"
    return str(flaw)


def _no_number(fields: Iterable[str], values: Iterable[Any]) -> str:
    """Which field has what msgspec writes, but nobody reads."""
    for name, value in zip(fields, values, strict=False):
        try:
            _read(b'{"":%b}' % _encode(value))
        except msgspec.DecodeError as error:
            if "key" in str(error):
                return f"{name}: a dict with a Decimal for a key cannot be stored as JSON; make the key a text"
            break
    return f"{name}: NaN, an infinite Decimal and one beyond 1e308 are no JSON numbers; write None"


def _dumped(model: Any) -> Any:
    from scraper.digits import dumped  # for pydantic only

    return dumped(model)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return _dumped(value)
    if isinstance(value, PurePath):
        return str(value)
    hint = _HINTS.get(type(value).__name__, "") if type(value).__module__.startswith("scraper.") else ""
    raise _NoJson(f"a {type(value).__name__} cannot be stored as JSON{hint}")


_HINTS = {
    "Selector": "; .get() is its text",
    "SelectorList": "; .get() is the text of the first match, .getall() those of all",
    "Request": "; yield it beside the item",
    "Response": "; take what you need of it, such as response.url",
}
_MARKS = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__", "model_fields")
_SIZED = (str, bytes, bytearray, memoryview, list, tuple, set, frozenset, dict)
_shapes = _Shapes()
_encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode
_encode_key = msgspec.json.Encoder(enc_hook=_plain).encode
"""A Decimal in a key is its text."""
_read = msgspec.json.Decoder(dict[str, Any]).decode
"""What is stored is read once before: of a Decimal that is NaN, or far too large, msgspec writes what is no JSON."""
