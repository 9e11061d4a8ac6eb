"""A feed is read in parts, each a page of its own: resumed, read again, read beside others."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fed import PAGE, ROWS, TABLE, Place, Table, ids
from sqlite_rows import rows as ask
from typer.testing import CliRunner

import scraper
from scraper import CSVSpider, Response
from scraper.cli import app
from scraper.errors import FetchError
from scraper.feeds import reading
from scraper.feeds.source import Source
from scraper.page import Down, Seen
from scraper.settings import Settings
from scraper.testing import LocalSite
from scraper.throttle import FixedThrottle


@dataclass
class Row:
    """A row with a key."""

    key = "id"
    id: int
    text: str


@pytest.fixture
async def site() -> AsyncIterator[LocalSite]:
    async with LocalSite({"/table.csv": PAGE}) as site:
        yield site


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_feed_is_read_in_parts_and_asked_for_once(site: LocalSite, place: Place) -> None:
    report = await place.crawl(Table, site.url("/table.csv"), max_results=150)
    assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 10, ROWS)
    assert ids(place) == list(range(ROWS))
    assert site.log == ["GET /table.csv"]
    assert report.hosts[0].requests == 1
    assert place.left() == [], "the file is gone when the feed was read"
    assert report.totals.bytes == 2 * len(TABLE), "a part that is read on is no download"


async def test_why_tells_parts_from_pages(site: LocalSite, place: Place) -> None:
    await place.crawl(Table, site.url("/table.csv"), limit_pages=3)
    told = CliRunner().invoke(app("why"), ["why", str(place.db), site.url("/table.csv")])
    assert re.findall(r"answer +run 1 (.*)", told.stdout)[:3] == [
        "fetched it",
        "read part 1 of the feed from its file",
        "read part 2 of the feed from its file",
    ]


async def test_a_part_is_no_link_that_could_be_dropped(site: LocalSite, place: Place) -> None:
    """Neither its depth nor the site counts, and it takes no turn of its host: ten would take longer than there is."""

    class Bounded(Table):
        allowed_domains = ("elsewhere.test",)

    report = await place.crawl(Bounded, site.url("/table.csv"), max_depth=1, delay=0.5, jitter=0.0, deadline=4.0)
    assert (report.reason, report.counts.items, report.counts.drops) == ("finished", ROWS, {})
    assert {row["depth"] for row in ask(place.db, "select depth from pages")} == {0}


class Stopping(Table):
    """Stops in the middle, like a kill: what has not come to its end leaves no trace."""

    at: ClassVar[set[int]] = set()
    crawl: ClassVar[Any] = None

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        if int(row["id"]) in self.at:
            self.at.clear()
            self.crawl.abort()
        yield {"id": int(row["id"])}


async def aborted(place: Place, url: str, at: int) -> None:
    spider = type("Stopped", (Stopping,), {"start_urls": [url], "name": "a/feeder", "at": {at}})
    one = scraper.Crawl(spider, db=place.db, settings={"files": str(place.files), "obey_robots": False})
    spider.crawl = one  # type: ignore[attr-defined]
    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(one.run())


async def test_what_was_stopped_goes_on_at_its_part(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    assert ids(place) == list(range(400))
    assert len(place.left()) == 1
    report = await place.crawl(Table, site.url("/table.csv"))
    assert (report.reason, report.resumed, report.counts.pages) == ("finished", True, 6)
    assert ids(place) == list(range(ROWS))
    assert site.log == ["GET /table.csv"]
    assert place.left() == []


async def test_a_file_that_is_gone_is_asked_for_again_and_read_on(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].unlink()
    report = await place.crawl(Table, site.url("/table.csv"))
    assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 6, 600)
    assert ids(place) == list(range(ROWS))
    assert len(site.log) == 2


async def test_a_feed_that_changed_meanwhile_is_read_from_its_start(site: LocalSite, place: Place) -> None:
    """Rows with a key replace themselves."""

    class Keyed(Table):
        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            yield Row(int(row["id"]), row["text"])

    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].unlink()
    site.pages["/table.csv"] = (200, "id,text\n-1,new\n" + TABLE[8:], {"Content-Type": "text/csv"})
    report = await place.crawl(Keyed, site.url("/table.csv"))
    assert (report.reason, report.counts.pages) == ("finished", 11)
    found = [item for item in place.items() if "text" in item]
    assert [item["id"] for item in found] == [-1, *range(ROWS)]


async def test_a_file_that_was_changed_is_not_read(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].write_bytes(("id,text\n" + "9,other\n" * ROWS).encode("utf-16-le"))
    await place.crawl(Table, site.url("/table.csv"))
    assert ids(place) == list(range(ROWS))


async def test_a_file_that_is_changed_while_it_is_read_is_asked_for_again(
    site: LocalSite, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spoilt(Table):
        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            if row["id"] == "432" and len(site.log) == 1:
                place.left()[0].write_bytes(("id,text\n" + "9,other\n" * 2 * ROWS).encode("utf-16-le"))
            return {"id": int(row["id"])}

    monkeypatch.setattr("scraper.feeds.source.PIECE", 512)  # so that most of it has not been read by then
    await place.crawl(Spoilt, site.url("/table.csv"))
    assert (ids(place), len(site.log)) == (list(range(ROWS)), 2)


async def test_the_next_run_asks_again(site: LocalSite, place: Place) -> None:
    for _ in range(2):
        report = await place.crawl(Table, site.url("/table.csv"))
        assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 10, ROWS)
    assert ids(place) == list(range(ROWS)), "each in the place of the one of the run before"
    assert len(place.pages()) == 10
    assert len(site.log) == 2


async def test_what_nobody_came_back_for_is_swept(site: LocalSite, place: Place) -> None:
    """By a new run, and only when it is a day old: another crawl may be reading it."""
    folder = place.files / "feeds" / "_a_feeder"
    folder.mkdir(parents=True)
    for name, age in (("old", 90_000), ("new", 80_000)):
        (folder / name).write_text("left")
        os.utime(folder / name, (time.time() - age,) * 2)
    await place.crawl(Table, site.url("/table.csv"))
    assert place.left() == [folder / "new"]


async def test_feeds_that_are_read_at_once_are_read_apart(site: LocalSite, place: Place) -> None:
    """One that is opened again, as there are too many, is read up to its place first."""
    paths = [f"/{number}.csv" for number in range(6)]
    site.pages |= {path: TABLE.replace("\n", f"{path}\n") for path in paths}

    opened = []

    class Apart(CSVSpider):
        rows_per_page = 250
        headers = ("id", "text")

        def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
            opened.append(response.url)
            return super().rows_of(source, response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MOST_OPEN", 2)
        await place.crawl(Apart, *(site.url(path) for path in paths))
    found = sorted(item["id"] + item["text"] for item in place.items())
    expected = [f"{number}row {number}{path}" for number in range(ROWS) for path in paths]
    assert found == sorted([*expected, *(f"idtext{path}" for path in paths)])
    assert len(site.log) == 6
    assert len(opened) > 6


async def test_two_requests_for_one_feed_read_it_each_for_itself(site: LocalSite, place: Place) -> None:
    class Twice(Table):
        async def start(self) -> AsyncIterator[scraper.Request]:
            for who in ("a", "b"):
                yield self.feed_request(site.url("/table.csv"), meta={"who": who}, dont_filter=True)

        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            return {"id": int(row["id"]), "who": response.meta["who"]}

    await place.crawl(Twice)
    found = sorted((item["id"], item["who"]) for item in place.items())
    assert found == [(number, who) for number in range(ROWS) for who in "ab"]


async def test_a_part_is_no_larger_than_some_megabytes_either(
    site: LocalSite, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 3000)
    monkeypatch.setattr("scraper.feeds.source.PIECE", 512)
    report = await place.crawl(type("Long", (Table,), {"rows_per_page": ROWS}), site.url("/table.csv"))
    assert (report.counts.pages, report.counts.items) == (4, ROWS)


async def test_a_part_says_nothing_of_its_host(site: LocalSite, place: Place) -> None:
    """What was read from a file is no sign of how fast the host answers; and one that is down has nothing to say."""

    class Watching(FixedThrottle):
        seen = 0

        def observe(self, host: str, seen: Seen, error: FetchError | None, now: float) -> float:
            self.seen += 1
            return super().observe(host, seen, error, now)

        def given_up(self, host: str) -> Down | None:
            return Down(0.0, "it is down") if self.seen else None

    throttle = Watching(Settings())
    report = await place.crawl(Table, site.url("/table.csv"), throttle=throttle)
    assert (report.counts.items, throttle.seen) == (ROWS, 1)


async def test_a_feed_is_opened_once(site: LocalSite, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """From part to part it stays open, so a feed of any size is read once."""
    opened = []

    class Counted(Source):
        def lines(self) -> Any:
            opened.append(self.url)
            return super().lines()

    monkeypatch.setattr(reading, "Source", Counted)
    await place.crawl(Table, site.url("/table.csv"))
    assert opened == [site.url("/table.csv")]
