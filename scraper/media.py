"""Download: a request whose answer is a file, kept under the name of what is in it; and what becomes of the answer.

What a Download asks for travels in ``request.options["download"]``, as JSON, so that it outlives restarts, retries
and redirects like all else of a request. It lies in floor 0: nothing here fetches, and only `Into` looks at a disk.
"""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict
from urllib.parse import unquote

from scraper.content import essence
from scraper.errors import FileRefused, RequestError
from scraper.extra import need
from scraper.filename import flaw_of
from scraper.options import ARGUMENTS
from scraper.request import CallbackRef, Request

if TYPE_CHECKING:
    from scraper.response import Response

Again = Literal["changed", "never", "always"] | float | timedelta | str
Item = Any
"""The item that wants the file: the object that was yielded, or (kind, key)."""

THUMBS = "thumbs"
LARGEST_THUMB = 10_000
MOST_THUMBS = 20
LONGEST_PLACE = 400
"""Bytes of ``into``: what is put behind it is a name of 64 characters and an ending, twice in folders."""


class Spec(TypedDict, total=False):
    """``request.options["download"]``: what is not there is as if not asked for."""

    into: str
    again: str | float
    thumbs: dict[str, list[int]]
    types: list[str]
    min_size: list[int]
    call: bool
    """Whether it has a callback: None does not mean ``parse`` here."""


class Download(Request):
    """A file to be fetched and kept: ``yield Download(url, into="images", item=book)``.

    It is a page like any other (robots.txt, slots, delay, retries, redirects, resumption), finished when the file is
    whole and in its place: ``<files>/<spider>/<into>/<first two of the hash>/<SHA-256><ending>``. The same bytes are
    one file, whatever their URLs. It is bound by neither ``allowed_domains`` nor ``max_depth``: no link is followed
    from it, and pictures often lie on another host.

    Args:
        url: as of Request; ``response.download(link)`` takes what stands on a page.
        into: a folder below the spider's own.
        item: what the file belongs to: an item that the same callback yields (before or after), one of another page
            if its class declares a key, or ``(kind, key)``. If a step drops that item, the file is not fetched.
        field: what the file is to the item, as the table ``file_links`` has it.
        again: when a file that an earlier run kept is asked for again. ``"changed"``: each run asks the server
            whether it has changed (RFC 9110, 13); ``"never"``: nothing is asked; ``"always"``: it is fetched anew;
            a number of seconds, a timedelta or such as ``"90d"``: nothing is asked before that time is over, and then
            whether it has changed. A file that is not on the disk any more, or of another size, is always fetched.
        thumbs: name to (width, height): JPEGs that fit into such a box are made of an image.
        types: media types that are taken, with shell wildcards: ``["image/*"]``. What comes is looked at, too.
        min_size: (width, height) in pixels; a smaller image is not kept.
        callback: called with the Response (``response.file``, ``response.sha256``) when there is one.
        arguments: all others of Request. ``max_body_size`` is that of the setting ``max_file_size`` if not given.

    Raises:
        RequestError: as Request does; for a folder that leads out of the spider's own, and other wrong values.
        MissingExtra: ``thumbs`` and ``min_size`` need Pillow, which the extra ``images`` brings.
    """

    __slots__ = ("field", "item")
    MADE_OF = ("into", "item", "field", "again", "thumbs", "types", "min_size")

    def __init__(
        self,
        url: str,
        callback: CallbackRef = None,
        *,
        into: str = "",
        item: Item = None,
        field: str = "",
        again: Again = "changed",
        thumbs: Mapping[str, tuple[int, int]] | None = None,
        types: Iterable[str] = (),
        min_size: tuple[int, int] | None = None,
        **arguments: Any,
    ) -> None:
        if "stream_to" in arguments:
            raise RequestError(f"Download of {url} takes no stream_to; the file is named after what is in it")
        super().__init__(url, callback, **arguments)
        spec: Spec = {"into": _folder(into, url)}
        if again != "changed":
            spec["again"] = _again(again, url)
        if thumbs:
            spec["thumbs"] = _thumbs(thumbs, url)
        if types:
            spec["types"] = _types(types, url)
        if min_size is not None:
            spec["min_size"] = _box(min_size, f"min_size of {url}")
        if callback is not None:
            spec["call"] = True
        if thumbs or min_size is not None:
            need("PIL", "images", f"Download({url!r}, {'thumbs' if thumbs else 'min_size'}=…)")
        if not isinstance(field, str):
            raise RequestError(f"field of {url} must be text: {field!r:.80}")
        if isinstance(item, tuple) and not (len(item) == 2 and all(isinstance(each, str) for each in item)):
            raise RequestError(f"item of {url} must be an item or (kind, key): {item!r:.80}")
        self.options = {**(self.options or {}), "download": spec}
        self.item = item
        self.field = field

    def replace(self, **changes: Any) -> Self:
        """As of Request; what is said of the file can be changed as well."""
        options: dict[str, Any] = {**(self.options or {})}
        given: dict[str, Any] = {name: getattr(self, name) for name in ARGUMENTS}
        spec = {**options.pop("download")}
        if spec.pop("call", False) and self.callback is None:
            given["callback"] = "parse"
        return type(self)(**(given | options | spec | {"item": self.item, "field": self.field} | changes))


