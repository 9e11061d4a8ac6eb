"""``scraper schedule``: the crontab line, or the systemd units, that run a crawl by the clock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli import options
from scraper.discover import build, find
from scraper.errors import SpiderError, UsageError
from scraper.expect import parse as parse_rules
from scraper.schedule import Job, block, install, installed, parse, remove, units
from scraper.settings import NAMES, Settings, load


def schedule(
    spider: options.SpiderName,
    cron: Annotated[
        str | None, typer.Option("--cron", metavar="EXPR", help="When: five fields, or @hourly, @daily and so on.")
    ] = None,
    deadline: options.Deadline = None,
    if_running: options.IfRunning = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
    db: options.Db = None,
    expect: options.Expect = None,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", metavar="FILE", help="Where the crawl logs.  [default: data/SPIDER.log]"),
    ] = None,
    mailto: Annotated[
        str | None,
        typer.Option("--mailto", metavar="ADDRESS", help="Whom cron writes to.  [default: as the crontab has it]"),
    ] = None,
    do_install: Annotated[
        bool, typer.Option("--install", help="Put it into your crontab, or change it there.")
    ] = False,
    do_remove: Annotated[bool, typer.Option("--remove", help="Take it out of your crontab.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Print a service and a timer instead.")] = False,
) -> None:
    """Print what runs a crawl by cron: absolute paths, this folder, a log file.

    Such a crawl says nothing when all is well, so cron writes no mail; when it fails, its report is the mail.
    A crawl that finds another one at work ends with code 75. The crontab has one block for each spider and
    folder: installing again changes that block and no other line.

    \b
    Examples:
      scraper schedule books --cron "*/30 * * * *"                  look
      scraper schedule books --cron "*/30 * * * *" --deadline 25m --install
      scraper schedule shop.py --cron "15 4 * * mon-fri" --mailto ops@example.org --install
      scraper schedule books --remove
      scraper schedule books --cron @daily --systemd                units for systemd
    """
    if sum((do_install, do_remove, systemd)) > 1:
        raise UsageError("choose one of --install, --remove and --systemd")
    folder = Path.cwd()
    if do_remove:
        _remove(_name(spider), folder)
        return
    if cron is None:
        raise UsageError('give --cron, such as --cron "*/30 * * * *" for every half hour, or --remove')
    if systemd and mailto is not None:
        raise UsageError("systemd writes no mail: leave --mailto out, and see OnFailure= in systemd.unit(5)")
    when = parse(cron)
    parse_rules(expect or ())
    given: dict[str, Any] = options.pairs(setting, "-s")
    chosen_here = {"deadline": deadline, "if_running": if_running, "log_file": log_file}
    given |= {name: value for name, value in chosen_here.items() if value is not None}
    chosen = find(spider, Path(_as_cron_sees(given).spiders))
    settings = _as_cron_sees(given, chosen.settings)
    # Built, so that a mistake in an argument is told now, and not at four at night.
    name = build(chosen, options.pairs(argument, "-a")).name
    data = Path(settings.data)
    words = [sys.executable, "-m", "scraper", "crawl", _target(spider), "--quiet", "--if-running", settings.if_running]
    words += ["--deadline", deadline] if deadline is not None else []
    words += ["--log-file", os.path.abspath(settings.log_file or data / f"{name}.log")]
    words += ["--db", os.path.abspath(db or data / f"{name}.db")]
    for option, values in (("-a", argument), ("-s", setting), ("--expect", expect)):
        words += [word for value in values or () for word in (option, value)]
    job = Job(name, folder, tuple(words), when, mailto)
    if systemd:
        _print_units(job, settings)
    elif do_install:
        _install(job)
    else:
        print(block(job, "", _owner()), end="")


def _as_cron_sees(given: dict[str, Any], of_spider: Mapping[str, Any] | None = None) -> Settings:
    """Settings without this shell's environment, which cron does not have."""
    ours = sorted(each for each in os.environ if each.startswith("SCRAPER_") and each[8:].lower() in NAMES)
    if ours and of_spider is None:
        print(f"cron does not see {', '.join(ours)} of this shell: use scraper.toml or -s", file=sys.stderr)
    return load(given, spider=of_spider, environment={})


def _name(target: str) -> str:
    """The spider's name. What was installed can be removed when the spider is there no more."""
    try:
        return find(target, Path(_as_cron_sees({}).spiders)).name
    except SpiderError:
        if ".py" in target:
            raise
        return target


def _target(spider: str) -> str:
    return os.path.abspath(spider) if spider.endswith(".py") or ".py:" in spider else spider


def _print_units(job: Job, settings: Settings) -> None:
    texts = units(job, settings.grace)
    for file, text in texts.items():
        print(f"# {file}\n{text}")
    timer = next(file for file in texts if file.endswith(".timer"))
    print(
        "Save each under the name in its first line in ~/.config/systemd/user, then: "
        f"systemctl --user daemon-reload && systemctl --user enable --now {timer}",
        file=sys.stderr,
    )


# the user's crontab


def _install(job: Job) -> None:
    before = _read()
    after = install(before, job, _owner())
    old, new = (installed(each, job.spider, job.folder) for each in (before, after))
    if after != before:
        _write(after)
    print(new, end="")
    done = "was there already" if old == new else "changed" if old else "installed"
    print(f"{done}; crontab -l shows it, --remove takes it out", file=sys.stderr)


def _remove(spider: str, folder: Path) -> None:
    before = _read()
    old = installed(before, spider, folder)
    if not old:
        print(f"nothing to remove: your crontab has no crawl of {spider} in {folder}", file=sys.stderr)
        return
    _write(remove(before, spider, folder))
    print(old, end="")
    print("removed", file=sys.stderr)


def _read() -> str:
    done = _crontab("-l")
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode and not re.search("no crontab|No such file", words):
        raise UsageError(f"cannot read your crontab: crontab -l says: {words}")
    return done.stdout.decode(errors="surrogateescape") if not done.returncode else ""


def _write(text: str) -> None:
    done = _crontab("-", given=text.encode(errors="surrogateescape"))
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"your crontab is as it was: crontab refused the new one: {words}")


def _crontab(argument: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("crontab")
    if program is None:
        raise UsageError(
            "there is no program crontab here; install cron (Debian: apt-get install cron), "
            "or leave --install out and paste the lines, or use --systemd"
        )
    return subprocess.run([program, argument], input=given, capture_output=True, env={**os.environ, "LC_ALL": "C"})


def _owner() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
