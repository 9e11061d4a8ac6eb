"""Why a URL was fetched, or not: what the tables hold of it, and which rule would stand in its way."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import msgspec
from msgspec import Struct

from scraper.request import Request
from scraper.stores.history import LONGEST_URL, storable
from scraper.stores.reading import Bounds, RunRow, bounds, run, short
from scraper.url import canonical, host_of, in_domains, repeats

MOST = 5
"""Pages with one URL that are told: a form may have been posted to it any number of times."""

_OTHER_SCHEME = re.compile(r"\s*(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Attempt(Struct):
    """One visit; ``reused`` tells whether its connection had served before, None when it had no answer."""

    run: int
    attempt: int
    at: float
    state: str
    status: int | None
    reason: str | None
    error: str | None
    elapsed: float | None
    reused: bool | None


class Page(Struct):
    """A page as it stands. ``run`` met it last; ``found_on`` is None for a seed; ``redirect`` is where it led to,
    when that was not known before."""

    id: int
    url: str
    fingerprint: str
    method: str
    state: str
    reason: str | None
    error: str | None
    run: int
    depth: int
    found_on: str | None
    found_at: float
    due: float | None
    fetched_at: float | None
    status: int | None
    bytes: int | None
    crashes: int
    rejects: int
    redirect: str | None
    answer: str
    attempts: list[Attempt]
    part: int = 0
    """Which part of a feed it read on from its file; 0 for all other pages."""


class Drop(Struct):
    """A link that was not followed. ``found_on`` is None when a seed."""

    run: int
    reason: str
    url: str
    found_on: str | None


class Why(Struct):
    """All that is known of a URL.

    ``answer`` is one word or two of: fetched, redirect, dead, retry, due, page limit, item limit, abandoned; the
    rule that dropped it (offsite, nofollow, depth, length, path, host budget, scheme); or, of a URL in no table, would
    be offsite, would be length, would be path, malformed, unknown. ``run`` is the last run; ``bounds`` its scope.
    ``untold`` counts its drops of which no example was kept. ``near`` are URLs that are known and differ in little.
    """

    given: str
    url: str | None
    fingerprint: str | None
    answer: str
    run: RunRow | None
    bounds: Bounds | None
    pages: list[Page] = []
    drops: list[Drop] = []
    untold: dict[str, int] = {}
    near: list[str] = []
    more: bool = False
    """There are more pages of this URL than are told."""


def why(db: sqlite3.Connection, given: str, now: float) -> Why:
    """What the database knows of a URL; ask inside a `snapshot`."""
    url = canonical(given)
    print_ = Request(url).fingerprint if url is not None else None
    (last,) = db.execute("select max(id) from runs").fetchone()
    newest = run(db, last, now) if last is not None else None
    found = Why(
        given,
        url,
        print_.hex() if print_ is not None else None,
        "unknown",
        newest,
        bounds(db, last) if last is not None else None,
    )
    if url is not None:
        # By fingerprint, which has an index, then all others of that URL: posted forms, and twins by dont_filter.
        # Of a redirect loop, whose every hop has a name of its own, the end says more than the way.
        query = f"select * from ({PAGE} where p.fp = ? union {PAGE} where p.url = ?)"
        rows = db.execute(f"{query} order by reason is 'redirect', id limit ?", (print_, url, MOST + 1)).fetchall()
        found.more = len(rows) > MOST
        del rows[MOST:]
        found.pages = [_page(db, row, now) for row in rows]
    found.drops = _drops(db, {given, url or given})
    if found.pages:
        first = [page for page in found.pages if page.fingerprint == found.fingerprint] or found.pages
        found.answer = first[0].answer
        if found.answer == "redirect" and found.pages[0].state == "dead":  # the end of a loop that it began
            found.answer = "dead"
    elif found.drops:
        found.answer = found.drops[-1].reason
    elif url is None:
        found.answer = "would be scheme" if _OTHER_SCHEME.match(given) else "malformed"
    else:
        found.answer = _would(url, found.bounds)
        found.untold = _untold(db, last)
        found.near = _near(db, url)
    return found


PAGE = """
select p.id, p.url, p.fp, p.request, p.state, p.reason, p.error, p.run, p.depth, f.url, p.found_at, p.due,
    p.finished_at, p.status, p.bytes, p.crashes, p.attempts, p.elapsed, p.reused
