"""Kill crawls at random instants and at every named point, break what they stand on, and count what was lost."""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from crash_bench import BOUND, Broken, Unable, Verdict, golden_run  # noqa: E402
from crash_faults import FAULTS, GRACE, Fault, attempt  # noqa: E402

EXAMPLES = """
A trial is one database: processes of `scraper crawl` die on it one after the other (or are stopped, or find a full
disk ...), the last one finishes, and the file must hold what it holds when nobody kills: every item once, every page
done, the same counters. The golden run is a real one. The site is in this process, on 127.0.0.0/8.

columns:
  lost, twice      items that the golden run has and this one has not, and the other way round
  pages lost       pages that are missing or not in the state that they have in the golden run
  done again       pages that were asked for although they were done
  re-fetched       visits made again for one death: in flight, or not yet committed; the most of any, and the mean
  to exit          seconds from the signal to the end of the process (some pages hang, grace = {grace:g} s)

examples:
  scripts/crash                          everything: more than 100 kills, some minutes
  scripts/crash --trials 5               five times as long
  scripts/crash --only SIGTERM           the faults whose name has this in it
  scripts/crash --seed 7 --only "random" the same instants again, as far as a clock can
  scripts/crash --json result.json       every figure

Exit status: 0 every promise was kept, 1 one was broken (it says which), 2 a mistake in the command.
Some faults need root (a small file system is mounted, and unmounted); they are skipped, and said to be, without.
"""


@dataclass
class Tally:
    """What all trials of one fault came to."""

    fault: str
    trials: int = 0
    kills: int = 0
    items_lost: int = 0
    items_twice: int = 0
    pages_lost: int = 0
    pages_again: int = 0
    refetched: list[int] = field(default_factory=list)
    to_exit: list[float] = field(default_factory=list)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    skipped: str | None = None

    def add(self, verdict: Verdict) -> None:
        for name in ("kills", "items_lost", "items_twice", "pages_lost", "pages_again"):
            setattr(self, name, getattr(self, name) + getattr(verdict, name))
        self.refetched += verdict.refetched
        self.to_exit += verdict.to_exit
        self.problems += verdict.problems


async def try_out(fault: Fault, trials: int, seed: int) -> Tally:
    tally = Tally(fault.name)
    begun = time.monotonic()
    for number in range(trials):
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            try:
                async with asyncio.timeout(LONGEST):
                    tally.add(await attempt(fault, Path(folder), seed + number))
            except Unable as reason:
                tally.skipped = str(reason)
                break
            except Broken as problem:
                tally.problems.append(str(problem))
            except TimeoutError:
                tally.problems.append(f"it hung: no end after {LONGEST} s")
            except Exception as error:
                traceback.print_exception(error)
                tally.problems.append(f"{type(error).__name__}: {error}")
        tally.trials += 1
    tally.seconds = time.monotonic() - begun
    return tally


LONGEST = 120
"""Seconds for one trial, which takes some."""

HEAD = (
    *(("fault", 44), ("trials", 6), ("kills", 5), ("lost", 4), ("twice", 5), ("pages lost", 10), ("done again", 10)),
    *(("re-fetched", 12), ("to exit", 7), ("seconds", 7), ("", 0)),
)


def line(*cells: object) -> str:
    widths = [width for _, width in HEAD]
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]).rstrip()


def told(tally: Tally) -> str:
    if tally.skipped is not None:
        return f"{tally.fault:<44}  skipped: {tally.skipped}"
    again = tally.refetched
    return line(
        tally.fault,
        tally.trials,
        tally.kills,
        tally.items_lost,
        tally.items_twice,
        tally.pages_lost,
        tally.pages_again,
        f"{max(again)} / {sum(again) / len(again):.1f}" if again else "-",
        f"{max(tally.to_exit):.2f}" if tally.to_exit else "-",
        f"{tally.seconds:.1f}",
        "BROKEN" if tally.problems else "",
    )


def total(tallies: list[Tally]) -> Tally:
    whole = Tally("all")
    for each in tallies:
        whole.add(Verdict(**{name: getattr(each, name) for name in VERDICT}))
        whole.trials += each.trials
        whole.seconds += each.seconds
    return whole


VERDICT = ("kills", "items_lost", "items_twice", "pages_lost", "pages_again", "refetched", "to_exit", "problems")


async def run(chosen: list[Fault], times: int, seed: int) -> list[Tally]:
    for size in sorted({fault.size for fault in chosen}):
        await golden_run(size)
    print(line(*(name for name, _ in HEAD)), flush=True)
    tallies = []
    for fault in chosen:
        tally = await try_out(fault, fault.trials * times, seed)
        tallies.append(tally)
        print(told(tally), flush=True)
    return tallies


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/crash",
        description=__doc__,
        epilog=EXAMPLES.format(grace=GRACE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="faults whose name has this in it")
    parser.add_argument("--trials", metavar="N", type=int, default=1, help="so many times the usual number of trials")
    parser.add_argument(
        "--seed", metavar="N", type=int, help="of what is left to chance; printed, so that it can be had again"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    given = parser.parse_args()
    if given.trials < 1:
        parser.error("--trials: at least 1")
    if not any(given.only in fault.name for fault in FAULTS):
        parser.error(f"--only {given.only}: the faults are\n  " + "\n  ".join(fault.name for fault in FAULTS))
    return given


def main() -> int:
    given = arguments()
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(3), "big")
    print(f"seed {seed}; a death may cost {BOUND} visits at most", flush=True)
    chosen = [fault for fault in FAULTS if given.only in fault.name]
    tallies = asyncio.run(run(chosen, given.trials, seed))
    whole = total(tallies)
    print(told(whole))
    for tally in tallies:
        for problem in dict.fromkeys(tally.problems):
            print(f"BROKEN  {tally.fault}: {problem[:2000]}", file=sys.stderr)
    if given.json is not None:
        machine = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "cores": os.cpu_count()}
        result = {"seed": seed, "bound": BOUND, "grace": GRACE, **machine, "faults": [asdict(each) for each in tallies]}
        given.json.write_text(json.dumps({**result, "all": asdict(whole)}, indent=1) + "\n", encoding="utf-8")
    return 1 if whole.problems else 0


if __name__ == "__main__":
    sys.exit(main())
