"""The process that is fed: it runs one target after another and may die of any of them. Started by fuzz.py.

Its standard output has one JSON line for each thing found and for each target done.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from record import Record

BATCH = 500
"""Inputs that hypothesis makes at a time: it repeats itself less when it starts anew."""


class Target(NamedTuple):
    """``check`` is fed what ``inputs`` gives and raises whatever is not right; ``seeds`` are inputs to begin with."""

    name: str
    inputs: st.SearchStrategy[bytes]
    check: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = ()


def load(path: Path) -> list[Target]:
    """``TARGETS`` of a Python file."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return list(module.TARGETS)


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


class Feeder:
    """Feeds one target, and tells each failure once: two at the same line are the same."""

    def __init__(self, record: Record, number: int, target: Target) -> None:
        self._record = record
        self._number = number
        self._target = target
        self._known: dict[tuple[str, ...], int] = {}
        self.found: dict[tuple[str, ...], tuple[bytes, str]] = {}
        self.count = 0

    def feed(self, data: bytes) -> None:
        self.count += 1
        self._record.begin(self._number, data)
        try:
            self._target.check(data)
        except Exception as error:
            where = (
                type(error).__name__,
                *(f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-2:]),
            )
            if where not in self.found or len(data) < len(self.found[where][0]):
                self.found[where] = (data, traceback.format_exc())
        finally:
            self._record.end()


def with_hypothesis(feeder: Feeder, target: Target, number: int, runs: int, until: float) -> None:
    """``runs`` inputs, or as many as there is time for when that is 0."""
    batch = 0
    while (runs and feeder.count < runs) or (not runs and time.monotonic() < until):
        size = min(BATCH, runs - feeder.count) if runs else BATCH
        rounds = settings(
            max_examples=size,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

        @seed(number * 1_000_003 + batch)
        @rounds
        @given(target.inputs)
        def feed(data: bytes) -> None:
            if runs or time.monotonic() < until:
                feeder.feed(data)

        before = feeder.count
        feed()
        batch += 1
        if runs and feeder.count == before:
            return  # there are no more different inputs


def with_mutations(feeder: Feeder, target: Target, number: int, runs: int, until: float) -> None:
    """Seeds, cut, doubled, spliced and spoilt: blunt, but ten times as many a second."""
    chance = random.Random(number)
    pool = list(target.seeds) or [b""]
    for each in pool:
        feeder.feed(each)
    while (runs and feeder.count < runs) or (not runs and time.monotonic() < until):
        feeder.feed(mutated(chance, pool))


def mutated(chance: random.Random, pool: list[bytes]) -> bytes:
    data = bytearray(chance.choice(pool))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
        match chance.randrange(7):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50)) if end - at < 10_000 else b""
            case 2:
                other = chance.choice(pool)
                start = chance.randrange(len(other) + 1)
                data[at:end] = other[start : start + chance.randrange(200)]
            case 3:
                data[at:at] = chance.choice(
                    (b"\0", b"<", b">", b"\xff", b"&", b'"', b"\xed\xa0\x80", b"\r\n", b"%", b"::")
                )
            case 4:
                data[at:at] = chance.randbytes(chance.randrange(16))
            case _ if data:
                data[at - 1] ^= 1 << chance.randrange(8)
    return bytes(data)


def with_atheris(feeder: Feeder, target: Target, number: int, runs: int, until: float) -> None:
    """Guided by coverage. libFuzzer ends the process itself, so there is nothing to come back to."""
    import atheris

    seconds = max(1, int(until - time.monotonic()))
    limits = [f"-runs={runs}"] if runs else [f"-max_total_time={seconds}"]
    options = [
        *limits,
        f"-seed={number + 1}",
        "-max_len=20000",
        "-timeout=0",
        "-rss_limit_mb=0",
        "-print_final_stats=0",
    ]
    for each in target.seeds:
        feeder.feed(each)

    def feed(data: bytes) -> None:
        feeder.feed(data)
        if feeder.count % 64 == 0 or feeder.found:
            tell(target, feeder)

    atheris.Setup([sys.argv[0], *options], feed, enable_python_coverage=True)
    atheris.Fuzz()


ENGINES = {"hypothesis": with_hypothesis, "mutations": with_mutations, "atheris": with_atheris}


def tell(target: Target, feeder: Feeder) -> None:
    for data, trace in feeder.found.values():
        say(target=target.name, input=data.hex(), trace=trace)
    feeder.found.clear()


def main(arguments: str) -> None:
    """What to do, as JSON: file, record, targets (numbers), engine, seed, runs, seconds (each target), input."""
    job = json.loads(arguments)
    if job["engine"] == "atheris":
        import atheris

        with atheris.instrument_imports(include=["scraper", "protego"]):
            targets = load(Path(job["file"]))
    else:
        targets = load(Path(job["file"]))
    record = Record(Path(job["record"]))
    for index in job["targets"]:
        target = targets[index]
        feeder = Feeder(record, index, target)
        began = time.monotonic()
        if job["input"]:
            feeder.feed(Path(job["input"]).read_bytes())
        else:
            for each in target.seeds:
                feeder.feed(each)
            ENGINES[job["engine"]](feeder, target, job["seed"], job["runs"], began + job["seconds"])
        tell(target, feeder)
        say(target=target.name, index=index, executions=feeder.count, seconds=round(time.monotonic() - began, 2))


if __name__ == "__main__":
    main(sys.argv[1])
