"""Text formats of exports: jsonl, json, csv, xml. What was stored can be read back, whatever it was."""

import gzip
import json
import random
import re
import sqlite3
import sys
import tracemalloc
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest
from exporting import books, cells, export, exported, shelf

from scraper.errors import OutputError
from scraper.exports.source import Look, Source, Span
from scraper.exports.target import target_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HARD = [
    "a,b",
    'quo"te',
    "line\nfeed",
    "return\rhere",
    "both\r\n",
    "",
    " edge ",
    "\t",
    "=1+1",
    "é\U0001f600\u2028",
    "\ufeff",
    "'",
    ";",
    "<&>]]>",
]
NESTED = {"list": [1, "é", None], "dict": {"a": {"b": 1}}, "none": None, "yes": True, "float": 1.5, "big": 2**70}
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@pytest.mark.parametrize(
    ("name", "form", "coding"),
    [
        ("a.jsonl", "jsonl", None),
        ("a.jl", "jsonl", None),
        ("a.NDJSON", "jsonl", None),
        ("some.where/a.CSV", "csv", None),
        ("a.b.json", "json", None),
        ("a.xml.gz", "xml", "gzip"),
        ("a.jsonl.ZST", "jsonl", "zstd"),
        ("a.parquet", "parquet", None),
        ("a.db", "sqlite", None),
        ("a.sqlite3.gz", "sqlite", "gzip"),
        ("-", "jsonl", None),
        ("s3://bucket/a-{run}.csv.gz", "csv", "gzip"),
    ],
)
def test_the_suffix_is_the_format(name: str, form: str, coding: str | None) -> None:
    target = target_of(name)
    assert (target.format, target.coding) == (form, coding)
    assert target_of("whatever", "csv.gz") == target_of("whatever", ".CSV.GZ")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.jsnol", r"did you mean \.jsonl\?"),
        ("a.parqet", r"did you mean \.parquet\?"),
        ("a", r"end it in \.jsonl"),
        ("", r"end it in \.jsonl"),
        ("a.gz", "cannot tell the format"),
        ("--", "give - for stdout"),
        ("a.parquet.gz", "compressed inside"),
        ("{kin}.csv", r"there is no {kin}; did you mean {kind}\?"),
        ("{0.__class__}.csv", "there is no {0.__class__}"),
    ],
)
def test_another_suffix_or_placeholder_says_what_to_write(name: str, says: str) -> None:
    with pytest.raises(OutputError, match=says):
        target_of(name)


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(OutputError, match=r"no format 'cvs' \(did you mean \.csv\?\)"):
        target_of("-", "cvs")


def test_json_lines_are_what_is_stored_byte_for_byte(tmp_path: Path) -> None:
    texts = ['{"z":1,"a":1e22,"m":"\\u007f"}', '{"n":123456789012345678901234567890,"f":1.0}', '{"é":"\u2028"}', "{}"]
    db = books(tmp_path / "x.db", *texts)
    assert export(db, tmp_path / "a.jsonl").code == 0
    assert (tmp_path / "a.jsonl").read_bytes() == "".join(f"{text}\n" for text in texts).encode()
    assert export(db, "-").out == (tmp_path / "a.jsonl").read_bytes()
    assert export(db, "-", "--fields", "f,n").out.splitlines()[1] == b'{"f":1.0,"n":123456789012345678901234567890}'