def download_of(response: Response, link: Any, into: str, arguments: dict[str, Any]) -> Download:
    """The Download of a link of a page."""
    request = response.follow(link)
    return Download(request.url, into=into, **{"nofollow": True, **arguments} if request.options else arguments)


def spec_of(request: Request) -> Spec:
    """What a request with a download asks for."""
    assert request.options is not None
    spec: Spec = request.options["download"]
    return spec


# -- checked where it is written down


def _folder(into: str, url: str) -> str:
    if not isinstance(into, str):
        raise RequestError(f"into of {url} must be text: {into!r:.80}")
    flaw = flaw_of(f"{into}/x") if into else None
    if flaw is None and len(into.encode()) > LONGEST_PLACE:
        flaw = f"is longer than {LONGEST_PLACE} bytes"
    if flaw is not None:
        raise RequestError(f"into of {url} {flaw}: {into!r:.80}; give a folder such as 'images'")
    return into


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _again(again: Any, url: str) -> str | float:
    if isinstance(again, timedelta):
        again = again.total_seconds()
    if isinstance(again, str) and (found := re.fullmatch(r"(\d{1,9})([smhd])", again, re.ASCII)):
        return float(found[1]) * _UNITS[found[2]]
    number = isinstance(again, int | float) and not isinstance(again, bool)
    if again in ("never", "always", "changed") or (number and isfinite(again) and again >= 0):
        return again  # type: ignore[no-any-return]
    raise RequestError(
        f"again of {url} must be 'changed', 'never', 'always' or a time (seconds, a timedelta, '90d'): {again!r:.80}"
    )


def _box(given: Any, what: str) -> list[int]:
    if isinstance(given, Sequence) and len(given) == 2 and all(type(each) is int for each in given):
        width, height = given
        if 0 < width <= LARGEST_THUMB and 0 < height <= LARGEST_THUMB:
            return [width, height]
    raise RequestError(f"{what} must be (width, height), pixels from 1 to {LARGEST_THUMB}: {given!r:.80}")


def _thumbs(given: Any, url: str) -> dict[str, list[int]]:
    if not isinstance(given, Mapping) or len(given) > MOST_THUMBS:
        raise RequestError(f"thumbs of {url} must be names to (width, height), {MOST_THUMBS} at most: {given!r:.80}")
    for name in given:
        flaw = flaw_of(name) if isinstance(name, str) else "is no text"
        if flaw is None and ("/" in name or len(name) > 100):
            flaw = "is no name of a folder"
        if flaw is not None:
            raise RequestError(f"thumbs of {url}: {name!r:.80} {flaw}; a name such as 'small' will do")
    return {name: _box(box, f"thumbs[{name!r}] of {url}") for name, box in given.items()}


def _types(given: Any, url: str) -> list[str]:
    found = [given] if isinstance(given, str) else list(given)
    for each in found:
        if not isinstance(each, str) or not re.fullmatch(r"[\w.+*?-]+/[\w.+*?-]+", each):
            raise RequestError(f"types of {url} must be media types such as 'image/*': {each!r:.80}")
    return [each.lower() for each in found]


# -- what comes


_MAGIC = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBPVP", re.DOTALL), "image/webp"),
    (re.compile(rb"\0\0\0.ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "image/bmp"),
    (re.compile(rb"II\*\0|MM\0\*"), "image/tiff"),
    (re.compile(rb"\0\0\x01\0"), "image/x-icon"),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE), "text/html"),
)
"""What is told by its first bytes, whatever its label says: labels of files are often wrong."""

