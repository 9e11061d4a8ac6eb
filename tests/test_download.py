"""Bodies written to files: whole or not at all, below their folder, and counted as done only when they are there."""

import asyncio
import gzip
import hashlib
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import environment
from fetching import Fetching, fetching
from sockets import Asked, Reply, Server, always, page
from test_fetcher import CODINGS, chunked

import scraper
from scraper import Request, Spider, errors
from scraper.download import FileWriter, sweep
from scraper.filename import PARTIAL, flaw_of

BODY = random.Random(2).randbytes(700_000)
SUM = hashlib.sha256(BODY).hexdigest()
TAR = gzip.compress(BODY, mtime=0)


def files(folder: Path) -> dict[str, bytes]:
    """Everything that is there, partial or whole."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def getting(folder: Path, **settings: Any) -> Fetching:
    return fetching(files=str(folder), **settings)


# -- names


@pytest.mark.parametrize(
    "name", ["a", "images/a.jpg", "a b/ü?.x", ".hidden", "...", "a..b/..c", "console.txt", "x" * 255]
)
def test_good_names(name: str) -> None:
    assert flaw_of(name) is None
    assert Request("http://a.test/", stream_to=name).options == {"stream_to": name}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "a\\b",
        "C:a",
        "c:/a",
        "con",
        "a/NUL.txt",
        "com1",
        "aux .x",
        f"{PARTIAL}/a",
        f"{PARTIAL.upper()}/a",
        "a/" * 600 + "b",
        "x" * 256,
        "é" * 128,
        "\ud800",
    ],
)
def test_names_that_lead_out_of_the_folder_or_mean_something_else(name: str) -> None:
    with pytest.raises(errors.RequestError, match=r"stream_to of http://a\.test/") as caught:
        Request("http://a.test/", stream_to=name)
    str(caught.value).encode()


@pytest.mark.parametrize("size", [0, -1])
def test_a_cap_is_at_least_a_byte(size: int) -> None:
    with pytest.raises(errors.RequestError, match="max_body_size"):
        Request("http://a.test/", max_body_size=size)


# -- a file of its own


def test_a_download_is_in_place_when_it_is_kept_and_not_before(tmp_path: Path) -> None:
    download = FileWriter(tmp_path / "files")
    for at in range(0, len(BODY), 100_000):
        download.write(BODY[at : at + 100_000])
    assert [Path(name).parts[:2] for name in files(tmp_path)] == [("files", PARTIAL)]
    kept = download.keep("a/b/c.bin")
    assert kept == (tmp_path / "files/a/b/c.bin", len(BODY), SUM)
    assert files(tmp_path) == {"files/a/b/c.bin": BODY}
    download.drop()
    assert files(tmp_path) == {"files/a/b/c.bin": BODY}


def test_an_empty_download_is_an_empty_file(tmp_path: Path) -> None:
    assert FileWriter(tmp_path).keep("a").size == 0
    assert files(tmp_path) == {"a": b""}


def test_what_is_dropped_leaves_nothing_and_takes_nothing_more(tmp_path: Path) -> None:
    download = FileWriter(tmp_path)
    download.write(BODY)
    download.drop()
    download.write(BODY)
    with pytest.raises(errors.DownloadError):
        download.keep("a")
    assert files(tmp_path) == {}


def test_two_downloads_of_one_name_do_not_mix_and_the_later_one_stays(tmp_path: Path) -> None:
    one, other = FileWriter(tmp_path), FileWriter(tmp_path)
    for _ in range(3):
        one.write(b"one")
        other.write(b"other")
    one.keep("a")
    assert files(tmp_path)["a"] == b"oneoneone"
    other.keep("a")
    assert files(tmp_path) == {"a": b"otherotherother"}


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "files"
    outside.mkdir()
    (outside / "target").write_bytes(b"mine")
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "target")
    for name in ("link/a", "link/deeper/a"):
        download = FileWriter(folder)
        with pytest.raises(errors.DownloadError, match="symbolic link"):
            download.keep(name)
        download.drop()
    FileWriter(folder).keep("file")
    assert files(outside) == {"target": b"mine"}
    assert not (folder / "file").is_symlink()


@pytest.mark.parametrize("name", ["folder", "file/a"])
def test_what_stands_in_the_way_is_the_pages_own_misfortune(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder/x").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"x")
    download = FileWriter(tmp_path)
    with pytest.raises(errors.DownloadError, match="choose another name"):
        download.keep(name)
    download.drop()
    assert files(tmp_path) == {"file": b"x"}


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 300 kB: the same to a writer as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_no_fault_of_the_page(tmp_path: Path, full_disk: None) -> None:
    download = FileWriter(tmp_path)
    with pytest.raises(errors.FileError, match="make room"):
        for _ in range(2):
            download.write(BODY)
    download.drop()
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_made_is_no_fault_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for folder in ("/proc/nowhere", tmp_path / "file"):
        with pytest.raises(errors.FileError, match=f"below {folder}"):
            FileWriter(folder).write(b"x")


# -- what a kill leaves


CHILD = """
import sys
from scraper.download import FileWriter
download = FileWriter(sys.argv[1])
download.write(b"x" * 100_000)
print("written", flush=True)
sys.stdin.read()
"""


def writer(folder: Path) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert child.stdout is not None and child.stdout.readline() == "written\n"
    return child


def test_what_a_kill_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    assert sweep(tmp_path) == 0
    (tmp_path / "whole").write_bytes(b"x")
    dead, alive = writer(tmp_path), writer(tmp_path)
    dead.kill()
    dead.communicate()
    assert len(files(tmp_path)) == 3
    assert sweep(tmp_path) == 1
    assert len(files(tmp_path)) == 2
    alive.kill()
    alive.communicate()
    assert sweep(tmp_path) == 1
    assert files(tmp_path) == {"whole": b"x"}


# -- over the network


@pytest.mark.parametrize("coding", [None, *CODINGS])
@pytest.mark.parametrize("form", [page, chunked])
async def test_a_body_is_streamed_to_its_file(coding: str | None, form: Any, tmp_path: Path) -> None:
    headers = {"Content_Encoding": coding} if coding else {}
    reply = form(CODINGS[coding](BODY) if coding else BODY, **headers)
    async with Server(always(reply)) as server, getting(tmp_path) as ours:
        for _ in range(2):
            response = await ours.get(server.url(), stream_to="images/a.jpg")
            assert (response.file, response.sha256) == (tmp_path / "images/a.jpg", SUM)
            assert (response.body, response.seen.size, response.status) == (b"", len(BODY), 200)
        assert server.sockets == [2]
    assert files(tmp_path) == {"images/a.jpg": BODY}


async def test_an_ordinary_response_has_no_file(tmp_path: Path) -> None:
    async with Server() as server, getting(tmp_path) as ours:
        response = await ours.get(server.url())
        assert (response.file, response.sha256) == (None, None)


@pytest.mark.parametrize(
    ("name", "content_type", "body", "kept"),
    [
        ("a.tar.gz", "application/x-tar", TAR, TAR),
        ("a.tgz", "", TAR, TAR),
        ("download", "application/gzip", TAR, TAR),
        ("a.tar", "application/x-tar", TAR, BODY),
        ("a.tar.gz", "application/gzip", gzip.compress(TAR), TAR),
    ],
)
async def test_an_archive_stays_an_archive(
    name: str, content_type: str, body: bytes, kept: bytes, tmp_path: Path
) -> None:
    reply = page(body, Content_Encoding="gzip", Content_Type=content_type)
    async with Server(always(reply)) as server, getting(tmp_path) as ours:
        response = await ours.get(server.url(), stream_to=name)
        assert response.sha256 == hashlib.sha256(kept).hexdigest()
    assert files(tmp_path) == {name: kept}


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "304 Not Modified", "204 No Content", "503 Busy"])
async def test_only_a_good_answer_becomes_a_file(status: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"of yesterday")
    empty = status[:3] in ("204", "304")
    reply = page(b"" if empty else b"<p>sorry", status, Location="/b")
    async with Server(always(reply)) as server, getting(tmp_path) as ours:
        response = await ours.get(server.url(), stream_to="a")
        assert (response.file, response.body) == (None, b"" if empty else b"<p>sorry")
    assert files(tmp_path) == {"a": b"of yesterday"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (page(BODY, close=True, Content_Length="800000"), errors.Disconnected),
        (chunked(BODY, end=b""), None),
        (page(TAR[:-9], Content_Encoding="gzip"), errors.BodyCut),
        (page(TAR[:-8] + b"12345678", Content_Encoding="gzip"), errors.BodyCorrupt),
        (page(BODY, Content_Encoding="rot13"), errors.BodyCorrupt),
        (page(bytes(2_000_000)), errors.BodyTooLarge),
        (chunked(bytes(2_000_000), end=b""), errors.BodyTooLarge),
        (page(gzip.compress(bytes(90_000_000)), Content_Encoding="gzip"), errors.BodyTooLarge),
    ],
    ids=["cut", "cut chunked", "cut gzip", "bad CRC", "unknown coding", "announced", "endless", "bomb"],
)
async def test_a_failure_leaves_the_old_file_and_nothing_half(
    reply: Reply, kind: type[errors.FetchError] | None, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"of yesterday")
    if kind is None:
        reply, kind = Reply(reply.data, close=True), errors.Disconnected
    async with Server(always(reply)) as server, getting(tmp_path, max_body_size=1_000_000) as ours:
        await ours.fails(server.url(), kind, stream_to="a")
    assert files(tmp_path) == {"a": b"of yesterday"}


async def test_a_download_has_a_cap_of_its_own(tmp_path: Path) -> None:
    async with Server(always(page(BODY))) as server, getting(tmp_path, max_body_size=1000) as ours:
        await ours.fails(server.url(), errors.BodyTooLarge, stream_to="a")
        response = await ours.get(server.url(), stream_to="a", max_body_size=len(BODY))
        assert response.sha256 == SUM


async def test_a_cancelled_download_leaves_nothing(tmp_path: Path) -> None:
    begins = Reply(chunked(BODY, end=b"").data)
    async with Server(always(begins)) as server, getting(tmp_path) as ours:
        task = asyncio.ensure_future(ours.get(server.url(), stream_to="a"))
        while not files(tmp_path):
            assert not task.done()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: not server.open)
    assert files(tmp_path) == {}


async def test_a_name_that_is_taken_is_an_error_of_its_page(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    async with Server(always(page(BODY))) as server, getting(tmp_path) as ours:
        with pytest.raises(errors.DownloadError) as caught:
            await ours.get(server.url(), stream_to="a")
        assert caught.value.request is not None and not caught.value.transient
    assert files(tmp_path) == {}


# -- in a crawl


class Images(Spider):
    start_urls: Any = ()

    def parse(self, response: scraper.Response) -> Any:
        for number in range(3):
            name = f"images/{number}.bin"
            yield response.follow(f"/{number}", self.image, stream_to=name, cb_kwargs={"name": name})

    def image(self, response: scraper.Response, name: str) -> Any:
        assert response.file is not None
        there = hashlib.sha256(response.file.read_bytes()).hexdigest()
        yield {"key": name, "whole": there == response.sha256, "url": response.url}


def images(asked: Asked) -> Reply:
    if asked.path == "/2":
        return page(b"", "302 Found", Location="/moved")
    return page(b"<p>x") if asked.path == "/" else page(BODY, Content_Type="image/x")


async def crawl(server: Server, tmp_path: Path, **settings: Any) -> scraper.CrawlReport:
    class Here(Images):
        start_urls = (server.url(),)

    options = {"db": tmp_path / "x.db", "obey_robots": False, "files": str(tmp_path / "files"), **settings}
    return await scraper.crawl(Here, **options)


async def test_a_crawl_downloads_also_behind_a_redirect_and_sweeps_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / "files" / PARTIAL).mkdir(parents=True)
    (tmp_path / "files" / PARTIAL / "left").write_bytes(b"half")
    async with Server(images) as server:
        report = await crawl(server, tmp_path)
    assert (report.finished, report.counts.items, report.counts.dead) == (True, 3, 0)
    assert files(tmp_path / "files") == {f"images/{number}.bin": BODY for number in range(3)}


async def test_a_folder_that_takes_no_files_stops_the_crawl_and_the_next_one_has_all(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / PARTIAL).symlink_to("/proc/nowhere")
    async with Server(images) as server:
        with pytest.raises(errors.FileError, match="the same command goes on"):
            await crawl(server, tmp_path)
        (tmp_path / "files" / PARTIAL).unlink()
        report = await crawl(server, tmp_path)
    assert report.resumed and report.finished
    assert (report.totals.items, report.totals.dead) == (3, 0)
    assert files(tmp_path / "files") == {f"images/{number}.bin": BODY for number in range(3)}
