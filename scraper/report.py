"""What came of a crawl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scraper.page import HostLedger, Snapshot, Verdict


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """What came of a crawl.

    ``counts`` is of this process, ``totals`` of the whole run, over every process that worked on it.
    ``hosts`` is the run's connection ledger, busiest first. ``finished`` is False when there is work
    left, and the next crawl resumes. ``verdicts`` are the rules that the run was held against: none before its end.
    """

    spider: str
    run: int
    resumed: bool
    reason: str
    finished: bool
    counts: Snapshot
    totals: Snapshot
    hosts: list[HostLedger]
    database: Path | None
    exported: int | None = None
    """Items written to ``output``, when one was asked for."""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def failed_rules(self) -> list[Verdict]:
        """The rules that were not met."""
        return [verdict for verdict in self.verdicts if not verdict.met]

    @property
    def ok(self) -> bool:
        """Finished, and every rule met."""
        return self.finished and not self.failed_rules
