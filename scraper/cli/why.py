"""``scraper why``: what became of a URL, and if it was never fetched, which rule stood in its way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from scraper.cli.opened import AsJson, Where, opened, piped
from scraper.errors import UsageError
from scraper.stores import reading
from scraper.stores.history import MOST_EXAMPLES
from scraper.stores.reading import Bounds, RunRow
from scraper.stores.why import Attempt, Drop, Page, Why
from scraper.stores.why import why as ask
from scraper.url import host_of

ENDS = {"killed", "finished", "limit_pages", "limit_items", "abandoned"}
"""States of a run that are not the reason of a stop."""

KNOWN = ("offsite", "length", "path")
"""Rules by which a URL alone can be told."""

NOTES = {
    "robots": "robots.txt is kept for a day; with obey_robots = false, or Request(obey_robots=False), it is not asked",
    "private address": "the spider does not name its host; name it in start_urls or allowed_domains, or in the setting "
    "allow_private, if it may be asked",
    "host down": "its host did not answer for breaker_patience; scraper retry SPIDER --reason 'host down' asks it "
    "again",
}
"""What more there is to know of a page that is dead, by its reason."""


@piped
def why(
    where: Where,
    url: Annotated[str, typer.Argument(metavar="URL", help="Absolute, as you or a page would write it.")],
    as_json: AsJson = False,
) -> None:
    """Tell why a URL was fetched, or why it was not.

    Answers from the database: the canonical form of the URL and its fingerprint, where it was found first, its state,
    and each attempt with its time, status, duration and connection (new, or reused). If it was never fetched: the
    rule that dropped it (offsite, robots, nofollow, depth, scheme, length, path, host budget, a limit), or what it is
    a duplicate of. Of each reason for which a run drops links, the first 100 are kept; the others are counted.

    \b
    Examples:
      scraper why books http://127.0.0.1:8000/catalogue/page-2.html
      scraper why shop.db 'https://shop.example/search?q=red shoes#top'
      scraper why books https://books.toscrape.com/ --json | jq .answer
    """
    with opened(where) as (path, db):
        with reading.snapshot(db):
            found = ask(db, url, now := time.time())
        if found.run is None:
            raise UsageError(f"{path} has no run yet")
        if as_json:
            print(msgspec.json.encode(found).decode())
        else:
            _print(found, found.run, now)


def _print(found: Why, last: RunRow, now: float) -> None:
    from rich.text import Text

    from scraper.cli.tables import console

    out = console()

    def say(name: str, text: str, style: str = "") -> None:
        out.print(Text.assemble((f"{name:<13}", "dim"), (text, style)), soft_wrap=True)

    if found.url is not None:
        say("URL", found.url, "bold")
        if found.url != found.given:
            say("given as", f"{found.given} (a duplicate: another way to write it, and the same page)")
        say("fingerprint", found.fingerprint or "")
    for page in found.pages:
        if len(found.pages) > 1:
            out.print()
            twin = "" if page.fingerprint == found.fingerprint else f" (fingerprint {page.fingerprint})"
            say("request", f"{page.method} {page.url}{twin}")
        origin = "a seed" if page.found_on is None else page.found_on
        say("found on", f"{origin}, at depth {page.depth}, {_date(page.found_at)}")
        say("state", page.state + (f": {page.reason}" if page.reason else ""))
        say("answer", _of_page(page, last, now), "yellow" if page.state != "done" else "green")
        for name, text in _more(page, last):
            say(name, text)
        for attempt in page.attempts:
            say(f"attempt {attempt.attempt}", _of_attempt(attempt, page.run))
    if found.more:
        say("", "and more requests for this URL, most of them hops of its redirects: they are in the table pages")
    if not found.pages:
        say("answer", _of_none(found, last), "yellow")
        for hint in _hints(found, last):
            say("", hint)
    for drop in found.drops if found.pages else found.drops[:-1]:
        say("not followed", f"run {drop.run} found a link to it on {drop.found_on or 'a seed'}: {drop.reason}")


def _of_page(page: Page, last: RunRow, now: float) -> str:
    """Why a page is in the state that it is in."""
    from scraper.cli.tables import duration

    met = f"run {page.run}"
    if page.answer == "fetched":
        if page.part and page.status is None:
            return f"{met} read part {page.part} of the feed from its file"
        return f"{met} fetched it"
    if page.answer == "redirect":
        rule = (page.reason or "").removeprefix("redirect").strip()
        target = page.redirect or ("a URL that is not kept" if rule else "a URL that was known already")
        return f"{met} fetched it; it redirects to {target}" + (f", which was not followed: {rule}" if rule else "")
    if page.answer == "dead":
        return f"{met} gave it up: {reading.short(page.error) or page.reason}"
    if page.answer in ("page limit", "item limit"):
        return f"never fetched by {met}: it was still due when that run ended by its {page.answer}"
    if page.answer in ("due", "retry") and page.run == last.id:
        if page.answer == "due":
            what = "it waits for its turn"
        else:
            wait = (page.due or now) - now
            what = f"it failed and is tried again {f'in {duration(wait)}' if wait > 0 else 'now'} ({_date(page.due)})"
        if last.state == "running":
            return f"{what} in {met}" + (", or is being fetched now" if page.answer == "due" else "")
        if last.state == "silent":
            return f"{what} in {met}, whose process gives no sign of life"
        how = last.state if last.state in ENDS else f"stopped ({last.state})"
        return f"{what}; {met} was {how} before that, and the next crawl goes on"
    return f"never fetched by {met}: it was still due when that run ended ({page.answer})"


def _more(page: Page, last: RunRow) -> Iterator[tuple[str, str]]:
    from scraper.cli.tables import size

    if page.run != last.id:
        yield "since then", f"run {last.id} is the last, and has met no link to it"
    if page.state == "done" and page.status is not None:
        yield "received", f"status {page.status}, {size(page.bytes or 0)}"
    elif page.state != "dead" and page.fetched_at is not None and not page.attempts:
        yield "before that", f"an earlier run fetched it: status {page.status}, {_date(page.fetched_at)}"
    if page.state == "dead" and page.reason in NOTES:
        yield "note", NOTES[page.reason]
    if page.crashes:
        yield "crashes", f"the process died {page.crashes} times in a row while this page was read"
    if page.rejects:
        yield "rejects", f"{page.rejects:,} of its items could not be stored (table rejects)"


def _of_none(found: Why, last: RunRow) -> str:
    """Why a URL is no page."""
    if found.drops:
        drop = found.drops[-1]
        where = f"a link on {drop.found_on}" if drop.found_on is not None else "a seed"
        rule = _rule(found, drop, found.bounds if drop.run == last.id else None)
        return f"never fetched: run {drop.run} met it as {where} and did not follow it: {rule}"
    if found.answer == "malformed":
        return f"it cannot be fetched: {found.given!r} is not an absolute http(s) URL; a page's link may be relative"
    if found.answer == "would be scheme":
        return "it cannot be fetched: links of another scheme than http and https are not followed"
    if found.answer.startswith("would be "):
        reason = found.answer.removeprefix("would be ")
        rule = _rule(found, Drop(last.id, reason, found.url or "", None), found.bounds)
        return f"never fetched, and a link to it would be dropped: {rule}"
    return f"never fetched: no page of run {last.id} linked to it"


def _rule(found: Why, drop: Drop, scope: Bounds | None) -> str:
    """A rule with the figure that it was held against, where that is known."""
    if drop.reason == "scheme":
        return "scheme (only http and https are)"
    if drop.reason == "nofollow":
        return f"nofollow (its link or its page asks not to be followed, and run {drop.run} had obey_nofollow)"
    if drop.reason == "item":
        return "item (a file whose item was dropped or could not be stored)"
    if scope is None:
        return drop.reason
    if drop.reason == "path":
        repeats = f"a part of its path stands there more than {scope.max_path_repeats} times"
        return f"path ({repeats}, max_path_repeats of run {drop.run}: most likely a trap)"
    if drop.reason == "host budget":
        host, most = host_of(drop.url), f"{scope.max_pages_per_host:,}"
        return f"host budget (run {drop.run} had {most} pages of {host} already, its max_pages_per_host)"
    if drop.reason == "offsite":
        return f"offsite (allowed_domains of run {drop.run} are {', '.join(scope.allowed_domains)})"
    if drop.reason == "depth":
        return f"depth (max_depth of run {drop.run} is {scope.max_depth})"
    if drop.reason == "length":
        length = len(found.url or drop.url)
        return f"length ({length:,} characters; max_url_length of run {drop.run} is {scope.max_url_length:,})"
    return drop.reason


def _hints(found: Why, last: RunRow) -> Iterator[str]:
    for near in found.near:
        yield f"But this is a page: {near}"
    ruled = found.answer.removeprefix("would be ")
    for reason, count in found.untold.items():
        total = last.drops.get(reason, count)
        # By the scope we know already whether it would be one of these.
        if reason == ruled or (ruled == "unknown" and (reason not in KNOWN or found.bounds is None)):
            yield (
                f"Run {last.id} dropped {total:,} links for {reason}, of which the first {MOST_EXAMPLES} are kept: "
                "it may be one of the others"
            )


def _of_attempt(each: Attempt, met: int) -> str:
    """One visit in a line; ``met`` is the run of the page, and need not be told."""
    from scraper.cli.tables import duration

    connection = {None: (), True: ("reused connection",), False: ("new connection",)}[each.reused]
    facts = [
        *((f"run {each.run}",) if each.run != met else ()),
        *((f"status {each.status}",) if each.status is not None else ()),
        *((duration(each.elapsed),) if each.elapsed is not None else ()),
        *connection,
        *((each.reason,) if each.reason and each.reason != f"status {each.status}" else ()),
    ]
    error = f": {each.error}" if each.error else ""
    return f"{_date(each.at)}  {each.state:<5}  {', '.join(facts)}{error}"


def _date(when: float | None) -> str:
    from scraper.cli.tables import stamp

    return stamp(when) if when is not None else "-"