from pages p left join pages f on f.id = p.found_on
"""


def _page(db: sqlite3.Connection, row: tuple[Any, ...], now: float) -> Page:
    id, url, fp, extra, state, reason, error, met, depth, found_on, found_at, due, fetched_at, status, size, *rest = row
    crashes, tries, elapsed, reused = rest
    attempts = _attempts(db, id)
    told = any(each.run == met and each.state == "dead" for each in attempts)
    if state == "done" or (state == "dead" and not told):  # the others have their attempts in the table of these
        values = (met, tries, fetched_at or 0.0, state, status, reason, short(error) or None, elapsed, _bool(reused))
        attempts.append(Attempt(*values))
    (rejects,) = db.execute("select count(*) from rejects where page = ? and run = ?", (id, met)).fetchone()
    request = msgspec.json.decode(extra) if extra else {}
    page = Page(
        id,
        url,
        fp.hex(),
        request.get("method", "GET"),
        state,
        reason,
        error,
        met,
        depth,
        found_on,
        found_at,
        due,
        fetched_at,
        status,
        size,
        crashes,
        rejects,
        None,
        state,
        attempts,
        (request.get("options") or {}).get("part", {}).get("number", 0),
    )
    if reason == "redirect" and state == "done":
        target = db.execute("select url from pages where found_on = ? order by id desc limit 1", (id,)).fetchone()
        page.redirect = target[0] if target else None
    elif reason is not None and reason.startswith("redirect ") and state == "done":
        target = db.execute("select url from dropped where page = ? and run = ?", (id, met)).fetchone()
        page.redirect = target[0] if target else None
    page.answer = _answer(page, run(db, met, now))
    return page


def _answer(page: Page, met: RunRow | None) -> str:
    if page.state == "done":
        return "redirect" if (page.reason or "").startswith("redirect") else "fetched"
    if page.state == "dead" or met is None or not met.finished:
        return page.state
    # Still due when its run was over.
    return {"limit_pages": "page limit", "limit_items": "item limit"}.get(met.state, met.state)


def _attempts(db: sqlite3.Connection, page: int) -> list[Attempt]:
    rows = db.execute(
        "select run, attempt, at, state, status, reason, error, elapsed, reused from attempts where page = ? "
        "order by id",
        (page,),
    )
    attempts = [Attempt(*row) for row in rows]
    for each in attempts:
        each.error, each.reused = short(each.error), _bool(each.reused)
    return attempts


def _bool(value: int | bool | None) -> bool | None:
    return None if value is None else bool(value)


def _drops(db: sqlite3.Connection, urls: set[str]) -> list[Drop]:
    marks = ", ".join("?" * len(urls))
    rows = db.execute(
        "select d.run, d.reason, d.url, p.url from dropped d left join pages p on p.id = d.page "
        f"where d.url in ({marks}) order by d.run, d.reason",
        [storable(url[:LONGEST_URL]) for url in urls],
    )
    return [Drop(*row) for row in rows]


def _would(url: str, scope: Bounds | None) -> str:
    """The rule that would drop a URL if a page linked to it; its depth nobody knows."""
    if scope is not None and 0 < scope.max_url_length < len(url):
        return "would be length"
    if scope is not None and 0 < scope.max_path_repeats < repeats(url):
        return "would be path"
    if scope is not None and scope.allowed_domains and not in_domains(host_of(url), scope.allowed_domains):
        return "would be offsite"
    return "unknown"


def _untold(db: sqlite3.Connection, run: int | None) -> dict[str, int]:
    """Drops of a run of which no example was kept, by reason: the URL may have been among them."""
    rows = db.execute(
        "select d.reason, d.count - (select count(*) from dropped x where x.run = d.run and x.reason = d.reason) "
        "from drops d where d.run = ?",
        (run,),
    )
    return {reason: number for reason, number in rows if number > 0}


def _near(db: sqlite3.Connection, url: str) -> list[str]:
    """What people mean when they leave out a slash, or write http for https."""
    scheme, _, rest = url.partition("://")
    others = {"http": "https", "https": "http"}[scheme]
    slashed = rest[:-1] if rest.endswith("/") else f"{rest}/"
    bare = rest[4:] if rest.startswith("www.") else f"www.{rest}"
    tries = [canonical(f"{a}://{b}") for a, b in ((scheme, slashed), (others, rest), (scheme, bare), (others, bare))]
    urls = dict.fromkeys(each for each in tries if each is not None and each != url)
    known = "select 1 from pages where fp = ?"
    return [each for each in urls if db.execute(known, (Request(each).fingerprint,)).fetchone()]
