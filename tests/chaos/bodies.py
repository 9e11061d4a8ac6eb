"""Faults of bodies: codings, bombs, charsets, types, and pages that are too much."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache
from itertools import islice, product

import brotli
from backports import zstd

from chaos.connections import TOO_LARGE
from chaos.fault import PAGE, Fault, Peer, Play, dead, done, fault, page, says
from scraper import errors

CORRUPT = dead(errors.BodyCorrupt, "corrupt", 200)
CUT = dead(errors.BodyCut, "cut", 200, again=True)
NOT_HTML = dead(errors.ContentError, "content type", 200)
TOO_DEEP = dead(errors.NestingError, "nesting", 200)
HUGE = 64 * 1024 * 1024  # what the bombs unfold to


def coded(body: bytes, coding: str) -> Play:
    return says(page(body, f"Content-Encoding: {coding}"))


def large(make: Callable[[], bytes], *headers: str) -> Play:
    """A body that takes a while to make: once, when the server begins, and not for every run of the tests."""

    async def play(peer: Peer, path: str) -> bool:
        await peer.send(page(made(make), *headers))
        return True

    LARGE.append(make)
    return play


LARGE: list[Callable[[], bytes]] = []
"""What the server makes before it is asked."""

made = cache(lambda make: make())


def gzip_bomb() -> bytes:
    return gzip.compress(bytes(HUGE))


def brotli_bomb() -> bytes:
    return brotli.compress(bytes(HUGE), quality=3)  # type: ignore[no-any-return]


def zstd_bomb() -> bytes:
    return zstd.compress(bytes(HUGE))


def damaged(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


def bomb(name: str, does: str, make: Callable[[], bytes], coding: str) -> Fault:
    return fault(name, does, large(make, f"Content-Encoding: {coding}"), TOO_LARGE, "max_body_size")


LONG = PAGE + b"".join(b"<p>%d</p>" % (n * n) for n in range(3000))
GZIP, BROTLI, ZSTD = gzip.compress(LONG), brotli.compress(LONG), zstd.compress(LONG)

CODINGS: list[Fault] = [
    bomb("gzip bomb", "sends 64 kB of gzip that unfold to 64 MB", gzip_bomb, "gzip"),
    bomb("br bomb", "sends a bomb of brotli", brotli_bomb, "br"),
    bomb("zstd bomb", "sends a bomb of zstd", zstd_bomb, "zstd"),
    bomb("deflate bomb", "sends a bomb of deflate", lambda: zlib.compress(bytes(HUGE), 9), "deflate"),
    bomb("bomb in a bomb", "packs a bomb twice", lambda: gzip.compress(gzip_bomb()), "gzip, gzip"),
    fault("gzip cut", "cuts its gzip short", coded(GZIP[:-100], "gzip"), CUT, "retry_attempts"),
    fault("br cut", "cuts its brotli short", coded(BROTLI[:-100], "br"), CUT, "retry_attempts"),
    fault("zstd cut", "cuts its zstd short", coded(ZSTD[:-100], "zstd"), CUT, "retry_attempts"),
    fault("deflate cut", "cuts its deflate short", coded(zlib.compress(LONG)[:-100], "deflate"), CUT, "retry_attempts"),
    fault("gzip check", "sends gzip that fails its check", coded(damaged(GZIP, -6), "gzip"), CORRUPT),
    fault("gzip broken", "damages its gzip", coded(GZIP[:10] + b"\xff" * 10 + GZIP[20:], "gzip"), CORRUPT),
    fault("br broken", "damages its brotli", coded(BROTLI[:3] + b"\xff" * 40 + BROTLI[43:], "br"), CORRUPT),
    fault("zstd broken", "damages its zstd", coded(ZSTD[:6] + b"\xff" * 40 + ZSTD[46:], "zstd"), CORRUPT),
    fault("gzip lie", "calls a plain page gzip", coded(PAGE, "gzip"), CORRUPT),
    fault("br lie", "calls gzip brotli", coded(GZIP, "br"), CORRUPT),
    fault("unknown coding", "uses a coding that nobody knows", coded(PAGE, "rot13"), CORRUPT),
    fault("six codings", "stacks six codings", coded(PAGE, "gzip, gzip, gzip, gzip, gzip, gzip"), CORRUPT),
    fault("two codings", "stacks gzip and brotli", coded(brotli.compress(GZIP), "gzip, br"), done()),
    fault("gzip and more", "sends more after its gzip", coded(GZIP + b"garbage", "gzip"), done()),
    fault("gzip of nothing", "calls an empty body gzip", coded(b"", "gzip"), done(None)),
    fault(
        "gzip members",
        "packs its page in 20,000 members",
        coded(GZIP + gzip.compress(b"") * 20_000, "gzip"),
        CORRUPT,
    ),
]


def typed(name: str, does: str, kind: str, body: bytes, title: str | None = "whole") -> Fault:
    return fault(name, does, says(page(body, kind=kind)), done(title))


UTF16 = "<h1>whole</h1>".encode("utf-16")
HTML = "Content-Type: text/html"
KINDS: list[Fault] = [
    typed("charset unknown", "names a charset that nobody knows", f"{HTML}; charset=klingon", PAGE),
    typed(
        "charset wrong",
        "names a charset that the page is not in",
        f"{HTML}; charset=utf-8",
        b"<h1>caf\xe9</h1>",
        "caf\ufffd",
    ),
    typed("charset bom", "names a charset that its byte order mark denies", f"{HTML}; charset=latin-1", UTF16),
    typed(
        "invalid utf-8",
        "sends UTF-8 that is none",
        f"{HTML}; charset=utf-8",
        b"<h1>a\xc0\xafb\xed\xa0\x80</h1>",
        "a\ufffd\ufffdb\ufffd\ufffd\ufffd",
    ),
    typed("no type", "does not say what it sends", "", PAGE),
    typed("type garbage", "says garbage of what it sends", "Content-Type: ;;=/,", PAGE),
    typed("nuls", "puts NULs into its page", HTML, b"<h1>who\0le</h1>", "whole"),
    typed("binary", "calls random bytes HTML", HTML, bytes(range(256)) * 400, None),
    typed("nothing", "sends an empty page", HTML, b"", None),
    fault("gzip unlabelled", "does not say that its page is gzip", says(page(GZIP, kind=HTML)), NOT_HTML),
    fault(
        "json",
        "sends JSON where the spider reads HTML",
        says(page(b'{"a": 1}', kind="Content-Type: application/json")),
        NOT_HTML,
    ),
    fault(
        "image",
        "sends an image where the spider reads HTML",
        says(page(b"\x89PNG\r\n\x1a\n" + bytes(100), kind="Content-Type: image/png")),
        NOT_HTML,
    ),
]


def many_links(number: int) -> bytes:
    """A million are 16 MB; an ``<a>`` would have to be closed, and take more than a page may have."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    names = ("".join(four) for four in product(letters, repeat=4))
    return PAGE + "".join(f"<area href={name}>" for name in islice(names, number)).encode()


