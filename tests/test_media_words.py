"""What a Download may be asked for, how it is stored, and what its file is called."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scraper import Download, Request, RequestError, SettingsError
from scraper.filename import PARTIAL
from scraper.media import ending, place_of, type_of
from scraper.request import from_json, to_json
from scraper.settings import load


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"into": "../up"}, "into of http://a.test/x has the part '..'"),
        ({"into": "/etc"}, "is absolute"),
        ({"into": "a/../../b"}, "has the part '..'"),
        ({"into": f"{PARTIAL}/x"}, "begins with"),
        ({"into": "a\\b"}, "holds"),
        ({"into": "é" * 110 + "/" + "é" * 110}, "longer than 400 bytes"),
        ({"again": "sometimes"}, "again of http://a.test/x must be 'changed', 'never', 'always' or a time"),
        ({"again": -1}, "again of"),
        ({"again": True}, "again of"),
        ({"again": float("nan")}, "again of"),
        ({"thumbs": {"../x": (1, 1)}}, "thumbs of http://a.test/x: '../x' has the part '..'"),
        ({"thumbs": {"a/b": (1, 1)}}, "is no name of a folder"),
        ({"thumbs": {"small": (0, 5)}}, "pixels from 1 to"),
        ({"thumbs": {"small": 5}}, r"must be \(width, height\)"),
        ({"min_size": (1, 2, 3)}, "min_size of http://a.test/x"),
        ({"types": ["image"]}, "types of http://a.test/x must be media types"),
        ({"item": ("book", 1)}, r"must be an item or \(kind, key\)"),
        ({"field": 3}, "field of http://a.test/x must be text"),
        ({"stream_to": "a"}, "takes no stream_to"),
        ({"max_size": 3}, "knows no argument 'max_size'"),
    ],
)
def test_what_cannot_be_is_an_error_where_it_is_written(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Download("http://a.test/x", **arguments)


def test_what_a_download_asks_for_outlives_a_restart() -> None:
    wanted = Download("http://a.test/x", "read", into="a/b", again=timedelta(days=2), thumbs={"s": (5, 6)}, auth="a:b")
    wanted.callback = "read"
    back = from_json(wanted.url, "read", 0, 0, to_json(wanted))
    spec = {"into": "a/b", "again": 172_800.0, "thumbs": {"s": [5, 6]}, "call": True}
    assert back.options == {"auth": "a:b", "download": spec}
    assert back.fingerprint == wanted.fingerprint
    assert Download("http://a.test/x", again="90d").options == {"download": {"into": "", "again": 7_776_000.0}}


def test_a_page_is_no_file_and_a_file_of_one_folder_not_that_of_another() -> None:
    url = "http://a.test/x"
    names = {
        each.fingerprint for each in (Request(url), Download(url), Download(url, into="a"), Download(url, into="b"))
    }
    assert len(names) == 4


def test_a_copy_with_changes_is_a_download_still() -> None:
    item = {"a": 1}
    wanted = Download("http://a.test/x", "read", into="a", item=item, field="f", types="image/*", auth="a:b")
    other = wanted.replace(into="b", priority=3)
    assert (type(other), other.item, other.field, other.priority, other.callback) == (Download, item, "f", 3, "read")
    spec = {"into": "b", "types": ["image/*"], "call": True}
    assert other.options == {"auth": "a:b", "download": spec}
    back = from_json(wanted.url, None, 0, 0, to_json(Download(wanted.url, into="a")))
    assert back.replace(dont_filter=True).options == {"download": {"into": "a"}}
    assert back.replace(callback="read").options == {"download": {"into": "a", "call": True}}


@pytest.mark.parametrize(
    ("label", "body", "url", "kind", "end"),
    [
        ("image/png", b"\xff\xd8\xff\xe0", "http://a.test/x.gif", "image/jpeg", ".jpg"),
        ("application/octet-stream", b"x", "http://a.test/a.CSV?b=c.exe", "application/octet-stream", ".csv"),
        ("text/plain", b"x", "http://a.test/a.csv", "text/plain", ".csv"),
        ("text/plain", b"x", "http://a.test/a", "text/plain", ".txt"),
        (None, b"x", "http://a.test/a", "", ""),
        (None, b"x", "http://a.test/a.%2e%2e%2fb", "", ""),
        (None, b"x", "http://a.test/a.toolonganame", "", ""),
        ("image/jpeg", b" <!DOCTYPE html><p>", "http://a.test/a.jpg", "text/html", ".html"),
    ],
)
def test_the_ending_says_what_it_is(label: str | None, body: bytes, url: str, kind: str, end: str) -> None:
    assert type_of(label, body) == kind
    assert ending(kind, url) == end


@pytest.mark.parametrize(
    ("spider", "folder"),
    [("books", "books"), ("../up", "____up"), ("a/b", "_a_b"), ("..", "___"), ("con", "_con"), (PARTIAL, "__partial")],
)
def test_the_name_of_a_spider_is_no_way_out(spider: str, folder: str) -> None:
    assert place_of(spider, "") == folder
    assert place_of(spider, "x") == f"{folder}/x"


@pytest.mark.parametrize("name", ["FILES_EXPIRES", "IMAGES_THUMBS", "images_min_width", "MEDIA_ALLOW_REDIRECTS"])
def test_a_setting_of_a_pipeline_is_an_argument_here(name: str) -> None:
    with pytest.raises(SettingsError, match=r"an argument of Download, see docs/media\.md"):
        load({name: "1"})
