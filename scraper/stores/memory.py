"""MemoryStore: the store contract in plain Python, to be read; and the twin for a user's own tests.

Everything is a dict, so it is right by being simple: the SQLite store must behave as this one does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from fnmatch import fnmatchcase
from itertools import count

import msgspec

from scraper.errors import StoreLocked, UsageError
from scraper.page import (
    Dead,
    Figures,
    FileFact,
    HostLedger,
    Item,
    Lease,
    Note,
    Outcome,
    Receipt,
    Retry,
    Run,
    Snapshot,
    Verdict,
)
from scraper.ports import Mode, StoredFile, StoredItem, StoredPage
from scraper.request import Request, from_json, to_json
from scraper.stores.memory_rows import Memory as Memory
from scraper.stores.memory_rows import Page
from scraper.url import host_of


class MemoryStore:
    """``Store`` in memory. Args: ``memory`` to share with the owner before or after this one."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory if memory is not None else Memory()
        self._held: dict[int, Lease] = {}
        self._tokens = count(1)
        self._most = 0
        self._mine = False

    @property
    def run(self) -> Run:
        return self.memory.runs[-1]

    async def open(self) -> None:
        if self.memory.owned:
            raise StoreLocked("another run works on this memory store; close it first")
        self.memory.owned = self._mine = True

    async def close(self) -> None:
        self._held.clear()
        if self._mine:
            self.memory.owned = self._mine = False

    async def begin(self, spider: str, now: float, mode: Mode = "auto", scope: str | None = None) -> Run:
        self._held.clear()
        self._check(spider)
        runs = self.memory.runs
        self._asked(now)
        unfinished = bool(runs) and runs[-1].id not in self.memory.ended
        if mode == "resume" and not unfinished:
            raise UsageError("there is no unfinished run to resume; begin a new one")
        if unfinished and mode != "fresh":
            return self._resume(now)
        if unfinished:
            self.memory.ended[runs[-1].id] = "abandoned"
        self._leave()
        runs.append(Run(len(runs) + 1, spider, now, resumed=False, asked_until=self.memory.asked_until))
        for figures in (self.memory.counters, self.memory.kinds, self.memory.fills):
            figures[self.run.id] = Counter()
        return self.run

    async def revive(
        self, spider: str, reasons: Collection[str], now: float, scope: str | None = None
    ) -> tuple[Run, int]:
        self._held.clear()
        self._check(spider)
        if not self.memory.runs:
            raise UsageError("there is no run yet; begin one")
        self._asked(now)
        number = self.run.id
        if number not in self.memory.ended:
            if number not in self.memory.reopened:
                raise UsageError(f"run {number} is not finished; go on with it first")
            left = sum(page.state in ("due", "retry") for page in self.memory.pages.values())
            return self._resume(now), max(left, 1)  # with no page left its end has still to be written
        reason, asked_until = self.memory.ended[number], self.memory.asked_until
        run = msgspec.structs.replace(self.run, resumed=True, reopened=reason, asked_until=asked_until)
        dead = [
            page
            for page in self.memory.pages.values()
            if (page.state, page.run) == ("dead", number)
            and (not reasons or any(fnmatchcase(page.reason or "", reason) for reason in reasons))
        ]
        if not dead:
            return run, 0
        self._leave()
        for page in dead:
            self._take_back(page)
            page.state, page.due, page.attempts, page.first_tried = "due", 0.0, 0, None
        self.memory.counters[number]["dead"] -= len(dead)
        self.memory.reopened[number] = self.memory.ended.pop(number)
        return run, len(dead)

    def _resume(self, now: float) -> Run:
        self._keep_dates(now)
        reopened, asked_until = self.memory.reopened.get(self.run.id), self.memory.asked_until
        return msgspec.structs.replace(self.run, resumed=True, reopened=reopened, asked_until=asked_until)

    def _asked(self, now: float) -> None:
        """Of a process that was killed it is only known that it is over now."""
        if self.memory.working:
            self.memory.asked_until = now
        self.memory.working = True

    def _leave(self) -> None:
        for page in self.memory.pages.values():
            if page.state in ("due", "retry"):
                page.state = "left"

    def _take_back(self, page: Page) -> None:
        """What its errback gave without a key; with one, it is written over."""
        run = self.run.id
        for (kind, key), item in list(self.memory.items.items()):
            if key.rpartition(".")[0] == str(page.id) and item.last_run == run:
                del self.memory.items[kind, key]
                self.memory.files.forget(kind, key)
                self.memory.counters[run]["items"] -= 1
                self.memory.kinds[run][kind] -= 1
                full = (name for name, value in item.data.items() if value not in (None, "", [], {}))
                self.memory.fills[run].subtract((kind, name) for name in full)
        for page_id, ordinal in list(self.memory.rejects):
            if page_id == page.id:
                del self.memory.rejects[page_id, ordinal]
                self.memory.counters[run]["rejects"] -= 1

    def _check(self, spider: str) -> None:
        runs = self.memory.runs
        if runs and runs[-1].spider != spider:
            raise UsageError(f"this store belongs to spider {runs[-1].spider!r}; give {spider!r} another")

    def _keep_dates(self, now: float) -> None:
        """A clock that was set back must not stretch a wait: what was written in the future was written now."""
        for page in self.memory.pages.values():
            if page.state == "retry" and page.written > now:
                page.due, page.written = now + max(page.due - page.written, 0.0), now

    async def finish(self, reason: str, now: float, finished: bool, verdicts: Sequence[Verdict] | None = None) -> None:
        self.memory.working, self.memory.asked_until = False, now
        if finished:
            self.memory.ended[self.run.id] = reason
            self.memory.reopened.pop(self.run.id, None)
            self.memory.verdicts[self.run.id] = verdicts or ()

    async def figures(self, most: int = 5) -> tuple[Figures, list[Figures]]:
        before = [run.id for run in self.memory.runs[-2::-1] if self.memory.ended.get(run.id) == "finished"]
        return self._figures(self.run.id), [self._figures(run) for run in before[:most]]

    def _figures(self, run: int) -> Figures:
        counters = self.memory.counters[run]
        found = Figures(run, kinds=dict(self.memory.kinds[run]), fills={}, started=self.memory.runs[run - 1].started)
        for name in ("pages", "items", "rejects", "retries", "dead"):
            setattr(found, name, counters[name])
        for (kind, name), filled in self.memory.fills[run].items():
            found.fills.setdefault(kind, {})[name] = filled
        return found

    async def beat(self, status: str, now: float) -> None:
        """Nobody can look on."""

    def budget(self, most: int) -> None:
        self._most = most

    def reading(self, place: int, page: int) -> None:
        """Memory ends with its process."""

    async def add(self, requests: Sequence[Request], now: float) -> int:
        return self._add(requests, None)[0]

    def _add(self, requests: Sequence[Request], found_on: int | None) -> tuple[int, int]:
        """How many were new, and how many of these their hosts had no page left for."""
        new = over = 0
        mine = (page for page in self.memory.pages.values() if page.run == self.run.id)
        hosts = Counter(host_of(page.url) for page in mine) if self._most else Counter[str]()
        for request in requests:
            fp, run = request.fingerprint, self.run.id
            known = self.memory.pages.get(fp)
            if known is not None and known.run == run:
                continue
            if self._most and hosts[host_of(request.url)] >= self._most:
                over += 1
                continue
            hosts[host_of(request.url)] += 1
            stored = (request.url, request.callback, request.priority, request.depth, to_json(request))
            number = known.id if known is not None else len(self.memory.pages) + 1
            known_on = known.found_on if known is not None else found_on
            self.memory.pages[fp] = Page(number, request.url, stored, run, known_on)  # type: ignore[arg-type]
            new += 1
        self.memory.counters[self.run.id]["links"] += new
        return new, over

    async def lease(
        self, limit: int, per_host: int, now: float, until: float, full: Collection[str] = ()
    ) -> list[Lease]:
        self._held = {page: lease for page, lease in self._held.items() if lease.until > now}
        leases: list[Lease] = []
        taken: Counter[str] = Counter(dict.fromkeys(full, per_host))
        free = (p for p in self.memory.pages.values() if p.state in ("due", "retry") and p.id not in self._held)
        for page in sorted(free, key=lambda page: (-page.stored[2], page.id)):
            host = host_of(page.url)
            if page.due <= now and taken[host] < per_host and len(leases) < limit:
                taken[host] += 1
                request = from_json(*page.stored)
                lease = Lease(page.id, next(self._tokens), request, host, page.attempts + 1, until, page.first_tried)
                self._held[page.id] = lease
                leases.append(lease)
        return leases

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._is_held(lease):
                del self._held[lease.page]

    def _is_held(self, lease: Lease) -> bool:
        held = self._held.get(lease.page)
        return held is not None and held.token == lease.token

    async def next_due(self, now: float) -> float | None:
        return min((p.due for p in self.memory.pages.values() if p.state == "retry" and p.due > now), default=None)

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        for outcome in outcomes:  # whatever may fail fails here, before anything is changed
            if not isinstance(outcome, Retry):
                for request in outcome.found.links:
                    to_json(request)
        rows = {page.id: page for page in self.memory.pages.values()}
        receipts = []
        for outcome in outcomes:
            applied = self._is_held(outcome.lease)
            receipt = Receipt(outcome.lease.page, applied)
            if applied:
                del self._held[outcome.lease.page]
                page = rows[outcome.lease.page]
                receipt.new_links, receipt.over_budget = self._finish(page, outcome, now)
            receipts.append(receipt)
        await self.save_notes(notes)
        return receipts

    def _finish(self, page: Page, outcome: Outcome, now: float) -> tuple[int, int]:
        counters = self.memory.counters[self.run.id]
        page.attempts, page.status, page.reason = outcome.lease.attempt, outcome.seen.status, outcome.reason
        page.written = now
        counters["bytes"] += outcome.seen.size
        if isinstance(outcome, Retry):
            page.state, page.due, page.error = "retry", now + outcome.delay, outcome.error
            page.first_tried = page.first_tried if page.first_tried is not None else now
            counters["retries"] += 1
            return 0, 0
        if isinstance(outcome, Dead):
            page.state, page.error = "dead", outcome.traceback or outcome.error
            counters["dead"] += 1
        else:
            page.state, page.error = "done", None
            counters["pages"] += 1
            counters["redirects"] += outcome.redirects
        for ordinal, item in enumerate(outcome.found.items):
            self._put(item, page, ordinal)
        for ordinal, reject in enumerate(outcome.found.rejects):
            self.memory.rejects[page.id, ordinal] = reject
        counters["items"] += len(outcome.found.items)
        counters["rejects"] += len(outcome.found.rejects)
        added = self._add(outcome.found.links, page.id)
        if (fact := outcome.seen.file) is not None:
            led_to = self._page_of(fact.leads_to) if fact.leads_to is not None else None
            self.memory.files.put(page.id, fact, self.run.id, led_to)
        if outcome.found.files:
            self.memory.files.link(outcome.found.files, page.id, self.run.id, self._page_of)
        return added

    def _page_of(self, fingerprint: bytes) -> int | None:
        page = self.memory.pages.get(fingerprint)
        return page.id if page is not None else None

    def _put(self, item: Item, page: Page, ordinal: int) -> None:
        key = item.key if item.key is not None else f"{page.id}.{ordinal}"
        before = self.memory.items.get((item.kind, key))
        first = before.first_run if before is not None else self.run.id
        data = msgspec.json.decode(item.data)
        self.memory.kinds[self.run.id][item.kind] += 1
        self.memory.fills[self.run.id].update((item.kind, name) for name in item.fields if name not in item.empty)
        self.memory.items[item.kind, key] = StoredItem(item.kind, key, data, page.url, first, self.run.id)

    async def save_notes(self, notes: Sequence[Note]) -> None:
        for note in notes:
            self.memory.notes[note.kind, note.key] = note
            if note.value is None:
                del self.memory.notes[note.kind, note.key]

    async def notes(self, kind: str, now: float, keys: Collection[str] | None = None) -> dict[str, Note]:
        return {
            key: note
            for (each, key), note in self.memory.notes.items()
            if each == kind and note.until > now and (keys is None or key in keys)
        }

    async def seed_hosts(self, most: int = 10_000) -> list[str]:
        return list({host_of(page.url): None for page in self.memory.pages.values() if page.found_on is None})[:most]

    async def save_ledger(self, ledger: Sequence[HostLedger]) -> None:
        for each in ledger:
            old = self.memory.ledger.get((self.run.id, each.host), HostLedger(each.host))
            sums = {
                n: getattr(old, n) + getattr(each, n) for n in HostLedger.__struct_fields__ if n not in ("host", "peak")
            }
            self.memory.ledger[self.run.id, each.host] = HostLedger(each.host, peak=max(old.peak, each.peak), **sums)

    async def ledger(self, most: int = 1000) -> list[HostLedger]:
        mine = [each for (run, _), each in self.memory.ledger.items() if run == self.run.id]
        return sorted(mine, key=lambda each: (-each.requests, each.host))[:most]

    async def counts(self) -> Snapshot:
        return Snapshot(**dict(self.memory.counters[self.run.id]))  # type: ignore[arg-type]

    async def items(self, run: int | None = None, kind: str | None = None) -> AsyncIterator[StoredItem]:
        for item in list(self.memory.items.values()):
            if run in (None, item.last_run) and kind in (None, item.kind):
                yield item

    async def file(self, fingerprint: bytes) -> FileFact | None:
        page = self._page_of(fingerprint)
        return self.memory.files.read(page) if page is not None else None

    async def files(self, run: int | None = None) -> AsyncIterator[StoredFile]:
        for each in self.memory.files.stored({page.id: page.url for page in self.memory.pages.values()}, run):
            yield each

    async def pages(self, run: int | None = None) -> AsyncIterator[StoredPage]:
        for page in sorted(self.memory.pages.values(), key=lambda page: page.id):
            if run in (None, page.run):
                yield StoredPage(
                    page.url,
                    page.state,
                    page.status,
                    page.attempts,
                    page.reason,
                    page.error,
                    page.stored[3],
                    page.run,
                )
