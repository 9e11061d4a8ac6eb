"""Exports to stdout: a pipe, one that ends early, one that does not wait, a terminal."""

import os
import pty
import re
import select
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from conftest import StartCli
from exporting import books, export

import scraper.cli.export
from scraper.errors import OutputError


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return books(tmp_path / "x.db", *[{"title": f"é{n}", "price": n} for n in range(1000)])


def test_head_ends_an_export_in_silence(db: Path, start_cli: StartCli) -> None:
    with closing(sqlite3.connect(db)) as more:
        more.execute(
            "insert into items (kind, key, data, page, first_run, last_run, stored_at) "
            "select 'book', a.id || '.' || b.id, a.data, 1, 1, 1, 0 from items a, items b where b.id <= 20"
        )
        more.commit()
    process = start_cli("export", db, "-", "--fields", "price")
    assert process.stdout is not None
    assert process.stdout.readline() == '{"price":0}\n'
    process.stdout.close()
    assert process.stderr is not None
    assert (process.wait(), process.stderr.read()) == (0, "")


def on_terminal(call: Callable[[], object]) -> str:
    """What a terminal shows on which stdout and stderr are."""
    ours, theirs = pty.openpty()

    def read() -> bytes:
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux ends a terminal whose last writer has gone by EIO
            pass
        return shown

    with ThreadPoolExecutor() as threads:
        whole = threads.submit(read)
        with open(theirs, "w") as shown, redirect_stdout(shown), redirect_stderr(shown):
            call()
        text = whole.result().decode()
    os.close(ours)
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).split())


def test_a_terminal_sees_a_bar_and_what_was_written(db: Path, tmp_path: Path) -> None:
    files = [str(tmp_path / "a.csv"), str(tmp_path / "a.jsonl")]
    shown = on_terminal(lambda: scraper.cli.export.export(str(db), files))
    assert "2000/2000" in shown
    assert "1,000 items written to " in shown
    assert on_terminal(lambda: scraper.cli.export.export(str(db), files, quiet=True)) == ""


@pytest.mark.parametrize(("form", "says"), [("parquet", "parquet"), ("sqlite", "sqlite"), ("csv.gz", "gzip")])
def test_a_terminal_is_not_shown_what_is_no_text(db: Path, form: str, says: str) -> None:
    def refused() -> None:
        with pytest.raises(OutputError, match=f"cannot show {says}; write it to a file or a pipe"):
            scraper.cli.export.export(str(db), ["-"], form=form)

    assert on_terminal(refused) == ""


def test_a_pipe_that_does_not_wait_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, wait = threading.Event(), select.select
    monkeypatch.setattr(select, "select", lambda *files: (full.set(), wait(*files))[1])
    db = books(tmp_path / "x.db", *[{"text": "x" * 1000, "n": n} for n in range(500)])
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with ThreadPoolExecutor() as threads, open(reader, "rb") as read:
        whole = threads.submit(lambda: (full.wait(10), read.read()))
        with open(writer, "w") as shown, redirect_stdout(shown):
            scraper.cli.export.export(str(db), ["-"])
        assert whole.result() == (True, export(db, "-").out)
