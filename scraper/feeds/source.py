"""The content of a feed, from a file or from memory: unpacked, as UTF-8, in pieces; never the whole of it.

Whatever encoding it came in, readers get UTF-8: expat knows a handful of encodings, and stops at a byte that is none of
the one it was promised. Here such a byte is U+FFFD, as it is in ``response.text``.
"""

from __future__ import annotations

import io
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError, ParserCreate

from scraper.content import kind_of
from scraper.decompress import BodyError, Decompressor
from scraper.encoding import declared, decoder
from scraper.errors import ContentError, ParseError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 64 * 1024
"""Bytes that are read, decoded and parsed at a time."""
HEAD = 16 * 1024
"""Bytes from which we tell what it is."""
DECLARED = 1024
"""Bytes within which it declares its encoding."""
MOST_LAYERS = 3
"""Times that it may be gzipped: sites gzip what is gzipped already."""

_CONTROLS = bytes(range(9)) + b"\x0b\x0c" + bytes(range(0x0E, 0x20))
"""What XML 1.0 does not allow and servers send all the same (section 2.2)."""
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


class Source:
    """What is read of a feed.

    Args:
        content: a file or bytes.
        url: where it came from, for errors.
        content_type: the header, which may name the encoding.
        limit: bytes that it may unfold to when it is gzipped.

    ``taken`` counts the bytes of UTF-8 that were given out. Methods that read raise ParseError for what is cut or no
    gzip, and OSError when the file cannot be read; they may be called from any thread, one at a time.
    """

    def __init__(self, content: Path | bytes, url: str, content_type: str = "", limit: int = 2**30) -> None:
        self._content = content
        self._type = content_type
        self._limit = limit
        self.url = url
        self.taken = 0
        self.head = b""
        """How it begins, as UTF-8 and without white space before it."""

    def pieces(self, *, markup: bool = False) -> Iterator[bytes]:
        """All of it as UTF-8. ``markup``: without the bytes that XML does not allow."""
        decode = decoder(self._encoding())
        begun = False
        for raw, last in _marked_last(self._unpacked()):
            text = decode(raw, last)
            if not begun:
                text = text.removeprefix("\ufeff").lstrip(" \t\r\n") if markup else text.removeprefix("\ufeff")
                begun = bool(text)
            piece = text.encode("utf-8", "replace")
            if markup:
                piece = piece.translate(None, _CONTROLS)
            self.taken += len(piece)
            if piece:
                yield piece

    def lines(self) -> io.TextIOWrapper:
        """All of it as text whose line ends are kept as they are."""
        return io.TextIOWrapper(io.BufferedReader(_Raw(self.pieces()), PIECE), encoding="utf-8", newline="")

    def look(self) -> str:
        """What it is: the local name of its root (``urlset``, ``rss``) for XML, else ``json``, ``text`` or ``empty``.

        Raises ContentError for HTML and for binary data.
        """
        head = bytearray()
        for piece in self.pieces(markup=True):
            head += piece
            if len(head) >= HEAD:
                break
        self.taken = 0
        self.head = bytes(head[:HEAD]).lstrip()
        if not self.head:
            return "empty"
        if _HTML.match(self.head):
            raise self._unfit("an HTML page")
        if self.head.startswith(b"<"):
            root = _root(self.head)
            if root == "html":
                raise self._unfit("an HTML page")
            return root
        if self.head.startswith((b"{", b"[")):
            return "json"
        raw = self._beginning()
        wide = (declared(raw, self._type) or "").startswith(("utf-16", "utf-32"))  # half of it is NUL
        if not wide and kind_of(None, raw) == "binary":
            raise self._unfit("binary data")
        return "text"

    def _unfit(self, what: str) -> ContentError:
        said = self._type or "without a Content-Type"
        return ContentError(f"{self.url} is {what} ({said}), no feed; see what the site sends with: scraper fetch URL")

    def _encoding(self) -> str:
        """What it declares, else UTF-8 if all of it is, else windows-1252; XML that declares nothing is UTF-8."""
        head = self._beginning()
        found = declared(head, self._type)
        if found is not None:
            return found
        if head.lstrip().startswith(b"<"):
            return "utf-8"
        check = getincrementaldecoder("utf-8")("strict")
        try:
            for raw, last in _marked_last(self._unpacked()):
                check.decode(raw, last)
        except UnicodeDecodeError:
            return "windows-1252"
        except ParseError:
            return "utf-8"  # cut: the reader comes to that
        return "utf-8"

    def _beginning(self) -> bytes:
        """As much of it, unpacked, as tells its encoding."""
        head = bytearray()
        for piece in self._unpacked():
            head += piece
            if len(head) >= DECLARED:
                break
        return bytes(head[:DECLARED])

    def _unpacked(self) -> Iterator[bytes]:
        pieces = self._raw()
        for _ in range(MOST_LAYERS):
            first = next(pieces, b"")
            pieces = chain((first,), pieces)
            if not first.startswith(b"\x1f\x8b"):
                break
            pieces = self._gunzipped(pieces)
        return pieces

    def _gunzipped(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        decompressor = Decompressor("gzip", self._limit)
        try:
            for piece in pieces:
                for unfolded in decompressor.feed(piece):
                    for at in range(0, len(unfolded), PIECE):
                        yield unfolded[at : at + PIECE]
            decompressor.finish()
        except BodyError as error:
            raise ParseError(f"{self.url} cannot be unpacked: {error}") from error

    def _raw(self) -> Iterator[bytes]:
        with io.BytesIO(self._content) if isinstance(self._content, bytes) else open(self._content, "rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _marked_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each with whether it is the last."""
    before = next(pieces, b"")
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True


class _Found(Exception):
    """The root element has been met."""


def _root(head: bytes) -> str:
    """The local name of the first element; ``xml`` when there is none that can be read."""
    names: list[str] = []

    def start(name: str, attributes: object) -> None:
        names.append(name)
        raise _Found

    parser = ParserCreate("utf-8")
    parser.StartElementHandler = start
    with suppress(_Found, ExpatError):
        parser.Parse(head, False)
    return names[0].rpartition(":")[2].lower() if names else "xml"


class _Raw(io.RawIOBase):
    """Pieces as a stream, for the text layer of the standard library."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._left))
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
