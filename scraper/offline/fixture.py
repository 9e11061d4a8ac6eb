"""A fixture: one page as it came, how it was asked for, and what the spider gave of it. Files for people to review.

fixtures/<spider>/<name>/page.html      the body, decoded, byte for byte (.json, .xml, .txt, .bin)
                         fixture.json   the request, the answer's head, spider, arguments, callback
                         expected.json  items, requests, rejects
                         queries.json   what was asked of the page, and how much matched
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from scraper.errors import UsageError
from scraper.offline.given import Given, bare, dumps
from scraper.offline.secrets import BASE64
from scraper.offline.trace import Query
from scraper.request import Request
from scraper.response import Response

HEAD, EXPECTED, QUERIES = "fixture.json", "expected.json", "queries.json"
SUFFIXES = {"html": ".html", "xml": ".xml", "json": ".json", "text": ".txt", "binary": ".bin"}
ATTRIBUTES = "page.* -text\n"
"""Git must not turn the line ends of a body into others."""

LONGEST_NAME = 60


class FixtureError(UsageError):
    """A fixture that cannot be read or replayed: a file is missing or damaged, its spider or callback is gone."""


class Head(Struct, forbid_unknown_fields=True):
    """``fixture.json``. ``spider`` is a name or a file, as ``scraper crawl`` takes it.

    ``ignore`` names fields that are not compared: ``scraped_at``, or ``book.scraped_at`` of one kind. ``left_out`` says
    what of the request is not here because it is secret; ``page`` is the file of the body beside this one.
    """

    url: str
    spider: str
    callback: str = "parse"
    arguments: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    status: int = 200
    headers: dict[str, str] = {}
    encoding: str = ""
    page: str = "page.html"
    recorded: str = ""
    method: str = "GET"
    request_headers: dict[str, str] = {}
    body: str | None = None
    meta: dict[str, Any] = {}
    cb_kwargs: dict[str, Any] = {}
    errback: str | None = None
    priority: int = 0
    depth: int = 0
    trail: list[str] = []
    options: dict[str, Any] = {}
    left_out: list[str] = []
    keep_headers: list[str] = []
    ignore: list[str] = []


class Fixture(Struct):
    """One folder of files, read. ``name`` is ``<spider>/<name>``."""

    folder: Path
    name: str
    head: Head
    body: bytes
    expected: Given
    queries: list[Query]

    @property
    def request(self) -> Request:
        """As it was sent, without what is secret. Raises FixtureError for one that cannot be."""
        head = self.head
        body: bytes | None = None
        if head.body is not None:
            coded = head.body.removeprefix(BASE64)
            body = head.body.encode() if coded == head.body else msgspec.convert(coded, bytes)
        try:
            request = Request(
                head.url,
                head.callback,
                head.method,
                head.request_headers,
                body,
                meta=head.meta,
                cb_kwargs=head.cb_kwargs,
                priority=head.priority,
                errback=head.errback,
                **head.options,
            )
        except UsageError as error:
            raise FixtureError(f"{self.folder / HEAD}: {error}") from error
        request.depth, request.trail = head.depth, tuple(head.trail)
        return request

    @property
    def response(self) -> Response:
        """The answer as it was recorded."""
        request = self.request
        return Response(request.url, self.head.status, self.head.headers, self.body, request)


def read(folder: Path, root: Path) -> Fixture:
    """The fixture in ``folder``, which lies below ``root``. Raises FixtureError naming the file and the flaw."""
    head = _decoded(folder / HEAD, Head)
    page = folder / head.page
    if Path(head.page).name != head.page:
        raise FixtureError(f"{folder / HEAD}: page must be the name of a file beside it, not {head.page!r}")
    queries = _decoded(folder / QUERIES, list[Query]) if (folder / QUERIES).exists() else []
    return Fixture(folder, name_of(folder, root), head, _bytes(page), _decoded(folder / EXPECTED, Given), queries)


def name_of(folder: Path, root: Path) -> str:
    """``spider/name``, or the path of a folder that is elsewhere."""
    try:
        return folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return folder.as_posix()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FixtureError(f"{path} cannot be read ({error.strerror}); record the page again") from error


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(_bytes(path), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FixtureError(f"{path} is damaged: {error}; mend it, or record the page again") from error


def write(fixture: Fixture) -> None:
    """Its files, each in one go: the page and how it was asked for, and what is expected of it."""
    folder = fixture.folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("page.*"):
        if old.name != fixture.head.page:
            old.unlink()
    _put(folder / fixture.head.page, fixture.body)
    _put(folder / HEAD, _text(fixture.head))
    _put(folder / EXPECTED, _text(fixture.expected))
    if fixture.queries:
        _put(folder / QUERIES, _text(fixture.queries))
    else:
        (folder / QUERIES).unlink(missing_ok=True)


def keep_bytes(root: Path) -> None:
    """Tell git to leave the bodies below ``root`` as they are, unless somebody has told it something already."""
    root.mkdir(parents=True, exist_ok=True)
    if not (root / ".gitattributes").exists():
        _put(root / ".gitattributes", ATTRIBUTES.encode())


def _text(value: Any) -> bytes:
    return f"{dumps(bare(value))}\n".encode()


def _put(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def every(root: Path) -> list[Path]:
    """The folders of all fixtures below ``root``, in a fixed order."""
    return sorted(path.parent for path in root.rglob(HEAD))


def chosen(targets: Sequence[str], root: Path) -> list[Path]:
    """The fixtures that are meant by a spider, by fixtures of it that follow, by ``spider/fixture`` or by folders.

    None at all means every one. Raises FixtureError for one that is not there.
    """
    if not targets:
        found = every(root)
        if not found:
            raise FixtureError(f"no fixtures below {root}; make one with: scraper record SPIDER URL")
        return found
    chosen: dict[Path, None] = {}
    first, *rest = targets
    inside = root / first
    if rest and inside.is_dir() and any((inside / each).is_dir() for each in rest):
        targets = [f"{first}/{each}" if (inside / each).is_dir() else each for each in rest]
    for target in targets:
        place = next((each for each in (root / target, Path(target)) if each.is_dir() and every(each)), None)
        if place is None and (Path(target).suffix == ".py" or ".py:" in target):  # the file of a spider
            place = next((each for each in [root / Path(target.partition(":")[0]).stem] if each.is_dir()), None)
        if place is None:
            near = difflib.get_close_matches(target, _choices(root), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "make one with: scraper record SPIDER URL"
            raise FixtureError(f"no fixture {target!r} below {root}; {hint}")
        chosen.update(dict.fromkeys(every(place)))
    return list(chosen)


def _choices(root: Path) -> Iterable[str]:
    names = [name_of(each, root) for each in every(root)]
    return {*names, *(name.partition("/")[0] for name in names), *(name.rpartition("/")[2] for name in names)}


def name_for(url: str) -> str:
    """A name of a folder for a page: the last parts of its path, ``index`` for the first page of a site."""
    parts = urlsplit(url)
    path = re.sub(r"\.(x?html?|php|aspx?|json|xml)$|/index\.\w+$", "", parts.path)
    pieces = [_words(each) for each in (*path.split("/"), parts.query)]
    pieces = [each for each in pieces if each]
    while len(pieces) > 1 and len("-".join(pieces)) > LONGEST_NAME:
        del pieces[0]
    return "-".join(pieces)[:LONGEST_NAME].strip("-.") or "index"


def _words(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.").lower()
