"""Downloads: when a file is on the disk, and what is not even begun."""

import fcntl
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from sockets import Reply, Server, always
from test_download import files, getting
from test_fetcher import chunked

from scraper import errors
from scraper.download import FileWriter, sweep


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    settled: list[tuple[int, bool]] = []
    settle = os.fsync

    def watched(descriptor: int) -> None:
        settle(descriptor)
        settled.append((os.fstat(descriptor).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", watched)
    download = FileWriter(tmp_path)
    download.write(b"x")
    download.keep("a")
    assert settled == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_file_that_is_swept_before_it_is_locked_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[int] = []
    lock = fcntl.flock

    def late(file: Any, how: int) -> None:
        if not swept:
            swept.append(0)
            swept[0] = sweep(tmp_path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    download = FileWriter(tmp_path)
    download.write(b"x")
    assert swept == [1]
    download.keep("a")
    assert files(tmp_path) == {"a": b"x"}


async def test_an_announced_giant_is_not_waited_for(tmp_path: Path) -> None:
    giant = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    async with Server(always(giant)) as server, getting(tmp_path, read_timeout=0.5) as ours:
        await ours.fails(server.url(), errors.BodyTooLarge, stream_to="a")


async def test_what_unfolds_to_nothing_counts_as_it_came(tmp_path: Path) -> None:
    """A gzip member, and padding without end after it: nothing of it is written, yet it comes."""
    padded = chunked(gzip.compress(b"x") + bytes(4_000_000), size=20_000, end=b"", Content_Encoding="gzip")
    async with Server(always(padded)) as server, getting(tmp_path, max_body_size=1_000_000) as ours:
        await ours.fails(server.url(), errors.BodyTooLarge, stream_to="a")
        await server.until(lambda: not server.open)
    assert files(tmp_path) == {}
