"""Exports with types: Parquet and SQLite. Each value comes back as what it was, or as the documented text."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from exporting import BEGAN, DAY, books, export, shelf

from scraper.exports import as_parquet

MIXED: list[dict[str, Any]] = [
    {
        "text": "é\0",
        "int": 1,
        "yes": True,
        "price": 1,
        "list": [1, "a"],
        "any": 1,
        "null": None,
        "big": 1,
        "long": 2**60,
    },
    {"text": "", "int": 2**63 - 1, "yes": None, "price": 2.5, "list": {"a": 1}, "any": "x", "big": 2**64, "long": 0.5},
    {"text": None, "int": -(2**63), "yes": False, "price": None, "any": [True], "big": -(2**64)},
]


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_parquet_has_a_type_for_each_field(tmp_path: Path) -> None:
    assert export(books(tmp_path / "x.db", *MIXED), tmp_path / "a.parquet").code == 0
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "text": "string",
        "int": "int64",
        "yes": "bool",
        "price": "double",
        "list": "string",
        "any": "string",
        "null": "string",
        "big": "string",
        "long": "string",
    }
    assert table.to_pydict() == {
        "text": ["é\0", "", None],
        "int": [1, 2**63 - 1, -(2**63)],
        "yes": [True, None, False],
        "price": [1.0, 2.5, None],
        "list": ['[1,"a"]', '{"a":1}', None],
        "any": ["1", "x", "[true]"],
        "null": [None] * 3,
        "big": ["1", str(2**64), str(-(2**64))],
        "long": [str(2**60), "0.5", None],
    }


def test_parquet_is_written_group_by_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_parquet, "ROWS", 4)
    db = books(tmp_path / "x.db", *[{"n": n} for n in range(10)])
    assert export(db, tmp_path / "a.parquet", "--order", "-n").code == 0
    with pyarrow.parquet.ParquetFile(tmp_path / "a.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]
        assert file.read()["n"].to_pylist() == list(range(9, -1, -1))


def test_parquet_of_nothing_has_the_columns_that_are_known(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("book", "1", {"title": "x", "price": 1})], [])
    assert export(db, tmp_path / "a.parquet", "--run", "last").code == 0
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert (table.num_rows, table.column_names) == (0, ["title", "price"])
    assert export(shelf(tmp_path / "y.db", []), tmp_path / "b.parquet").code == 0
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").num_columns == 0


def test_parquet_goes_to_stdout_and_takes_our_columns(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("book", "1", {"title": "x"}), ("author", "2", {"name": "y"})])
    done = export(db, "-", "--format", "parquet", "--with-meta")
    (tmp_path / "a.parquet").write_bytes(done.out)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == [
        *("_kind", "name", "title", "_key", "_url", "_first_run", "_last_run", "_stored_at"),
    ]
    assert table["_kind"].to_pylist() == ["book", "author"]
    assert table["_first_run"].to_pylist() == [1, 1]


def test_sqlite_has_a_table_for_each_kind_and_a_type_for_each_field(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    things = [("book", str(n), data) for n, data in enumerate(MIXED)]
    db = shelf(tmp_path / "x.db", [*things, ("author", "y", {"name": "y"}), ("nothing", "z", {})])
    assert export(db, file).code == 0
    assert read(file, "select name from sqlite_schema order by 1") == [("author",), ("book",), ("nothing",)]
    assert read(file, "select name, type from pragma_table_info('book')") == [
        ("text", "TEXT"),
        ("int", "INTEGER"),
        ("yes", "INTEGER"),
        ("price", "REAL"),
        ("list", "TEXT"),
        ("any", ""),
        ("null", "TEXT"),
        ("big", ""),
        ("long", ""),
    ]
    assert read(file, "select * from book") == [
        ("é\0", 1, 1, 1.0, '[1,"a"]', 1, None, 1, 2**60),
        ("", 2**63 - 1, None, 2.5, '{"a":1}', "x", None, str(2**64), 0.5),
        (None, -(2**63), 0, None, None, "[true]", None, str(-(2**64)), None),
    ]
    assert read(file, "select * from author") == [("y",)]
    assert read(file, 'select count(*) from "nothing"') == [(1,)]
    assert read(file, "pragma integrity_check") == [("ok",)]


def test_names_that_are_one_to_sqlite_are_kept_apart(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("sqlite_x", "1", {"Title": 1, "title": 2, 'a"b': 3, "select": 4, "TITLE_2": 5})])
    assert export(db, tmp_path / "a.db").code == 0
    assert read(tmp_path / "a.db", "select * from item_sqlite_x") == [(1, 2, 3, 4, 5)]
    names = [name for (name,) in read(tmp_path / "a.db", "select name from pragma_table_info('item_sqlite_x')")]
    assert names == ["Title", "title_2", 'a"b', "select", "TITLE_2_2"]


def test_sqlite_takes_fields_and_our_columns(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("book", "1", {"title": "x", "n": 1}), ("author", "2", {"name": "y"})])
    assert export(db, tmp_path / "a.sqlite", "--fields", "_key,title,name").code == 0
    assert read(tmp_path / "a.sqlite", "select * from book") == [("1", "x")]
    assert read(tmp_path / "a.sqlite", "select * from author") == [("2", "y")]
    assert export(db, tmp_path / "a.sqlite", "--with-meta").code == 0  # its own file is written over
    assert read(tmp_path / "a.sqlite", "select n, _key, _url, _first_run, _stored_at from book") == [
        (1, "1", "http://h.test/page-0", 1, "2023-11-14T22:13:20Z"),
    ]


def test_more_columns_than_sqlite_has_are_refused(tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", *[{f"{half}{n}": n for n in range(900)} for half in "abc"])
    (tmp_path / "a.sqlite").write_text("before")
    done = export(db, tmp_path / "a.sqlite")
    assert (done.code, "2,700 fields, and SQLite takes 2,000" in done.err) == (2, True)
    assert (tmp_path / "a.sqlite").read_text() == "before"
    assert export(db, tmp_path / "a.parquet").code == 0
    assert pyarrow.parquet.read_metadata(tmp_path / "a.parquet").num_columns == 2700


def test_dates_are_those_of_the_runs(tmp_path: Path) -> None:
    assert (BEGAN, DAY) == (1_700_000_000.0, 86_400.0)
    db = shelf(tmp_path / "x.db", [("book", "1", {"a": 1})], [("book", "2", {"a": 2})])
    assert export(db, tmp_path / "a.sqlite", "--with-meta").code == 0
    assert read(tmp_path / "a.sqlite", "select _stored_at from book") == [
        ("2023-11-14T22:13:20Z",),
        ("2023-11-15T22:13:20Z",),
    ]
