"""Downloads: named after what is in them, linked to their items, asked for again only when that is wanted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from filed import Gallery, image, place, sha

from scraper import Request, Response
from scraper.testing import FakeClock, FakeFetcher, LocalSite

RED, BLUE = image(), image(colour=(20, 20, 200))
PNG = {"Content-Type": "image/png"}


@pytest.fixture
async def gallery(tmp_path: Path) -> AsyncIterator[Gallery]:
    async with LocalSite({"/": "<p>", "/red": (200, RED, PNG), "/blue": (200, BLUE, PNG)}) as site:
        yield Gallery(tmp_path, site)


def gets(*paths: str, **arguments: Any) -> Any:
    """A callback that asks for these files, each for an item of its own."""

    def parse(self: Any, response: Response) -> Any:
        for path in paths:
            item = {"of": path}
            yield item
            yield response.download(path, "images", item=item, field="picture", **arguments)

    return parse


# -- in a crawl


async def test_a_file_is_named_after_what_is_in_it_and_known_by_its_item(gallery: Gallery) -> None:
    report = await gallery.crawl(gets("/red"))
    assert (report.finished, report.counts.pages, report.counts.files) == (True, 2, {"fetched": 1})
    assert gallery.files() == {place(RED, ".png"): RED}
    assert gallery.linked() == [("1.0", "picture", "/red", place(RED, ".png"))]
    query = "select folder, path, sha256, size, content_type, status, first_run, last_run from files"
    assert gallery.rows(query) == [("images", place(RED, ".png"), sha(RED), len(RED), "image/png", "fetched", 1, 1)]


async def test_the_same_bytes_are_one_file_whatever_their_urls_and_labels(gallery: Gallery) -> None:
    data = b"some bytes"
    gallery.site.pages |= {
        "/a.csv": (200, data, {"Content-Type": "text/csv"}),
        "/b": (200, data, {"Content-Type": "x/y"}),
    }
    await gallery.crawl(gets("/a.csv", "/b"), concurrency=1)
    (name,) = gallery.files()
    assert [path for _, _, _, path in gallery.linked()] == [name, name]


async def test_one_url_is_fetched_once_and_belongs_to_every_item_that_named_it(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        yield response.download("/red", "images", item=("thing", "a"))  # of another page
        yield {"n": 1}
        second = {"n": 2}
        yield response.download("/red", "images", item=second, field="cover")  # before it is yielded
        yield second

    await gallery.crawl(parse)
    assert gallery.site.requests["/red"] == 1
    named = place(RED, ".png")
    assert gallery.linked() == [("1.1", "cover", "/red", named), ("a", "", "/red", named)]


async def test_an_item_of_another_page_needs_a_key(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        yield response.download("/red", item={"never": "yielded"})

    report = await gallery.crawl(parse)
    assert (report.counts.dead, gallery.site.requests["/red"]) == (1, 0)
    assert "for an item that it does not yield" in gallery.rows("select error from pages")[0]


async def test_the_file_of_an_item_that_cannot_be_stored_is_not_fetched(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        bad = {"what": object()}
        yield bad
        yield response.download("/red", item=bad)
        yield response.download("/blue", item=bad)
        yield response.download("/blue", item=("thing", "a"))

    report = await gallery.crawl(parse)
    assert (report.counts.rejects, report.counts.drops) == (1, {"item": 1})
    assert (gallery.site.requests["/red"], gallery.site.requests["/blue"]) == (0, 1)


async def test_a_file_is_of_what_the_steps_made_of_its_item_and_not_fetched_for_what_they_drop(
    gallery: Gallery,
) -> None:
    def only_red(item: Any) -> Any:
        return {"colour": item["of"]} if item["of"] == "/red" else None

    report = await gallery.crawl(gets("/blue", "/red"), {"steps": [only_red]})
    assert (report.counts.items, report.counts.files) == (1, {"fetched": 1})
    assert gallery.linked() == [("1.0", "picture", "/red", place(RED, ".png"))]
    assert gallery.site.requests["/blue"] == 0


async def test_a_redirect_leads_to_a_file_at_the_same_place_and_of_the_same_item(gallery: Gallery) -> None:
    gallery.site.pages |= {"/a": (302, "", {"Location": "/b"}), "/b": (301, "", {"Location": "/red"})}
    report = await gallery.crawl(gets("/a"))
    assert report.counts.files == {"redirect": 2, "fetched": 1}
    assert gallery.files() == {place(RED, ".png"): RED}
    assert gallery.linked() == [("1.0", "picture", "/a", place(RED, ".png"))]


async def test_files_may_lie_on_another_host_and_below_the_deepest_page(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        there = response.url.replace("127.0.0.1", "localhost")
        if response.request.depth == 0:
            yield response.follow("/deepest")
            yield response.follow(there)
        else:
            yield response.follow("/deeper")
            yield response.download(there.replace("deepest", "red"))

    gallery.site.pages["/deepest"] = "<p>"
    report = await gallery.crawl(parse, {"allowed_domains": ["127.0.0.1"]}, max_depth=1, allow_private="all")
    assert (report.counts.files, report.counts.drops) == ({"fetched": 1}, {"offsite": 1, "depth": 1})


async def test_the_callback_of_a_download_sees_its_file(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        if response.file is None:
            yield response.download("/red", callback=self.parse)
            yield response.download("/blue", callback=self.picture, cb_kwargs={"name": "blue"}, errback=self.failed)
            yield response.download("/gone", callback=self.picture, errback=self.failed)
        else:
            yield {"parse": response.file.name, "hash": response.sha256}

    def picture(self: Any, response: Response, name: str = "") -> Any:
        yield {"name": name, "there": response.file is not None and response.file.read_bytes() == BLUE}

    def failed(self: Any, request: Request, error: Exception) -> Any:
        yield {"failed": error.reason}  # type: ignore[attr-defined]

    for asked in (1, 2):  # also when it has not changed, or is not asked for
        await gallery.crawl(parse, {"picture": picture, "failed": failed})
        found = sorted(gallery.rows(f"select data from items where last_run = {asked}"))
        assert found == [
            '{"failed":"status 404"}',
            '{"name":"blue","there":true}',
            f'{{"parse":"{sha(RED)}.png","hash":"{sha(RED)}"}}',
        ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (404, "status 404"),
        ((200, b"", PNG), "empty file"),
        ((200, "<html><p>Please log in", PNG), "content type"),
        ((200, b"plain", {"Content-Type": "text/plain"}), "content type"),
        ((200, b"\x89PNG\r\n\x1a\n" + bytes(3000), PNG), "too large"),
        ((204, b""), "empty file"),
        ((206, RED, PNG | {"Content-Range": f"bytes 0-{len(RED) - 1}/9999"}), "status 206"),
        (300, "status 300"),
    ],
)
async def test_what_is_not_the_file_is_dead_and_leaves_nothing(gallery: Gallery, answer: Any, reason: str) -> None:
    gallery.site.pages["/x"] = answer
    report = await gallery.crawl(gets("/x", types=["image/*"], max_body_size=2000), handle_statuses="all")
    assert report.counts.reasons == {reason: 1}
    assert gallery.files() == {}
    assert gallery.linked() == [("1.0", "picture", "/x", None)]
    assert gallery.rows("select state, reason from files_of_items") == [("dead", reason)]


async def test_a_file_may_be_larger_than_a_page(gallery: Gallery) -> None:
    report = await gallery.crawl(gets("/red"), max_body_size=100)
    assert report.counts.files == {"fetched": 1}
    gallery.site.pages["/big"] = (200, bytes(5000))
    report = await gallery.crawl(gets("/big"), max_file_size=4999)
    assert report.counts.reasons == {"too large": 1}


async def test_robots_txt_is_asked_for_files_too(gallery: Gallery) -> None:
    gallery.site.pages["/robots.txt"] = "User-agent: *\nDisallow: /red"
    report = await gallery.crawl(gets("/red", "/blue"), obey_robots=True)
    assert report.counts.reasons == {"robots": 1}
    assert (gallery.site.requests["/red"], gallery.site.requests["/blue"]) == (0, 1)


async def test_a_fetcher_of_ones_own_need_not_know_of_files(gallery: Gallery) -> None:
    there = "http://h.test/"
    answers = {there: "<p>", there + "red": Response(there + "red", 200, PNG, RED), there + "html": "<html>"}
    fetcher = FakeFetcher(answers)
    parse = gets("/red", "/html", types="image/*")
    report = await gallery.crawl(parse, {"start_urls": [there]}, fetcher=fetcher)
    assert gallery.files() == {place(RED, ".png"): RED}
    assert report.counts.reasons == {"content type": 1}


# -- again


def tagged(request: web.Request) -> Any:
    if request.headers.get("If-None-Match") == '"1"':
        return 304, b""  # without the ETag, which stays what it was
    return 200, RED, PNG | {"ETag": '"1"'}


async def test_a_file_that_has_not_changed_is_not_sent_again(gallery: Gallery) -> None:
    gallery.site.pages["/red"] = tagged
    await gallery.crawl(gets("/red"))
    report = await gallery.crawl(gets("/red"))
    assert (gallery.site.requests["/red"], report.counts.files) == (2, {"not modified": 1})
    assert gallery.rows("select status, reason from pages where reason is not null") == [(304, "not modified")]
    assert gallery.linked() == [("1.0", "picture", "/red", place(RED, ".png"))]
    gallery.site.pages["/red"] = (200, BLUE, PNG)
    report = await gallery.crawl(gets("/red"))
    assert report.counts.files == {"fetched": 1}
    assert gallery.linked() == [("1.0", "picture", "/red", place(BLUE, ".png"))]
    assert set(gallery.files()) == {place(RED, ".png"), place(BLUE, ".png")}


async def test_of_a_file_that_is_there_nothing_is_asked_not_even_robots_txt(gallery: Gallery) -> None:
    gallery.site.pages |= {"/a": (302, "", {"Location": "/red"})}
    parse = gets("/red", "/a", again="never")
    await gallery.crawl(parse)
    gallery.site.log.clear()
    report = await gallery.crawl(parse, {"start_urls": [gallery.site.url("/blue")]}, obey_robots=False)
    assert gallery.site.log == ["GET /blue"]
    assert report.counts.files == {"kept": 2}
    assert [path for _, _, _, path in gallery.linked()][:2] == [place(RED, ".png")] * 2
    assert gallery.rows("select distinct last_run from files") == [2]


async def test_what_is_kept_costs_neither_robots_txt_nor_a_turn_of_its_host(gallery: Gallery) -> None:
    def parse(self: Any, response: Response) -> Any:
        there = response.url.replace("127.0.0.1", "localhost")
        for each in ("red", "blue", "green"):
            yield response.download(there + each, again="never")

    gallery.site.pages |= {"/green": (200, b"green"), "/robots.txt": "User-agent: *\nDisallow:"}
    await gallery.crawl(parse, allow_private="all")
    gallery.rows("update runs set ended = ended - 86400")  # else the host rests from that run
    gallery.site.log.clear()
    hours = {"localhost:*": {"delay": 3600.0}}
    report = await gallery.crawl(parse, allow_private="all", obey_robots=True, hosts=hours)
    assert report.counts.files == {"kept": 3}
    assert gallery.site.log == ["GET /robots.txt", "GET /"]  # of 127.0.0.1


@pytest.mark.parametrize("given", [{"again": "always"}, {"method": "POST"}], ids=["always", "post"])
async def test_the_whole_file_is_asked_for(gallery: Gallery, given: dict[str, Any]) -> None:
    gallery.site.pages["/red"] = tagged
    parse = gets("/red", **given)
    await gallery.crawl(parse)
    report = await gallery.crawl(parse)
    assert report.counts.files == {"fetched": 1}


async def test_an_age_is_counted_from_the_last_question(gallery: Gallery) -> None:
    gallery.site.pages["/red"] = tagged
    counts = []
    for now in (0.0, 50.0, 110.0, 150.0, 220.0, 160.0):  # the last by a clock that was set back
        report = await gallery.crawl(gets("/red", again=100), clock=Dated(now))
        counts += report.counts.files
    assert counts == ["fetched", "kept", "not modified", "kept", "not modified", "not modified"]


class Dated(FakeClock):
    """A clock that stands still at a date, and whose timers never go off."""

    def __init__(self, now: float) -> None:
        super().__init__(1_700_000_000.0 + now)


@pytest.mark.parametrize("again", ["never", "changed", "1d"])
@pytest.mark.parametrize("harm", ["deleted", "cut"])
async def test_a_file_that_is_gone_or_cut_is_fetched_again(gallery: Gallery, again: str, harm: str) -> None:
    gallery.site.pages["/red"] = tagged
    parse = gets("/red", again=again)
    await gallery.crawl(parse)
    file = gallery.root / place(RED, ".png")
    if harm == "deleted":
        file.unlink()
    else:
        os.truncate(file, 10)
    report = await gallery.crawl(parse)
    assert report.counts.files == {"fetched": 1}
    assert gallery.files() == {place(RED, ".png"): RED}


async def test_a_failure_in_a_later_run_takes_no_file_away(gallery: Gallery) -> None:
    await gallery.crawl(gets("/red"))
    gallery.site.pages["/red"] = 410
    report = await gallery.crawl(gets("/red"))
    assert report.counts.reasons == {"status 410": 1}
    assert gallery.rows("select path, state, reason from files_of_items") == [
        (place(RED, ".png"), "dead", "status 410")
    ]
