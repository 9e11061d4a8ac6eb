"""Which queries are to blame: those that matched when the page was recorded and match no more, or less."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec import Struct

from scraper.offline.feeds import fields_of
from scraper.offline.trace import Query, Spot

MOST = 20
"""Queries that are shown of one page."""


class Suspect(Struct):
    """A query by name, and what became of it. ``fields`` are those that it feeds; ``dead`` when it matches nothing."""

    query: str
    words: str
    dead: bool
    fields: list[str]

    def __str__(self) -> str:
        return f"{self.query}{self.words}"


def suspects(
    recorded: Sequence[Query], now: Sequence[Query], spots: dict[str, Spot], raised: bool = False
) -> list[Suspect]:
    """Queries whose matches are not those of the recording, the dead first.

    What was asked of a match that is gone itself is left out, and its fields are told with that match. So is what was
    asked less often and did match: it follows from something else. After a callback that ``raised``, what it would have
    asked later is no news either.
    """
    before = {each.query: each for each in recorded}
    asked = {each.query: each for each in now}
    found: list[Suspect] = []
    for query, each in asked.items():
        was = before.get(query)
        if each.matched == (was.matched if was is not None else each.matched) and (was is not None or each.matched):
            continue
        if was is not None and each.asked < was.asked and each.matched:
            continue
        if _inside(query, [other for other, one in asked.items() if not one.matched]):
            continue
        times = "none" if not each.matched else f"{each.matched:,}"
        words = (
            f"matched {was.matched:,} when recorded, {times} now" if was is not None else "is new, and matches nothing"
        )
        found.append(Suspect(query, f"{_at(spots.get(query))} {words}", not each.matched, _fields(query, asked, spots)))
    dead = [each.query for each in found]
    for query, was in before.items() if not raised else ():
        if query not in asked and was.matched and not _inside(query, [*dead, *(b for b in before if b not in asked)]):
            where = f" in {was.at}" if was.at else ""
            found.append(Suspect(query, f"{where} matched {was.matched:,} when recorded, is not asked now", False, []))
    return sorted(found, key=lambda each: not each.dead)[:MOST]


def _inside(query: str, parents: Collection[str]) -> bool:
    return any(query.startswith(f"{parent}.") for parent in parents)


def _at(spot: Spot | None) -> str:
    return f" at {Path(spot.file).name}:{spot.line}" if spot is not None else ""


def _fields(query: str, asked: Collection[str], spots: dict[str, Spot]) -> list[str]:
    """The fields that a query feeds, and those that it feeds through queries of what it matched."""
    found: set[str] = set()
    for each in asked:
        if (each == query or each.startswith(f"{query}.")) and each in spots:
            found |= fields_of(spots[each])
    return sorted(found)
