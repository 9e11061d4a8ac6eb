"""What the tests of spiders of feeds have in common: a table in parts, and a folder to crawl it in."""

import json
from pathlib import Path
from typing import Any, ClassVar

from sqlite_rows import rows as ask

import scraper
from scraper import CSVSpider, Response
from scraper.feeds.reading import ReadingSpider

ROWS = 1000
TABLE = "id,text\n" + "".join(f"{number},row {number}\n" for number in range(ROWS))
PAGE = 200, TABLE.encode("utf-16-le"), {"Content-Type": "text/csv; charset=utf-16le"}
"""In an encoding that only the header tells, which every part has to know."""


class Table(CSVSpider):
    """A thousand rows in ten parts."""

    rows_per_page = 100
    settings: ClassVar[dict[str, Any]] = {"obey_robots": False}

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        yield {"id": int(row["id"])}


class Place:
    """A folder with a database and files, and crawls in it."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "x.db"
        self.files = folder / "files"

    async def crawl(self, spider: type[ReadingSpider], *urls: str, **options: Any) -> scraper.CrawlReport:
        given = type(spider.__name__, (spider,), {"start_urls": urls, "name": "a/feeder"}) if urls else spider
        return await scraper.crawl(given, db=self.db, files=str(self.files), obey_robots=False, **options)

    def items(self) -> list[dict[str, Any]]:
        return [json.loads(row["data"]) for row in ask(self.db, "select data from items order by id")]

    def pages(self) -> list[tuple[str, str | None]]:
        return [(row["state"], row["reason"]) for row in ask(self.db, "select state, reason from pages order by id")]

    def left(self) -> list[Path]:
        return [path for path in self.files.rglob("*") if path.is_file()]


def ids(place: Place) -> list[int]:
    return sorted(item["id"] for item in place.items())
