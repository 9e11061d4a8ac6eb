"""SqliteStore: one view per kind, whatever its name and fields; rejects; what a page's row holds."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlite_rows import LATER, NOW, items, lease_one, links, named, rows, visit

from scraper.page import Dead, Done, Found, Seen
from scraper.stores.sqlite import SqliteStore

NASTY = [
    *"select order group table index key value id page data kind _key rowid json_each items.data a.b".split(),
    *"a'b a\"b [a] a]b `a` a,b a;b -- /* $ * # % {a} (a) 1 1a _ größe 名前 naïve_1 été- \\ \\u0041 İ ß".split(),
    *("", " ", "two words", "new\nline", "tab\t", "emoji 🐍", "'; drop table pages; --"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spider.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    await store.begin("test", NOW)
    yield store
    await store.close()


async def test_view_has_a_column_for_each_field(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({"title": "T", "price": 1.5, "stock": None, "new": True}))
    assert rows(path, "select * from item") == [
        {
            "title": "T",
            "price": 1.5,
            "stock": None,
            "new": 1,
            "_key": "1.0",
            "_page": 1,
            "_first_run": 1,
            "_last_run": 1,
        }
    ]


async def test_new_fields_extend_the_view(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({"a": 1}))
    await visit(store, "b", items({"b": 2}, {"c": 3, "a": 4}))
    assert rows(path, "select a, b, c from item") == [
        {"a": 1, "b": None, "c": None},
        {"a": None, "b": 2, "c": None},
        {"a": 4, "b": None, "c": 3},
    ]
    assert list(rows(path, "select * from item")[0])[:3] == ["a", "b", "c"]


async def test_new_fields_extend_the_view_of_an_earlier_process(path: Path) -> None:
    for number, field in enumerate(("a", "b")):
        store = SqliteStore(path)
        await store.open()
        await store.begin("test", NOW)
        await visit(store, str(number), items({field: number}))
        await store.close()
    assert rows(path, "select a, b from item") == [{"a": 0, "b": None}, {"a": None, "b": 1}]


async def test_nested_values_are_json(store: SqliteStore, path: Path) -> None:
    value = {"list": [1, "zwei", None], "dict": {"a.b": {"c": [True]}}}
    await visit(store, "a", items({**value, "odd.name": value}))
    (row,) = rows(path, "select * from item")
    assert json.loads(row["list"]) == value["list"]
    assert json.loads(row["dict"]) == value["dict"]
    assert json.loads(row["odd.name"]) == value


async def test_fields_of_any_name_can_be_selected(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({name: f"value of {name}" for name in NASTY}))
    for name in NASTY:
        quoted = '"' + name.replace('"', '""') + '"'
        assert rows(path, f"select {quoted} as value from item") == [{"value": f"value of {name}"}], name


async def test_kinds_of_any_name_have_a_view(store: SqliteStore, path: Path) -> None:
    kinds = [
        *NASTY,
        "pages",
        "ITEMS",
        "runs",
        "fields",
        "pages_due",
        "files",
        "notes",
        "files_of_items",
        "item_pages",
        "item_item_runs",
        "sqlite_x",
    ]
    await visit(store, "a", Found(items=[named(kind, {"value": kind}) for kind in kinds]))
    views = {row["name"] for row in rows(path, "select name from sqlite_schema where type = 'view'")} - {
        "files_of_items"
    }
    assert len(views) == len(kinds)
    for view in views:
        (row,) = rows(path, 'select * from "' + view.replace('"', '""') + '"')
        assert view in (row["value"], f"item_{row['value']}")
    assert rows(path, "select count(*) as n from pages") == [{"n": 1}]
    assert rows(path, "select value from item_pages") == [{"value": "pages"}]


async def test_any_number_of_fields_is_stored(store: SqliteStore, path: Path) -> None:
    for start in range(0, 3000, 250):
        await visit(store, str(start), items(*({f"k{n}": n, "n": n} for n in range(start, start + 250))))
    assert [row["n"] for row in rows(path, "select n from item order by n")] == list(range(3000))
    assert 900 < len(rows(path, "select * from item limit 1")[0]) < 1100, "the first thousand have columns"
    assert [item.data[f"k{item.data['n']}"] async for item in store.items()] == list(range(3000))


async def test_fields_with_endless_names_are_stored(store: SqliteStore, path: Path) -> None:
    """A thousand of them would make a view longer than SQLite takes, and the crawl could never go on."""
    await visit(store, "a", items({f"{n} {'🐍' * 500}": n for n in range(1000)}, {"n" * 101: 1}, {"n": 5}))
    assert [row["n"] for row in rows(path, "select n from item")] == [None, None, 5]
    await visit(store, "b", items({f"{n:04}.{'🐍' * 95}": n for n in range(1100)}))
    assert len(rows(path, "select _key from item where n is null")) == 3
    assert len(rows(path, "select * from item limit 1")[0]) == 1004


async def test_item_without_fields_has_a_view(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({}))
    assert len(rows(path, "select _page from item")) == 1


async def test_rejects_are_kept_with_their_reason(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({"ok": 1}, {"bad": object()}, {"\ud800": 1}))
    found = rows(path, "select kind, reason, data, page from rejects")
    assert [(row["kind"], row["page"]) for row in found] == [("item", 1), ("item", 1)]
    assert "object" in found[0]["reason"]
    assert "ud800" in found[1]["data"]
    assert rows(path, "select ok from item") == [{"ok": 1}]


async def test_page_row_holds_what_was_seen(store: SqliteStore, path: Path) -> None:
    seen = Seen(418, elapsed=0.25, size=99, etag='"ä\udcff"', last_modified="Mon")
    lease = await lease_one(store, "a")
    await store.commit([Dead(lease, seen, "status 418", "teapot")], NOW + 1)
    (row,) = rows(path, "select * from pages")
    assert (row["status"], row["elapsed"], row["bytes"], row["finished_at"]) == (418, 0.25, 99, NOW + 1)
    assert (row["reason"], row["error"], row["last_modified"]) == ("status 418", "teapot", "Mon")
    assert (row["host"], row["found_on"], row["found_at"]) == ("h.test", None, NOW)


async def test_found_on_names_the_page_that_revealed_it_first(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", Found(links=links("b")))
    (b,) = await store.lease(9, 9, NOW, LATER)
    await store.commit([Done(b, Seen(200), Found(links=links("a", "b", "c")))], NOW)
    assert [row["found_on"] for row in rows(path, "select found_on from pages order by id")] == [None, 1, 2]
