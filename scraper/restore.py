"""Restore: an item of a class from what was stored of it; the way back of ``item``.

JSON knows fewer types than Python, so the annotations say what each value was. In a union the first member that fits is
taken, text last; of several classes the one that has just these fields.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Annotated, Any
from uuid import UUID

import msgspec

from scraper import digits
from scraper.convert import name_of, shown
from scraper.fields import restoring
from scraper.page import Unfit
from scraper.typed import hints_of, names_of

Restore = Callable[[Any], Any]

_NATIVE = (datetime, date, time, timedelta, UUID, Decimal, bytes, bytearray)
_CONTAINERS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    abc.Set: set,
    abc.MutableSet: set,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
}
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_known: dict[Any, Restore] = {}


def restorer(kind: Any) -> Restore:
    """What makes an item of this class from its JSON object, decoded. The function raises Unfit."""
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = _of_class(kind)
    return found


def _of_class(kind: Any) -> Restore:
    if isinstance(kind, type) and issubclass(kind, dict):
        return lambda value: kind(digits.plain(value))
    names = names_of(kind)
    if names is None:
        raise TypeError(f"{kind!r} is no class of items")
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):
        return _model(kind)
    stored = dict(zip(names, getattr(kind, "__struct_encode_fields__", names), strict=True))
    hints = hints_of(kind, names)
    each = {name: _lazy(hints.get(name, Any)) for name in names}
    defaults = _defaults(kind)

    def restore(data: Any) -> Any:
        if not isinstance(data, dict):
            raise Unfit(f"{shown(data)} is no {kind.__name__}")
        values = {}
        for name, back in each.items():
            if stored[name] in data:
                try:
                    values[name] = back(data[stored[name]])
                except Unfit as flaw:
                    raise Unfit(f"{name}{'' if str(flaw)[:1] in '.[' else ': '}{flaw}") from None
            elif name not in defaults:
                raise Unfit(f"{name}: it is missing; a default in the class would do for older rows")
        if issubclass(kind, msgspec.Struct):
            return kind(**values)
        made = object.__new__(kind)  # as it was stored: nothing is computed again
        for name in {**defaults, **values}:
            object.__setattr__(made, name, values[name] if name in values else defaults[name]())
        return made

    return restore


def _defaults(kind: Any) -> dict[str, Callable[[], Any]]:
    """What makes the value of each field that need not be stored."""
    found: dict[str, Callable[[], Any]] = {}
    if dataclasses.is_dataclass(kind):
        for each in dataclasses.fields(kind):
            if each.default_factory is not dataclasses.MISSING:
                found[each.name] = each.default_factory
            elif each.default is not dataclasses.MISSING:
                found[each.name] = lambda value=each.default: value  # type: ignore[misc]
    elif hasattr(kind, "__struct_fields__"):
        names = kind.__struct_fields__
        found = dict.fromkeys(names[len(names) - len(kind.__struct_defaults__) :], lambda: None)
        for info in msgspec.structs.fields(kind):
            if info.required:
                found.pop(info.name, None)
    else:
        for each in kind.__attrs_attrs__:
            make = getattr(each.default, "factory", None)
            if make is not None and not each.default.takes_self:
                found[each.name] = make
            elif type(each.default).__name__ != "_Nothing" and make is None:
                found[each.name] = lambda value=each.default: value  # type: ignore[misc]
    return found


def _model(kind: Any) -> Restore:
    """pydantic reads its own back, without the cleaners of ours: what was stored is clean."""
    computed = set(kind.model_computed_fields)
    by_name = "by_name" in inspect.signature(kind.model_validate_json).parameters  # since pydantic 2.11
    either = {"by_alias": True, "by_name": True} if by_name else {}
    spell = digits.spelled(kind)

    def restore(data: Any) -> Any:
        if not isinstance(data, dict):
            raise Unfit(f"{shown(data)} is no {kind.__name__}")
        given = {name: value for name, value in data.items() if name not in computed}
        token = restoring.set(True)
        try:
            return kind.model_validate_json(digits.encoded(spell(given)), **either)
        except ValueError as error:  # its ValidationError is one
            raise Unfit(" ".join(str(error).split())[:500]) from error
        finally:
            restoring.reset(token)

    return restore


def _lazy(hint: Any) -> Restore:
    """Compiled when it is first used: classes may name one another."""
    found: list[Restore] = []

    def restore(value: Any) -> Any:
        if not found:
            found.append(_compiled(hint))
        return found[0](value)

    return restore


def _compiled(hint: Any) -> Restore:
    if hint is Any or hint is object or isinstance(hint, str | typing.ForwardRef):
        return digits.plain
    if isinstance(hint, typing.NewType):
        return _compiled(hint.__supertype__)
    if isinstance(hint, typing.TypeVar):
        return _compiled(hint.__bound__ or Any)
    if type(hint).__name__ == "TypeAliasType":
        return _compiled(hint.__value__)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated or origin in (typing.Final, typing.Required, typing.NotRequired):
        return _compiled(args[0])
    if origin in (typing.Union, types.UnionType):
        return _union(hint, args)
    if origin is typing.Literal:
        return _one_of(hint, args)
    plain = origin or hint
    if plain in _MAPS:
        return _mapping(args)
    if plain in _CONTAINERS:
        return _container(hint, plain, args)
    if hint is None or hint is type(None):
        return _exactly(type(None))
    if not isinstance(plain, type):
        return digits.plain
    if typing.is_typeddict(plain) or (issubclass(plain, tuple) and hasattr(plain, "_fields")):
        return _named(plain)
    return _scalar(plain)


def _exactly(kind: type) -> Restore:
    def restore(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise Unfit(f"{shown(value)} is not {name_of(kind)}")

    return restore


def _scalar(kind: Any) -> Restore:
    if names_of(kind) is not None:
        return restorer(kind)
    if kind in (str, int, bool):
        return _exactly(kind)

    def restore(value: Any) -> Any:
        if kind is Decimal and type(value) in (int, float):
            return Decimal(repr(value))
        if type(value) is Decimal and kind is not Decimal and not issubclass(kind, enum.Enum):
            value = float(value)
        try:
            if kind is float:  # NaN is stored as null
                return float("nan") if value is None else float(_exactly(type(value))(value))
            if issubclass(kind, enum.Enum):
                return _member(kind, value)
            if kind in _NATIVE:
                return msgspec.convert(value, kind)
            if issubclass(kind, PurePath | str | int | float):
                return kind(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise Unfit(f"{shown(value)} is not {name_of(kind)} ({error})") from None
        return digits.plain(value)  # of a class that JSON has no word for, or a protocol: as it is stored

    if kind is float:
        plain = restore

        def number(value: Any) -> Any:
            if isinstance(value, str | bool):
                raise Unfit(f"{shown(value)} is not float")
            return plain(value)

        return number
    return restore


def _member(kind: type[enum.Enum], value: Any) -> Any:
    if issubclass(kind, enum.Flag):  # of several members
        return kind(value)
    for member in kind:
        if member.value in (value, digits.plain(value)) or msgspec.to_builtins(member.value) == value:
            return member
    raise ValueError(f"it has {', '.join(repr(member.value) for member in kind)}"[:200])


def _one_of(hint: Any, args: tuple[Any, ...]) -> Restore:
    def restore(value: Any) -> Any:
        for each in args:
            stored = msgspec.to_builtins(each)
            if type(stored) is type(value) and stored == value:
                return each
        raise Unfit(f"{shown(value)} is not {name_of(hint)}")

    return restore


def _mapping(args: tuple[Any, ...]) -> Restore:
    keys, values = (_key(args[0]), _compiled(args[1])) if args else (str, digits.plain)

    def restore(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Unfit(f"{shown(value)} is no dict")
        return {keys(key): values(each) for key, each in value.items()}

    return restore


def _key(hint: Any) -> Restore:
    """JSON's keys are text, whatever they were."""
    if hint in (int, float, bool):

        def restore(value: Any) -> Any:
            try:
                return msgspec.convert(value, hint, strict=False)
            except msgspec.ValidationError as error:
                raise Unfit(f"the key {value!r} is not {name_of(hint)}: {error}") from None

        return restore
    return _compiled(hint)


