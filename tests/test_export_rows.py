"""Which rows an export has, in which order, with which columns, and under which name."""

import os
import time
from pathlib import Path

import pytest
from exporting import BEGAN, DAY, books, export, exported, shelf

ONE, TWO, THREE = (("book", key, {"t": key}) for key in "abc")


@pytest.fixture
def three_runs(tmp_path: Path) -> Path:
    """a is met by all three runs, b by the first two, c by the second alone, d and an author by the third."""
    second = [("book", "a", {"t": "a2"}), TWO, THREE]
    third = [("book", "a", {"t": "a3"}), ("book", "d", {"t": "d"}), ("author", "x", {"name": "x"})]
    return shelf(tmp_path / "x.db", [ONE, TWO], second, third)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "a3 b c d"),
        (("--run", 3), "a3 d"),
        (("--run", "last"), "a3 d"),
        (("--run", 2), "b c"),
        (("--run", 1), ""),
        (("--since", 2), "a3 b c d"),
        (("--since", 3), "a3 d"),
        (("--since", "last"), "a3 d"),
        (("--since", "2023-11-15T22:13:20Z"), "a3 b c d"),
        (("--since", "2023-11-15T22:13:21Z"), "a3 d"),
        (("--since", "2023-11-16T23:13:20+01:00"), "a3 d"),
        (("--since", "24h"), ""),
        (("--since", "5200w"), "a3 b c d"),
        (("--new",), "d"),
        (("--new", "--since", "2"), "c d"),
        (("--new", "--run", "2"), "c"),
        (("--new", "--since", "2023-11-14T23:13:20Z"), "a3 b c d"),
        (("--new", "--since", "2023-11-14T23:13:21Z"), "c d"),
        (("--new", "--since", "2023-11-15T22:13:21Z"), "d"),
    ],
)
def test_runs_and_dates_choose_rows(three_runs: Path, options: tuple[object, ...], expected: str) -> None:
    assert " ".join(row["t"] for row in exported(three_runs, "--kind", "book", *options)) == expected


def test_a_date_without_a_zone_is_local(three_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert len(exported(three_runs, "--kind", "book", "--since", "2023-11-17T07:13:20")) == 2
        assert exported(three_runs, "--kind", "book", "--since", "2023-11-17T07:13:21") == []
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--fields", "prize"), "there is no field 'prize'; did you mean 'price'?"),
        (("--fields", "zzz"), "there is no field 'zzz'; there: title, price"),
        (("--order", "-titel"), "there is no field 'titel'; did you mean 'title'?"),
        (("--fields", ","), "--fields names no field"),
        (("--kind", "boo"), "there is no kind 'boo'; did you mean 'book'?"),
        (("--run", 4), "has no run 4; it has 1 to 1"),
        (("--run", 0), "has no run 0; it has 1 to 1"),
        (("--since", 0), "has no run 0; it has 1 to 1"),
        (("--run", "x"), "--run 'x' is no run"),
        (("--since", 4), "has no run 4; it has 1 to 1"),
        (("--since", "tomorrow"), "--since 'tomorrow' is no run and no date"),
        (("--since", "1", "--run", "1"), "give one of them"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, options: tuple[object, ...], says: str) -> None:
    db = books(tmp_path / "x.db", {"title": "x", "price": 1})
    (tmp_path / "a.csv").write_text("before")
    done = export(db, tmp_path / "a.csv", *options)
    assert done.code == 2
    assert says in done.err
    assert (tmp_path / "a.csv").read_text() == "before"


def test_a_database_without_items_yet_has_any_field(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [])
    assert export(db, tmp_path / "a.csv", "--fields", "title,price", "--order", "title", "--kind", "book").code == 0
    assert (tmp_path / "a.csv").read_bytes() == b"title,price\r\n"


def test_rows_are_ordered_by_value_then_by_age_and_null_is_last(tmp_path: Path) -> None:
    values = [3, None, 1.5, "b", "a", 10, 3]
    db = books(tmp_path / "x.db", *[{"n": n, "v": value, 'q"': value} for n, value in enumerate(values)], {"n": 7})

    def ordered(*order: str) -> list[int]:
        return [row["n"] for row in exported(db, "--order", ",".join(order))]

    assert ordered("v") == [2, 0, 6, 5, 4, 3, 1, 7]
    assert ordered("-v") == [3, 4, 5, 0, 6, 2, 1, 7]
    assert ordered("v", "-n") == [2, 6, 0, 5, 4, 3, 7, 1]
    assert ordered('q"') == ordered("v")
    assert ordered("-_key") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert ordered("_url", "-_stored_at", "-n") == [7, 6, 5, 4, 3, 2, 1, 0]


def test_fields_come_in_the_order_given_and_may_be_ours(tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", {"title": "x", "price": 1, "é": None}, {"price": 2})
    rows = [[*row.items()] for row in exported(db, "--fields", "price,_key,é,title")]
    assert rows == [[("price", 1), ("_key", "k0"), ("é", None), ("title", "x")], [("price", 2), ("_key", "k1")]]


def test_meta_is_added_behind_and_does_not_hide_a_field_of_that_name(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("book", "1", {"a": 1}), ("book", "2", {"_key": "own"}), ("book", "3", {})])
    first, second, third = exported(db, "--with-meta")
    meta = {"_url": "http://h.test/page-0", "_first_run": 1, "_last_run": 1, "_stored_at": "2023-11-14T22:13:20Z"}
    assert [*first.items()] == [*{"a": 1, "_key": "1", **meta}.items()]
    assert (second, third) == ({"_key": "own", **meta}, {"_key": "3", **meta})


def test_placeholders_are_of_the_run_and_make_a_file_for_each_kind(three_runs: Path, tmp_path: Path) -> None:
    day = time.strftime("%Y-%m-%d", time.localtime(BEGAN + 2 * DAY))
    assert export(three_runs, tmp_path / "{spider}-{run}-{date}-{{x}}.jsonl").code == 0
    assert (tmp_path / f"shop-3-{day}-{{x}}.jsonl").is_file()
    assert export(three_runs, tmp_path / "{run}" / "{kind}.csv", "--run", "2").code == 0
    assert (tmp_path / "2" / "book.csv").read_bytes() == b"t\r\nb\r\nc\r\n"
    assert (tmp_path / "2" / "author.csv").read_bytes() == b"name\r\n"
    assert sorted(os.listdir(tmp_path / "2")) == ["author.csv", "book.csv"]


def test_a_name_from_the_database_makes_no_folder(tmp_path: Path) -> None:
    db = shelf(tmp_path / "x.db", [("../up", "1", {"a": 1}), (".hidden", "2", {"a": 1})], spider="/etc/x\0")
    (tmp_path / "out").mkdir()
    assert export(db, tmp_path / "out" / "{spider}-{kind}.csv").code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["_etc_x_-__up.csv", "_etc_x_-_hidden.csv"]
    same = shelf(tmp_path / "y.db", [("a/b", "1", {"a": 1}), ("a_b", "2", {"a": 1})])
    assert "would be the same file for several kinds" in export(same, tmp_path / "{kind}.csv").err


def test_several_files_are_of_one_moment_and_a_file_is_given_once(tmp_path: Path) -> None:
    db = books(tmp_path / "x.db", {"a": 1})
    assert export(db, tmp_path / "a.csv", tmp_path / "a.jsonl").code == 0
    assert (tmp_path / "a.csv").is_file()
    assert (tmp_path / "a.jsonl").is_file()
    assert export(db, tmp_path / "a.csv", f"{tmp_path}/./a.csv") == (2, b"", "Error: a file is given twice")
