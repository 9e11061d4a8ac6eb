"""Runs the crawl of some faults against the chaos server, and reads out of the database how every page ended."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaos.fault import ANY, End, Fault
from chaos.server import ChaosServer

TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Outcome:
    """``ends`` by URL (of twins, the last), ``drops`` by origin of the page: how many links by reason."""

    ends: dict[str, End]
    drops: dict[str, Counter[str]]
    figures: dict[str, Any]
    log: str


def crawl(faults: list[Fault], server: ChaosServer, database: Path) -> Outcome:
    """One crawl over all of them, in a process of its own."""
    starts = [
        (server.url(fault, fault.start), fault.callback, fault.robots is not None) for fault in faults if fault.start
    ]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SCRAPER_")}
    done = subprocess.run(
        [sys.executable, "-m", "chaos.crawl", str(database)],
        input=json.dumps(starts),
        env=ours | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "SSL_CERT_FILE": str(server.authority)},
        cwd=database.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if done.returncode:
        raise AssertionError(f"the crawl ended with {done.returncode}: {done.stderr[-4000:]}")
    ends, drops = read(database)
    return Outcome(ends, drops, json.loads(done.stdout.splitlines()[-1]), done.stderr)


def read(database: Path) -> tuple[dict[str, End], dict[str, Counter[str]]]:
    db = sqlite3.connect(database)
    try:
        items = [json.loads(data) for (data,) in db.execute("select data from items order by id")]
        titles = {item["url"]: item["title"] for item in items if "title" in item}
        errors = {item["url"]: item["error"] for item in items if "error" in item}
        ends = {}
        for url, state, reason, status, attempts, error in db.execute(
            "select url, p.state, p.reason, p.status, attempts, a.error from pages p "
            "left join attempts a on a.page = p.id and a.state = 'dead' order by p.id"
        ):
            kind = errors.get(url)
            if state == "dead" and kind is None:  # no errback was called: what a callback raised begins with its name
                kind = re.split("[:,]", error)[0]
            ends[url] = End(state, reason, status, attempts, titles.get(url), kind)
        drops: dict[str, Counter[str]] = {}
        for url, reason in db.execute("select p.url, d.reason from dropped d join pages p on p.id = d.page"):
            drops.setdefault("/".join(url.split("/", 3)[:3]), Counter())[reason] += 1
        return ends, drops
    finally:
        db.close()


def wrong(fault: Fault, server: ChaosServer, outcome: Outcome) -> list[str]:
    """What of a fault did not end as it has to."""
    found = []
    for path, end in fault.ends.items():
        url = server.url(fault, path)
        ended = outcome.ends.get(url)
        if ended is not None and end.status == ANY:
            ended = replace(ended, status=ANY)
        if ended != end:
            found.append(
                f"{fault.name}: {url[:80]} is {ended}, not {end}" if ended is None else differs(url, ended, end)
            )
    origin = server.origins[fault.name]
    drops = outcome.drops.get(origin, Counter())
    for reason, number in fault.drops.items():
        if drops[reason] < number:
            found.append(f"{origin} drops {dict(drops)}, not {number} for {reason!r}")
    return [f"{fault.name}: {each}" for each in found]


def differs(url: str, ended: End, end: End) -> str:
    names = ("state", "reason", "status", "attempts", "title", "error")
    pairs = [(name, getattr(ended, name), getattr(end, name)) for name in names]
    return f"{url[:80]}: " + ", ".join(f"{name} {is_!r}, not {want!r}" for name, is_, want in pairs if is_ != want)