@pytest.mark.parametrize("number", [0, 1, 3])
def test_json_is_one_array(number: int, tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", *[NESTED] * number)
    assert export(db, tmp_path / "a.json").code == 0
    assert json.loads((tmp_path / "a.json").read_bytes()) == [NESTED] * number


def test_csv_has_every_field_once_and_nested_values_as_json(tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", NESTED, {"more": 1, "none": "x"})
    done = export(db, "-", "--format", "csv")
    header, first, second = cells(done.out)
    assert header == ["list", "dict", "none", "yes", "float", "big", "more"]
    assert first == ['[1,"é",null]', '{"a":{"b":1}}', "", "true", "1.5", str(2**70), ""]
    assert second == ["", "", "x", "", "", "", "1"]
    assert done.out.count(b"\r\n") == 3


def test_csv_reads_back_as_it_was(tmp_path: Path) -> None:
    chance = random.Random(3)
    texts = HARD + ["".join(chance.choice("\",\r\n\t aé;\\'") for _ in range(9)) for _ in range(300)]
    db = books(tmp_path / "x.db", *[{"n": n, "v": text} for n, text in enumerate(texts)])
    for more in ((), ("--csv-safe",)):
        out = export(db, "-", "--format", "csv", *more).out
        read = [row[1].removeprefix("'") if more else row[1] for row in cells(out)[1:]]
        assert read == texts


def test_no_cell_of_a_safe_csv_is_a_formula(tmp_path: Path) -> None:
    evil = [f"{start}cmd|' /C calc'!A0" for start in "=+-@\t\r\n\0＝＋－＠"]
    db = books(tmp_path / "x.db", *[{"=name": text, "price": -5, "nested": ["=1"]} for text in evil])
    plain = cells(export(db, "-", "--format", "csv").out)
    assert [row[0] for row in plain] == ["=name", *evil]
    rows = cells(export(db, "-", "--format", "csv", "--csv-safe").out)
    assert [row[0] for row in rows] == ["'=name", *(f"'{text}" for text in evil)]
    assert all(row[1:] == ["-5", '["=1"]'] for row in rows[1:])
    assert (
        export(db, tmp_path / "a.jsonl", "--csv-safe").err
        == f"Error: csv_safe is for CSV, and {tmp_path}/a.jsonl is jsonl"
    )


def test_excel_is_told_the_encoding(tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", {"title": "é"})
    assert export(db, "-", "--format", "csv", "--excel").out == "\ufefftitle\r\né\r\n".encode()
    assert export(db, "-", "--format", "csv").out == "title\r\né\r\n".encode()


def test_a_field_that_has_no_column_in_the_database_has_one_in_a_csv(tmp_path: Path) -> None:
    long = "n" * 150
    db = books(tmp_path / "x.db", {"a": 1}, {long: "here", "a": 2})
    assert export(db, tmp_path / "a.csv", "--csv-safe").code == 0
    assert cells(tmp_path / "a.csv") == [["a", long], ["1", ""], ["2", "here"]]
    assert "write them into a file, or name the fields" in export(db, "-", "--format", "csv").err
    assert cells(export(db, "-", "--format", "csv", "--fields", long).out) == [[long], [""], ["here"]]


def text_of(element: ElementTree.Element) -> str:
    return element.text or ""


def test_xml_is_well_formed_for_any_text_and_any_name(tmp_path: Path) -> None:
    names = ["title", "price (€)", "1st", "xmlish", "a:b", "", "-", 'q"<\n', "été"]
    every = "".join(map(chr, range(0x20))) + "\x7f\x85\ud7ff\ufffe\uffff\U0001f600"
    db = books(tmp_path / "x.db", *[dict.fromkeys(names, text) for text in [*HARD, every]])
    assert export(db, tmp_path / "a.xml").code == 0
    items = list(ElementTree.parse(tmp_path / "a.xml").getroot())
    assert [item.tag for item in items] == ["item"] * (len(HARD) + 1)
    shown = [*HARD, re.sub("[^\t\n\r -\ud7ff\U0001f600]", "\ufffd", every)]
    for item, text in zip(items, shown, strict=True):
        assert [each.get("name", each.tag) for each in item] == names
        assert [text_of(each) for each in item] == [text] * len(names)
    assert [each.tag for each in items[0]] == ["title", *["field"] * 7, "été"]


def test_xml_nests_as_the_items_do(tmp_path: Path) -> None:
    deep: object = "end"
    for _ in range(400):
        deep = [deep]
    db = books(tmp_path / "x.db", {**NESTED, "empty": [], "deep": deep})
    root = ElementTree.fromstring(export(db, "-", "--format", "xml").out)
    (item,) = root
    assert [value.text for value in item.findall("list/value")] == ["1", "é", None]
    assert [value.get(NIL) for value in item.findall("list/value")] == [None, None, "true"]
    assert item.findtext("dict/a/b") == "1"
    assert item.find("none").get(NIL) == "true"
    assert [item.findtext(name) for name in ("yes", "float", "big")] == ["true", "1.5", str(2**70)]
    assert len(item.find("empty")) == 0
    assert sum(1 for _ in item.find("deep").iter("value")) == 400


def test_no_items_are_a_file_that_says_so(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [])
    for name, content in (("a.csv", b""), ("a.jsonl", b""), ("a.json", b"[]\n")):
        done = export(db, tmp_path / name)
        assert (done.code, done.err) == (0, f"no items written to {tmp_path / name}\n")
        assert (tmp_path / name).read_bytes() == content
    assert export(db, tmp_path / "a.xml", "-q") == (0, b"", "")
    assert len(ElementTree.parse(tmp_path / "a.xml").getroot()) == 0


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_coded_file_holds_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", *[{"n": n} for n in range(300)])
    decode = gzip.decompress if suffix == "gz" else zstd.decompress
    for name in ("a.csv", "a.jsonl", "a.json", "a.xml"):
        file, coded = tmp_path / name, tmp_path / f"{name}.{suffix}"
        assert export(db, file, coded).code == 0
        assert decode(coded.read_bytes()) == file.read_bytes() == export(db, "-", "--format", name[2:]).out
        again = coded.read_bytes()
        assert export(db, coded).code == 0
        assert coded.read_bytes() == again  # no date and no name inside
        assert suffix != "gz" or again[4:8] == bytes(4)
    assert decode(export(db, "-", "--format", f"csv.{suffix}").out) == (tmp_path / "a.csv").read_bytes()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 MB of JSON in few items, so that some held together are too many as well."""
    db = books(tmp_path_factory.mktemp("large") / "x.db", {"text": "x", "n": 0})
    with closing(sqlite3.connect(db)) as into:
        into.execute(
            "insert into items (kind, key, data, page, first_run, last_run, stored_at) "
            "with recursive n(n) as (select 1 union all select n + 1 from n where n < 40) "
            "select 'book', 'n' || n, json_object('text', n || hex(zeroblob(250000)), 'n', n), 1, 1, 1, 0 from n"
        )
        into.commit()
    return db


FORMATS = ["jsonl", "json", "csv", "xml", "parquet", "sqlite", "jsonl.gz", "csv.zst"]


@pytest.mark.parametrize("form", FORMATS)
def test_rows_pass_one_by_one(form: str, large: Path, tmp_path: Path) -> None:
    export(large, tmp_path / f"none.{form}", "--kind", "book", "--since", "2100-01-01")  # what is imported counts not
    tracemalloc.start()
    try:
        done = export(large, tmp_path / f"a.{form}", "--order", "-n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.code == 0, done.err
    assert peak < 12e6


def test_what_sqlite_sorts_are_numbers_of_rows(large: Path) -> None:
    """A row as large as a page, sorted, would be held with all others."""
    asked: list[str] = []
    with closing(sqlite3.connect(large)) as db:
        for look in (Look(order=("-n",)), Look(kind=("book",)), Look(kind=("book",), order=("_url",), with_meta=True)):
            db.set_trace_callback(asked.append)
            assert sum(1 for _ in Source(db, Span(), look).rows()) == 41
            db.set_trace_callback(None)
        rows = {each for each in asked if each.startswith("select i.kind, i.data")}
        plans = [plan for each in rows for (*_, plan) in db.execute(f"explain query plan {each}")]
        assert len(rows) > 40
        assert not [plan for plan in plans if "TEMP B-TREE" in plan]


def test_several_kinds_are_told_apart_in_every_format(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("book", "1", {"title": "x"}), ("author", "2", {"name": "y", "_kind": "own"})])
    assert exported(db) == [{"_kind": "book", "title": "x"}, {"name": "y", "_kind": "own"}]
    assert export(db, "-").out.startswith(b'{"_kind":"book","title":"x"}\n')
    assert exported(db, "--kind", "book") == [{"title": "x"}]
    assert exported(db, "--fields", "title,name") == [{"_kind": "book", "title": "x"}, {"_kind": "own", "name": "y"}]
    csv = cells(export(db, "-", "--format", "csv").out)
    assert csv == [["_kind", "name", "title"], ["book", "", "x"], ["own", "y", ""]]
    root = ElementTree.fromstring(export(db, "-", "--format", "xml").out)
    assert [(each.tag, each.text) for each in root[0]] == [("_kind", "book"), ("title", "x")]
