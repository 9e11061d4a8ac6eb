"""Which queries are to blame: those that matched when the page was recorded and match no more, or less; and for what.

Which fields a query feeds is read in the source of the spider, by names and places, not by values: ``price =
page.css("p")`` and then ``Book(price=float(price.get()))``: the query stands in what the name ``price`` is made of, and
the field ``price`` is made of that name. The order of statements is not looked at, so a name that is used twice may
tell of a field too many; it never tells of one that the query cannot reach by names.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from scraper.offline.trace import Query, Spot

MOST = 20
"""Queries that are shown of one page."""

Place = tuple[int, int]
Flow = tuple[frozenset[str], ast.AST]
"""Names (of variables, or of fields) that are made of an expression."""


class Suspect(Struct):
    """A query by name, and what became of it. ``fields`` are those that it feeds; ``dead`` when it matches nothing."""

    query: str
    words: str
    dead: bool
    fields: list[str]

    def __str__(self) -> str:
        return f"{self.query}{self.words}"


def suspects(
    recorded: Sequence[Query], now: Sequence[Query], spots: dict[str, Spot], raised: bool = False
) -> list[Suspect]:
    """Queries whose matches are not those of the recording, the dead first.

    What was asked of a match that is gone itself is left out, and its fields are told with that match. So is what was
    asked less often and did match: it follows from something else. After a callback that ``raised``, what it would have
    asked later is no news either.
    """
    before = {each.query: each for each in recorded}
    asked = {each.query: each for each in now}
    found: list[Suspect] = []
    for query, each in asked.items():
        was = before.get(query)
        if each.matched == (was.matched if was is not None else each.matched) and (was is not None or each.matched):
            continue
        if was is not None and each.asked < was.asked and each.matched:
            continue
        if _asked_of(query, [other for other, one in asked.items() if not one.matched]):
            continue
        times = "none" if not each.matched else f"{each.matched:,}"
        words = (
            f"matched {was.matched:,} when recorded, {times} now" if was is not None else "is new, and matches nothing"
        )
        found.append(Suspect(query, f"{_at(spots.get(query))} {words}", not each.matched, _fields(query, asked, spots)))
    dead = [each.query for each in found]
    for query, was in before.items() if not raised else ():
        if query not in asked and was.matched and not _asked_of(query, [*dead, *(b for b in before if b not in asked)]):
            where = f" in {was.at}" if was.at else ""
            found.append(Suspect(query, f"{where} matched {was.matched:,} when recorded, is not asked now", False, []))
    return sorted(found, key=lambda each: not each.dead)[:MOST]


def _asked_of(query: str, parents: Collection[str]) -> bool:
    return any(query.startswith(f"{parent}.") for parent in parents)


def _at(spot: Spot | None) -> str:
    return f" at {Path(spot.file).name}:{spot.line}" if spot is not None else ""


def _fields(query: str, asked: Collection[str], spots: dict[str, Spot]) -> list[str]:
    """The fields that a query feeds, and those that it feeds through queries of what it matched."""
    found: set[str] = set()
    for each in asked:
        if (each == query or each.startswith(f"{query}.")) and each in spots:
            found |= fields_of(spots[each])
    return sorted(found)


def fields_of(spot: Spot) -> frozenset[str]:
    """Names of the keyword arguments, dict keys, attributes and subscripts that the query at ``spot`` goes into."""
    try:
        tree = _parsed(spot.file, Path(spot.file).stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    function = _function(tree, spot.end)
    return _reached(function, spot.end) if function is not None else frozenset()


@lru_cache(maxsize=16)
def _parsed(file: str, changed: int) -> ast.Module:
    return ast.parse(Path(file).read_bytes())


def _inside(node: ast.AST, place: Place) -> bool:
    """Whether what ends at ``place`` is a part of ``node``."""
    line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
    end_line, end = getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0
    return (line, column) <= place <= (end_line, end)


def _function(tree: ast.Module, place: Place) -> ast.AST | None:
    """The innermost function around a place."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _inside(node, place)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def _reached(function: ast.AST, place: Place) -> frozenset[str]:
    flows = list(_flows(function))
    sinks = list(_sinks(function))
    passed_on = [(targets, _names(made_of)) for targets, made_of in flows]
    feeds: dict[str, frozenset[str]] = {}  # variable -> fields
    for fields, made_of in sinks:
        for name in _names(made_of):
            feeds[name] = feeds.get(name, frozenset()) | fields
    changed = True
    while changed:
        changed = False
        for targets, names in passed_on:
            fields = frozenset[str]().union(*(feeds.get(name, ()) for name in targets))
            for name in names:
                if not fields <= feeds.get(name, frozenset()):
                    feeds[name] = feeds.get(name, frozenset()) | fields
                    changed = True
    found: set[str] = set()
    for fields, made_of in sinks:
        if _inside(made_of, place):
            found |= fields
    for targets, made_of in flows:
        if _inside(made_of, place):
            found.update(*(feeds.get(name, ()) for name in targets))
    return frozenset(found)


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _flows(function: ast.AST) -> Iterator[Flow]:
    """Variables, and what each is made of."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield frozenset().union(*map(_names, node.targets)), node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            yield frozenset(_names(node.target)), node.value
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield frozenset(_names(node.target)), node.iter
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield frozenset(_names(node.optional_vars)), node.context_expr


def _sinks(function: ast.AST) -> Iterator[Flow]:
    """Fields, and what each is made of."""
    for node in ast.walk(function):
        if isinstance(node, ast.keyword) and node.arg is not None:
            yield frozenset((node.arg,)), node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield frozenset((key.value,)), value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute):
                    yield frozenset((target.attr,)), node.value
                elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                    yield frozenset((str(target.slice.value),)), node.value
