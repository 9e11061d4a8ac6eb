"""Feed made-up and spoilt input to everything here that reads what servers send, in processes that may die of it.

A crash (a signal), a hang, and an error that a target does not expect are finds: their input is kept in a file, and the
exit code is 1. Without finds it is 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from child import ENGINES, load
from record import Record

HERE = Path(__file__).resolve().parent
FINDS = HERE.parents[1] / "data" / "fuzz"
WATCH = 0.2  # seconds between two looks at a child


class Watch:
    """Runs children until every target had its turn, and keeps what was found."""

    def __init__(self, job: dict[str, Any], names: list[str], limit: float, finds: Path) -> None:
        self._job = job
        self._names = names
        self._limit = limit
        self._folder = finds
        self._waiting: list[int] = list(job["targets"])
        self.found: list[str] = []
        self.executions = 0

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            record = Path(folder) / "record"
            while self._waiting:
                self._child(record, Path(folder) / "said")

    def _child(self, path: Path, said: Path) -> None:
        record = Record(path)
        record.end()  # the last one may have died in the middle
        one_each = self._job["engine"] == "atheris"  # libFuzzer ends its process
        targets = self._waiting[:1] if one_each else self._waiting
        job = json.dumps({**self._job, "targets": targets, "record": str(path)})
        start, began = record.begun, time.monotonic()
        with said.open("w+") as out:
            child = subprocess.Popen(
                [sys.executable, str(HERE / "child.py"), job], stdin=subprocess.DEVNULL, stdout=out
            )
            try:
                hung = self._watch(child, record)
            finally:
                child.kill()
                child.wait()
            out.seek(0)
            self._listen(out.read())
        self.executions += record.begun - start
        name = self._names[record.target]
        if hung or child.returncode < 0 or one_each:
            self._waiting.remove(targets[0] if one_each else record.target)  # on with the others
        if hung:
            self._keep(name, f"hang: more than {self._limit:g} s", record.data)
        elif child.returncode < 0:
            self._keep(name, f"crash: {signal.Signals(-child.returncode).name}", record.data)
        elif one_each:
            seconds = time.monotonic() - began
            print(f"{self._names[targets[0]]:12} {record.begun - start:9} inputs {seconds:7.1f} s", flush=True)
        elif child.returncode:
            sys.exit(f"the fuzzing process failed by itself, code {child.returncode}")

    def _watch(self, child: subprocess.Popen[bytes], record: Record) -> bool:
        """Until it ends; True when one input took longer than allowed."""
        at, since = record.begun, time.monotonic()
        while True:
            try:
                child.wait(WATCH)
                return False
            except subprocess.TimeoutExpired:
                if not record.busy or record.begun != at:
                    at, since = record.begun, time.monotonic()
                elif time.monotonic() - since > self._limit:
                    return True

    def _listen(self, text: str) -> None:
        for line in text.splitlines():
            event = json.loads(line)
            if "executions" in event:
                self._waiting.remove(event["index"])
                print(f"{event['target']:12} {event['executions']:9} inputs {event['seconds']:7.1f} s", flush=True)
            else:
                self._keep(event["target"], event["trace"], bytes.fromhex(event["input"]))

    def _keep(self, name: str, what: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
        file.write_bytes(data)
        shown = f"{data[:200]!r}{'…' if len(data) > 200 else ''}"
        again = f"scripts/fuzz --only {name} --input {file}"
        self.found.append(f"{name}: {what.strip()}\n  {shown}\n  again: {again}")
        print(self.found[-1], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, shared by the targets (5)")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each target instead of minutes")
    parser.add_argument("--only", metavar="NAME", help="targets whose name has this in it")
    parser.add_argument("--seed", type=int, help="the same seed makes the same inputs; by default another each time")
    parser.add_argument(
        "--engine", choices=ENGINES, help="atheris has to be installed; by default the first two in turn"
    )
    parser.add_argument("--limit", type=float, default=10.0, metavar="SECONDS", help="for one input (10)")
    parser.add_argument("--input", type=Path, help="feed this file once: what a find says")
    parser.add_argument("--targets", type=Path, default=HERE / "targets.py", help="a file with TARGETS of its own")
    parser.add_argument("--finds", type=Path, default=FINDS, help="folder for inputs that were too much")
    options = parser.parse_args()
    targets = load(options.targets)
    names = [target.name for target in targets]
    chosen = [number for number, name in enumerate(names) if not options.only or options.only in name]
    if not chosen:
        parser.error(f"no target has {options.only!r} in its name; there are {', '.join(names)}")
    engines = [options.engine] if options.engine else ["hypothesis", "mutations"]
    seed = options.seed if options.seed is not None else int(time.time())
    if options.input:
        engines = engines[:1]
    print(f"seed {seed}", flush=True)
    began, executions, found = time.monotonic(), 0, 0
    for engine in engines:
        job = {
            "file": str(options.targets.resolve()),
            "targets": chosen,
            "engine": engine,
            "seed": seed,
            "runs": options.runs,
            "seconds": options.minutes * 60 / len(chosen) / len(engines),
            "input": str(options.input.resolve()) if options.input else "",
        }
        watch = Watch(job, names, options.limit, options.finds)
        watch.run()
        executions += watch.executions
        found += len(watch.found)
    print(f"{executions} inputs in {time.monotonic() - began:.0f} s, {found} found", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
