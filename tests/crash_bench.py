"""The crash bench: one database, one process after the other that works on it, and the judge of what is left.

``crash_kills`` and ``crash_faults`` say what happens to those processes; ``test_crash`` tries each once or twice and
``scripts/crash`` many times. All that is judged is read from the file and counted by the site, in another process.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from crash_site import LIFE, CrashSite

from scraper import writer

HERE = Path(__file__).resolve().parent
CONCURRENCY = 8
BOUND = CONCURRENCY + getattr(writer, "GROUP", 200)
"""What one kill may cost in requests: those in flight, and the outcomes that were not yet committed."""

LEFT, LOCKED = 4, 75
"""Exit codes: stopped with work left; another run has the database."""

COUNTERS = "pages, items, rejects, retries, dead, links, redirects, bytes"
TRUTH = {
    "pages": "select url, state, status, attempts, reason, callback, bytes, run from pages",
    "items": """select kind, iif(kind = 'item', substr(key, instr(key, '.')), key), data,
        iif(kind = 'shelf', null, url) from items join pages on pages.id = page""",
    "rejects": "select kind, rejects.reason, ordinal, url from rejects join pages on pages.id = page",
    "fields": "select kind, name, ordinal from fields",
    "runs": f"select id, spider, reason, finished, {COUNTERS} from runs",
    "row": "select id, double from row",
    "item": "select page, part from item",
    "shelf": "select name from shelf",
    # A page that was read when the process died has a row of that beside those of its visits.
    "attempts": """select url, attempt, a.state, a.status, a.reason from attempts a join pages on pages.id = a.page
        where a.reason <> 'crash'""",
    "drops": "select reason, count from drops",
    "dropped": "select reason, url from dropped",
    "kinds": "select run, kind, items from kinds",
    "fills": "select run, kind, field, filled from fills",
    # What each page's callback counted in the spider's state.
    "notes": """select fullkey, atom from notes, json_tree(notes.value)
        where notes.kind = 'state' and atom is not null""",
}
"""What a crawl is for, table by table, without what no two crawls share: ids, times, who was first to find a page."""

Truth = dict[str, Counter[Any]]


class Broken(AssertionError):
    """A promise is broken; the message says which and how."""


class Unable(Exception):
    """This machine cannot bring the fault about; the message says why."""


def must(promise: object, message: object) -> None:
    if not promise:
        raise Broken(message)


class Life:
    """One process from its start to its end, and what it left."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, done: set[str], committed: int) -> None:
        self.number = number
        self.process = process
        self.done = done
        """URLs of the pages that were done before."""
        self.committed = committed
        """Visits committed before; ``kept`` were by this life."""
        self.kept = 0
        self.bound: int | None = None
        """Visits that this life may have lost; None: as its end deserves."""
        self.signalled = 0.0
        self.seconds = 0.0
        """From the last signal to the end."""
        self.out = ""
        self.err = ""

    @property
    def code(self) -> int:
        code = self.process.returncode
        must(code is not None, "it has not ended")
        return int(code or 0)

    @property
    def killed(self) -> bool:
        return self.code in (-signal.SIGKILL, -signal.SIGXFSZ)

    def send(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.signalled = time.monotonic()
            self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    async def said(self, words: str) -> None:
        """Wait until it has said so on stderr."""
        assert self.process.stderr is not None
        while words not in self.err.rpartition("\n")[2]:
            line = await self.process.stderr.readline()
            must(line, f"it ended without saying {words!r}: {self.err}")
            self.err = (self.err + "\n" + line.decode()).strip()

    async def over(self) -> None:
        out, err = await self.process.communicate()
        self.seconds = time.monotonic() - self.signalled if self.signalled else 0.0
        self.out, self.err = out.decode(), f"{self.err}\n{err.decode()}".strip()

    def expect(self, code: int, *words: str) -> None:
        """It ended so, and said why in one line that a person can act on."""
        must(self.code == code, f"exit code {self.code} where {code} was due: {self.err}")
        must("Traceback" not in self.err, self.err)
        for each in words:
            must(each in self.err, f"it does not say {each!r}: {self.err}")

    def complains(self, database: Path, *words: str) -> None:
        """The database failed it: one line that names the file, and nothing worse."""
        self.expect(LEFT, *words)
        complaints = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        must(len(complaints) == 1 and str(database) in complaints[0], self.err)


@dataclass
class Verdict:
    """What the judge found. ``problems`` is empty when every promise was kept."""

    lives: int = 0
    kills: int = 0
    items_lost: int = 0
    items_twice: int = 0
    pages_lost: int = 0
    pages_again: int = 0
    """Pages that were done and asked for once more."""
    refetched: list[int] = field(default_factory=list)
    """Of each life that did not end well: visits that were not committed, and so made again."""
    to_exit: list[float] = field(default_factory=list)
    """Seconds from SIGTERM to the end."""
    problems: list[str] = field(default_factory=list)


class Trial:
    """One database from its first process to the one that finishes it. ``async with Trial(site, folder) as trial:``"""

    def __init__(self, site: CrashSite, folder: Path, pause: float = 0.02) -> None:
        site.reset()
        site.attempts = self.attempts
        self.site = site
        self.database = folder / "crash.db"
        self.spider: dict[str, object] = {"pause": pause}
        """Its arguments, beside those that say where the site is."""
        self.lives: list[Life] = []
        self.to_exit: list[float] = []

    async def __aenter__(self) -> "Trial":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.site.gate.set()
        for life in self.lives:
            if life.process.returncode is None:
                life.kill()
                await life.process.communicate()

    # -- processes

    async def start(self, *faults: object, readable: bool = True, **settings: object) -> Life:
        """Begin a process with these faults in it; it is judged by its end, so ``await trial.end(life)``."""
        number = len(self.lives) + 1
        ours = {
            "concurrency": CONCURRENCY,
            "concurrency_per_host": 4,
            "user_agent": f"{LIFE}{number}",
            "log_format": "json",
        }
        hosts = ",".join(sorted({origin.split("/")[2].rpartition(":")[0] for origin in self.site.origins}))
        spider = self.spider | {"start": self.site.url(0), "hosts": hosts}
        command = [sys.executable, HERE / "crash_child.py", *faults, "--", "crawl", HERE / "crash_spider.py"]
        command += ["--db", self.database]
        for option, values in (("-a", spider), ("-s", ours | settings)):
            for name, value in values.items():
                command += [option, f"{name}={value}"]
        pipe = asyncio.subprocess.PIPE
        done, committed = (self.done(), self.committed()) if readable else (set(), 0)
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=self.database.parent,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )
        self.lives.append(Life(number, process, done, committed))
        return self.lives[-1]

    async def end(self, life: Life, readable: bool = True) -> Life:
        """Wait for its end, and look at what it left."""
        await life.over()
        if readable:
            self.look()
            life.kept = self.committed() - life.committed
        else:
            life.kept = -1
        return life

    async def live(self, *faults: object, readable: bool = True, **settings: object) -> Life:
        return await self.end(await self.start(*faults, readable=readable, **settings), readable)

    async def die(self, *faults: object, **settings: object) -> Life:
        """A process that is killed by the fault in it."""
        life = await self.live(*faults, **settings)
        must(life.killed, f"{faults} was never met; it ended with {life.code}: {life.err}")
        return life

    async def finish(self) -> None:
        """The last process: it comes to the end of the run. None is needed when only the end of a process was cut."""
        if not self.over():
            (await self.live()).expect(0)

    def over(self) -> bool:
        """The run is finished: another process would begin the next."""
        return self.exists("runs") and (1,) in self.read("select finished from runs")

    # -- the file

    def read(self, query: str, *values: object) -> list[Any]:
        """Rows, by a reader that leaves the file as it is: closing another one would put the WAL into it."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as reader:
            return reader.execute(query, values).fetchall()

    def exists(self, table: str) -> bool:
        # A journal is of the first write, the one that turns WAL on, cut short; a reader cannot undo it.
        begun = self.database.exists() and not self.database.with_name(f"{self.database.name}-journal").exists()
        return begun and bool(self.read("select 1 from sqlite_schema where name = ?", table))

    def attempts(self, url: str) -> int:
        return int((self.read("select attempts from pages where url = ?", url) or [(0,)])[0][0])

    def done(self) -> set[str]:
        if not self.exists("pages"):
            return set()
        return {url for (url,) in self.read("select url from pages where state in ('done', 'dead')")}

    def committed(self) -> int:
        if not self.exists("pages"):
            return 0
        return int(self.read("select coalesce(sum(attempts), 0) from pages")[0][0])

    def look(self) -> None:
        """What holds at every moment: each page is whole or has not happened, and is counted once."""
        if not self.exists("pages"):
            return
        must(self.read("pragma quick_check") == [("ok",)], "quick_check")
        pages = dict(self.read("select url, state from pages"))
        whole = [url for url, state in pages.items() if state == "done" and "/to/" not in url]
        parts = Counter(dict(self.read(PARTS)))
        for url in whole:
            must(parts[url] == 3, f"{url} is done with {parts[url]} of its 3 parts")
            for link in self.site.links(int(url.rpartition("/")[2])):
                must(link in pages, f"{url} is done and its link {link} unknown")
        must(parts.total() == 3 * len(whole), "items of pages that are not done")
        must(set(pages.values()) <= {"due", "retry", "done", "dead"}, "a page is in a state that it cannot be in")
        numbers = [int(url.rpartition("/")[2]) for url in whole]
        counted = Counter(f"$.shelves.s{number % 10}" for number in numbers)
        counted.update("$.begun" for number in numbers if not number % 2)
        must(dict(self.read(TRUTH["notes"])) == counted, "the state is not that of the pages that are done")
        states = Counter(pages.values())
        must(self.read(COUNTED) in ([], [(states["done"], states["dead"], self.committed())]), "the run counts wrong")

    def truth(self) -> Truth:
        return {
            name: Counter(
                tuple(self.site.plain(value) if isinstance(value, str) else value for value in row)
                for row in self.read(query)
            )
            for name, query in TRUTH.items()
            if self.exists(name)
        }

    # -- the judge

    async def judge(self) -> Verdict:
        """As if nobody had killed it."""
        golden, truth = await golden_run(self.site.size), self.truth()
        verdict = Verdict(
            lives=len(self.lives),
            kills=sum(life.killed for life in self.lives),
            items_lost=(golden["items"] - truth["items"]).total(),
            items_twice=(truth["items"] - golden["items"]).total(),
            pages_lost=(golden["pages"] - truth["pages"]).total(),
            to_exit=self.to_exit,
        )
        problems = verdict.problems
        if self.read("pragma integrity_check") != [("ok",)]:
            problems.append("integrity_check")
        for name in golden:
            missing, more = golden[name] - truth.get(name, Counter()), truth.get(name, Counter()) - golden[name]
            if missing or more:
                problems.append(f"{name}: {_few(missing)} missing, {_few(more)} too many")
        for life in self.lives:
            asked = self.site.asked[life.number]
            again = life.done & asked.keys()
            verdict.pages_again += len(again)
            if again:
                problems.append(f"process {life.number} asked for {len(again)} pages that were done: {_few(again)}")
            if life.kept < 0:
                continue
            lost = asked.total() - life.kept
            bound = life.bound if life.bound is not None else BOUND if life.code else 0
            if life.code:
                verdict.refetched.append(lost)
            if not 0 <= lost <= bound:
                problems.append(f"process {life.number} lost {lost} visits, at most {bound} may be (exit {life.code})")
        asked = sum(each.total() for each in self.site.asked.values())
        counted = self.read("select coalesce(sum(requests), 0) from hosts")[0][0]
        if counted > asked + self.site.robots.total():
            problems.append(f"the ledger has {counted} requests, the site {asked}")
        return verdict


PARTS = """
select url, count(*) from (
    select page from items where kind in ('row', 'item') union all select page from rejects
) join pages on pages.id = page group by url
"""
COUNTED = "select pages, dead, pages + dead + retries from runs"


def _few(what: Any) -> str:
    return f"{len(what)} {json.dumps(list(what)[:3])}" if what else "none"


def environment() -> dict[str, str]:
    """Ours without any setting of the developer's, able to import this very checkout."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SCRAPER_")}
    return ours | {"PYTHONPATH": str(HERE.parent)}


_golden: dict[int, Truth] = {}


async def golden_run(size: int) -> Truth:
    """What a crawl of such a site comes to that nobody kills: found out by crawling one, once for each size."""
    if size not in _golden:
        with tempfile.TemporaryDirectory() as folder:
            async with CrashSite(size) as site, Trial(site, Path(folder)) as trial:
                await trial.finish()
                _golden[size] = trial.truth()
    return _golden[size]
