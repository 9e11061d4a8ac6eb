"""The command line with a fault in it: ``crash_child.py [FAULT ...] -- ARGUMENTS OF scraper``.

The faults are put in from outside, before anything of ``scraper`` runs; it knows nothing of them.

    --die statement:N        kill -9 when SQLite is about to run the N-th statement
    --die before:NAME[:N]    ... or before the N-th BEGIN or COMMIT, or the N-th call of a method of the store
    --die after:NAME[:N]     ... or when that has just returned
    --die byte:N             the kernel kills it in the middle of a write, when a file would grow past N bytes
    --room N                 no file may grow past N bytes: every write beyond fails
    --clock SECONDS          the wall clock is off by so much
    --jump SECONDS           the wall clock jumps by so much once a page waits for its retry
    --modes                  root, too, may not write where the mode of a file forbids it
"""

import argparse
import ctypes
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

Before = Callable[[str], object]
DAC_OVERRIDE = 1 << 1
CAPABILITIES_3 = 0x20080522


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Watched(sqlite3.Connection):
    """Tells those who ask of every statement that the store executes, before and after."""

    before: ClassVar[list[Before]] = []
    after: ClassVar[list[Callable[[sqlite3.Connection, str], object]]] = []

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        for each in self.before:
            each(statement)
        cursor = super().execute(statement, *values)
        for each in self.after:
            each(self, statement)
        return cursor


def watch_connections(trace: Before | None = None) -> None:
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, factory=Watched, **options)
        if trace is not None:
            connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]


def die_at(point: str) -> None:
    when, _, rest = point.partition(":")
    name, _, nth = rest.partition(":")
    if when == "byte":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        room(int(rest))
    elif when == "statement":
        numbers = count(1)
        watch_connections(lambda _: die() if next(numbers) == int(rest) else None)
    elif name.isupper():
        calls, number = count(1), int(nth or 1)

        def at(statement: str) -> None:
            if statement.upper().startswith(name) and next(calls) == number:
                die()

        if when == "before":
            Watched.before.append(at)
        else:
            Watched.after.append(lambda _, statement: at(statement))
        watch_connections()
    else:
        die_in_store(when, name, int(nth or 1))


def die_in_store(when: str, name: str, number: int) -> None:
    from scraper.stores.sqlite import SqliteStore

    method, calls = getattr(SqliteStore, name), count(1)

    async def dying(*arguments: Any, **options: Any) -> Any:
        last = next(calls) == number
        if last and when == "before":
            die()
        result = await method(*arguments, **options)
        if last:
            die()
        return result

    setattr(SqliteStore, name, dying)


def room(size: int) -> None:
    sys.dont_write_bytecode = True
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def set_clock(seconds: float) -> None:
    true = time.time
    time.time = lambda: true() + seconds


def jump(seconds: float) -> None:
    """After the first commit that leaves a page waiting, so that its date is of the time before."""
    jumped = False

    def look(connection: sqlite3.Connection, statement: str) -> None:
        nonlocal jumped
        if jumped or statement.upper() != "COMMIT":
            return
        if sqlite3.Connection.execute(connection, "select 1 from pages where state = 'retry'").fetchone():
            jumped = True
            set_clock(seconds)
            print("the clock jumped", file=sys.stderr, flush=True)

    Watched.after.append(look)
    watch_connections()


def obey_modes() -> None:
    """Root without CAP_DAC_OVERRIDE, in this thread and in those it starts."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice (effective, permitted, inheritable)
    if libc.capget(head, sets) == 0:
        sets[0] &= ~DAC_OVERRIDE
        sets[1] &= ~DAC_OVERRIDE
        if libc.capset(head, sets) == 0:
            return
    raise OSError(ctypes.get_errno(), "cannot give up CAP_DAC_OVERRIDE")


def main() -> None:
    mark = sys.argv.index("--")
    faults = argparse.ArgumentParser()
    faults.add_argument("--die", type=die_at)
    faults.add_argument("--room", type=int)
    faults.add_argument("--clock", type=float)
    faults.add_argument("--jump", type=float)
    faults.add_argument("--modes", action="store_true")
    given = faults.parse_args(sys.argv[1:mark])
    for value, put_in in ((given.room, room), (given.clock, set_clock), (given.jump, jump)):
        if value is not None:
            put_in(value)
    if given.modes:
        obey_modes()
    sys.argv[1:] = sys.argv[mark + 1 :]
    from scraper.cli import main as scraper

    scraper()


if __name__ == "__main__":
    main()
