"""Measure scraper against a bare tuned loop and Scrapy, on static sites that nginx serves from the other core."""

import argparse
import compileall
import json
import os
import platform
import pstats
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import report
from contest import (
    CONTESTANTS,
    HERE,
    REPOSITORY,
    SITES,
    Failed,
    Items,
    Sample,
    Site,
    command,
    items_of,
    run,
    sample,
)
from nginx import Nginx, program

import scraper

EXAMPLES = """
contestants, run in turn (a b c a b c ...):
  (a) raw     a tuned loop of about 100 lines on aiohttp + uvloop + selectolax; keeps no promise
  (b) ours    python -m scraper crawl, everything on: robots.txt, ledger, retries, exactly once
  (c) scrapy  tuned: uvloop, 120 requests at once, no cookies, no robots.txt

examples:
  scripts/bench                             everything, five runs each, a few minutes
  scripts/bench --only wide --runs 9        one site, more runs
  scripts/bench --only start                start-to-exit of a one-page crawl
  scripts/bench --skip scrapy --runs 3      quick look at (b) against (a)
  scripts/bench --profile --only books      where our microseconds go: one run under cProfile
  scripts/bench --json result.json          keep every sample

Exit status: 0 when everything was measured, targets met or not; 1 when a contestant fails or their results differ.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each contestant (default 5)")
    parser.add_argument("--only", choices=list(SITES), action="append", help="measure this only; may be repeated")
    parser.add_argument("--skip", choices=CONTESTANTS, action="append", default=[], help="leave this contestant out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample and all medians to FILE")
    parser.add_argument(
        "--profile", action="store_true", help="run (b) once under cProfile; print the top 25 by own time"
    )
    chosen = parser.parse_args()
    if chosen.runs < 1:
        parser.error("--runs must be at least 1")
    return chosen


def main() -> int:
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1 and shutil.which("taskset") is not None
    with tempfile.TemporaryDirectory(prefix="scraper-bench-") as scratch:
        folder = Path(scratch)
        print("building the sites", flush=True)
        # As pip does on install; a checkout may have no byte code yet, or an environment that forbids writing it.
        compileall.compile_dir(Path(scraper.__file__).parent, quiet=1)
        run([sys.executable, str(HERE / "sites.py"), str(folder / "sites")], folder / "sites.log")
        places = {name: (folder / "sites" / name, site.addresses) for name, site in SITES.items()}
        with Nginx(folder, places, cores[-1] if pinned else None) as nginx:
            if pinned:
                os.sched_setaffinity(0, cores[:1])  # inherited by every contestant
            else:
                print("only one core (or no taskset): nginx shares it with the crawlers, figures will be lower")
            names = [name for name in SITES if name in (chosen.only or SITES)]
            if chosen.profile:
                for name in names:
                    profile(SITES[name], nginx, folder)
                return 0
            who = [name for name in CONTESTANTS if name not in chosen.skip]
            samples = [each for name in names for each in measure(SITES[name], who, chosen.runs, nginx, folder)]
    report.show(samples, facts(pinned))
    if chosen.json:
        chosen.json.write_text(json.dumps(report.document(samples, facts(pinned)), indent=2) + "\n", encoding="utf-8")
        print(f"every sample is in {chosen.json}")
    return 0


def measure(site: Site, who: list[str], runs: int, nginx: Nginx, folder: Path) -> list[Sample]:
    """``runs`` rounds of all contestants on one site. Raises Failed when their pages or items differ."""
    samples: list[Sample] = []
    expected: tuple[set[str], Items] | None = None
    rounds = range(0 if site.name == "start" else 1, runs + 1)  # round 0 warms the caches and does not count
    for number in rounds:
        for contestant in who:
            output = folder / f"{site.name}-{contestant}.out"
            cost = run(command(contestant, site, nginx.url(site.name, site.seed), output), folder / "contestant.log")
            traffic, items = nginx.traffic(site.name), items_of(contestant, output)
            for leftover in folder.glob(f"{output.name}*"):
                leftover.unlink()
            line = sample(contestant, site, cost, traffic, items.total())
            result = (set(traffic.pages), items)
            expected = expected or result
            compare(contestant, site, expected, result)
            if number:
                samples.append(line)
                print(
                    f"{site.name:>6} {number}/{runs} {contestant:<7} {line.pages} pages, {line.items} items,"
                    f" {line.cpu:.2f} CPU s, {line.wall:.2f} s",
                    flush=True,
                )
    return samples


def compare(contestant: str, site: Site, expected: tuple[set[str], Items], found: tuple[set[str], Items]) -> None:
    """Raise Failed when ``found`` is not what the first run of the first contestant gave."""
    if expected[0] != found[0]:
        odd = sorted(expected[0] ^ found[0])
        raise Failed(f"{contestant} fetched other pages of {site.name}: {len(odd)} differ, such as {odd[:3]}")
    if expected[1] != found[1]:
        missing, extra = expected[1] - found[1], found[1] - expected[1]
        raise Failed(
            f"{contestant} gave other items on {site.name}: {missing.total()} missing, such as {list(missing)[:1]};"
            f" {extra.total()} extra, such as {list(extra)[:1]}"
        )


def profile(site: Site, nginx: Nginx, folder: Path) -> None:
    """One run of (b) under cProfile: the 25 functions with most time of their own, in microseconds a page."""
    file = folder / "profile.out"
    argv = command("ours", site, nginx.url(site.name, site.seed), folder / "profile.db")
    run([sys.executable, "-m", "cProfile", "-o", str(file), *argv[1:]], folder / "contestant.log")
    pages = len(nginx.traffic(site.name).pages)
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    own = sorted(stats.items(), key=lambda entry: entry[1][2], reverse=True)
    print(f"\n{site.name}: {pages} pages; main thread, cProfile's own cost included\n")
    print(f"{'own us/page':>11} {'total us/page':>13} {'calls/page':>10}  function")
    for (path, line, name), (_, calls, seconds, total, _) in own[:25]:
        place = path.removeprefix(f"{REPOSITORY}/").rpartition("site-packages/")[2]
        where = name if path == "~" else f"{place}:{line} {name}"
        print(f"{seconds / pages * 1e6:11.1f} {total / pages * 1e6:13.1f} {calls / pages:10.2f}  {where}")
    for leftover in folder.glob("profile.*"):
        leftover.unlink()


def facts(pinned: bool) -> dict[str, str]:
    """On what this was measured."""
    nginx = subprocess.run([program(), "-v"], capture_output=True, text=True, check=False).stderr
    packages = ("aiohttp", "uvloop", "selectolax", "scrapy", "twisted")
    return {
        "processor": processor(),
        "pinned": "crawlers on the first core, nginx on the last" if pinned else "no",
        "python": platform.python_version(),
        "nginx": nginx.strip().rpartition("/")[2],
        **{name: version(name) for name in packages},
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, RuntimeError) as failure:
        sys.exit(f"scripts/bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
