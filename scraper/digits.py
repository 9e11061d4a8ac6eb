"""Digits: a Decimal is stored as a JSON number with just its digits, and read back from them; pydantic's as well.

pydantic writes a Decimal as text, and reads a JSON number into one by way of a float. So its Decimals are put among
what it dumps, and given to it as text where its annotations want one.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from scraper.typed import hints_of, names_of

Spell = Callable[[Any], Any]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_LONE = re.compile("-0[],}]")
_UNION = (typing.Union, types.UnionType)


def decoded(text: str) -> Any:
    """JSON with every fraction as a Decimal of just its digits, which ``restore`` takes back to what was declared."""
    if _LONE.search(text):  # of an int that is -0 no reader keeps the sign
        return json.loads(
            text, parse_float=Decimal, parse_int=lambda sign: Decimal(sign) if sign == "-0" else int(sign)
        )
    return _decode(text)


def encoded(value: Any) -> bytes:
    """JSON again, with the same digits."""
    return _encode(value)


def plain(value: Any) -> Any:
    """What is decoded, for who declares nothing: its Decimals are floats."""
    if type(value) is Decimal:
        return float(value)
    if type(value) is list:
        return [plain(each) for each in value]
    if type(value) is dict:
        return {name: plain(each) for name, each in value.items()}
    return value


# -- pydantic's


def dumped(model: Any) -> Any:
    """``model_dump`` as JSON has it, but for the Decimals: they stay what they are."""
    kind = type(model)
    if kind not in _with_decimals:  # a model of none pays one dump only
        _with_decimals[kind] = (
            re.search("'(decimal|any)'", repr(getattr(kind, "__pydantic_core_schema__", None))) is not None
        )
    data = model.model_dump(mode="json")
    return _put(data, model.model_dump()) if _with_decimals[kind] else data


_with_decimals: dict[Any, bool] = {}


def _put(data: Any, value: Any) -> Any:
    """The Decimals of ``value`` in the places of their texts in ``data``, which is the same otherwise."""
    if isinstance(value, Decimal):
        return value if data == str(value) else data
    if isinstance(data, dict) and isinstance(value, dict) and len(data) == len(value):
        return {name: _put(each, own) for (name, each), own in zip(data.items(), value.values(), strict=True)}
    if isinstance(data, list):
        if isinstance(value, set | frozenset):  # the dump of one may have another order
            own = {str(each): each for each in value if isinstance(each, Decimal)}
            return [own.get(each, each) if isinstance(each, str) else each for each in data]
        if isinstance(value, typing.Collection) and len(data) == len(value):
            return [_put(each, own) for each, own in zip(data, value, strict=True)]
    return data


def spelled(kind: Any) -> Spell:
    """What makes texts of the numbers that a model declares as Decimals; found out once."""
    found = _known.get(kind)
    if found is None:
        parts: dict[str, Spell | None] = {}

        def spell(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            return {name: each(one) if (each := parts.get(name)) else one for name, one in value.items()}

        _known[kind] = found = spell  # first: models may name themselves
        if hasattr(kind, "model_fields"):
            for name, field in kind.model_fields.items():
                for each in {name, field.alias, field.serialization_alias} - {None}:
                    parts[each] = _spell(field.annotation)
        else:
            names = names_of(kind) or tuple(getattr(kind, "__annotations__", ()))
            parts.update({name: _spell(hint) for name, hint in hints_of(kind, names).items()})
    return found


_known: dict[Any, Spell] = {}


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal | int) and not isinstance(value, bool) else value


def _spell(hint: Any) -> Spell | None:
    """Of one annotation; None: nothing in it is a Decimal."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Decimal:
        return _digits
    if isinstance(hint, typing.NewType):
        return _spell(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":
        return _spell(hint.__value__)
    if origin is Annotated or origin in (typing.Final, typing.Required, typing.NotRequired):
        return _spell(args[0])
    if origin in _UNION:
        return _all([each for each in map(_spell, args) if each is not None])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _inside(_spell(args[1]))
    if origin is tuple and args and args[-1] is not ...:
        return _fixed([_spell(each) for each in args])
    if isinstance(origin, type) and args:
        return _inside(_spell(args[0]))
    if names_of(hint) is not None or (isinstance(hint, type) and issubclass(hint, dict) and hint is not dict):
        return spelled(hint)
    return None


def _all(spells: list[Spell]) -> Spell | None:
    def spell(value: Any) -> Any:
        for each in spells:
            value = each(value)
        return value

    return spell if spells else None


def _inside(inner: Spell | None) -> Spell | None:
    def spell(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner(each) for name, each in value.items()}  # type: ignore[misc]
        return [inner(each) for each in value] if isinstance(value, list) else value  # type: ignore[misc]

    return spell if inner else None


def _fixed(parts: list[Spell | None]) -> Spell | None:
    def spell(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(parts):
            return value
        return [part(each) if part else each for part, each in zip(parts, value, strict=True)]

    return spell if any(parts) else None
