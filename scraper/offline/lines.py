"""JSON that people read in a review: what fits on a line stands on one, keys in the order in which they are given."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec

WIDTH = 120


def dumps(value: Any, indent: str = "") -> str:
    """``value`` as JSON text: equal values give equal text, and one change changes few lines."""
    short = json.dumps(value, ensure_ascii=False)
    tall = isinstance(value, list) and any(isinstance(each, dict) for each in value)  # one item, one line at least
    if not isinstance(value, dict | list) or not value or (indent and not tall and len(indent) + len(short) <= WIDTH):
        return short
    inner = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name, ensure_ascii=False)}: {dumps(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + dumps(each, inner) for each in value) + f"\n{indent}]"


def bare(value: Any) -> Any:
    """A struct, or what holds some, as plain values without the fields that are as they are by default."""
    if isinstance(value, msgspec.Struct):
        found = {name: getattr(value, name) for name in value.__struct_fields__}
        default = _defaults(type(value))
        return {name: bare(each) for name, each in found.items() if name not in default or each != default[name]}
    return [bare(each) for each in value] if isinstance(value, list) else value


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = field.default_factory()
    return found