_ENDINGS = mimetypes.MimeTypes()  # the tables of Python, not those of the machine: names must not depend on it
_OWN_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/tiff": ".tif",
    "image/x-icon": ".ico",
}
_TELLS_NOTHING = frozenset(("", "application/octet-stream", "binary/octet-stream", "application/download"))
_ENDING = re.compile(r"\.[a-z0-9]{1,8}")


def type_of(content_type: str | None, head: bytes) -> str:
    """``type/subtype`` by the first bytes where they say it, else by the header; empty when neither does."""
    found = next((name for magic, name in _MAGIC if magic.match(head)), None)
    return found or essence(content_type)


def ending(kind: str, url: str) -> str:
    """What the name ends with: by the type, then by the URL, else nothing. Never more than a dot and 8 letters."""
    told = kind not in _TELLS_NOTHING and kind != "text/plain"
    if told and (found := _OWN_ENDINGS.get(kind) or _ENDINGS.guess_extension(kind, strict=False)) is not None:
        return found
    path = unquote(url.partition("?")[0].rpartition("/")[2])
    suffix = f".{path.rpartition('.')[2]}".lower() if "." in path else ""
    if _ENDING.fullmatch(suffix):
        return suffix
    return ".txt" if kind == "text/plain" else ""


class Into:
    """Where an answer goes: given to a fetcher in the place of ``stream_to``'s name, which only what comes can tell.

    Args:
        root: the folder of files.
        place: the spider's folder and ``into``.
        request: which asked; its ``types`` and ``min_size`` count.
        measure: gives width and height of an image, by its file and its URL; raises FileRefused for what is none.
    """

    __slots__ = ("_measure", "_place", "_root", "_spec", "_url", "_whole", "kind", "name")

    def __init__(
        self, root: str | Path, place: str, request: Request, measure: Callable[[Path, str], tuple[int, int]]
    ) -> None:
        self._measure = measure
        self._root = Path(root)
        self._place = place
        self._url = request.url
        self._spec = spec_of(request)
        self._whole = not any(name.lower() == "range" for name in request.headers or ())
        self.kind = ""
        self.name: str | None = None
        """Set once the file has it."""

    @property
    def given(self) -> str:
        """The name that the server gives it."""
        return self._url.partition("?")[0]

    def begins(self, headers: Mapping[str, str], head: bytes) -> None:
        """Look at headers and first bytes. Raises FileRefused for a type that is not wanted, and for a part of a file
        that was asked for as a whole (RFC 9110, 15.3.7)."""
        content_type = headers.get("Content-Type")
        if self._whole and (part := headers.get("Content-Range")) is not None:
            raise FileRefused(
                f"{self._url} came in part ({part[:100]}), and all of it was asked for", reason="status 206"
            )
        self.kind = type_of(content_type, head)
        types = self._spec.get("types")
        if types and not any(fnmatchcase(self.kind, each) for each in types):
            said = f" (labelled {content_type[:100]})" if content_type and essence(content_type) != self.kind else ""
            raise FileRefused(
                f"{self._url} is {self.kind or 'of no known type'}{said}, and not {' or '.join(types)}",
                reason="content type",
            )

    def name_of(self, written: Path, size: int, sha256: str) -> str:
        """The name of what was written, below the folder of files. Call it from a thread.

        Raises FileRefused for what is empty, no image though pixels are asked for, or too small a one.
        """
        if not size:
            raise FileRefused(f"{self._url} is empty", reason="empty file")
        if (least := self._spec.get("min_size")) is not None:
            width, height = self._measure(written, self._url)
            if width < least[0] or height < least[1]:
                raise FileRefused(
                    f"{self._url} is an image of {width} x {height} pixels, less than {least[0]} x {least[1]}",
                    reason="too small",
                )
        folder = f"{self._place}/{sha256[:2]}"
        self.name = f"{folder}/{_there(self._root / folder, sha256) or sha256 + ending(self.kind, self._url)}"
        return self.name


def _there(folder: Path, sha256: str) -> str | None:
    """The name that these bytes have already: another server may have labelled them otherwise."""
    try:
        with os.scandir(folder) as entries:
            return next((each.name for each in entries if each.name.partition(".")[0] == sha256), None)
    except OSError:  # no folder yet
        return None


def place_of(spider: str, into: str) -> str:
    """The folder of a spider's files. Its name may hold anything; a folder's must not."""
    fit = "/" not in spider and flaw_of(spider) is None
    name = spider if fit else f"_{re.sub(r'[^a-zA-Z0-9-]', '_', spider)[:100]}"
    return f"{name}/{into}" if into else name
