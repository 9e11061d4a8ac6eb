"""Content codings undone under a cap: gzip, deflate, br, zstd and stacks of them (RFC 9110, 8.4).

Every coding is read to its own end of stream, with whatever check it carries (CRC-32, Adler-32, xxHash): a body
that was cut on the way is an error here, never a short page. No more than the cap, plus one step of the decoder, is
ever held, however small the body that unfolds. The network is no business of this module; it only turns
bytes into bytes and raises one of four errors.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

inflate: Any
try:
    from isal import isal_zlib as inflate  # a third faster, and two fifths on large pages
except ImportError:
    inflate = zlib

try:
    import brotli  # type: ignore[import-untyped]
except ImportError:  # PyPy has it under this name, with the same interface
    import brotlicffi as brotli  # type: ignore[import-not-found]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["BodyError", "CorruptBody", "CutBody", "Decompressor", "OverLimit", "UnknownCoding", "decompress"]

MAX_CODINGS = 5
"""Codings stacked on one body; more is an attack, not a page."""
MAX_MEMBERS = 10_000
"""Members of a gzip (frames of a zstd) body; a megabyte of empty ones would cost a second."""

_STEP = 512 * 1024  # bytes of content asked of a decoder at a time (brotli gives up to twice as much)
_WINDOW = 8 * 1024  # bytes; what follows a member is copied for each further one, so it is handed on in windows
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}  # 8 MB, the most that RFC 9659 allows


class BodyError(Exception):
    """The body cannot be decoded."""


class CutBody(BodyError):
    """It ends before its end of stream."""


class CorruptBody(BodyError):
    """It is not what its coding makes, or fails its check."""


class OverLimit(BodyError):
    """It decodes to more bytes than allowed."""


class UnknownCoding(BodyError):
    """Content-Encoding names something that is not spoken here."""


def decompress(body: bytes, content_encoding: str, limit: int) -> bytes:
    """A whole body without its codings, at most ``limit`` bytes.

    An empty body is empty in any coding: servers label answers to HEAD and the like.
    Raises CutBody, CorruptBody, OverLimit, UnknownCoding.
    """
    decoder = Decompressor(content_encoding, limit)
    pieces = list(decoder.feed(body))
    decoder.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Decompressor:
    """The same for a body that comes in chunks: `feed` each and use up its pieces, then `finish`.

    ``content_encoding`` is the header as it came: codings in the order in which they were applied. ``limit`` is
    in bytes and holds for what each coding unfolds to. The constructor raises UnknownCoding.
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MAX_CODINGS:
            raise UnknownCoding(f"{len(names)} codings on one body")
        for name in names:
            if name not in _CODINGS:
                raise UnknownCoding(f"unknown coding {name[:40]!r}")
        # The last coding applied is the first to be undone.
        self._stages = [(name, _CODINGS[name]()) for name in reversed(names)]
        self._limit = limit
        self._rooms = [limit] * (len(names) + 1)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What ``chunk`` adds to the content, in pieces of about half a megabyte at most, made as they are asked for:
        a bomb goes off no faster than its pieces are taken. Raises CorruptBody, OverLimit."""
        return self._undo(0, chunk)

    def finish(self) -> None:
        """Says that the body is over. Raises CutBody when a coding has not come to its end."""
        for name, stage in self._stages:
            if not stage.whole():
                raise CutBody(f"ends in the middle of its {name} data")

    def _undo(self, at: int, data: bytes) -> Iterator[bytes]:
        """``data`` through the stages from ``at`` on, piece by piece, so that no stage waits with all of it."""
        self._rooms[at] -= len(data) if at or not self._stages else 0
        if self._rooms[at] < 0:
            raise OverLimit(f"more than {self._limit} bytes")
        if at == len(self._stages):
            yield data
        elif data:
            name, stage = self._stages[at]
            try:
                for piece in stage.feed(data):
                    yield from self._undo(at + 1, piece)
            except (zlib.error, inflate.error, brotli.error, zstd.ZstdError) as error:
                raise CorruptBody(f"not valid {name}: {error}") from error


class _Stage(Protocol):
    """One coding being undone."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The content of ``data``, in pieces of about `_STEP` bytes at most."""

    def whole(self) -> bool:
        """Whether the data ended where it may end: at an end of stream, or before any came."""


