"""Which fields of an item a query feeds, as the source of the spider has it: by names and places, not by values.

``price = page.css("p")`` and then ``Book(price=float(price.get()))``: the query stands in what the name ``price`` is
made of, and the field ``price`` is made of that name. The order of statements is not looked at, so a name that is used
twice may tell of a field too many; it never tells of one that the query cannot reach by names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from scraper.offline.trace import Spot

Place = tuple[int, int]
Flow = tuple[frozenset[str], ast.AST]
"""Names (of variables, or of fields) that are made of an expression."""


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
