"""Typed: the fields of an item's class as it declares them, and whether an item keeps to them.

A value of the declared type passes by a look at its exact type. One of another type is converted where nothing is lost
or guessed (the text ``"12"`` for a float, 12 for a text); else the item does not fit, and the words say which field.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Annotated, Any, cast

import msgspec

from scraper.convert import compiled, shown
from scraper.errors import CallbackError, DropItem, MissingExtra
from scraper.fields import MARK, Rule
from scraper.page import Unfit

MOST_GOOD = 64
"""Combinations of types, known to fit, that are remembered of a class."""


class Types:
    """The declared fields of one class of items. ``fit`` is what a class is asked for each item."""

    def __init__(
        self, kind: type, names: tuple[str, ...], hints: dict[str, Any], rules: dict[str, Rule], model: bool
    ) -> None:
        self.kind = kind
        self.names = names
        self.key = tuple(name for name in names if name in rules and rules[name].key)
        self.model = model
        self._hints = hints
        # Of pydantic the early cleaners have run, and it has checked what it holds.
        self._cleaners = [
            (name, rule.cleaners[first:], rule.paged[first:])
            for name, rule in rules.items()
            if len(rule.cleaners) > (first := rule.early if model else 0)
        ]
        checked = {} if model else {name: hints[name] for name in names if name in hints}
        self._checks = [compiled(checked.get(name, Any), nested) for name in names]
        self.idle = not self._cleaners and all(exact is None for exact, _ in self._checks)
        """Nothing is declared that could be cleaned or checked."""
        self._alias = {
            each.name: each.alias for each in getattr(kind, "__attrs_attrs__", ()) if each.init and each.name in names
        }
        """attrs: what a field is called where it is given."""
        self._read = attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
        self._good: set[tuple[type, ...]] = set()

    def fit(self, value: Any, page: Any = None) -> Any:
        """The item, or a copy of it with what was cleaned or converted. Without a ``page`` nothing is cleaned.

        Raises Unfit, DropItem of a cleaner, CallbackError, MissingExtra.
        """
        values: Sequence[Any]
        try:
            values = self._read(value)
        except AttributeError:  # of a dataclass an attribute may be unset
            values = [getattr(value, name, msgspec.UNSET) for name in self.names]
        if page is not None and self._cleaners:
            before = values
            values = self._cleaned(dict(zip(self.names, values, strict=True)), page)
            value = self._copy(value, before, values)
        if self.model or (kinds := tuple(map(type, values))) in self._good:
            return value
        before, values = values, self._checked(values, page)
        if before is values:
            self._remember(kinds)
            return value
        return self._copy(value, before, values)

    def make(self, given: dict[str, Any], page: Any) -> Any:
        """An item of these values, cleaned and converted before the class sees them. Raises Unfit and as ``fit``."""
        values = dict(given)
        if not self.model:
            for name, alias in self._alias.items():
                if alias in values:
                    values[name] = values.pop(alias)
            others = {name: each for name, each in values.items() if name not in self.names}
            for name in others:  # an InitVar, or private
                if name not in inspect.signature(self.kind).parameters:
                    raise Unfit(f"{name}: {self.kind.__name__} has no such field")
            known: Sequence[Any] = [values.get(name, msgspec.UNSET) for name in self.names]
            if page is not None and self._cleaners:
                known = self._cleaned(dict(zip(self.names, known, strict=True)), page)
            known = self._checked(known, page)
            pairs = zip(self.names, known, strict=True)
            values = {self._alias.get(name, name): each for name, each in pairs if each is not msgspec.UNSET} | others
        try:
            made = self.kind(**values)
        except (DropItem, CallbackError, MissingExtra):
            raise
        except Exception as error:  # of the class, whatever it raises: the page goes on
            raise Unfit(_told(error)) from error
        return self.fit(made, page if self.model else None)

    def _cleaned(self, values: dict[str, Any], page: Any) -> list[Any]:
        for name, cleaners, paged in self._cleaners:
            value = first = values[name]
            for clean, wants_page in zip(cleaners, paged, strict=True):
                if value is None or value is msgspec.UNSET:
                    break
                try:
                    value = clean(value, page) if wants_page else clean(value)
                except (DropItem, CallbackError, MissingExtra):
                    raise
                except Exception as error:
                    said = getattr(clean, "__name__", None) or type(clean).__name__
                    raise Unfit(f"{name}: {said} cannot clean {shown(first)}: {_told(error)}") from error
            values[name] = value
        return list(values.values())

    def _checked(self, values: Sequence[Any], page: Any) -> Sequence[Any]:
        """The same list when each value is of its exact type; else a new one, though nothing may have changed."""
        found: list[Any] | None = None
        flaws = []
        for number, (value, (exact, check)) in enumerate(zip(values, self._checks, strict=True)):
            if exact is None or type(value) in exact or value is msgspec.UNSET:
                continue
            if found is None:
                found = list(values)
            name = self.names[number]
            if (value is None or value == "") and name in self._keys():
                raise Unfit(f"the key field {name!r} is empty")
            try:
                found[number] = check(value, page)
            except Unfit as flaw:
                flaws.append(f"{name}{'' if str(flaw)[:1] in '.[' else ': '}{flaw}")
        if flaws:
            raise Unfit("; ".join(flaws))
        return values if found is None else found

    def _keys(self) -> tuple[str, ...]:
        declared = getattr(self.kind, "key", ())
        return (*self.key, *((declared,) if isinstance(declared, str) else declared if type(declared) is tuple else ()))

    def _remember(self, kinds: tuple[type, ...]) -> None:
        if len(self._good) < MOST_GOOD:
            self._good.add(kinds)

    def _copy(self, value: Any, before: Sequence[Any], after: Sequence[Any]) -> Any:
        changed = {name: new for name, old, new in zip(self.names, before, after, strict=True) if new is not old}
        if not changed:
            return value
        if self.model:
            return value.model_copy(update=changed)
        twin = copy.copy(value)
        put = msgspec.structs.force_setattr if isinstance(value, msgspec.Struct) else object.__setattr__
        for name, new in changed.items():
            put(twin, name, new)
        return twin


class _Building:
    """What ``Types`` is to a class, to an item that is still to be made of one."""

    def fit(self, value: Any, page: Any = None) -> Any:
        types = types_of(value.kind)
        if types is None:
            raise CallbackError(f"{value.kind!r} cannot be built: it is no class of items")
        return types.make(value.given, page)


BUILDING = _Building()
_known: dict[type, Types | None] = {}


def types_of(kind: Any) -> Types | None:
    """The types of a class of items, found out once; None for a class that is none. Raises CallbackError."""
    if kind not in _known:
        _known[kind] = _types(kind)
    return _known[kind]


def _types(kind: Any) -> Types | None:
    model = hasattr(kind, "model_fields") and hasattr(kind, "model_dump")
    names = names_of(kind)
    if names is None:
        return None
    hints: dict[str, Any]
    if model:
        hints = {
            name: Annotated[each.annotation, *each.metadata]
            for name, each in kind.model_fields.items()
            if each.metadata
        }
        defaults = {name: each.json_schema_extra for name, each in kind.model_fields.items()}
    else:
        hints = hints_of(kind, names)
        defaults = _defaults(kind)
    rules: dict[str, Rule] = {}
    for name in names:
        rule: Rule | None = None
        if dataclasses.is_dataclass(kind):
            rule = kind.__dataclass_fields__[name].metadata.get(MARK)
        elif isinstance(defaults.get(name), Rule | dataclasses.Field):
            raise CallbackError(
                f"{kind.__name__}.{name} = Field(…) is for dataclasses; write {name}: Annotated[…, Field(…)]"
            )
        rule = rule or _annotated(hints.get(name))
        if rule is not None:
            rules[name] = rule
    return Types(kind, names, hints, rules, model)


def names_of(kind: Any) -> tuple[str, ...] | None:
    """The attributes of a class of items that are stored; None for a class that is none."""
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):
        return tuple(kind.model_fields)
    if dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind))
    if hasattr(kind, "__struct_fields__"):
        fields: tuple[str, ...] = kind.__struct_fields__
        return fields
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(each.name for each in kind.__attrs_attrs__ if not each.name.startswith("_"))
    return None


def _defaults(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "__attrs_attrs__"):
        return {each.name: each.default for each in kind.__attrs_attrs__}
    values = getattr(kind, "__struct_defaults__", ())
    return (
        dict(zip(kind.__struct_fields__[len(kind.__struct_fields__) - len(values) :], values, strict=True))
        if values
        else {}
    )


def hints_of(kind: Any, names: Iterable[str]) -> dict[str, Any]:
    """The annotations of these fields; without those that cannot be resolved, such as names of a type checker's.

    Raises CallbackError when one of these has a Field: it would not be seen.
    """
    with suppress(Exception):  # whatever an annotation raises: the others are looked at one by one
        return typing.get_type_hints(kind, include_extras=True)
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        scope = vars(sys.modules.get(base.__module__, typing))
        for name, hint in inspect.get_annotations(base).items():
            if name not in names:
                continue
            try:
                hints[name] = eval(hint, scope, dict(vars(base))) if isinstance(hint, str) else hint
            except Exception as error:
                if "Field" in hint:
                    raise CallbackError(
                        f"{kind.__name__}.{name}: its annotation {hint!r} cannot be resolved ({error}); "
                        "define what it names at the top of the module"
                    ) from error
    return hints


def _annotated(hint: Any) -> Rule | None:
    """The rule that ``Annotated`` has for a field, also where ``| None`` stands behind it."""
    for each in getattr(hint, "__metadata__", ()):
        if isinstance(each, dataclasses.Field) and MARK in each.metadata:
            return cast(Rule, each.metadata[MARK])
    parts = typing.get_args(hint)
    if getattr(hint, "__metadata__", None):
        parts = parts[:1]
    return next((found for each in parts if not isinstance(each, list) and (found := _annotated(each))), None)


def nested(kind: Any) -> Callable[[Any, Any], Any] | None:
    """What checks an item within an item; None when the class is none of items."""
    if names_of(kind) is None:
        return None

    def check(value: Any, page: Any) -> Any:
        types = types_of(kind)
        assert types is not None
        try:
            if isinstance(value, kind):
                own = types if type(value) is kind else types_of(type(value))
                return own.fit(value, page) if own is not None else value
            if isinstance(value, dict):
                return types.make(value, page)
        except Unfit as flaw:
            raise Unfit(f".{flaw}") from flaw
        raise Unfit(f"{shown(value)} is no {kind.__name__}")

    return check


def _told(error: Exception) -> str:
    """In one line, and of pydantic's errors what they say of each field."""
    if hasattr(error, "errors") and callable(error.errors):
        try:
            flaws = [(".".join(map(str, each["loc"])), each["msg"], each.get("input")) for each in error.errors()]
            return "; ".join(f"{loc}: {said}, not {shown(value)}" for loc, said, value in flaws)
        except Exception:  # another's errors(): its own words will do
            return f"{type(error).__name__}: {error}"
    words = " ".join(str(error).split())
    return words if type(error) is ValueError and words else f"{type(error).__name__}: {words}"


DOORS = frozenset((Types._cleaned.__code__, Types.make.__code__))
"""The code that calls cleaners and classes of a spider: how the watchdog knows one on the stack."""
