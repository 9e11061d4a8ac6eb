"""Counters of this process's part of a run, and one frozen snapshot of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scraper.page import Dead, Done, Outcome, Receipt, Retry, Snapshot

MOST_REASONS = 200
"""Reasons come from the web (``status 418``) and from spiders; past this many, they count as other."""


class Stats:
    """Counts outcomes once they are committed, so that a number shown is a number kept."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.pages = self.items = self.rejects = self.retries = self.dead = 0
        self.links = self.redirects = self.bytes = 0
        self.drops: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.files: Counter[str] = Counter()

    def count(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            if not receipt.applied:
                continue
            self.bytes += outcome.seen.size
            if isinstance(outcome, Retry):
                self.retries += 1
                continue
            if outcome.seen.file is not None:
                self.files[outcome.seen.file.status] += 1
            self.links += receipt.new_links
            if receipt.over_budget:
                self.drops["host budget"] += receipt.over_budget
            found = outcome.found
            self.items += len(found.items)
            self.rejects += len(found.rejects)
            if found.drops:
                self.drops.update(found.drops)
            if isinstance(outcome, Done):
                self.pages += 1
                self.redirects += outcome.redirects
            elif isinstance(outcome, Dead):
                self.dead += 1
                known = outcome.reason in self.reasons or len(self.reasons) < MOST_REASONS
                self.reasons[outcome.reason if known else "other"] += 1

    def snapshot(self, now: float, in_flight: int = 0, queued: int = 0) -> Snapshot:
        return Snapshot(
            pages=self.pages,
            items=self.items,
            rejects=self.rejects,
            retries=self.retries,
            dead=self.dead,
            links=self.links,
            redirects=self.redirects,
            bytes=self.bytes,
            seconds=now - self.started,
            in_flight=in_flight,
            queued=queued,
            drops=dict(self.drops),
            reasons=dict(self.reasons),
            files=dict(self.files),
        )
