"""Fields: what a field of an item is besides its type (its key, what cleans it), and the five cleaners everyone writes.

A cleaner is a plain function of a value; one with a second parameter is given the Response, too. It returns what is to
be stored and raises ValueError for what it cannot make sense of: the item goes to ``rejects`` then, with field, value
and words. None is never cleaned.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import date as Date
from datetime import datetime as DateTime
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar, overload

from scraper.errors import SpiderError
from scraper.extra import need

T = TypeVar("T")
Clean = Callable[..., Any]

MARK = "scraper"
"""The key of ours in the metadata of a dataclass's field."""


class Rule(NamedTuple):
    """What ``Field`` was told. Of ``cleaners`` those in ``paged`` are given the Response as well."""

    key: bool
    cleaners: tuple[Clean, ...]
    paged: tuple[bool, ...]

    def __call__(self, schema: object) -> None:
        """Does nothing to a schema: pydantic keeps it as ``json_schema_extra``, and there it is found."""

    @property
    def early(self) -> int:
        """How many of the cleaners need no page, up to the first that does."""
        return self.paged.index(True) if True in self.paged else len(self.paged)


class _Field(dataclasses.Field):  # type: ignore[type-arg]
    """A dataclass's field that pydantic, too, understands where it stands in ``Annotated``."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The cleaners that need no page run before pydantic validates; the others once the item is yielded."""
        rule: Rule = self.metadata[MARK]
        schema = handler(source)
        if not rule.early:
            return schema
        cleaners = rule.cleaners[: rule.early]

        def before(value: Any) -> Any:
            for clean in cleaners if not restoring.get() else ():
                if value is not None:
                    value = clean(value)
            return value

        core = need("pydantic_core", "pydantic", "a cleaned field of a pydantic model").core_schema
        return core.no_info_before_validator_function(before, schema)


restoring: ContextVar[bool] = ContextVar("restoring", default=False)
"""Whether items are being read back: what was stored is clean."""


@overload
def Field(*, default: T, key: bool = ..., clean: Clean | Sequence[Clean] | None = ...) -> T: ...
@overload
def Field(*, default_factory: Callable[[], T], key: bool = ..., clean: Clean | Sequence[Clean] | None = ...) -> T: ...
@overload
def Field(*, key: bool = ..., clean: Clean | Sequence[Clean] | None = ...) -> Any: ...


def Field(
    *,
    key: bool = False,
    clean: Clean | Sequence[Clean] | None = None,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
) -> Any:
    """A field of an item: ``price: Annotated[Decimal, Field(clean=fields.price)]``, in any kind of class.

    In a dataclass ``price: Decimal = Field(clean=fields.price)`` does as well, with ``default`` or ``default_factory``
    as ``dataclasses.field`` has them; without either the field must be given.

    Args:
        key: the item replaces the one of its kind that has the same key; several such fields are one key.
        clean: a function of the value (a second parameter without a default is given the Response), or a list of them.
    """
    cleaners = (clean,) if callable(clean) else tuple(clean or ())
    for each in cleaners:
        if isinstance(each, dataclasses.Field) or not callable(each):
            raise SpiderError(
                f"Field(clean=…) has {each!r:.80}, which is no function; when a field above it has that name, write "
                "'from scraper import fields' and clean=fields.price"
            )
        if inspect.iscoroutinefunction(each):
            raise SpiderError(f"Field(clean=…) has {each.__name__}(), which is async; what has to wait is a step")
    rule = Rule(key, cleaners, tuple(map(takes_page, cleaners)))
    plain: Any = dataclasses.field(
        default=default, default_factory=default_factory, metadata={MARK: rule, "json_schema_extra": rule}
    )
    made = _Field.__new__(_Field)
    for name in dataclasses.Field.__slots__:
        setattr(made, name, getattr(plain, name))
    return made


def takes_page(clean: Clean) -> bool:
    """Whether a cleaner has a second parameter that must be given: it is called with the Response."""
    try:
        parameters = inspect.signature(clean).parameters.values()
    except (TypeError, ValueError):  # of C: int, str.strip
        return False
    ordered = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in ordered and each.default is each.empty for each in parameters) > 1


# -- the five

_WHITE = " \t\n\r\f\v\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
_ENDS = re.compile(f"^[{_WHITE}]+|[{_WHITE}]+$")
_PARTS = "'\u2019 \u00a0\u2007\u2009\u202f"
"""What may part groups of digits, besides commas and points."""
_NUMBER = re.compile(rf"[.,]?\d(?:[\d.,{_PARTS}]*\d)?")
_SIGN = re.compile(r"(?<!\w)[-\u2212\u2013]\W*$")
_ARABIC = str.maketrans("\u066b\u066c", ".,")


def strip(value: Any) -> Any:
    """Text without white space around it: no-break, zero-width and other Unicode spaces are white space too.

    A list or tuple: each of its texts. Anything else is left as it is.
    """
    if isinstance(value, str):
        return _ENDS.sub("", value)
    if isinstance(value, list | tuple):
        return type(value)(map(strip, value))
    return value


