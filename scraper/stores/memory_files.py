"""The files of a MemoryStore: what downloads came to, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from scraper.page import FileFact, FileLink
from scraper.ports import StoredFile


@dataclass(slots=True)
class Row:
    """What a download came to."""

    fact: FileFact
    leads_to: int | None
    first_run: int
    last_run: int


@dataclass(slots=True)
class MemoryFiles:
    """Downloads by the id of their page; links of (kind, key, field, page) to the run that made them."""

    rows: dict[int, Row] = field(default_factory=dict)
    links: dict[tuple[str, str, str, int], int] = field(default_factory=dict)

    def put(self, page: int, fact: FileFact, run: int, led_to: int | None) -> None:
        """What a download came to; ``led_to`` is the page that it was redirected to."""
        old = self.rows.get(page)
        if fact.status == "kept" and old is not None:
            for row in (old, self.rows.get(old.leads_to or page)):
                if row is not None:
                    row.fact = msgspec.structs.replace(row.fact, status="kept", thumbs=fact.thumbs, flaw=fact.flaw)
                    row.last_run = run
            return
        target = self.rows.get(led_to) if led_to is not None else None
        if target is not None and target.leads_to is not None and target.last_run == run:
            led_to = target.leads_to
        fact = msgspec.structs.replace(fact, leads_to=None)
        self.rows[page] = Row(fact, led_to, old.first_run if old is not None else run, run)
        if led_to is not None:
            for row in self.rows.values():
                if row.leads_to == page:
                    row.leads_to = led_to

    def link(self, links: Sequence[FileLink], page: int, run: int, page_of: Callable[[bytes], int | None]) -> None:
        """The files that the items of a page have."""
        named = [(each.kind, each.key or f"{page}.{each.ordinal}", each.field, each.request) for each in links]
        fields = {name[:3] for name in named}
        self.links = {link: made for link, made in self.links.items() if link[:3] not in fields or made >= run}
        for kind, key, name, request in named:
            if (wanted := page_of(request.fingerprint)) is not None:
                self.links[kind, key, name, wanted] = run

    def forget(self, kind: str, key: str) -> None:
        """An item is taken back."""
        self.links = {link: run for link, run in self.links.items() if link[:2] != (kind, key)}

    def read(self, page: int) -> FileFact | None:
        """As ``Store.file`` promises."""
        row = self.rows.get(page)
        if row is None:
            return None
        end = self.rows.get(row.leads_to) if row.leads_to is not None else row
        if end is None:
            return None
        known = msgspec.structs.replace(end.fact)
        if end is not row:
            known.etag = known.last_modified = None
        return known

    def stored(self, urls: dict[int, str], run: int | None) -> Iterator[StoredFile]:
        """As ``Store.files`` promises."""
        for page, row in sorted(self.rows.items()):
            if run in (None, row.last_run):
                items = tuple(sorted(link[:3] for link in self.links if link[3] == page))
                target = urls.get(row.leads_to) if row.leads_to is not None else None
                yield StoredFile(urls[page], row.fact, target, items, row.first_run, row.last_run)
