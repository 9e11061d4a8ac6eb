"""What a body is: HTML, XML, JSON, other text or binary, by its Content-Type and its first bytes.

The rules are those of the WHATWG MIME Sniffing standard (https://mimesniff.spec.whatwg.org/), with one difference of
purpose: a browser must not run what only looks like a page, while here a page with the wrong label is still a page.
Nothing here raises on any input.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

__all__ = ["Kind", "essence", "has_tags", "kind_of"]

Kind = Literal["html", "xml", "json", "text", "binary"]

SNIFFED = 1445
"""Bytes that are looked at: the standard's resource header."""

LONG = 200
"""Characters of a Content-Type from which it is no common one."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ESSENCE = re.compile(rf"[\t\n\r ]*({_TOKEN}/{_TOKEN})[\t\n\r ]*(?:;|\Z)")
_UNKNOWN = frozenset(("", "unknown/unknown", "application/unknown", "*/*", "text/plain", "application/octet-stream"))
"""Types that servers give to what they do not know."""
_JSON = frozenset(("application/json", "text/json", "application/x-json", "application/manifest+json"))
_TEXT = frozenset(
    "javascript x-javascript ecmascript x-ecmascript x-ndjson ndjson jsonl jsonlines x-yaml yaml toml sql graphql csv"
    " x-sh x-www-form-urlencoded rtf x-tex x-latex x-httpd-php".split()
)
"""Text that is filed under application/."""
_BINARY = re.compile(
    r"(?:image|audio|video|font)/(?!.*\+xml)|application/(?:pdf|zip|gzip|x-gzip|x-tar|x-7z-compressed|x-rar-compressed"
    r"|x-bzip2|zstd|wasm|x-protobuf|msgpack|cbor|java-archive|vnd\.(?:ms-|openxml|oasis).*|.*\+(?:zip|gzip|cbor))"
)

# Signatures by their first byte, so that a page costs one look-up.
_MAGIC: dict[int, tuple[bytes, ...]] = {}
for _start in (
    b"%PDF-",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b\x08",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",
    b"\x7fELF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"wOFF",
    b"wOF2",
    b"\0\x01\0\0",
    b"OTTO",
    b"ttcf",
    b"\0\0\x01\0",
    b"\0\0\x02\0",
    b"OggS\0",
    b"ID3",
    b"fLaC",
    b"MThd\0\0\0\x06",
    b"\x1aE\xdf\xa3",
    b"II*\0",
    b"MM\0*",
    b"%!PS-Adobe-",
    b"\0asm",
    b"SQLite format 3\0",
):
    _MAGIC[_start[0]] = (*_MAGIC.get(_start[0], ()), _start)
_FORMS = re.compile(rb"RIFF.{4}(?:WEBPVP|WAVE|AVI )|FORM.{4}AIF[FC]|\0\0..ftyp|BM.{4}\0\0\0\0", re.DOTALL)

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*+(?:"
    rb"(<\?xml[\t\n\f\r ])|"
    rb"<(?:!doctype[\t\n\f\r ]++html|(?:html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link"
    rb"|ul|ol|main|section|article|form|span|nav|header)(?=[\t\n\f\r />])|!--)"
    rb"|(<(?:rss|feed|rdf:rdf|urlset|sitemapindex|opml|svg)(?=[\t\n\f\r />])))",
    re.IGNORECASE,
)
_XHTML = re.compile(rb"(?:<\?[^>]*+>|<!--.*?-->|\s)*+(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE | re.DOTALL)
_CONTROLS = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_TAG = re.compile(rb"<\0?[a-zA-Z!/?]")


def essence(content_type: str | None) -> str:
    """``type/subtype`` of a Content-Type in lower case; empty when there is none or it is none."""
    if content_type is None:
        return ""
    # What is kept must not be a server's to fill: 512 headers of 64 KiB are 32 MB.
    return _essence(content_type) if len(content_type) <= LONG else _read_essence(content_type)


def _read_essence(content_type: str) -> str:
    found = _ESSENCE.match(content_type)
    return found[1].lower() if found else ""


_essence = lru_cache(maxsize=512)(_read_essence)  # a site sends few different ones


def kind_of(content_type: str | None, body: bytes) -> Kind:
    """What the body is. Its first bytes win where they leave no doubt, or where the header says nothing of use."""
    name = essence(content_type)
    if body[:1] == b"<" and name == "text/html" and _marked(body) != "xml":
        return "html"
    if _is_binary(body):
        return "binary"
    if name == "application/xhtml+xml":
        return "html"
    if name.endswith(("/xml", "+xml")):
        return "html" if _XHTML.match(body, 0, SNIFFED) else "xml"
    marked = _marked(body)
    if marked is not None:
        return marked
    if name == "text/html":
        return "html"
    if name in _JSON or name.endswith("+json"):
        return "json"
    if name not in _UNKNOWN:
        kind, _, form = name.partition("/")
        if kind == "text" or form in _TEXT:
            return "text"
        if _BINARY.match(name):
            return "binary"
    if body.startswith(_BOMS) or "utf-16" in (content_type or "").lower():
        return "text"
    return "binary" if _CONTROLS.search(body, 0, SNIFFED) else "text"


def has_tags(body: bytes) -> bool:
    """Whether anything in it looks like a tag, a comment or a declaration."""
    return _TAG.search(body) is not None


def _is_binary(body: bytes) -> bool:
    """Whether it begins as a well-known binary format does, and no text."""
    starts = _MAGIC.get(body[0]) if body else None
    return (starts is not None and body.startswith(starts)) or _FORMS.match(body) is not None


def _marked(body: bytes) -> Kind | None:
    """``html`` or ``xml`` when the body begins like that, else None."""
    found = _MARKUP.match(body)
    if found is None:
        return None
    if found[1]:  # the declaration of XML stands before pages too
        return "html" if _XHTML.match(body, found.start(1), SNIFFED) else "xml"
    return "xml" if found[2] else "html"
