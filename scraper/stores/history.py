"""What explains a run later: how each page ended, the attempts that did not, and the links that were not followed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from scraper.page import Dead, Done, Found, Outcome, Retry, Seen

MOST_EXAMPLES = 100
"""Links kept of each reason for which a run drops them; past that they are only counted."""

LONGEST_ERROR = 2_000
LONGEST_URL = 2_000

FINISH = """
update pages set state = ?, attempts = ?, status = ?, reason = ?, error = ?, due = ?, first_tried = ?,
    finished_at = ?, elapsed = ?, bytes = ?, etag = ?, last_modified = ?, reused = ?, crashes = 0 where id = ?
"""
PUT_ATTEMPT = """
insert into attempts (page, run, attempt, at, state, status, reason, error, elapsed, reused)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
COUNT_DROPS = """
insert into drops (run, reason, count) values (?, ?, ?)
on conflict (run, reason) do update set count = count + excluded.count
"""
PUT_DROPPED = "insert into dropped (run, reason, url, page) values (?, ?, ?, ?) on conflict do nothing"


class HistoryTable:
    """Gathers the history of one transaction, then writes it; lives on the database thread."""

    def __init__(self) -> None:
        self._attempts: list[tuple[Any, ...]] = []
        self._drops: Counter[str] = Counter()
        self._dropped: list[tuple[str, str, int]] = []
        self._kept: tuple[int, Counter[str]] | None = None

    def put_attempt(self, outcome: Retry | Dead, run: int, now: float) -> None:
        """Take an attempt that gave no page."""
        lease, seen = outcome.lease, outcome.seen
        state = "retry" if isinstance(outcome, Retry) else "dead"
        error = storable(outcome.error[:LONGEST_ERROR])
        row = (lease.page, run, lease.attempt, now, state, seen.status, outcome.reason, error)
        self._attempts.append((*row, seen.elapsed, was_reused(outcome.seen)))

    def put_drops(self, found: Found, page: int) -> None:
        """Take the links of a page that are not followed."""
        self._drops.update(found.drops)
        self._dropped += [(reason, url, page) for reason, url in found.dropped]

    def put_dropped(self, reason: str, urls: Sequence[str], page: int) -> None:
        """Take links that the store itself does not follow; page 0 is a seed."""
        self._drops[reason] += len(urls)
        self._dropped += [(reason, url, page) for url in urls]

    def write(self, db: sqlite3.Connection, run: int) -> None:
        """Write what was taken."""
        if self._attempts:
            db.executemany(PUT_ATTEMPT, self._attempts)
            self._attempts.clear()
        if self._drops:
            db.executemany(COUNT_DROPS, [(run, *each) for each in self._drops.items()])
            self._drops.clear()
        if self._dropped:
            kept = self._examples(db, run)
            for reason, url, page in self._dropped:
                if kept[reason] < MOST_EXAMPLES:
                    row = (run, reason, storable(url[:LONGEST_URL]), page)
                    kept[reason] += db.execute(PUT_DROPPED, row).rowcount
            self._dropped.clear()

    def forget(self) -> None:
        """The transaction was undone."""
        self._attempts.clear()
        self._drops.clear()
        self._dropped.clear()
        self._kept = None

    def _examples(self, db: sqlite3.Connection, run: int) -> Counter[str]:
        if self._kept is None or self._kept[0] != run:
            query = "select reason, count(*) from dropped where run = ? group by reason"
            self._kept = run, Counter(dict(db.execute(query, (run,))))
        return self._kept[1]


def page_row(outcome: Outcome, now: float) -> tuple[Any, ...]:
    """The values of FINISH: how a visit left its page."""
    lease, seen = outcome.lease, outcome.seen
    due = None
    error = None
    if isinstance(outcome, Done):
        state = "done"
    elif isinstance(outcome, Retry):
        state, due, error = "retry", now + outcome.delay, outcome.error
    else:
        state, error = "dead", outcome.traceback or outcome.error
    return (
        state,
        lease.attempt,
        seen.status,
        outcome.reason,
        storable(error),
        due,
        lease.first_tried if lease.first_tried is not None else (now if isinstance(outcome, Retry) else None),
        now,
        seen.elapsed,
        seen.size,
        storable(seen.etag),
        storable(seen.last_modified),
        was_reused(seen),
        lease.page,
    )


def was_reused(seen: Seen) -> int | None:
    """1 when the connection had served before, 0 when it was new; None when that is not known."""
    return None if seen.reused is None else int(seen.reused)


def storable(value: str | None) -> str | None:
    """Text as UTF-8 can hold it: headers and tracebacks may carry lone surrogates."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
