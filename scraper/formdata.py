"""The three ways in which a form is sent: urlencoded, multipart/form-data (RFC 7578) and text/plain.

As the HTML standard has them. The boundary of a multipart body is made from what it holds, so that the same form is
the same request after a restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from msgspec import Struct
from xxhash import xxh3_128_hexdigest

from scraper.encoding import encode
from scraper.errors import RequestError

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
PLAIN = "text/plain"

MOST_BYTES = 16 * 1024 * 1024
"""Of a body made here: it is stored with its request."""


class Upload(Struct, frozen=True):
    """A file of a form. ``content_type`` is that of its name when empty."""

    filename: str
    content: bytes
    content_type: str = ""

    @property
    def type(self) -> str:
        import mimetypes  # few crawls send files

        return self.content_type or mimetypes.guess_type(self.filename)[0] or "application/octet-stream"


Entry = tuple[str, str | Upload]
"""A name and its value."""

NO_FILE = Upload("", b"", "application/octet-stream")
"""What a browser sends for a file input without a file."""


def entries_of(given: Any, what: str) -> list[tuple[str, str | None]]:
    """Names and values of a dict or of pairs; a list as a value gives its name once for each. Numbers become text.

    None stays: it takes a field away. Raises RequestError naming ``what`` for anything else.
    """
    found: list[tuple[str, str | None]] = []
    for name, value in _items(given, what):
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            found += [(name, _text(each, what, name)) for each in value]
        else:
            found.append((name, None if value is None else _text(value, what, name)))
    return found


def uploads_of(given: Any) -> list[tuple[str, Upload]]:
    """The files of a dict or of pairs, read now. A list as a value gives its name once for each.

    A file is a path, or (name, bytes) or (name, bytes, content type). Raises RequestError for what is none of these
    or cannot be read.
    """
    found = []
    for name, value in _items(given, "files"):
        each = value if isinstance(value, list) else [value]
        found += [(name, _upload(one, name)) for one in each]
    return found


def urlencoded(entries: Iterable[Entry], encoding: str = "utf-8") -> str:
    """``a=1&b=2``, by the serializer of the URL standard; of a file, its name."""
    pairs = []
    for name, value in entries:
        text = value.filename if isinstance(value, Upload) else value
        pairs.append(f"{_escape(name, encoding)}={_escape(text, encoding)}")
    return "&".join(pairs)


def form_body(entries: Sequence[Entry], enctype: str, encoding: str = "utf-8") -> tuple[bytes, str]:
    """Body and Content-Type. Raises RequestError for a body of more than 16 MiB."""
    if enctype == MULTIPART:
        return _multipart(entries, encoding)
    if enctype == PLAIN:
        texts = [(name, value.filename if isinstance(value, Upload) else value) for name, value in entries]
        body = b"".join(encode(f"{_lines(name)}={_lines(text)}\r\n", encoding) for name, text in texts)
    else:
        body, enctype = urlencoded(entries, encoding).encode(), URLENCODED
    return _bounded(body), enctype


def _multipart(entries: Sequence[Entry], encoding: str) -> tuple[bytes, str]:
    parts = []
    size = 0
    for name, value in entries:
        head = f'Content-Disposition: form-data; name="{_quoted(_lines(name))}"'
        if isinstance(value, Upload):
            if not value.type.isprintable():
                raise RequestError(f"the content type {value.type!r} of a file is none")
            head += f'; filename="{_quoted(value.filename)}"\r\nContent-Type: {value.type}'
            content = value.content
        else:
            content = encode(_lines(value), encoding)
        size += len(content)
        if size > MOST_BYTES:
            break
        parts.append(encode(head, encoding) + b"\r\n\r\n" + content)
    if size > MOST_BYTES:
        raise _too_large(size)
    number = 0
    while True:  # until it is not in any part, which only a page that wants to be in the way brings about
        seed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        boundary = f"----scraper{xxh3_128_hexdigest(seed, number)}"
        if not any(boundary.encode() in part for part in parts):
            break
        number += 1
    mark = boundary.encode()
    body = b"".join(b"--" + mark + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + mark + b"--\r\n"
    return _bounded(body), f"{MULTIPART}; boundary={boundary}"


def _items(given: Any, what: str) -> list[tuple[str, Any]]:
    if isinstance(given, Mapping):
        given = given.items()
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        pairs = list(given)
        if all(isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
            return [(name, value) for name, value in pairs]
    raise RequestError(f"{what} must be a dict, or pairs of names and values: it is a {type(given).__name__}")


def _text(value: Any, what: str, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RequestError(f"{what}[{name!r}] is a {type(value).__name__}; pass str, a number or a list of these")


def _upload(value: Any, name: str) -> Upload:
    if isinstance(value, Upload):
        return value
    if isinstance(value, str | PathLike):
        return read_file(value, f"files[{name!r}]")
    if isinstance(value, tuple) and len(value) in (2, 3):
        filename, content, *kind = value
        if isinstance(content, str):
            content = content.encode()
        if isinstance(filename, str) and isinstance(content, bytes) and all(isinstance(each, str) for each in kind):
            if any(not each.isprintable() for each in kind):
                raise RequestError(f"files[{name!r}]: the content type {kind[0]!r} is none")
            return Upload(filename, content, *kind)
    raise RequestError(
        f"files[{name!r}] is a {type(value).__name__}; pass a path, or (name, bytes) or (name, bytes, content type)"
    )


def read_file(path: str | PathLike[str], what: str) -> Upload:
    """A file of this machine. Raises RequestError when it cannot be read or is larger than a body may be."""
    file = Path(path)
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise RequestError(f"{what} cannot be read: {error}") from error
    if len(content) > MOST_BYTES:
        raise _too_large(file.stat().st_size)
    return Upload(file.name, content)


def _bounded(body: bytes) -> bytes:
    if len(body) > MOST_BYTES:
        raise _too_large(len(body))
    return body


def _too_large(size: int) -> RequestError:
    return RequestError(
        f"a body of {size:,} bytes or more cannot be sent: it is stored with its request, so {MOST_BYTES:,} at most"
    )


_BARE_BREAK = re.compile(r"\r\n?|\n")


def _lines(text: str) -> str:
    return _BARE_BREAK.sub("\r\n", text)


def _escape(text: str, encoding: str) -> str:
    # quote_plus keeps "~", which the standard escapes, and the standard keeps "*".
    return quote_plus(encode(_lines(text), encoding), safe="*").replace("~", "%7E")


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
