"""Who takes part, on which sites, and what one run of one of them costs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nginx import Traffic

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
FIELDS = ("title", "price", "stock", "rating", "upc", "description")
CONTESTANTS = ("raw", "ours", "scrapy")
TIMEOUT = 300.0  # seconds for one process

Items = Counter[tuple[str | None, ...]]


@dataclass(frozen=True)
class Site:
    """A site and how hard it is crawled: requests at once in total and to one host, for raw and ours alike.

    Scrapy has its own: 120 in total, and ``scrapy_per_host`` to one host.
    """

    name: str
    addresses: tuple[str, ...]
    seed: str
    concurrency: int
    per_host: int
    scrapy_per_host: int
    said: str


SITES = {
    site.name: site
    for site in (
        Site("books", ("127.0.0.1",), "/", 16, 16, 120, "one host"),
        Site(
            "wide",
            tuple(f"127.0.1.{n}" for n in range(1, 201)),
            "/page-1.html",
            32,
            8,
            8,
            "200 hosts, six pages of 100 kB each",
        ),
        Site("start", ("127.0.0.1",), "/", 16, 16, 8, "one page without links"),
    )
}


@dataclass(frozen=True)
class Run:
    """What one process cost, its own children included: seconds, and the peak of its memory in MB."""

    wall: float
    cpu: float
    rss: float


@dataclass(frozen=True)
class Sample:
    """One run of one contestant on one site, with what nginx saw."""

    contestant: str
    site: str
    wall: float
    cpu: float
    rss: float
    pages: int
    robots: int
    items: int
    seconds: float
    connections_mean: float
    connections_max: int

    @property
    def pages_per_cpu_second(self) -> float:
        return self.pages / self.cpu

    @property
    def pages_per_second(self) -> float:
        return self.pages / self.seconds if self.seconds else 0.0


class Failed(Exception):
    """A contestant did not end well, or gave another result than the others."""


def command(contestant: str, site: Site, seeds: list[str], output: Path) -> list[str]:
    """The command line of a contestant; ``output`` is the file it writes."""
    start = ",".join(seeds)
    if contestant == "raw":
        return [sys.executable, str(HERE / "raw.py"), str(output), str(site.concurrency), start]
    if contestant == "scrapy":
        return [sys.executable, str(HERE / "scrapy_spider.py"), str(output), str(site.scrapy_per_host), start]
    limits = [f"concurrency={site.concurrency}", f"concurrency_per_host={site.per_host}"]
    settings = [word for limit in limits for word in ("-s", limit)]
    scraper = [sys.executable, "-m", "scraper", "crawl", str(HERE / "ours.py")]
    return [*scraper, "--db", str(output), "-q", *settings, "-a", f"start={start}"]


def run(argv: list[str], log: Path, timeout: float = TIMEOUT) -> Run:
    """Run a command to its end, account for it. Raises Failed with its last words when it fails or takes too long."""
    result = log.with_suffix(".cost")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-IS", str(HERE / "account.py"), str(result), *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        try:
            process.wait(timeout)
            why = f"ended with status {process.returncode}"
        except subprocess.TimeoutExpired:
            why = f"took longer than {timeout:.0f} s"
        finally:
            if process.returncode is None:  # too late, or we were interrupted
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise Failed(f"{why}: {' '.join(argv)[:300]}\n{said}")
    return Run(**json.loads(result.read_text(encoding="utf-8")))


def items_of(contestant: str, output: Path) -> Items:
    """What a contestant wrote, as a bag of field tuples, so that order does not count."""
    if contestant == "scrapy":
        rows: Iterable[str | bytes] = output.read_text(encoding="utf-8").splitlines()
    else:
        database = sqlite3.connect(output)
        rows = [row[0] for row in database.execute("select data from items")]
        database.close()
    return Counter(tuple(json.loads(row).get(name) for name in FIELDS) for row in rows)


def sample(contestant: str, site: Site, cost: Run, traffic: Traffic, items: int) -> Sample:
    """One line of the result. Raises Failed when a page was asked for twice, or answered with anything but 200."""
    who = f"{contestant} on {site.name}"
    if traffic.other:
        raise Failed(f"{who}: {len(traffic.other)} answers were not 200, such as {traffic.other[0]}")
    twice = [page for page, times in Counter(traffic.pages).items() if times > 1]
    if twice:
        raise Failed(f"{who}: {len(twice)} pages were fetched more than once, such as {twice[0]}")
    if not traffic.pages:
        raise Failed(f"{who}: nginx saw no page")
    counts = list(traffic.connections.values())
    return Sample(
        contestant=contestant,
        site=site.name,
        wall=cost.wall,
        cpu=cost.cpu,
        rss=cost.rss,
        pages=len(traffic.pages),
        robots=traffic.robots,
        items=items,
        seconds=traffic.seconds,
        connections_mean=sum(counts) / len(counts),
        connections_max=max(counts),
    )
