"""Counters of this process's part of a run, and one frozen snapshot of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from scraper.log import Logger
from scraper.page import Dead, Done, Outcome, Receipt, Retry, Snapshot

MOST_REASONS = 200
"""Reasons come from the web (``status 418``) and from spiders; past this many, they count as other."""


MOST_TOLD = 5
"""Rejects of a crawl that are logged: the first of each kind and reason. The table has all."""

log = Logger("scraper.items")


class Stats:
    """Counts outcomes once they are committed, so that a number shown is a number kept."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.pages = self.items = self.rejects = self.retries = self.dead = 0
        self.links = self.redirects = self.bytes = 0
        self.drops: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self._rejected: dict[tuple[str, str], list[Any]] = {}
        """By kind and reason without the values in it: how many, and the first of them in words."""

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
            if found.rejects:
                self.rejects += len(found.rejects)
                self._refused(outcome)
            if found.drops:
                self.drops.update(found.drops)
            if isinstance(outcome, Done):
                self.pages += 1
                self.redirects += outcome.redirects
            elif isinstance(outcome, Dead):
                self.dead += 1
                known = outcome.reason in self.reasons or len(self.reasons) < MOST_REASONS
                self.reasons[outcome.reason if known else "other"] += 1

    def _refused(self, outcome: Done | Dead) -> None:
        for each in outcome.found.rejects:
            alike = each.kind, _VALUE.sub("…", each.reason[:300])
            known = self._rejected.get(alike)
            if known is not None:
                known[0] += 1
            elif len(self._rejected) < MOST_REASONS:
                self._rejected[alike] = [1, f"{each.kind}: {' '.join(each.reason.split())}"]
                if len(self._rejected) <= MOST_TOLD:
                    log.warning(
                        "item_rejected", kind=each.kind, reason=each.reason[:500], url=outcome.lease.request.url
                    )

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
            rejected=self._commonest(),
        )

    def _commonest(self) -> dict[str, int]:
        if not self._rejected:
            return {}
        ordered = sorted(self._rejected.values(), key=lambda each: -each[0])
        return {words: number for number, words in ordered[:MOST_TOLD]}


_VALUE = re.compile(r"""'[^']*'|"[^"]*"|[0-9][0-9.,]*""")
"""What differs between rejects for the same reason."""