def _container(hint: Any, plain: Any, args: tuple[Any, ...]) -> Restore:
    make = _CONTAINERS[plain]
    if plain is tuple and args and args[-1] is not ...:
        parts = [_compiled(each) for each in args]

        def fixed(value: Any) -> Any:
            if not isinstance(value, list) or len(value) != len(parts):
                raise Unfit(f"{shown(value)} is not {name_of(hint)}")
            return tuple(part(each) for part, each in zip(parts, value, strict=True))

        return fixed
    inner = _compiled(args[0]) if args else digits.plain

    def restore(value: Any) -> Any:
        if not isinstance(value, list):
            raise Unfit(f"{shown(value)} is not {name_of(hint)}")
        return make(map(inner, value))

    return restore


def _named(kind: Any) -> Restore:
    """A TypedDict, which is stored as an object, or a NamedTuple, which is an array."""
    names = tuple(kind.__annotations__ if typing.is_typeddict(kind) else kind._fields)
    hints = hints_of(kind, names)
    each = {name: _lazy(hints.get(name, Any)) for name in names}

    def restore(value: Any) -> Any:
        if typing.is_typeddict(kind) and isinstance(value, dict):
            return {name: each[name](one) if name in each else one for name, one in value.items()}
        if isinstance(value, list) and not typing.is_typeddict(kind) and len(value) == len(names):
            return kind(*(each[name](one) for name, one in zip(names, value, strict=True)))
        raise Unfit(f"{shown(value)} is not {name_of(kind)}")

    return restore


def _union(hint: Any, args: tuple[Any, ...]) -> Restore:
    members = sorted(args, key=lambda each: (each is str, each is float))  # what takes anything comes last
    backs = [(each, _number if each is Decimal and str in args else _compiled(each)) for each in members]
    maybe = type(None) in args

    def restore(value: Any) -> Any:
        if value is None and maybe:
            return None
        for _, back in sorted(backs, key=lambda pair: not _has_fields(pair[0], value)):
            try:
                return back(value)
            except Unfit:
                continue
        raise Unfit(f"{shown(value)} is not {name_of(hint)}")

    return restore


def _number(value: Any) -> Any:
    """A Decimal where a text may stand as well: then text is text."""
    if isinstance(value, str):
        raise Unfit(f"{shown(value)} is not Decimal")
    return _compiled(Decimal)(value)


def _has_fields(kind: Any, value: Any) -> bool:
    """Whether a class of items stores just these keys, or says by its tag that they are its own."""
    config = getattr(kind, "__struct_config__", None)
    if config is not None and config.tag is not None and isinstance(value, dict):
        return bool(value.get(config.tag_field) == config.tag)
    names = names_of(kind) if isinstance(kind, type) else None
    if names is None or not isinstance(value, dict):
        return False
    return set(getattr(kind, "__struct_encode_fields__", names)) == set(value)
