"""One fixture, replayed and held against what is expected of it; and the report of what differs."""

from __future__ import annotations

import inspect
import re
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from scraper.discover import build, find
from scraper.errors import ScraperError, UsageError
from scraper.offline.differences import Difference, differences
from scraper.offline.fixture import Fixture, FixtureError, name_of, read
from scraper.offline.replay import Replayed, line_in, outside_loop, replayed
from scraper.offline.suspects import Suspect, suspects
from scraper.response import Response
from scraper.settings import Settings, load
from scraper.spider import Spider

MOST_ALIKE = 5
"""Differences of one sort (links that are gone, one field of many items) that are shown one by one."""


class Checked(Struct):
    """What a check of one fixture showed. ``flaw`` says why it could not be replayed at all."""

    name: str
    url: str = ""
    callback: str = ""
    differences: list[Difference] = []
    suspects: list[Suspect] = []
    error: str | None = None
    at: str | None = None
    tries: list[str] = []
    flaw: str | None = None

    @property
    def ok(self) -> bool:
        return not (self.differences or self.error or self.tries or self.flaw)

    def lines(self) -> Iterator[str]:
        """The report, without the fixture's name: each thing that differs, and the queries to blame beside it."""
        if self.flaw is not None:
            yield from self.flaw.removeprefix(f"{self.name}: ").splitlines()
            return
        told: set[str] = set()
        if self.error is not None:
            yield f"the callback {self.callback} raised {self.error}"
            if self.at is not None:
                yield f"  at {self.at}"
        for words in self.tries:
            yield f"the network was asked for {words}: forbidden while a page is replayed"
        what = None
        alike = Counter[tuple[str, str]]()
        for each in self.differences:
            if self.error is not None and each.got is None:
                continue  # it gave nothing, so nothing of it is there
            sort = _sort(each)
            alike[sort] += 1
            if alike[sort] > MOST_ALIKE:
                continue  # a hundred links that are gone must not hide the query that is to blame
            if each.field is None:
                yield f"{each.what}: {sort[1]}"
                yield f"  {each.expected or each.got}"
                what = None
                if " rejected" in each.what and each.got is not None:
                    yield from self._blamed([name for name in self._fields() if f"{name}: " in each.got], told)
                continue
            if each.what != what:
                what = each.what
                yield f"{what}"
            yield f"  {each.field}: expected {each.expected}, got {each.got}"
            yield from self._blamed([sort[1]], told)
        for (kind, words), number in alike.items():
            if number > MOST_ALIKE:
                yield f"and {number - MOST_ALIKE:,} more of these ({kind}: {words})"
        rest = [one for one in self.suspects if one.query not in told]
        if rest:
            yield "queries that match otherwise than when it was recorded"
            for one in rest:
                fields = f"  ({', '.join(one.fields)})" if one.fields else ""
                yield f"  {one}{fields}"

    def _fields(self) -> set[str]:
        return {name for one in self.suspects for name in one.fields}

    def _blamed(self, fields: Collection[str], told: set[str]) -> Iterator[str]:
        """The dead queries that feed these fields, each told once."""
        for one in self.suspects:
            if one.dead and one.query not in told and not set(fields).isdisjoint(one.fields):
                told.add(one.query)
                yield f"    {one}"

    def json(self) -> dict[str, Any]:
        """For programs: the same, as plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {"fixture": self.name, "ok": self.ok, **{name: found[name] for name in found if name != "name"}}


def _sort(each: Difference) -> tuple[str, str]:
    """Of what kind it is, and its field (or that the whole is gone or new)."""
    if each.field is None:
        return each.what.partition(" ")[0], "not any more" if each.got is None else "not expected"
    return each.what.partition(" ")[0], re.split(r"[.\[]", each.field, maxsplit=1)[0]


def check(fixture: Fixture, ignore: Collection[str] = ()) -> Checked:
    """Replay a fixture and compare. What cannot be replayed is a flaw of the fixture, not an error of ours."""
    checked = Checked(fixture.name, fixture.head.url, fixture.head.callback)
    try:
        now = replay_of(fixture)
    except ScraperError as error:  # also that of a step that cannot be opened
        checked.flaw = str(error)
        return checked
    return compared(fixture, now, ignore)


def compared(fixture: Fixture, now: Replayed, ignore: Collection[str] = ()) -> Checked:
    """What a replay gave against what is expected. Queries are looked at only when something differs."""
    head = fixture.head
    checked = Checked(
        fixture.name,
        head.url,
        head.callback,
        differences(fixture.expected, now.given, {*head.ignore, *ignore}),
        error=now.given.error,
        at=now.at,
        tries=now.tries,
    )
    if not checked.ok:
        fields = {name for given in (fixture.expected, now.given) for item in given.items for name in item.data}
        checked.suspects = suspects(fixture.queries, now.queries, now.spots, raised=now.given.error is not None)
        for each in checked.suspects:
            each.fields = [name for name in each.fields if name in fields]
    return checked


def replay_of(fixture: Fixture, response: Response | None = None) -> Replayed:
    """What the spider gives of the page now. Raises UsageError when spider, callback or page are not there."""
    response = response if response is not None else fixture.response
    spider, settings = spider_of(fixture)
    if not callable(getattr(spider, fixture.head.callback, None)):
        raise FixtureError(
            f"{fixture.name}: spider {spider.name!r} has no method {fixture.head.callback!r} any more; name the new "
            "one in its fixture.json, or delete the fixture"
        )
    return outside_loop(lambda: replayed(spider, response, settings))


def spider_of(fixture: Fixture) -> tuple[Spider, Settings]:
    """The spider that it was recorded with, made with the same arguments and settings."""
    head = fixture.head
    try:
        made = find(head.spider, Path(load(head.settings).spiders))
    except UsageError as error:
        raise FixtureError(f"{fixture.name}: {error}") from error
    try:
        return build(made, head.arguments), load(head.settings, spider=made.settings)
    except UsageError:
        raise
    except Exception as error:  # whatever its __init__ raises: the other fixtures are still to be checked
        at = line_in(traceback.format_exc(), inspect.getsourcefile(made) or "")
        words = f"{type(error).__name__}: {error}" + (f"\n  at {at}" if at is not None else "")
        raise FixtureError(f"{fixture.name}: spider {made.name!r} cannot be made: {words}") from error


def check_folder(
    folder: Path, root: Path, ignore: Collection[str] = (), settings: dict[str, Any] | None = None
) -> Checked:
    """Read a fixture and check it; a damaged one is a flaw as well. ``settings`` are besides its own."""
    try:
        fixture = read(folder, root)
    except FixtureError as error:
        return Checked(name_of(folder, root), flaw=str(error))
    fixture.head.settings = fixture.head.settings | (settings or {})
    return check(fixture, ignore)
