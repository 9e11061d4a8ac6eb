"""``scraper files``: what downloads gave, held against the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from filed import Gallery, image, place
from test_media import PNG, gets
from typer.testing import CliRunner

from scraper import Response
from scraper.cli import app
from scraper.cli.exits import complain
from scraper.cli.tables import print_report
from scraper.testing import LocalSite

BODY, OTHER = image(), image(colour=(1, 2, 3))


@pytest.fixture
async def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gallery]:
    pages = {"/": "<p>", "/x": (200, BODY, PNG), "/y": (302, "", {"Location": "/z"}), "/z": (200, OTHER, PNG)}
    async with LocalSite(pages) as site:
        gallery = Gallery(tmp_path, site)
        await gallery.crawl(gets("/x", "/y", thumbs={"small": (9, 9)}))
        monkeypatch.setenv("SCRAPER_FILES", str(gallery.root))
        yield gallery


def ask(gallery: Gallery, *options: str) -> Any:
    return CliRunner().invoke(app("files", "items"), ["files", str(gallery.database), *options])


def rows(gallery: Gallery, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ask(gallery, "--json", *options).stdout.splitlines()]


async def test_files_are_listed_with_their_items(gallery: Gallery) -> None:
    shown = ask(gallery).stdout
    assert "item 1.0" in shown and "redirect" in shown and "not modified" not in shown
    found = {row["url"].rpartition("/")[2]: row for row in rows(gallery)}
    assert found["x"]["path"] == place(BODY, ".png")
    assert (found["x"]["items"], found["x"]["there"]) == ([{"kind": "item", "key": "1.0", "field": "picture"}], True)
    assert (found["y"]["leads_to"], found["y"]["path"]) == (found["z"]["url"], None)
    assert found["x"]["thumbs"]["small"]["box"] == [9, 9]
    assert len(rows(gallery, "-n", "2")) == 2
    assert rows(gallery, "--run", "1") and ask(gallery, "--run", "2").exit_code


async def test_the_table_says_which_file_is_whose(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"/{'long' * 15}/s"
    gallery.site.pages[long] = (200, BODY + b"1", PNG)

    def parse(self: Any, response: Response) -> Any:
        yield from gets("/x", "/y")(self, response)
        yield from gets(long, min_size=(99, 99))(self, response)

    await gallery.crawl(parse)
    monkeypatch.delenv("COLUMNS", raising=False)
    head, _, *lines = ask(gallery).stdout.splitlines()
    assert head.split() == ["items", "path", "status", "size", "url"]
    found = {line.split()[-1].rpartition("/")[2]: line for line in lines}
    assert found["x"].startswith(f"item 1.0  {place(BODY, '.png')}  fetched"), "a pipe is as wide as it needs to be"
    assert f"→ {gallery.site.url('/z')}" in found["y"]
    assert found["s"].startswith("item 1.2  an image of 60 x 40 pixels, less than 99 x 99  ")
    assert found["s"].endswith(gallery.site.url(long))
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        head, _, *lines = ask(gallery).stdout.splitlines()
        assert head.split()[:4] == ["items", "path", "status", "size"]
        assert max(map(len, lines)) <= width
        whose = next(line for line in lines if line.startswith("item 1.0  "))
        assert "gallery/images/" in whose and whose.split()[2].endswith(".png"), whose


async def test_what_is_gone_or_cut_is_missing(gallery: Gallery) -> None:
    assert rows(gallery, "--missing") == []
    assert "no file is missing" in ask(gallery, "--missing").stderr
    (gallery.root / place(BODY, ".png")).write_bytes(b"cut")
    assert [row["path"] for row in rows(gallery, "--missing")] == [place(BODY, ".png")]
    assert "missing" in ask(gallery, "--missing").stdout


async def test_orphans_are_what_no_row_names_and_no_thumbnail_is_one(gallery: Gallery) -> None:
    assert ask(gallery, "--orphans").stdout == ""
    orphan = gallery.root / "gallery/images/ab/abc.png"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    (gallery.root / "another").mkdir()
    (gallery.root / "another/x").write_bytes(b"of another spider")
    assert ask(gallery, "--orphans").stdout == f"{orphan}\n"
    assert rows(gallery, "--orphans") == [{"path": str(orphan)}]


async def test_the_summary_of_a_crawl_counts_files(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(await gallery.crawl(gets("/x", again="never")))
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert ["files", "1"] in lines and ["kept", "1"] in lines
    print_report(await gallery.crawl(lambda self, response: None))
    assert "files" not in capsys.readouterr().err.replace(str(gallery.folder), "")


async def test_what_cannot_be_asked_is_explained(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> None:
    db = sqlite3.connect(gallery.database)
    db.executescript("drop view files_of_items; drop table files; drop table file_links; pragma user_version = 3")
    db.close()
    for options, words in (((), "older scraper"), (("--missing", "--orphans"), "one at a time")):
        error = ask(gallery, *options).exception
        assert complain(error) == 2
        assert words in capsys.readouterr().err
