"""Export: whole files or none, in three formats, with friendly errors."""

import asyncio
import csv
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from scraper.errors import OutputError
from scraper.export import check_target, export, format_of
from scraper.ports import StoredItem

ROOT = Path(__file__).resolve().parents[1]


class Shelf:
    """A store that only has items: (kind, data) pairs, or errors to raise."""

    def __init__(self, *items):
        self._items = items
        self.runs = []

    async def items(self, run=None, kind=None):
        self.runs.append(run)
        for number, item in enumerate(self._items):
            if isinstance(item, Exception):
                raise item
            yield StoredItem(item[0], str(number), item[1], "http://example.org/", 1, 1)


def rows(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


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
]
NESTED = {"list": [1, "é", None], "dict": {"a": {"b": 1}}, "none": None, "yes": True, "float": 1.5, "big": 2**70}


@pytest.mark.parametrize(
    ("target", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a.jl", "jsonl"),
        ("a.NDJSON", "jsonl"),
        ("some.where/a.CSV", "csv"),
        ("a.b.json", "json"),
        ("-", "jsonl"),
    ],
)
def test_the_suffix_is_the_format(target, form):
    assert format_of(target) == form


@pytest.mark.parametrize("target", ["a.xml", "a", "", ".", "a.csv.gz", "--"])
def test_another_suffix_says_what_to_write(target):
    with pytest.raises(OutputError, match=r"end it in \.jsonl, \.csv or \.json, or give -"):
        check_target(target)


def test_a_bad_place_is_refused_before_the_crawl(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    check_target(str(tmp_path / "a.csv"))
    check_target("-")
    for target, says in (
        (tmp_path / "nope" / "a.csv", "there is no folder"),
        (tmp_path / "file" / "a.csv", "there is no folder"),
        (tmp_path / "folder.csv", "not a writable place"),
    ):
        with pytest.raises(OutputError, match=says) as caught:
            check_target(str(target))
        assert str(target) in str(caught.value)


async def test_jsonl_has_an_item_a_line(tmp_path):
    file = tmp_path / "a.jsonl"
    items = [("a", {"v": text}) for text in HARD] + [("b", NESTED)]
    assert await export(Shelf(*items), str(file)) == len(items)
    lines = file.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [data for _, data in items]
    assert "é" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_json_is_one_array(number, tmp_path):
    file = tmp_path / "a.json"
    assert await export(Shelf(*[("a", NESTED)] * number), str(file)) == number
    assert json.loads(file.read_bytes()) == [NESTED] * number


async def test_csv_has_every_field_once_and_nested_values_as_json(tmp_path):
    file = tmp_path / "a.csv"
    assert await export(Shelf(("a", NESTED), ("a", {"more": 1, "none": "x"})), str(file)) == 2
    header, first, second = rows(file)
    assert header == ["list", "dict", "none", "yes", "float", "big", "more"]
    assert first == ['[1,"é",null]', '{"a":{"b":1}}', "", "true", "1.5", str(2**70), ""]
    assert second == ["", "", "x", "", "", "", "1"]


async def test_csv_reads_back_as_it_was(tmp_path):
    file = tmp_path / "a.csv"
    chance = random.Random(3)
    texts = HARD + ["".join(chance.choice("\",\r\n\t aé;\\'") for _ in range(9)) for _ in range(300)]
    await export(Shelf(*[("a", {"n": n, "v": text}) for n, text in enumerate(texts)]), str(file))
    assert rows(file)[1:] == [[str(n), text] for n, text in enumerate(texts)]


async def test_csv_of_several_kinds_is_led_by_the_kind(tmp_path):
    file = tmp_path / "a.csv"
    await export(Shelf(("book", {"title": "x"}), ("author", {"name": "y"})), str(file))
    assert rows(file) == [["kind", "title", "name"], ["book", "x", ""], ["author", "", "y"]]


@pytest.mark.parametrize("kinds", [("book", "book"), ("book", "author")])
async def test_a_field_called_kind_keeps_its_own_values(kinds, tmp_path):
    file = tmp_path / "a.csv"
    await export(Shelf((kinds[0], {"kind": "own", "a": 1}), (kinds[1], {"a": 2})), str(file))
    assert rows(file) == [["kind", "a"], ["own", "1"], ["", "2"]]


async def test_no_items_are_an_empty_file(tmp_path):
    for name, content in (("a.csv", ""), ("a.jsonl", ""), ("a.json", "[]\n")):
        assert await export(Shelf(), str(tmp_path / name)) == 0
        assert (tmp_path / name).read_text() == content


async def test_only_the_run_asked_for_is_read(tmp_path):
    shelf = Shelf(("a", {"v": 1}))
    for name in ("a.csv", "a.json", "a.jsonl"):
        await export(shelf, str(tmp_path / name), 7)
    assert set(shelf.runs) == {7}


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
async def test_the_file_appears_whole_or_not_at_all(name, tmp_path):
    file = tmp_path / name
    file.write_text("before")

    class Watched(Shelf):
        async def items(self, run=None, kind=None):
            async for item in super().items(run):
                assert file.read_text() == "before"
                yield item

    with pytest.raises(ZeroDivisionError):
        await export(Watched(("a", {"v": 1}), ZeroDivisionError()), str(file))
    assert os.listdir(tmp_path) == [name]
    assert file.read_text() == "before"
    await export(Watched(("a", {"v": 1})), str(file))
    assert os.listdir(tmp_path) == [name]
    assert file.read_text() != "before"


async def test_a_file_that_cannot_be_written_is_a_friendly_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*the items are safe in the database"):
        await export(Shelf(("a", {"v": 1})), str(tmp_path / "nope" / "a.jsonl"))
    with pytest.raises(OutputError, match="the items are safe in the database"):
        await export(Shelf(("a", {"v": 1})), str(tmp_path / ("x" * 300 + ".csv")))
    assert os.listdir(tmp_path) == []


async def test_stdout_is_jsonl(capsys):
    assert await export(Shelf(("a", {"v": "é"}), ("b", {"w": 1})), "-") == 2
    assert capsys.readouterr().out == '{"v":"é"}\n{"w":1}\n'


ENDLESS = """
import asyncio, sys
from scraper.errors import OutputError
from scraper.export import export
from scraper.ports import StoredItem

class Endless:
    async def items(self, run=None, kind=None):
        while True:
            yield StoredItem("a", "1", {"v": "x" * 1000}, "http://example.org/", 1, 1)

try:
    print("written", asyncio.run(export(Endless(), "-")), file=sys.stderr)
    print("a summary that nobody reads", flush=True)
except OutputError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def endless(stdout):
    return subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def test_a_reader_that_leaves_ends_the_export_quietly():
    process = endless(subprocess.PIPE)
    assert process.stdout.readline().startswith('{"v":"xxx')
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "written 0\n")


def test_a_full_disk_is_a_friendly_error():
    with open("/dev/full", "w") as full:
        process = endless(full)
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith("cannot write -: ")
    assert "safe in the database" in err


def test_stdout_is_left_open_for_what_comes_next(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    asyncio.run(export(Shelf(("a", {"v": 1})), "-"))
    print("after")
    assert out.getvalue() == '{"v":1}\nafter\n'
