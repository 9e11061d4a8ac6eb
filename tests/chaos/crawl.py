"""The crawl of all faults, as a process of its own, so that its memory can be measured: ``python -m chaos.crawl``.

Reads the seeds from stdin (JSON), crawls into the database that is named, prints figures as JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from functools import partial
from pathlib import Path

import scraper
from chaos.spider import Chaos, Names
from scraper import parts

PATIENCE = min(5.0, max(2.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
"""A machine that has much else to do takes longer for everything, also for the server of the faults."""

SETTINGS = {
    "concurrency": 48,
    "connect_timeout": 2.0 * PATIENCE,
    "read_timeout": 2.0 * PATIENCE,
    "total_timeout": 4.0 * PATIENCE,
    "retry_attempts": 2,
    "retry_max_wait": 0.05,
    "retry_after_max": 0.05,
    "max_pages_per_host": 100,
    "allow_private": ("127.0.0.2",),
    "log_level": "error",
    "deadline": 60.0 * PATIENCE,
}
"""Only times are shorter than they are by default: what is held in memory is as large as it may be."""


def peak() -> int:
    """The most memory this process has had, bytes; what it had before ``exec`` does not count."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main(database: str) -> None:
    parts.SessionPool = partial(parts.SessionPool, resolver=Names())  # type: ignore[misc,assignment]
    begun = time.monotonic()
    report = scraper.run(Chaos(json.load(sys.stdin)), db=database, settings=SETTINGS)
    figures = {"reason": report.reason, "seconds": time.monotonic() - begun, "peak": peak()}
    figures["drops"] = report.counts.drops
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