class _Member(Protocol):
    """What zlib and zstd objects have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _pieces(member: _Member, data: bytes) -> Iterator[bytes]:
    while True:
        piece = member.decompress(data, _STEP)
        yield piece
        if len(piece) < _STEP or member.eof:
            return
        data = getattr(member, "unconsumed_tail", b"")  # zlib hands back what it did not read, zstd keeps it


class _Members:
    """A coding whose data is one stream after another: gzip members (RFC 1952, 2.2), zstd frames (RFC 8878, 3).

    Zeros between and after streams are padding. Anything else that does not begin like a stream is ignored with
    all that follows, as browsers do (Chromium's GzipSourceStream says so of all of them).
    """

    def __init__(self, make: Callable[[], _Member], begins: Callable[[bytes], bool | None]) -> None:
        self._make = make
        self._begins = begins  # None: too few bytes to tell
        self._member = make()
        self._count = 1
        self._fed = False
        self._between = b""
        self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._fed = True
        if not self._member.eof:
            yield from _pieces(self._member, data)
            data = self._member.unused_data
        for at in range(0, len(data), _WINDOW):
            window = data[at : at + _WINDOW]
            while window and not self._over:
                if self._member.eof and not (window := self._next(window)):
                    break
                yield from _pieces(self._member, window)
                window = self._member.unused_data

    def whole(self) -> bool:
        return self._member.eof or not self._fed

    def _next(self, data: bytes) -> bytes:
        """Begins the next member; its data so far, or nothing when none begins here."""
        data = (self._between + data).lstrip(b"\0")
        self._between = b""
        begins = self._begins(data)
        if begins is None:
            self._between = data
            return b""
        if not begins:
            self._over = True
            return b""
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise CorruptBody(f"more than {MAX_MEMBERS} members")
        self._member = self._make()
        return data


def _gzip_begins(data: bytes) -> bool | None:
    return None if len(data) < 2 and b"\x1f".startswith(data) else data.startswith(b"\x1f\x8b")


def _zstd_begins(data: bytes) -> bool | None:
    if len(data) < 4:
        return None
    skippable = data[0] & 0xF0 == 0x50 and data[1:4] == b"\x2a\x4d\x18"
    return skippable or data.startswith(b"\x28\xb5\x2f\xfd")


class _Deflate:
    """zlib data (RFC 1950) as the coding is defined, or raw deflate (RFC 1951) as many servers send it."""

    def __init__(self) -> None:
        self._start = b""
        self._inner: _Member | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inner is None:
            self._start += data
            if len(self._start) < 2:
                return
            data = self._start
            zlib_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._inner = inflate.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        if not self._inner.eof:
            yield from _pieces(self._inner, data)

    def whole(self) -> bool:
        return self._inner.eof if self._inner is not None else not self._start


class _Brotli:
    """RFC 7932. The decoder cannot tell what follows its end of stream from damage, so either is an error."""

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._fed = True
        if self._inner.is_finished():
            raise CorruptBody("data after the end of the br stream")
        while True:
            piece: bytes = self._inner.process(data, output_buffer_limit=_STEP)
            yield piece
            # A piece shorter than asked for is the last that this input gives.
            if len(piece) < _STEP or self._inner.is_finished():
                return
            data = b""

    def whole(self) -> bool:
        return not self._fed or bool(self._inner.is_finished())


def _gzip() -> _Stage:
    return _Members(lambda: inflate.decompressobj(zlib.MAX_WBITS | 16), _gzip_begins)


def _zstd() -> _Stage:
    return _Members(lambda: zstd.ZstdDecompressor(options=_ZSTD_OPTIONS), _zstd_begins)


_CODINGS: dict[str, Callable[[], _Stage]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _zstd,
}
