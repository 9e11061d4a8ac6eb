"""Whether a value comes back from JSON as it went, and where it would not."""

from __future__ import annotations

from math import isfinite
from typing import Any


def json_flaw(value: Any) -> str | None:
    """Where and why a value is not JSON (None, bool, int, float, str, list, dict), or None when it is.

    msgspec would write dates, sets and dataclasses too, but they would come back as something else.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if value.isascii() or _is_unicode(value) else " holds text with lone surrogates"
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else " is a number of more than 64 bits"
    if isinstance(value, float):
        return None if isfinite(value) else f" is {value}"
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            if (flaw := json_flaw(each)) is not None:
                return f"[{number}]{flaw}"
        return None
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                return f" has a key that is not a str: {key!r}"
            if (flaw := json_flaw(key) or json_flaw(each)) is not None:
                return f"[{key!r}]{flaw}"
        return None
    return f" is a {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