PAGES: list[Fault] = [
    fault("1 M links", "puts a million links on a page", large(lambda: many_links(1_000_000)), TOO_DEEP),
    fault(
        "150 k links",
        "puts 150,000 links on a page",
        large(lambda: many_links(150_000)),
        dead(errors.TooManyResults, "too many results", 200),
        "max_results",
    ),
    fault("50 MB", "sends a page of 50 MB", large(lambda: b"<p>x</p>" * 6_500_000), TOO_LARGE, "max_body_size"),
    fault(
        "16 MB of text",
        "sends a page as large as it may be",
        large(lambda: PAGE + b"text " * 3_300_000),
        done(),
        "max_body_size",
    ),
    fault("nested", "nests 100,000 tags", large(lambda: PAGE + b"<div>" * 100_000), TOO_DEEP),
    fault(
        "formatting",
        "leaves 20,000 formatting tags open",
        large(lambda: PAGE + b"".join(b"<b><font x=%d><p>" % n for n in range(20_000))),
        TOO_DEEP,
    ),
    fault(
        "attributes",
        "gives a tag 100,000 attributes",
        large(lambda: b"<p " + b" ".join(b"a%d=1" % n for n in range(100_000)) + b">" + PAGE),
        TOO_DEEP,
    ),
    fault("unclosed", "closes nothing that it opens", says(page(b"<h1>whole<p <a <!-- <script")), done("whole")),
]

BODIES: list[Fault] = [*CODINGS, *KINDS, *PAGES]