def price(value: Any, decimal: str | None = None) -> Decimal:
    """The one number in a text as Decimal: ``£1,234.50``, ``1.234,50 €``, ``1 234,50``, ``CHF 1'234.50``, ``-5,-``.

    Of two separators the last is the decimal one. A single comma or point is a decimal one, too, unless three digits
    follow (``1,234`` and ``1.234`` are thousands; ``0.999`` is not). ``decimal`` says which it is where that is known:
    ``clean=partial(price, decimal=",")``. Numbers pass. Raises ValueError without a number ("free"), and with several.
    """
    return _decimal(value, decimal, lone_point=False)


def number(value: Any, decimal: str | None = None) -> int | float:
    """The one number in a text: int when it is written whole (``22 available``, ``1,234``), else float.

    As ``price``, but a single point is always the decimal one (``1.234``), as machines write it.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    found = _decimal(value, decimal, lone_point=True)
    return int(found) if found == found.to_integral_value() and found.as_tuple().exponent == 0 else float(found)


def _decimal(value: Any, decimal: str | None, lone_point: bool) -> Decimal:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no text with a number")
    text = value.translate(_ARABIC)
    found = list(_NUMBER.finditer(text))
    if len(found) != 1:
        raise ValueError("no number in it" if not found else "more than one number in it")
    (match,) = found
    if re.match(r"(?:[kKM]|bn)\b|[eE][-+]?\d", text[match.end() :]):
        raise ValueError("a number with k, M, bn or an exponent is not read")
    digits = _plain_number(match.group(), decimal, lone_point)
    before = text[: match.start()]
    if _SIGN.search(before):
        digits = f"-{digits}"
    return Decimal(digits)


def _plain_number(text: str, decimal: str | None, lone_point: bool) -> str:
    """Digits with at most one point. Raises ValueError where the groups are none."""
    marks = [mark for mark in text if mark in ".,"]
    if decimal is None and marks:
        last = marks[-1]
        if len(set(marks)) == 2:
            decimal = last
        elif len(marks) > 1:
            decimal = "," if last == "." else "."  # the same more than once: it parts groups
        elif (last == "." and lone_point) or not _is_thousands(text, last):
            decimal = last
        else:
            decimal = "," if last == "." else "."
    whole, point, rest = text.partition(decimal) if decimal else (text, "", "")
    if not rest.isdecimal() and point:
        raise ValueError(f"{text!r} is written like no number")
    groups = re.split(rf"[.,{_PARTS}]", whole)
    if len(groups) > 1 and (
        not 0 < len(groups[0]) <= 3 or len(groups[-1]) != 3 or any(len(each) not in (2, 3) for each in groups[1:])
    ):
        raise ValueError(f"{text!r} is written like no number, or like several")
    return "".join(groups) + (f".{rest}" if point else "") if whole else f"0.{rest}"


def _is_thousands(text: str, mark: str) -> bool:
    """Whether one comma or point parts a group of digits: one to three before it, and three after it."""
    before, _, after = text.partition(mark)
    return len(after) == 3 and after.isdecimal() and 0 < len(before) <= 3 and before.isdecimal() and before != "0"


def date(value: Any, dayfirst: bool = False) -> Date | DateTime:
    """A date; a datetime where the text has a time of day. ISO 8601 and RFC 9110 dates, and with the extra ``dates``
    whatever python-dateutil reads: ``5 March 2024``, ``03/05/2024 10:30`` (``dayfirst``: the fifth of March or the
    third of May).

    Raises ValueError for what is not a whole date: the missing year is not guessed. Dates pass.
    """
    if isinstance(value, Date):
        return value
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no text with a date")
    text = strip(value)
    for read in (Date.fromisoformat, DateTime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    parser = need("dateutil.parser", "dates", f"reading the date {text[:40]!r}, which is not ISO 8601,")
    first, second = DateTime(2000, 1, 1), DateTime(2001, 2, 2, 1, 1, 1, 1)  # what is missing is taken from these
    try:
        one, two = (parser.parse(text, default=each, dayfirst=dayfirst) for each in (first, second))
    except (ValueError, OverflowError) as error:
        raise ValueError(str(error)) from error
    if one.date() != two.date():
        raise ValueError("it is not a whole date")
    return one if one.hour == two.hour else Date(one.year, one.month, one.day)


def absolute_url(value: Any, response: Any) -> Any:
    """The canonical absolute URL of a link on its page (``<base href>`` counts). A list or tuple: of each.

    Raises ValueError for what is no http(s) URL.
    """
    if isinstance(value, list | tuple):
        return type(value)(absolute_url(each, response) for each in value)
    if not isinstance(value, str) or not strip(value):
        raise ValueError("there is no URL in it")
    return response.urljoin(value)
