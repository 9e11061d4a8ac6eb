"""Convert: a value to the type that was declared for it, where nothing is lost or guessed; both ways of an annotation.

``compiled(hint)`` gives two things: the exact types that need no further look (None: anything goes), and a function
that gives the value as declared, the same object when it is, or raises Unfit.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import enum
import math
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Annotated, Any
from uuid import UUID

import msgspec

from scraper.page import Unfit

Check = Callable[[Any, Any], Any]
"""Of a value and the page that it is from (None: nothing is cleaned)."""
Compiled = tuple[frozenset[type] | None, Check]
Nested = Callable[[Any], Check | None]


def shown(value: Any) -> str:
    """A value as a reason shows it: short, with its type where that is the point."""
    try:
        text = repr(value)
    except Exception as error:  # of an object that is broken
        text = f"<{type(error).__name__} in repr()>"
    return text if len(text) <= 100 else f"{text[:97]}..."


def name_of(hint: Any) -> str:
    """``float | None``, ``list[str]``, ``Book``: as one writes it."""
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "")


def compiled(hint: Any, nested: Nested) -> Compiled:
    """See above. ``nested`` gives the check of a class of items, None for any other class."""
    if hint is Any or hint is object or isinstance(hint, str | typing.ForwardRef):
        return _anything
    if isinstance(hint, typing.NewType):
        return compiled(hint.__supertype__, nested)
    if isinstance(hint, typing.TypeVar):
        return compiled(hint.__bound__ or Any, nested)
    if type(hint).__name__ == "TypeAliasType":  # type X = …, since Python 3.12
        return compiled(hint.__value__, nested)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _annotated(hint, nested)
    if origin in (typing.Final, typing.Required, typing.NotRequired, typing.ClassVar):
        return compiled(args[0], nested)
    if origin in (typing.Union, types.UnionType):
        return _union(hint, args, nested)
    if origin is typing.Literal:
        return frozenset(), _literal(hint, args)
    if origin is not None:
        return _generic(hint, origin, args, nested)
    if hint is None:
        hint = type(None)
    if not isinstance(hint, type):
        return _anything
    return _class(hint, nested)


def _same(value: Any, page: Any) -> Any:
    return value


_anything: Compiled = (None, _same)


def _class(kind: type, nested: Nested) -> Compiled:
    if kind in _GENERIC:
        return _generic(kind, kind, (), nested)
    check = nested(kind)
    if check is not None:
        return frozenset(), check
    try:
        isinstance(None, kind)
    except TypeError:  # a protocol, or a TypedDict
        return _anything

    def convert(value: Any, page: Any) -> Any:
        if isinstance(value, kind) and not (kind in _STRICT and type(value) in _STRICT[kind]):
            return value
        try:
            return _converted(value, kind)
        except (ValueError, ArithmeticError, msgspec.ValidationError):
            raise Unfit(_no(value, kind)) from None

    return frozenset((float, int) if kind is float else (kind,)), convert


_STRICT: dict[type, frozenset[type]] = {int: frozenset((bool,)), date: frozenset((datetime,))}
"""Subclasses that Python has and nobody means."""


def _no(value: Any, hint: Any) -> str:
    name = name_of(hint)
    if value is None:
        return f"it is None, not {name}; write '{name} | None' where it may be missing"
    return f"{shown(value)} ({type(value).__name__}) is not {name}"


def _converted(value: Any, kind: type) -> Any:
    """Raises ValueError where something would be lost or guessed."""
    given = type(value)
    if issubclass(kind, enum.Enum):
        return kind(value)
    text = isinstance(value, str)
    number = isinstance(value, int | float | Decimal) and given is not bool
    if kind is str and number and math.isfinite(value):
        return str(value)
    if kind is int and number and value == int(value):
        return int(value)
    if kind is float and number:
        return float(value)
    if kind is Decimal and number:
        return _finite(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    if text and kind is Decimal:
        return _finite(msgspec.convert(value.strip(), Decimal))
    if text and kind in (int, float, bool):
        return msgspec.convert(value.strip(), kind, strict=False)
    if text and kind in (datetime, date, time, timedelta, UUID):
        return msgspec.convert(value.strip(), kind)
    if kind is datetime and given is date:
        return datetime.combine(value, time())
    if kind is date and isinstance(value, datetime) and value.time() == time() and value.tzinfo is None:
        return value.date()
    if kind is bytes and isinstance(value, bytearray | memoryview):
        return bytes(value)
    if issubclass(kind, PurePath) and text:
        return kind(value)
    raise ValueError


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError
    return value


def _annotated(hint: Any, nested: Nested) -> Compiled:
    exact, check = compiled(hint.__origin__, nested)
    limits = [each for each in hint.__metadata__ if isinstance(each, msgspec.Meta)]
    if not limits:
        return exact, check
    bounded: Any = Annotated[(hint.__origin__, *limits)]

    def within(value: Any, page: Any) -> Any:
        value = check(value, page)
        try:
            msgspec.convert(value, bounded, strict=False)
        except msgspec.ValidationError as error:
            raise Unfit(f"{shown(value)}: {error}") from None
        return value

    return frozenset(), within


def _literal(hint: Any, args: tuple[Any, ...]) -> Check:
    def check(value: Any, page: Any) -> Any:
        for each in args:
            if type(each) is type(value) and each == value:
                return value
        raise Unfit(f"{shown(value)} is not one of {', '.join(map(repr, args))}")

    return check


def _union(hint: Any, args: tuple[Any, ...], nested: Nested) -> Compiled:
    members = [compiled(each, nested) for each in args]
    if any(exact is None for exact, _ in members):
        return _anything
    exact = frozenset[type]().union(*(exact for exact, _ in members if exact))

    def check(value: Any, page: Any) -> Any:
        found: list[Any] = []
        flaws: list[str] = []
        for _, each in members:
            try:
                one = each(value, page)
            except Unfit as flaw:
                flaws.append(str(flaw))
                continue
            if one is value:
                return value
            found.append(one)
        if found:
            return found[0]
        inside = [flaw for flaw in flaws if flaw[:1] in ".["]
        raise Unfit(inside[0] if inside else _no(value, hint))

    return exact, check


_GENERIC: dict[Any, type | None] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    abc.Sequence: None,
    abc.MutableSequence: None,
    abc.Collection: None,
    abc.Iterable: None,
    abc.Set: None,
    abc.MutableSet: None,
    dict: dict,
    abc.Mapping: None,
    abc.MutableMapping: None,
}
"""Containers, and what another one of values is made into; None: it may stay what it is."""
_VALUES = (list, tuple, set, frozenset, collections.deque)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)


def _generic(hint: Any, origin: Any, args: tuple[Any, ...], nested: Nested) -> Compiled:
    if origin not in _GENERIC:
        return _class(origin, nested) if isinstance(origin, type) else _anything
    if origin in _MAPS:
        parts = [compiled(each, nested) for each in args] or [_anything, _anything]
        if all(exact is None for exact, _ in parts):
            return (
                (frozenset((dict,)), _mapping(hint, parts)) if origin is dict else (frozenset(), _mapping(hint, parts))
            )
        return frozenset(), _mapping(hint, parts)
    if origin is tuple and args and args[-1] is not ...:
        return frozenset(), _fixed(hint, [compiled(each, nested) for each in args if each != ()])
    inner = compiled(args[0], nested) if args else _anything
    made = _GENERIC[origin]
    exact = frozenset((made,)) if inner[0] is None and made is not None else frozenset[type]()
    return exact, _values(hint, made, inner)


def _element(compiled: Compiled, value: Any, page: Any, where: str) -> Any:
    exact, check = compiled
    if exact is None or type(value) in exact:
        return value
    try:
        return check(value, page)
    except Unfit as flaw:
        raise Unfit(f"{where}{'' if str(flaw)[:1] in '.[' else ': '}{flaw}") from None


def _values(hint: Any, made: type | None, inner: Compiled) -> Check:
    def check(value: Any, page: Any) -> Any:
        if not isinstance(value, _VALUES):
            raise Unfit(_no(value, hint))
        found = [_element(inner, each, page, f"[{number}]") for number, each in enumerate(value)]
        want = made or type(value)
        if isinstance(value, want) and all(one is other for one, other in zip(found, value, strict=True)):
            return value
        return want(found)

    return check


def _fixed(hint: Any, parts: list[Compiled]) -> Check:
    def check(value: Any, page: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise Unfit(_no(value, hint))
        found = tuple(
            _element(part, each, page, f"[{number}]")
            for number, (part, each) in enumerate(zip(parts, value, strict=True))
        )
        same = isinstance(value, tuple) and all(one is other for one, other in zip(found, value, strict=True))
        return value if same else found

    return check


def _mapping(hint: Any, parts: list[Compiled]) -> Check:
    def check(value: Any, page: Any) -> Any:
        if not isinstance(value, dict):
            raise Unfit(_no(value, hint))
        found = {
            _element(parts[0], key, page, "[key]"): _element(parts[1], each, page, f"[{key!r:.50}]")
            for key, each in value.items()
        }
        same = all(one is other and found[one] is value[other] for one, other in zip(found, value, strict=False))
        return value if same and len(found) == len(value) else found

    return check
