"""Peak memory of a crawl that knows few URLs and of one that knows many: nothing may grow with them but the file.

A spider without a network: every page has so many links to pages that nobody has met, over a hundred hosts, and one
item. A tenth of what is known is fetched; all else waits in the database. Each crawl has a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scraper
from scraper import Request, Response, Spider
from scraper.page import Seen

LINKS = 10
HOSTS = 100
TARGET = 60
"""MiB that the peak may grow between the first count and the last."""


def url(number: int) -> str:
    return f"http://h{number % HOSTS}.test/catalogue/page-{number}/index.html"


class Endless:
    """The network: page n links to pages 10 n + 1 to 10 n + 10."""

    async def fetch(self, request: Request) -> Response:
        number = int(request.url.split("-")[1].partition("/")[0])
        links = "".join(f'<a href="{url(LINKS * number + each)}">x</a>' for each in range(1, LINKS + 1))
        body = f"<h1>{number}</h1>{links}".encode()
        headers = {"Content-Type": "text/html; charset=utf-8"}
        return Response(request.url, 200, headers, body, request, Seen(200, size=len(body)))

    async def close(self) -> None:
        """Nothing to free."""


class Known(Spider):
    start_urls = (url(0),)

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"number": response.css("h1::text").get()}
        yield from response.follow_all("a")


def crawl(known: int, db: Path) -> None:
    """Until so many URLs are known; prints how many and the peak in KiB."""
    report = scraper.run(Known, db=db, fetcher=Endless(), limit_pages=known // LINKS, log_level="warning")
    print(report.totals.links, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/memory", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "known", nargs="*", type=int, default=[20_000, 500_000], help="URLs known (default 20000 500000)"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        crawl(chosen.known[0], chosen.child)
        return 0
    peaks = []
    print(f"{'URLs known':>12} {'peak RSS':>10} {'file':>10} {'time':>8}")
    for known in sorted(chosen.known):
        with tempfile.TemporaryDirectory(prefix="scraper-memory-") as folder:
            db = Path(folder) / "known.db"
            begun = time.monotonic()
            done = subprocess.run(
                [sys.executable, __file__, str(known), "--child", str(db)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            links, peak = map(int, done.stdout.split())
            file = db.stat().st_size / 2**20
        peaks.append(peak / 1024)
        print(f"{links:>12,} {peaks[-1]:>6.0f} MiB {file:>6.0f} MiB {time.monotonic() - begun:>6.1f} s", flush=True)
    growth = peaks[-1] - peaks[0]
    print(f"growth {growth:.0f} MiB (target: less than {TARGET})")
    return int(growth >= TARGET)


if __name__ == "__main__":
    sys.exit(main())
