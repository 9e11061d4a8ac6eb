"""Crawls by cron and by systemd: cron expressions, crontab blocks and units, all of them text in, text out."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from scraper.errors import UsageError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(DAYS[:7])}),
)

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

COMMAND_BYTES = 998
"""What Debian's cron takes of one command; others take more."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression: the ``text`` and what its fields stand for. Sunday is 0."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """True: one of day of month and day of week is enough. That is so unless one of the two begins with ``*``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One spider's crawl in one folder by the clock. A crontab has one block for each spider and folder."""

    spider: str
    folder: Path
    command: tuple[str, ...]
    cron: Cron
    mailto: str | None = None


def parse(text: str) -> Cron:
    """A cron expression as Debian's cron reads it. Raises UsageError that names the field."""
    words = text.split()
    if words and words[0].startswith("@"):
        if len(words) > 1 or words[0] not in NICKNAMES:
            raise UsageError(f"cron expression {text!r}: of the names there are {', '.join(NICKNAMES)}")
        words = NICKNAMES[words[0]].split()
    if len(words) != len(FIELDS):
        names = ", ".join(name for name, *_ in FIELDS)
        raise UsageError(f"cron expression {text!r} has {len(words)} fields, not five: {names}; such as '*/30 * * * *'")
    values = []
    for word, (name, low, high, known) in zip(words, FIELDS, strict=True):
        try:
            values.append(frozenset(_field(word, low, high, known)))
        except ValueError as error:
            raise UsageError(f"cron expression {text!r}: {name} {word!r}: {error}") from None
    minutes, hours, days, months, weekdays = values
    either = not words[2].startswith("*") and not words[4].startswith("*")
    if not either and not any(day <= LONGEST[month - 1] for month in months for day in days):
        raise UsageError(f"cron expression {text!r} never comes: no such month has such a day")
    return Cron(" ".join(text.split()), minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _field(word: str, low: int, high: int, known: dict[str, int]) -> Iterator[int]:
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(first, low, high, known)
            end = _number(last, low, high, known) if dash else start
            if slash and not dash:
                raise ValueError(f"a step needs a range: write {start}-{high}/{step}")
            if end < start:
                raise ValueError(f"{span} goes backwards; write the two halves, with a comma between")
        every = _number(step, 1, high - low + 1, {}, "step") if slash else 1
        yield from range(start, end + 1, every)


def _number(word: str, low: int, high: int, known: dict[str, int], what: str = "value") -> int:
    number = int(word) if re.fullmatch("[0-9]{1,9}", word) else known.get(word.lower(), -1)
    if not low <= number <= high:
        names = f", or {', '.join(known)}" if known else ""
        raise ValueError(f"{what} {word!r} is not {low} to {high}{names}")
    return number


# crontab


def block(job: Job, above: str, owner: str) -> str:
    """The lines of a crontab that go below ``above``. ``owner`` is whom cron writes to when nobody says.

    ``MAILTO`` counts for every line below it, so what was so above is set again at the end.
    """
    _check(job)
    begin, end = _marks(job.spider, job.folder)
    command = f"cd {_crontab_word(str(job.folder))} && {' '.join(map(_crontab_word, job.command))}"
    if (size := len(command.encode())) > COMMAND_BYTES:
        raise UsageError(
            f"the command is {size} bytes long, and cron takes {COMMAND_BYTES}; "
            "put settings into scraper.toml and arguments into the spider, or shorten the paths"
        )
    lines = [begin, f"{job.cron.text} {command}", end]
    if job.mailto is not None:
        mails = re.findall(r"^[ \t]*[\"']?MAILTO[\"']?[ \t]*=.*$", above, re.MULTILINE)
        lines[1:2] = [f'MAILTO="{job.mailto}"', lines[1], mails[-1] if mails else f'MAILTO="{owner}"']
    return "".join(f"{line}\n" for line in lines)


def install(crontab: str, job: Job, owner: str) -> str:
    """The crontab with the job's block in the place of its old one, or at the end. All else stays byte for byte."""
    before, after, _ = _around(crontab, job.spider, job.folder)
    if before and not before.endswith("\n"):
        before += "\n"  # cron refuses a last line that does not end
    return before + block(job, before, owner) + after


def remove(crontab: str, spider: str, folder: Path) -> str:
    """The crontab without the block of that spider and folder."""
    before, after, _ = _around(crontab, spider, folder)
    return before + after


def installed(crontab: str, spider: str, folder: Path) -> str:
    """The block of that spider and folder in this crontab, or nothing."""
    return _around(crontab, spider, folder)[2]


def _around(crontab: str, spider: str, folder: Path) -> tuple[str, str, str]:
    """What stands before the block, after it, and itself."""
    begin, end = (re.escape(mark) for mark in _marks(spider, folder))
    found = list(re.finditer(rf"^(?:{begin}|{end})(?:\n|\Z)", crontab, re.MULTILINE))
    if not found:
        return crontab, "", ""
    first, last = found[0], found[-1]
    if len(found) != 2 or not re.match(begin, first[0]) or not re.match(end, last[0]):
        raise UsageError(
            f"the crontab does not have one {_marks(spider, folder)[0]!r} with its end line below; "
            "mend it with crontab -e: delete these lines and what stands between them"
        )
    return crontab[: first.start()], crontab[last.end() :], crontab[first.start() : last.end()]


def _marks(spider: str, folder: Path) -> tuple[str, str]:
    what = f"scraper schedule: {shlex.quote(spider)} in {shlex.quote(str(folder))}"
    return f"# {what}", f"# end of {what}"


def _crontab_word(text: str) -> str:
    """For /bin/sh, and before that for cron: ``%`` ends a command, and of two backslashes some crons leave one."""
    quoted = shlex.quote(text).replace("%", r"\%")
    return re.sub(r"\\(?=\\)", r"\\''", quoted)  # any backslash is within '…' here, and '' keeps two apart


def _check(job: Job) -> None:
    for word in (job.spider, str(job.folder), *job.command):
        if not word.isprintable():
            raise UsageError(f"{word!r} has a line break or the like, which cannot stand in a crontab or a unit")
    if job.mailto is not None and re.search(r"[^\x21-\x7e]|[\"'\\]", job.mailto):
        raise UsageError(f"{job.mailto!r} is no address that cron would write to")


# systemd


def units(job: Job, grace: float) -> dict[str, str]:
    """File names and texts of a service and of the timer that starts it. ``grace`` is what a drain may take."""
    _check(job)
    name = f"scraper-{re.sub(r'[^A-Za-z0-9_.-]', '_', job.spider)}"
    folder = str(job.folder).replace("%", "%%") + ("/" if str(job.folder).endswith("\\") else "")  # "\" joins lines
    about = job.spider.replace("%", "%%")
    service = f"""\
[Unit]
Description=Crawl of {about}

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={" ".join(_unit_word(word, at) for at, word in enumerate(job.command))}
# 75: another run has the database, and that is no failure
SuccessExitStatus=75
# a crawl that is told to stop finishes what has begun: longer than the setting grace
TimeoutStopSec={math.ceil(grace) + 30}
"""
    times = "\n".join(f"OnCalendar={each}" for each in calendar(job.cron))
    timer = f"""\
[Unit]
Description=Crawl of {about}, by the clock

[Timer]
{times}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{name}.service": service, f"{name}.timer": timer}


def calendar(cron: Cron) -> list[str]:
    """The expression in systemd's words: two lines where cron takes either of two days."""
    months, days = _span(cron.months, 1, 12), _span(cron.days, 1, 31)
    clock = f"{_span(cron.hours, 0, 23)}:{_span(cron.minutes, 0, 59)}:00"
    monday_first = sorted(day or 7 for day in cron.weekdays)
    names = ",".join(DAYS[day].title() for day in monday_first)
    week = f"{names} " if len(monday_first) < 7 else ""
    if cron.either and week and days != "*":
        return [f"*-{months}-{days} {clock}", f"{week}*-{months}-* {clock}"]
    if cron.either:  # one of the two is every day
        return [f"*-{months}-* {clock}"]
    return [f"{week}*-{months}-{days} {clock}"]


def _span(values: Iterable[int], low: int, high: int) -> str:
    found = sorted(values)
    steps = {after - before for before, after in pairwise(found)}
    if len(found) > 2 and len(steps) == 1:
        (step,) = steps
        if step == 1:
            return "*" if (found[0], found[-1]) == (low, high) else f"{found[0]:02}..{found[-1]:02}"
        return f"{found[0]:02}..{found[-1]:02}/{step}"
    return ",".join(f"{each:02}" for each in found)


def _unit_word(text: str, at: int) -> str:
    """One word of ExecStart: ``%`` and ``$`` stand for something there, but ``$`` not in the program's path."""
    text = text.replace("%", "%%")
    if at:
        text = text.replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", text, re.ASCII):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
