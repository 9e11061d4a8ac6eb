"""A file of an export appears whole or not at all: here, far away, on a full disk, after a kill; and on stdout."""

import fcntl
import os
import re
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import environment
from exporting import books, cells, export, shelf

from scraper.exports import place
from scraper.exports.source import Source

FORMATS = ["jsonl", "json", "csv", "xml", "parquet", "sqlite", "jsonl.gz", "csv.zst", "sqlite.gz"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return books(tmp_path / "x.db", *[{"title": f"é{n}", "price": n} for n in range(1000)])


@pytest.fixture
def far() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database breaks after 600 rows."""
    whole = Source.rows

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        for number, row in enumerate(whole(self, survey)):
            if number == 600 and not survey:
                raise sqlite3.OperationalError("disk I/O error")
            yield row

    monkeypatch.setattr(Source, "rows", rows)


def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.usefixtures("breaking")
def test_an_export_that_fails_leaves_the_file_of_before_and_nothing_else(db: Path, tmp_path: Path, form: str) -> None:
    file = out(tmp_path) / f"a.{form}"
    file.write_text("before")
    done = export(db, file)
    assert (done.code, done.err) == (4, f"Error: cannot read {db}: disk I/O error")
    assert os.listdir(file.parent) == [file.name]
    assert file.read_text() == "before"


@pytest.mark.parametrize("form", FORMATS)
def test_the_file_of_before_stays_until_the_new_one_is_whole(
    db: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = out(tmp_path) / f"a.{form}"
    file.write_text("before")
    whole = Source.rows
    seen = []

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        for row in whole(self, survey):
            seen.append(file.read_bytes() == b"before")
            yield row

    monkeypatch.setattr(Source, "rows", rows)
    with file.open() as reader:
        assert export(db, file).code == 0
        assert reader.read() == "before"  # who reads it meanwhile reads it to its end
    assert seen
    assert all(seen)
    assert os.listdir(file.parent) == [file.name]
    assert file.read_bytes() != b"before"


@pytest.mark.parametrize("form", FORMATS)
def test_a_remote_file_appears_whole_or_not_at_all(
    db: Path, far: Any, form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = f"memory://bucket/x/a.{form}"
    assert export(db, file).code == 0
    assert export(db, tmp_path / f"a.{form}").code == 0
    if not form.startswith("sqlite"):
        assert far.cat("/bucket/x/a." + form) == (tmp_path / f"a.{form}").read_bytes()
    before = far.cat("/bucket/x/a." + form)
    monkeypatch.setattr(place, "STEP", 1000)
    opened = far.open

    def full(path: str, mode: str = "rb", **more: Any) -> Any:
        remote = opened(path, mode, **more)
        remote.write = lambda data: (_ for _ in ()).throw(PermissionError("quota exceeded"))
        return remote

    monkeypatch.setattr(type(far), "open", lambda self, *args, **more: full(*args, **more))
    done = export(db, file)
    assert (done.code, done.err) == (
        4,
        f"Error: cannot write {file}: quota exceeded; the items are safe in the database",
    )
    assert export(db, f"memory://bucket/x/b.{form}").code == 4
    monkeypatch.undo()
    assert far.cat("/bucket/x/a." + form) == before
    assert [each["name"] for each in far.ls("/bucket/x")] == ["/bucket/x/a." + form]


@pytest.mark.usefixtures("breaking")
def test_nothing_goes_far_away_before_it_is_whole(db: Path, far: Any) -> None:
    assert export(db, "memory://bucket/a.jsonl").code == 4
    assert list(far.store) == []


def test_a_file_url_is_a_file(db: Path, tmp_path: Path) -> None:
    assert export(db, f"file://{tmp_path}/a b.csv").code == 0
    assert len(cells(tmp_path / "a b.csv")) == 1001


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nope://x/a.csv", "Protocol not known: nope"),
        ("hdfs+x://x/a.csv", "Protocol not known"),
    ],
)
def test_a_place_that_nobody_knows_is_refused(db: Path, target: str, says: str) -> None:
    done = export(db, target)
    assert done.code == 2
    assert says in done.err


@pytest.mark.parametrize(
    ("module", "target", "says"),
    [
        (
            "fsspec",
            "memory://x/a.csv",
            "writing memory://x/a.csv needs fsspec; install it with: pip install 'scraper[remote]'",
        ),
        ("pyarrow", "a.parquet", "writing a.parquet needs pyarrow; install it with: pip install 'scraper[parquet]'"),
    ],
)
def test_a_missing_library_is_named(
    db: Path, monkeypatch: pytest.MonkeyPatch, module: str, target: str, says: str
) -> None:
    monkeypatch.chdir(db.parent)
    monkeypatch.setitem(sys.modules, module, None)
    done = export(db, target)
    assert (done.code, done.err) == (2, f"Error: {says}")


def test_a_place_that_cannot_be_is_refused(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    other = shelf(tmp_path / "other.db", [])
    (tmp_path / "link.db").symlink_to(db)
    before = sorted(file.name for file in tmp_path.iterdir())
    for target, says in (
        ("nope/a.csv", f"there is no folder {tmp_path}/nope; make it first"),
        ("nope/{run}/a.csv", f"there is no folder {tmp_path}/nope; make it first"),
        ("file/a.csv", f"there is no folder {tmp_path}/file; make it first"),
        ("folder.csv", "it is a folder; name a file in it"),
        ("x.db", "it is the very database that is read"),
        ("link.db", "it is the very database that is read"),
        (str(db), "it is the very database that is read"),
        ("other.db", "it is the database of a spider; choose another name"),
    ):
        done = export("x.db", target)
        assert (done.code, done.err) == (2, f"Error: cannot write {target}: {says}")
    assert (db.stat().st_size, other.stat().st_size) > (0, 0)
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may write everywhere
    assert export("x.db", "a.csv").err == f"Error: cannot write a.csv: nothing may be written in {tmp_path}"
    assert sorted(name for name in os.listdir(tmp_path) if not name.startswith("x.db-")) == before


def test_a_name_too_long_and_a_full_disk_are_told_in_a_sentence(db: Path, tmp_path: Path) -> None:
    done = export(db, out(tmp_path) / ("x" * 300 + ".csv"))
    assert (done.code, "File name too long" in done.err) == (2, True)
    done = export(db, tmp_path / "out" / ("x" * 250 + ".csv"))  # it would do, but not with what stands beside it
    assert (done.code, "File name too long" in done.err) == (4, True)
    for form in ("jsonl", "csv", "json", "xml", "jsonl.gz", "csv.zst", "parquet", "sqlite"):
        full = tmp_path / "out" / f"a.{form}"
        full.symlink_to("/dev/full")
        done = export(db, full)
        assert done.code == 4, form
        assert done.err == (
            f"Error: cannot write {full}: [Errno 28] No space left on device; the items are safe in the database"
        )
        assert full.is_symlink()
        full.unlink()
    assert os.listdir(tmp_path / "out") == []


def test_a_disk_that_fills_up_half_way_leaves_no_part(tmp_path: Path) -> None:
    db, folder = books(tmp_path / "x.db", *[{"title": "x" * 1000}] * 200), out(tmp_path)
    (folder / "a.csv").write_text("before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        ended = {form: export(db, folder / f"a.{form}") for form in ("jsonl", "csv", "xml", "sqlite")}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for form, done in ended.items():
        assert done.code == 4, form
        assert re.search("File too large|disk I/O error|is full", done.err), done.err
        assert "the items are safe in the database" in done.err
    assert os.listdir(folder) == ["a.csv"]
    assert (folder / "a.csv").read_text() == "before"


def test_the_bytes_are_on_the_disk_before_the_name_is(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept = out(tmp_path) / "a.csv", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), kept.append((os.fstat(fd).st_size, file.exists()))))
    assert export(db, file).code == 0
    assert kept == [(file.stat().st_size, False)]


def test_what_a_killed_export_left_is_written_over(db: Path, tmp_path: Path) -> None:
    file = out(tmp_path) / "a.csv"
    part = file.with_name(".a.csv.part")
    part.write_text("left by one that was killed, and longer than what comes" * 10_000)
    assert export(db, file).code == 0
    assert os.listdir(file.parent) == ["a.csv"]
    assert len(cells(file)) == 1001


def test_who_may_read_the_file_of_before_may_read_the_new_one(db: Path, tmp_path: Path) -> None:
    file = out(tmp_path) / "a.csv"
    umask = os.umask(0o022)
    try:
        assert export(db, file).code == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
        file.chmod(0o600)
        assert export(db, file).code == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_that_somebody_put_beside_is_not_followed(db: Path, tmp_path: Path) -> None:
    file = out(tmp_path) / "a.csv"
    (tmp_path / "mine").write_text("precious")
    file.with_name(".a.csv.part").symlink_to(tmp_path / "mine")
    done = export(db, file)
    assert (done.code, "symbolic links" in done.err) == (4, True)
    assert (tmp_path / "mine").read_text() == "precious"


def test_two_exports_do_not_write_one_file(db: Path, tmp_path: Path) -> None:
    file = out(tmp_path) / "a.csv"
    part = file.with_name(".a.csv.part")
    with part.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = export(db, file)
        assert (done.code, done.err) == (2, f"Error: cannot write {file}: another export is writing it")
        assert part.exists()
        other.write("the other's")
        other.flush()
        part.rename(file)  # as the other one ends
        assert export(db, file).code == 0
    assert len(cells(file)) == 1001


def test_a_link_stays_a_link_and_a_pipe_a_pipe(db: Path, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert export(db, tmp_path / "link.csv").code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len(cells(tmp_path / "real.csv")) == 1001
    os.mkfifo(tmp_path / "pipe.csv")
    reader = os.open(tmp_path / "pipe.csv", os.O_RDONLY | os.O_NONBLOCK)
    assert export(db, tmp_path / "pipe.csv").code == 0
    assert cells(os.read(reader, 65536)) == cells(tmp_path / "real.csv")
    os.close(reader)
    assert (tmp_path / "pipe.csv").is_fifo()


def test_a_crawl_may_write_while_rows_are_read(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One moment for all files: what comes in between is in none of them."""
    whole, keys = Source.rows, count()

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        for number, row in enumerate(whole(self, survey)):
            if number == 500:
                with closing(sqlite3.connect(db)) as crawl:
                    crawl.execute("insert into items values (null, 'book', ?, '{\"t\":1}', 1, 1, 1, 0)", (next(keys),))
                    crawl.execute("delete from items where id > 900 and id < 950")
                    crawl.commit()
            yield row

    monkeypatch.setattr(Source, "rows", rows)
    assert export(db, tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "a.parquet").code == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len(cells(tmp_path / "a.csv")) == 1001


KILLED = """
import os, signal, sqlite3, sys
from scraper.exports.source import Look, Source, Span
from scraper.exports.target import target_of
from scraper.exports.write import write

whole = Source.rows

def rows(self, survey=False):
    for number, row in enumerate(whole(self, survey)):
        if number == 900:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row

Source.rows = rows
write(Source(sqlite3.connect(sys.argv[1]), Span(), Look()), target_of(sys.argv[2]), Look(), {})
"""


def test_a_kill_leaves_the_file_of_before(db: Path, tmp_path: Path) -> None:
    file = out(tmp_path) / "a.csv"
    file.write_text("before")
    done = subprocess.run([sys.executable, "-c", KILLED, db, file], env=environment())
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == "before"
    assert sorted(os.listdir(file.parent)) == [".a.csv.part", "a.csv"]
    assert export(db, file).code == 0
    assert os.listdir(file.parent) == ["a.csv"]
    assert len(cells(file)) == 1001


def test_a_pipe_that_nobody_reads_any_more_is_told_in_a_sentence(db: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    reader = os.open(tmp_path / "a.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    closing_reader = Source.rows

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        os.close(reader)
        return closing_reader(self, survey)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "rows", rows)
        done = export(db, tmp_path / "a.jsonl")
    assert (done.code, "Broken pipe; the items are safe" in done.err) == (4, True)


def test_a_file_of_an_older_scraper_is_exported_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.executescript((Path(__file__).parent / "schema_1.sql").read_text())
        old.execute("pragma user_version = 1")
        old.execute("insert into items values (1, 'k', 'k1', '{\"a\": 1}', 1, 1, 1, 0)")
        old.execute("insert into fields values ('k', 'a', 0)")
        old.commit()
    assert export(tmp_path / "old.db", "-").out == b'{"a": 1}\n'
    done = export(tmp_path / "old.db", "-", "--format", "csv", "--with-meta")
    assert cells(done.out)[-1] == ["1", "k1", "", "1", "1", "1970-01-01T00:00:00Z"]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database")
    assert "is not an SQLite database" in export(tmp_path / "x.db", "-").err
    assert "there is no file" in export(tmp_path / "y.db", "-").err
