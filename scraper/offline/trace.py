"""Which queries a callback makes of its page, how much each one matches, and at which line it is asked.

For the time of a replay the methods that search are replaced at their classes, so a crawl pays nothing for it and a
query is seen however the spider came by what it asks: the page, a match within a match, a page it made itself.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from msgspec import Struct

import scraper.collect
import scraper.selector
import scraper.visit
from scraper.response import Response

MOST = 1_000
"""Different queries that are noted of one page."""

OURS = f"{Path(scraper.selector.__file__).parent}{os.sep}"
_DOORS = frozenset((scraper.collect.__file__, scraper.visit.__file__))
"""Where callbacks are called."""
_METHODS = ("css", "xpath", "re", "re_first")


class Query(Struct):
    """One query, or the same one asked again and again in a loop.

    ``query`` is the chain that leads to it: ``css('table tr').css('th::text')``; ``matched`` all that it matched,
    ``asked`` how often it was asked, ``at`` the function that did.
    """

    query: str
    matched: int
    asked: int = 1
    at: str = ""


class Spot(Struct, frozen=True):
    """Where a query stands: the file, and its first and last character as (line, column)."""

    file: str
    line: int
    end: tuple[int, int]


class Trace:
    """What was asked so far, by chain; ``spots`` are the places where each stands."""

    def __init__(self) -> None:
        self.queries: dict[str, Query] = {}
        self.spots: dict[str, Spot] = {}
        self._chains: dict[int, tuple[object, str]] = {}
        """The chain that led to an object; it is held so that its id stays its own."""
        self._quiet = threading.local()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Everything asked in this block is noted. One trace at a time."""
        kinds: dict[type, dict[str, Any]] = {}
        for kind in _kinds():
            kinds[kind] = {}
            for name in (*_METHODS, "__iter__", "__getitem__"):
                if callable(method := vars(kind).get(name)):
                    kinds[kind][name] = method
        try:
            for kind, methods in kinds.items():
                for name, method in methods.items():
                    wrap = {"__iter__": self._iterating, "__getitem__": self._indexing}.get(name)
                    setattr(kind, name, wrap(method) if wrap is not None else self._asking(name, method))
            yield
        finally:
            for kind, methods in kinds.items():
                for name, method in methods.items():
                    setattr(kind, name, method)

    def _asking(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def ask(asked: Any, /, *given: Any, **named: Any) -> Any:
            if getattr(self._quiet, "now", False):  # part of a query that is being noted
                return method(asked, *given, **named)
            self._quiet.now = True
            try:
                found = method(asked, *given, **named)
                query = given[0] if given else named["pattern" if name in ("re", "re_first") else "query"]
                number = len(asked.re(query)) if name == "re_first" else _size(found)
            finally:
                self._quiet.now = False
            words = getattr(query, "pattern", query)
            self._note(asked, f"{name}('{words}')", found, number)
            return found

        return ask

    def _iterating(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def each(asked: Any) -> Iterator[Any]:
            return (self._inherit(asked, match) for match in method(asked))

        return each

    def _indexing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda asked, index: self._inherit(asked, method(asked, index))

    def _inherit(self, asked: object, match: Any) -> Any:
        if (chain := self._chain(asked)) and len(self._chains) < 100 * MOST:
            self._chains[id(match)] = (match, chain)
        return match

    def _chain(self, asked: object) -> str:
        known = self._chains.get(id(asked))
        return known[1] if known is not None else ""

    def _note(self, asked: object, words: str, found: object, number: int) -> None:
        before = self._chain(asked)
        chain = f"{before}.{words}" if before else words
        if not isinstance(found, str | None) and len(self._chains) < 100 * MOST:
            self._chains[id(found)] = (found, chain)
        known = self.queries.get(chain)
        if known is not None:
            known.matched += number
            known.asked += 1
        elif len(self.queries) < MOST:
            frame = _caller()
            self.queries[chain] = query = Query(chain, number)
            if frame is not None:
                query.at = frame.f_code.co_qualname.partition(".<locals>")[0]
                self.spots[chain] = _spot(frame)


def _size(found: Any) -> int:
    try:
        return len(found)
    except TypeError:  # XPath may give a number or a truth
        return int(bool(found))


def _kinds() -> list[type]:
    """The classes that can be searched."""
    return [Response, scraper.selector.Selector, scraper.selector.SelectorList]


def _caller() -> FrameType | None:
    """The frame outside of this package that asks; None when the package asks for itself, as rules do."""
    frame: FrameType | None = sys._getframe(3)
    while frame is not None and (file := frame.f_code.co_filename).startswith(OURS):
        if file in _DOORS:  # beyond it is who called us
            return None
        frame = frame.f_back
    return frame


def _spot(frame: FrameType) -> Spot:
    line, end_line, _, end = _positions(frame.f_code)[frame.f_lasti // 2]
    return Spot(frame.f_code.co_filename, line or frame.f_lineno, (end_line or frame.f_lineno, end or 0))


@lru_cache(maxsize=64)
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())
