"""XML 1.0: ``<items>`` of ``<item>``, an element for each field. Well-formed for any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from scraper.exports.columns import encode, merged
from scraper.exports.source import Source

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<items xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'

_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(rf"(?!(?i:xml))[{_START}][{_START}\-.0-9\u00b7\u0300-\u036f\u203f-\u2040]*")
"""A Name of XML 1.0 (fifth edition, [5]) without a colon, and not of those that XML keeps for itself."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SPECIAL = re.compile("[&<>\r]")
_IN_ATTRIBUTE = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def write(source: Source, file: BinaryIO) -> int:
    """An object's fields are elements, a list's are ``<value>``, null is ``xsi:nil``. A name that XML does not allow is
    the attribute of ``<field name="…">``; a character that it cannot hold becomes U+FFFD."""
    names = source.named
    front, behind = source.own
    chosen = tuple(dict.fromkeys((*front, *names, *behind)))
    file.write(HEAD)
    number = 0
    for row in source.rows():
        data = merged(row, exact=True)
        if names:
            data = {name: data[name] for name in chosen if name in data}
        file.write(_item(data).encode())
        number += 1
    file.write(b"</items>\n")
    return number


def _item(data: dict[str, Any]) -> str:
    """Without recursion: an item may be nested deeper than Python calls."""
    out = ["<item>"]
    open_: list[tuple[Iterator[tuple[str, Any]], str]] = [(iter(data.items()), "</item>\n")]
    while open_:
        pairs, closing = open_[-1]
        for name, value in pairs:
            start, end = _tags(name)
            if isinstance(value, dict | list):
                out.append(f"<{start}>")
                inner = value.items() if isinstance(value, dict) else (("value", each) for each in value)
                open_.append((iter(inner), end))
                break
            if value is None:
                out.append(f'<{start} xsi:nil="true"/>')
            else:
                shown = value if isinstance(value, str) else encode(value).decode()
                out.append(f"<{start}>{_escaped(shown, _SPECIAL)}{end}")
        else:
            out.append(closing)
            open_.pop()
    return "".join(out)


def _tags(name: str) -> tuple[str, str]:
    tags = _known.get(name)
    if tags is None:
        if _NAME.fullmatch(name):
            tags = name, f"</{name}>"
        else:
            tags = f'field name="{_escaped(name, _IN_ATTRIBUTE)}"', "</field>"
        if len(_known) < 10_000:
            _known[name] = tags
    return tags


def _escaped(text: str, special: re.Pattern[str]) -> str:
    clean = _FORBIDDEN.sub("\ufffd", text) if not text.isprintable() else text
    return special.sub(lambda match: _ESCAPES[match[0]], clean)


_known: dict[str, tuple[str, str]] = {}
