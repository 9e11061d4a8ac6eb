"""The crawl that test_crash kills: ``crash_child.py DATABASE ORIGIN [STATEMENT]``.

With a statement, the process kills itself when SQLite is about to run it. It is a number, counted from the start
(inside a transaction, before its commit, while tables are made, wherever it falls), or how the statement begins.
"""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import tenacity

import scraper
from scraper import Response, RetryPolicy, Spider


@dataclass
class Row:
    key = "id"
    id: int
    double: int


class Crash(Spider):
    def __init__(self, origin: str) -> None:
        self.start_urls = [f"{origin}/0"]

    def parse(self, response: Response) -> Iterator[Any]:
        number = int(response.css("h1::text").get(""))
        yield Row(number, 2 * number)
        yield {"page": number, "part": 1}
        yield from response.follow_all("a")
        yield {"page": number, "part": 2}


def die_at(where: str) -> None:
    """Every connection that is opened watches its statements."""
    connect, numbers = sqlite3.connect, count(1)

    def watch(statement: str) -> None:
        if next(numbers) == int(where) if where.isdigit() else statement.startswith(where):
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(watch)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]


if __name__ == "__main__":
    database, origin, *rest = sys.argv[1:]
    if rest:
        die_at(rest[0])
    report = scraper.run(
        Crash,
        arguments={"origin": origin},
        db=database,
        log_format="json",
        concurrency=8,
        retry=RetryPolicy(stop=tenacity.stop_never, wait=tenacity.wait_fixed(0.02)),
    )
    print(json.dumps({"reason": report.reason, "finished": report.finished, "pages": report.counts.pages}))
